//! Messages of verified runs that came on a WebSocket or in a gRPC stream and whose echoes are on their way: see
//! [`contract::ledger`].
//!
//! Nothing here reads or writes a socket.

use std::rc::Rc;

use contract::{id::Id, ledger::FIRST_OF_STREAMS};

use super::{Ledger, Sighting};
use crate::clock::now_ns;

/// What the ledger calls the method of a message.
const METHOD: &[u8] = b"MESSAGE";

/// A number that is further from the last one than this is not the next of its WebSocket: a digit has changed on the way.
const MAX_APART: u64 = 1 << 24;

/// Those whose echoes have not been handed over.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// The last one is that of the echo that is being made, if it has a token.
    sightings: Vec<(Sighting, usize)>,
    /// How many have arrived.
    count: u64,
    /// Of WebSockets: the one with the highest number that has arrived, of the run that came last.
    latest: Option<Id>,
}

impl Noted {
    /// A message with this token and of this length has arrived: its place among those, counted from 1.
    pub(crate) fn saw(&mut self, id: Id, length: usize, ledger: &Rc<Ledger>) -> u64 {
        let now = now_ns();
        let mut sighting = ledger.saw(id, METHOD, now, None);
        sighting.replied(0, now);
        // Streams say themselves in which order theirs have come.
        if id.load < FIRST_OF_STREAMS && self.is_behind(id) {
            sighting.came_behind();
        }
        self.sightings.push((sighting, length));
        self.count += 1;
        self.count
    }

    /// Whether one of a later number of its run has come before it.
    #[inline]
    fn is_behind(&mut self, id: Id) -> bool {
        let is_behind = self.latest.is_some_and(|latest| {
            let apart = latest.number.saturating_sub(id.number);
            (latest.run, latest.load) == (id.run, id.load) && (1..=MAX_APART).contains(&apart)
        });
        if !is_behind {
            self.latest = Some(id);
        }
        is_behind
    }

    /// All echoes were handed over whole.
    #[inline]
    pub(crate) fn handed_over(&mut self) {
        if !self.sightings.is_empty() {
            let now = now_ns();
            for (mut sighting, length) in self.sightings.drain(..) {
                sighting.whole();
                sighting.ended(now, length as u64);
            }
        }
    }

    /// The server ends the socket or the stream: echoes that have not been made are not made any more, where `is_within` one.
    #[cold]
    pub(crate) fn broken_off(&mut self, is_within: bool) {
        let from = if is_within { self.sightings.len().saturating_sub(1) } else { 0 };
        for (sighting, _) in self.sightings.iter_mut().skip(from) {
            sighting.cut_by_server();
            sighting.ended(now_ns(), 0);
        }
        self.sightings.truncate(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_that_has_changed_puts_no_other_message_behind() {
        let mut noted = Noted::default();
        let behind: Vec<bool> = [1, 4, 3, 5, 0xf000_0000_0000_0006, 7, 6, 8]
            .map(|number| noted.is_behind(Id { run: 7, load: 0, number, attempt: 0 }))
            .to_vec();
        assert_eq!(behind, [false, false, true, false, false, false, true, false]);
    }
}
