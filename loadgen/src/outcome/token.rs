//! What a reply of a verified run says of its request: whether it is the reply to this one, and its body the one of this number.

use contract::{
    field::SEEN,
    id::Ids,
    ledger::{Instants, Seen, is_sampled},
    pattern::Numbered,
};

use super::{Head, InFlight, reply::LongRedirect};
use crate::{clock, clock::Nanos};

/// What a reply says of its request's token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TokenEcho {
    /// There is no reply yet, or the run is not verified.
    #[default]
    None,
    /// There is a reply without one: it does not come from dummy-server, or the field was removed on the way.
    Missing,
    /// It is the token of this request, from the server with this epoch: 0 where that is not known.
    Own { epoch: u32 },
    /// It is the token of another request.
    Other,
    /// There will be no reply: the server has said, of the last attempt as of those before, that it did not process it.
    Refused,
}

/// When the server saw a request and replied, as its reply tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerTimes {
    /// Modulo [`Instants::INSTANT`] + 1; beyond that where the clock is another host's.
    seen: Nanos,
    /// From there to the reply; [`Nanos::MAX`] where nothing is told.
    server: Nanos,
}

impl Default for ServerTimes {
    fn default() -> Self {
        Self { seen: Nanos::MAX, server: Nanos::MAX }
    }
}

impl ServerTimes {
    #[inline]
    fn of(instants: Instants) -> Self {
        let is_shared = instants.host.is_some() && instants.host == clock::shared_by();
        let seen = if is_shared { instants.seen } else { Nanos::MAX };
        Self { seen, server: instants.server }
    }

    /// From when it was seen to the reply, if that is told.
    #[inline]
    pub(crate) fn server(self) -> Option<Nanos> {
        (self.server != Nanos::MAX).then_some(self.server)
    }

    /// How long after `written` it was seen, with the clock that both ends share at `epoch` when the run's shows zero. Modulo 2^48:
    /// what was seen before it was written has come very late. None where they share no clock.
    #[inline]
    pub(crate) fn way(self, written: Nanos, epoch: Nanos) -> Option<Nanos> {
        let way = self.seen.wrapping_sub(written.wrapping_add(epoch)) & Instants::INSTANT;
        (self.seen <= Instants::INSTANT).then_some(way)
    }
}

/// A body that is not the one of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The first byte that differs lies here.
    Corrupted(u64),
    /// It has ended after the first number of bytes, and should have the second.
    Truncated(u64, u64),
}

impl InFlight {
    /// The final head has come; with the ids of a verified run, its token is checked. `number` numbers the instance that it
    /// names.
    #[inline]
    pub(crate) fn head(&mut self, head: &Head<'_>, verified: Option<Ids>, number: impl FnOnce(&[u8]) -> u16) {
        self.reply.head(head, number);
        if let Some(ids) = verified {
            self.check_token(head, ids);
        }
    }

    fn check_token(&mut self, head: &Head<'_>, ids: Ids) {
        let fields = head.fields();
        let Some(text) = fields.get(SEEN) else {
            self.reply.token = TokenEcho::Missing;
            return;
        };
        // Whichever attempt it is of: redirects that are followed are attempts as well.
        match Seen::read_own(text, ids.of(self.arrival.number, 0)) {
            Some(Seen { epoch, length, instants, .. }) => {
                self.reply.token = TokenEcho::Own { epoch };
                self.reply.server_times = instants.map(ServerTimes::of).unwrap_or_default();
                // What is compressed has other bytes.
                self.reply.announced = length.filter(|_| !fields.contains("content-encoding"));
                // What is sent again or follows a redirect is another request in the same number.
                if is_sampled(ids.run, self.arrival.number) && self.arrival.is_first() {
                    self.reply.keep_head(head, ids.run);
                }
            }
            None => {
                self.reply.token = TokenEcho::Other;
                self.reply.note_other(text);
            }
        }
    }

    /// The echo of a message has come, from a server with this epoch. It is `wrong` where the message, which was so long, differs
    /// from it, if it does not only end before it.
    pub(crate) fn echoed(&mut self, epoch: Option<u32>, wrong: Option<(usize, Option<usize>)>) {
        self.reply.token = TokenEcho::Own { epoch: epoch.unwrap_or_default() };
        if let Some((length, first)) = wrong {
            self.reply.announced = Some(length as u64);
            if let Some(first) = first {
                self.reply.note_corrupted(first as u64);
            }
        }
    }

    /// More of the body has come.
    ///
    /// # Errors
    /// It is that of a redirect that is followed, and too long.
    #[inline]
    pub(crate) fn body(&mut self, part: &[u8]) -> Result<(), LongRedirect> {
        if self.reply.announced.is_some() && self.reply.corrupted().is_none() {
            let checked = Numbered::new(self.arrival.number).verify(self.reply.length, part);
            if let Err(mismatch) = checked {
                self.reply.note_corrupted(mismatch.offset);
            }
        }
        self.reply.body(part)
    }

    /// How the body of its complete reply is not the one of its number.
    pub(crate) fn damage(&self) -> Option<Damage> {
        let announced = self.reply.announced?;
        if let Some(offset) = self.reply.corrupted() {
            return Some(Damage::Corrupted(offset));
        }
        match self.reply.length {
            length if length < announced => Some(Damage::Truncated(length, announced)),
            length if length > announced => Some(Damage::Corrupted(announced)),
            _ => None,
        }
    }
}
