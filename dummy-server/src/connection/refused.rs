//! Connections that are refused before they come to HTTP: each is counted, and now and then one is logged, since
//! any client could fill the log otherwise.

use std::{
    cell::Cell,
    fmt::Display,
    time::{Duration, Instant},
};

use transport::tls::Reason;

use super::socket::SharedSocket;
use crate::handshakes::ProxyError;

/// How long a line of one kind keeps others of that kind out of a worker's log.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of a reason in the log, of which the client may have sent some.
const LONGEST: usize = 256;

/// What one worker has logged of late.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    proxy: [Sampler; ProxyError::ALL.len()],
    tls: [Sampler; Reason::ALL.len()],
}

impl Refusals {
    /// A connection was closed for its PROXY header, or for want of one.
    pub(super) fn proxy(&self, socket: &SharedSocket, error: ProxyError, reason: &dyn Display) {
        socket.lifecycle.accounting.stats.handshakes.proxy_errors[error as usize].add(1);
        self.proxy[error as usize].warn(socket, error.name(), "PROXY header refused", reason);
    }

    /// A handshake of TLS has failed.
    pub(super) fn tls(&self, socket: &SharedSocket, kind: Reason, reason: &dyn Display) {
        socket.lifecycle.accounting.stats.handshakes.failures[kind as usize].add(1);
        // A client that just goes is a port scan or a balancer's check.
        if kind == Reason::Closed {
            return;
        }
        self.tls[kind as usize].warn(socket, kind.name(), "TLS handshake failed", reason);
    }
}

/// A text as a line may hold it.
fn cut(text: &dyn Display) -> String {
    let mut out = String::new();
    for c in text.to_string().chars() {
        let before = out.len();
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > LONGEST {
            out.truncate(before);
            break;
        }
    }
    out
}

/// Lets through one line in a while.
#[derive(Debug, Default)]
struct Sampler {
    last: Cell<Option<Instant>>,
    held_back: Cell<u64>,
}

impl Sampler {
    fn warn(&self, socket: &SharedSocket, kind: &str, what: &str, reason: &dyn Display) {
        if let Some(unlogged) = self.admit(Instant::now()) {
            let peer = socket.lifecycle.peer.address();
            let peer = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
            tracing::warn!(peer, kind, unlogged, "{what}: {}", cut(reason));
        }
    }

    /// How many lines were held back since the last one, if there may be one now.
    fn admit(&self, now: Instant) -> Option<u64> {
        if self.last.get().is_some_and(|last| now < last + PAUSE) {
            self.held_back.set(self.held_back.get() + 1);
            return None;
        }
        self.last.set(Some(now));
        Some(self.held_back.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_while_is_let_through_with_the_number_of_those_held_back() {
        let (sampler, start) = (Sampler::default(), Instant::now());
        let after = |ms| sampler.admit(start + Duration::from_millis(ms));
        assert_eq!([0, 1, 999].map(after), [Some(0), None, None]);
        assert_eq!([1000, 1001, 2000].map(after), [Some(2), None, Some(1)]);
    }

    #[test]
    fn long_and_odd_reasons_make_one_short_line() {
        assert_eq!(cut(&"a\nb\x1b[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(cut(&"x".repeat(1000)).len(), LONGEST);
        let wide = cut(&"\u{20ac}".repeat(1000));
        assert!(wide.len() > LONGEST - 3 && wide.len() <= LONGEST, "{}", wide.len());
    }
}
