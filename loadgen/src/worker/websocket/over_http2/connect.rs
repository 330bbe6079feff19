//! How WebSockets are opened on an HTTP/2 connection (RFC 8441), and again.

use contract::id::Ids;
use http2::Key;

use super::super::messages::SocketMessages;
use crate::{clock::Nanos, plan::template::Values, worker::opening::Backoff};

/// No WebSocket is opened again after some that were of no use, for a while.
#[derive(Debug, Default)]
pub(super) struct Pause {
    row: Backoff,
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

    /// A WebSocket that was begun at `since` was of no use.
    pub(super) fn failed(&mut self, now: Nanos, since: Nanos) {
        self.row.failed(now, since);
        self.until = Some(self.row.next_unawaited());
    }

    /// One was of use.
    pub(super) fn succeeded(&mut self) {
        self.row = Backoff::default();
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
