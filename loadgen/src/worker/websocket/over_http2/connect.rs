//! How WebSockets are opened on an HTTP/2 connection (RFC 8441), and again.

use contract::id::Ids;
use http2::Key;

use super::super::messages::SocketMessages;
use crate::{clock::Nanos, plan::template::Values, worker::opening::Backoff};

/// No WebSocket is opened again after some that were of no use, for a while.
#[derive(Debug, Default)]
pub(super) struct Pause {
    backoff: Backoff,
    until: Option<Nanos>,
}

impl Pause {
    /// When it ends, if there is one.
    pub(super) fn until(&self) -> Option<Nanos> {
        self.until
    }

    /// Whether it is over, if there was one.
    pub(super) fn is_over(&mut self, now: Nanos) -> bool {
        self.until = self.until.filter(|until| *until > now);
        self.until.is_none()
    }

    /// A WebSocket that was begun at `since` was of no use. Messages may wait for another where one has carried some.
    pub(super) fn failed(&mut self, now: Nanos, since: Nanos, carries_messages: bool) {
        self.backoff.failed(now, since);
        let next =
            if carries_messages { self.backoff.next_of_messages() } else { self.backoff.next_unawaited() };
        self.until = Some(next);
    }

    /// One was of use.
    pub(super) fn succeeded(&mut self) {
        self.backoff = Backoff::default();
    }
}

/// Asks for a WebSocket; where.
pub(super) fn connect(http2: &mut http2::Connection, messages: &mut SocketMessages, ids: Ids) -> Option<Key> {
    let (arrival, id) = messages.next_handshake(ids);
    let SocketMessages { request, texts, .. } = messages;
    let values = texts.values(&arrival, request.rows(), Some(&id));
    let fields = match request.http2_rendering() {
        None => request.http2(),
        Some(rendering) => {
            let mut fields = wire::Fields::new();
            let values = Values { length: 0, ..values };
            for (name, template) in &rendering.fields {
                let mut value = Vec::new();
                template.render(&values, &mut value);
                fields.push(name, &value);
            }
            fields
        }
    };
    http2.open(false, false, |block| {
        for (name, value) in fields.iter() {
            match name {
                b":method" => {
                    block.constant(name, b"CONNECT");
                    block.constant(b":protocol", b"websocket");
                }
                _ => block.constant(name, value),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Nanos = 1_000_000;

    /// How long the pauses are after failures in a row, each as early as it may be.
    fn pauses(carries_messages: bool) -> Vec<Nanos> {
        let mut pause = Pause::default();
        let mut now = 1000 * MILLISECOND;
        let mut made = Vec::new();
        for _ in 0..12 {
            let since = now;
            pause.failed(now, since, carries_messages);
            now = pause.until().unwrap();
            assert!(pause.is_over(now), "and nothing is left of it");
            assert_eq!(pause.until(), None);
            made.push((now - since) / MILLISECOND);
        }
        made
    }

    #[test]
    fn pauses_are_shorter_where_messages_may_wait() {
        assert_eq!(pauses(false), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000]);
        assert_eq!(pauses(true), [1, 2, 4, 8, 16, 32, 64, 100, 100, 100, 100, 100]);
    }
}
