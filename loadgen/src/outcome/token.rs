//! What a reply of a verified run says of its request: whether it is the reply to this one, and its body the one of this number.

use contract::{
    field::SEEN,
    id::Ids,
    ledger::{Instants, Seen, SeenReader, is_sampled},
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
    /// There is a reply without one: it does not come from dummy-server, or the field was removed or made unreadable on the way.
    Missing,
    /// It is the token of this request, from the server with this epoch: 0 where that is not known.
    Own { epoch: u32 },
    /// It is the token of another request.
    Other,
    /// There will be no reply: the server has said, of the last attempt as of those before, that it did not process it.
    Refused,
}

/// When the server saw a request and replied, as its reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerTimes {
    /// Modulo [`Instants::INSTANT`] + 1; beyond that where the clock is another host's.
    seen: Nanos,
    /// From there to the reply; [`Nanos::MAX`] where nothing is said.
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

    /// From when it was seen to the reply, if that is known.
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
    /// It is a reply to a gRPC call that can't be decoded, or a message of one.
    Undecodable,
}

/// Checks tokens in the replies to requests of one load.
#[derive(Clone, Debug)]
pub(crate) struct TokenCheck {
    ids: Ids,
    seen: SeenReader,
}

impl TokenCheck {
    pub(crate) fn of(ids: Ids) -> Self {
        Self { ids, seen: SeenReader::default() }
    }
}

impl InFlight {
    /// The final head has come; in a verified run, its token is checked. `number` numbers the instance that it
    /// names.
    #[inline]
    pub(crate) fn head(
        &mut self,
        head: &Head<'_>,
        check: Option<&mut TokenCheck>,
        number: impl FnOnce(&[u8]) -> u16,
    ) {
        self.reply.head(head, number);
        if let Some(check) = check {
            self.check_token(head, check);
        }
    }

    fn check_token(&mut self, head: &Head<'_>, check: &mut TokenCheck) {
        let TokenCheck { ids, seen } = check;
        let [text, encoding] = head.fields().get_each([SEEN, "content-encoding"]);
        let Some(text) = text else {
            self.reply.token = TokenEcho::Missing;
            return;
        };
        // Whichever attempt it is of: redirects that are followed are also attempts.
        match seen.read_own(text, ids.of(self.arrival.number, 0)) {
            Some(&Seen { epoch, length, status, instants, .. }) => {
                self.reply.token = TokenEcho::Own { epoch };
                self.reply.server_times = instants.map(ServerTimes::of).unwrap_or_default();
                self.reply.announced = length;
                if status != self.reply.status {
                    self.reply.note_given_status(status);
                }
                if length.is_some() && encoding.is_some() {
                    self.reply.announced = None;
                    self.reply.note_encoded();
                }
                // A retry, or what follows a redirect, is another request with the same number.
                if is_sampled(ids.run, self.arrival.number) && self.arrival.is_first() {
                    self.reply.keep_head(head, ids.run);
                }
            }
            None if Seen::read(text).is_some() => {
                self.reply.token = TokenEcho::Other;
                self.reply.note_other(text);
            }
            // Something else stands in its place, which says nothing of any request.
            None => self.reply.token = TokenEcho::Missing,
        }
    }

    /// The echo of a message has come, from a server with this epoch. It is `wrong` where the message, which had this length, differs
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

#[cfg(test)]
mod tests {
    use bytes::Buf as _;
    use contract::{id::Id, pattern::Pattern};

    use super::*;
    use crate::outcome::Arrival;

    const IDS: Ids = Ids { run: 7, load: 1 };
    const NUMBER: u64 = 5;

    fn seen(number: u64, attempt: u8, length: Option<u64>) -> String {
        let id = Id { run: IDS.run, load: IDS.load, number, attempt };
        String::from_utf8(
            Seen { id, sighting: 1, epoch: 9, length, status: 200, instants: None }.text().to_vec(),
        )
        .unwrap()
    }

    /// A request whose reply has these fields.
    fn replied(fields: &[(&str, &str)]) -> InFlight {
        let mut head = http1::response::ResponseHead::default();
        (head.status, head.fields) = (200, fields.iter().copied().collect());
        let mut in_flight = InFlight::new(Arrival::new(NUMBER, 0, 0), 0);
        assert_eq!(in_flight.reply.token, TokenEcho::None);
        in_flight.head(&Head::Http1(&head), Some(&mut TokenCheck::of(IDS)), |_| 0);
        in_flight
    }

