//! What was read from a client and not taken in: the bytes themselves, the memory that they count for, and whether more of
//! them will come.

use std::{
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::socket::{self, SharedSocket};
use crate::budget::{Budget, Hold, counted};

/// The bytes of a client on their way from the socket to an engine's state machine.
pub(super) struct Input {
    /// Not taken in when bytes were [kept](Self::keep) last: they wait.
    pub(super) rest: Vec<u8>,
    /// How many bytes are not taken in; `rest` has as many unless some are being taken in.
    pub(super) left: usize,
    /// What `rest` waited for came about, and nobody has looked at it since.
    pub(super) is_fresh: bool,
    /// The client has closed its end.
    pub(super) has_ended: bool,
    hold: Hold,
}

impl Input {
    /// Begins with what was read already.
    pub(super) fn new(first: Vec<u8>, budget: &Rc<Budget>) -> Self {
        Self { left: first.len(), rest: first, is_fresh: true, has_ended: false, hold: Hold::new(budget) }
    }

    /// Whether a byte is not taken in.
    pub(super) fn has_more(&self) -> bool {
        self.left > 0
    }

    /// Copies kept input to the front of `buffer` if it has to be parsed again, and returns its length in bytes.
    pub(super) fn take_fresh(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let count = std::mem::take(&mut self.is_fresh).then_some(self.rest.len())?;
        buffer[..count].copy_from_slice(&self.rest);
        Some(count)
    }

    /// Reads behind what waits: how many bytes `buffer` has then; none when the client has closed its end.
    pub(super) fn poll_more(
        &mut self,
        socket: &SharedSocket,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<usize>>> {
        let count = ready!(socket::poll_read(socket, &self.rest, buffer, cx))?;
        self.has_ended = count == self.rest.len();
        Poll::Ready(Ok((!self.has_ended).then_some(count)))
    }

    /// Parsing ends: `left` was not parsed and is kept, and `more` bytes of what was parsed are kept elsewhere. False: the
    /// memory budget has no room for them, and what was left is discarded. That is possible for the beginning of a head or
    /// frame only; other input `waits` whether or not there is room.
    #[must_use]
    pub(super) fn keep(&mut self, left: &[u8], more: usize, waits: bool) -> bool {
        if left.is_empty() {
            // Nothing holds no memory.
            self.rest = Vec::new();
        } else {
            self.rest.clear();
            self.rest.extend_from_slice(left);
        }
        self.left = left.len();
        let held = counted(self.rest.capacity() + more);
        if waits || self.is_fresh {
            self.hold.note(held);
            return true;
        }
        let fits = self.hold.set(held);
        if !fits {
            (self.rest, self.left) = (Vec::new(), 0);
        }
        fits
    }

    /// Whether the client sends nothing more, and nothing more can be made of what it has sent.
    pub(super) fn is_exhausted(&self) -> bool {
        self.has_ended && !self.is_fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_looked_at_again_only_when_there_is_reason_to() {
        let mut input = Input::new(b"GET /".to_vec(), &Budget::of(1 << 30));
        let mut buffer = [0; 16];
        assert_eq!(input.take_fresh(&mut buffer), Some(5), "nobody has seen the first bytes");
        input.left = 5;
        assert!(input.keep(b"GET /", 0, false));
        assert!(input.has_more());
        assert_eq!(input.take_fresh(&mut buffer), None);
        input.is_fresh = true;
        assert_eq!(input.take_fresh(&mut buffer), Some(5));
        assert_eq!((&input.rest[..], &buffer[..5]), (&b"GET /"[..], &b"GET /"[..]));
    }

    #[test]
    fn all_is_taken_in_before_a_client_that_has_ended_counts_as_exhausted() {
        let mut input = Input::new(b"ab".to_vec(), &Budget::of(1 << 30));
        input.has_ended = true;
        assert!(input.has_ended && !input.is_exhausted());
        assert_eq!(input.take_fresh(&mut [0; 2]), Some(2));
        input.left = 0;
        assert!(input.keep(b"", 0, false));
        assert!(input.is_exhausted() && !input.has_more());
    }

    #[test]
    fn a_head_is_thrown_away_without_memory_for_it_and_other_input_waits() {
        let budget = Budget::of(1 << 20);
        let all = Hold::new(&budget);
        assert!(all.set(850 << 10));
        let large = vec![b'x'; 100 << 10];
        let mut input = Input::new(Vec::new(), &budget);
        input.is_fresh = false;
        input.left = large.len();
        assert!(input.keep(&large, 0, true) && input.rest == large);
        assert!(!input.keep(&large, 0, false));
        assert!(input.rest.is_empty() && !input.has_more());
    }
}
