//! Messages of verified runs that came on a WebSocket and whose echoes are on their way: see [`contract::ledger`].
//!
//! Nothing here reads or writes a socket.

use contract::ledger::message_id;

use crate::{clock::now_ns, context::ServerContext, ledger::Sighting};

/// What the ledger calls the method of a message.
const METHOD: &[u8] = b"MESSAGE";

/// Those whose echoes have not been handed over.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// The last one is that of the echo that is being made, if it has a token.
    sightings: Vec<(Box<Sighting>, usize)>,
}

impl Noted {
    /// A message has come. One without a token costs a look at its first bytes.
    #[inline]
    pub(super) fn saw(&mut self, content: &[u8], context: &ServerContext) {
        if let Some(id) = message_id(content) {
            let now = now_ns();
            let mut sighting = context.ledger.saw(id, METHOD, now, None);
            sighting.replied(0, now);
            self.sightings.push((sighting, content.len()));
        }
    }

    /// All echoes were handed over whole.
    #[inline]
    pub(super) fn handed_over(&mut self) {
        if !self.sightings.is_empty() {
            let now = now_ns();
            for (mut sighting, length) in self.sightings.drain(..) {
                sighting.whole();
                sighting.ended(now, length as u64);
            }
        }
    }

    /// The server ends the socket: echoes that have not been made are not made any more, where `is_within` one.
    #[cold]
    pub(super) fn broken_off(&mut self, is_within: bool) {
        let from = if is_within { self.sightings.len().saturating_sub(1) } else { 0 };
        for (sighting, _) in self.sightings.iter_mut().skip(from) {
            sighting.cut_by_server();
            sighting.ended(now_ns(), 0);
        }
        self.sightings.truncate(from);
    }
}
