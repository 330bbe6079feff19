//! Messages of verified runs that came on a WebSocket or in a gRPC stream and whose echoes are on their way: see
//! [`contract::ledger`].
//!
//! Nothing here reads or writes a socket.

use std::rc::Rc;

use contract::id::Id;

use super::{Ledger, Sighting};
use crate::clock::now_ns;

/// What the ledger calls the method of a message.
const METHOD: &[u8] = b"MESSAGE";

/// Those whose echoes have not been handed over.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// The last one is that of the echo that is being made, if it has a token.
    sightings: Vec<(Sighting, usize)>,
    /// How many have arrived.
    count: u64,
}

impl Noted {
    /// A message with this token and of this length has arrived: its place among those, counted from 1.
    pub(crate) fn saw(&mut self, id: Id, length: usize, ledger: &Rc<Ledger>) -> u64 {
        let now = now_ns();
        let mut sighting = ledger.saw(id, METHOD, now, None);
        sighting.replied(0, now);
        self.sightings.push((sighting, length));
        self.count += 1;
        self.count
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
