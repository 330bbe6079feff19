//! How a connection ends: GOAWAY for an error, and the two of a drain (RFC 9113 section 6.8).

use super::{Connection, LARGEST_ID, Role};
use crate::{
    error::{Code, Error},
    frame,
};

/// What PING carries that asks whether the first GOAWAY of a drain has arrived.
pub(super) const DRAIN_PING: [u8; 8] = *b"draining";

impl Connection {
    /// Whether the peer has said GOAWAY.
    #[must_use]
    pub fn is_going_away(&self) -> bool {
        self.allowed.is_some()
    }

    /// Ends the connection for an error: GOAWAY is in the output, and nothing more is taken in.
    pub fn fail(&mut self, error: Error) -> Error {
        if !self.failed {
            self.failed = true;
            let last = self.last_of_peer();
            frame::goaway(self.output.buffer(), last, error.code.0, error.reason.as_bytes());
        }
        error
    }

    /// Whether it was ended for an error.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Server: asks the client to open no more streams. Those that it opens before it has learned of that are
    /// served: a second GOAWAY with the true last stream follows when the peer has answered (RFC 9113 section
    /// 6.8).
    pub fn drain(&mut self) {
        if self.announced.is_none() && !self.failed {
            self.announced = Some(LARGEST_ID);
            frame::goaway(self.output.buffer(), LARGEST_ID, Code::NO_ERROR.0, b"");
            frame::ping(self.output.buffer(), false, DRAIN_PING);
        }
    }

    /// Whether the drain has come to the point where no more streams are taken.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.announced.is_some_and(|last| last != LARGEST_ID)
    }

    /// Says the last word of a drain: streams beyond the highest seen are ignored from now on.
    pub fn finish_drain(&mut self) {
        if !self.is_drained() && !self.failed {
            let last = self.last_of_peer();
            self.announced = Some(last);
            frame::goaway(self.output.buffer(), last, Code::NO_ERROR.0, b"");
        }
    }

    /// The last stream that the peer has opened and this end has looked at. A server opens none.
    fn last_of_peer(&self) -> u32 {
        if self.role == Role::Server { self.highest } else { 0 }
    }
}