    #[test]
    fn a_reply_is_known_by_its_token_whichever_attempt_it_is_of() {
        let token = |value: &str| replied(&[(SEEN, value)]).reply.token;
        assert_eq!(token(&seen(NUMBER, 0, None)), TokenEcho::Own { epoch: 9 });
        assert_eq!(token(&seen(NUMBER, 3, None)), TokenEcho::Own { epoch: 9 });
        assert_eq!(replied(&[]).reply.token, TokenEcho::Missing);
        let other_run = seen(NUMBER, 0, None).replacen("00000007", "00000008", 1);
        for unreadable in ["", "garbage"] {
            assert_eq!(token(unreadable), TokenEcho::Missing, "it says nothing of any request");
        }
        for other in [&*seen(NUMBER + 1, 0, None), &*other_run] {
            let reply = replied(&[(SEEN, other)]).reply;
            assert_eq!((reply.token, reply.other()), (TokenEcho::Other, other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_status_is_held_against_the_one_that_the_server_gave() {
        let given = |came: u16, status: u16| {
            let id = Id { run: IDS.run, load: IDS.load, number: NUMBER, attempt: 0 };
            let seen = Seen { id, sighting: 1, epoch: 9, length: None, status, instants: None };
            let mut head = http1::response::ResponseHead::default();
            let text = seen.text();
            head.status = came;
            head.fields = [(SEEN, std::str::from_utf8(&text).unwrap())].into_iter().collect();
            let mut in_flight = InFlight::new(Arrival::new(NUMBER, 0, 0), 0);
            in_flight.head(&Head::Http1(&head), Some(&mut TokenCheck::of(IDS)), |_| 0);
            let given = in_flight.reply.given_status();
            assert_eq!(in_flight.reply.is_restatused(), given.is_some());
            // The next one in its place has nothing of it.
            in_flight.replace(&Arrival::new(NUMBER + 1, 0, 0), 0);
            assert_eq!((in_flight.reply.is_restatused(), in_flight.reply.given_status()), (false, None));
            given
        };
        for status in [200, 204, 206, 304, 503, 100, 999] {
            assert_eq!(given(status, status), None, "{status}");
            assert_eq!(given(if status == 200 { 500 } else { 200 }, status), Some(status));
        }
    }

    #[test]
    fn a_body_is_held_against_the_one_of_its_number_however_it_is_cut() {
        const LENGTH: usize = 3000;
        let range = Pattern::new(LENGTH).range(0, LENGTH as u64);
        let whole = range.numbered(Pattern::numbered(LENGTH), NUMBER).copy_to_bytes(LENGTH);
        let damage = |body: &[u8], fields: &[(&str, &str)]| {
            let mut in_flight = replied(fields);
            for part in body.chunks(700) {
                in_flight.body(part).unwrap();
            }
            in_flight.damage()
        };
        let token = seen(NUMBER, 0, Some(LENGTH as u64));
        let own = &[(SEEN, token.as_str())][..];
        assert_eq!(damage(&whole, own), None);
        assert_eq!(damage(&whole[..2999], own), Some(Damage::Truncated(2999, 3000)));
        assert_eq!(damage(&[], own), Some(Damage::Truncated(0, 3000)));
        assert_eq!(damage(&[&whole[..], b"x"].concat(), own), Some(Damage::Corrupted(3000)));
        let mut changed = whole.to_vec();
        changed[1234] ^= 1;
        assert_eq!(damage(&changed, own), Some(Damage::Corrupted(1234)));
        // Of what is compressed, of another request, or without a length, nothing is known.
        let other = seen(NUMBER + 1, 0, Some(LENGTH as u64));
        let without = seen(NUMBER, 0, None);
        for fields in [
            &[(SEEN, token.as_str()), ("content-encoding", "gzip")][..],
            &[(SEEN, &*other)],
            &[(SEEN, &*without)],
        ] {
            assert_eq!(damage(&changed, fields), None, "{fields:?}");
        }
    }
}
