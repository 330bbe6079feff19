//! What a reply of a verified run says of its request: the value of [`SEEN`](crate::field::SEEN).

use std::ops::Deref;

use super::Instants;
use crate::id::{self, Id};

/// The token that the server saw, and where and how often.
///
/// ```
/// use contract::{id::Id, ledger::Seen};
///
/// let id = Id { run: 0xabc, load: 0, number: 255, attempt: 0 };
/// let seen = Seen { id, sighting: 2, epoch: 0xfeed, length: Some(1024), instants: None };
/// assert_eq!(&*seen.text(), b"00000abc-00-00000000000000ff-00-02-0000feed-400");
/// assert_eq!(Seen::read(&seen.text()), Some(seen));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// As it stood in the request.
    pub id: Id,
    /// How often the worker that replied has seen this number by now, 255 for all beyond.
    pub sighting: u8,
    /// Drawn when the server started: another one has other ledgers.
    pub epoch: u32,
    /// Of the reply's body, where that is [numbered](crate::pattern::Numbered).
    pub length: Option<u64>,
    /// When it was seen, and its reply handed over.
    pub instants: Option<Instants>,
}

/// Length without the length of a body and without instants: the id, two digits for the sighting and eight for the epoch, hexadecimal, with dashes
/// between.
const SHORT: usize = id::LENGTH + 1 + 2 + 1 + 8;

/// Where the epoch begins.
const EPOCH: usize = id::LENGTH + 4;

impl Seen {
    /// The longest text.
    pub const LENGTH: usize = SHORT + 1 + 16 + 1 + Instants::LENGTH;

    /// As it is in a field.
    #[inline]
    #[must_use]
    pub fn text(&self) -> SeenText {
        let mut text = SeenText { bytes: [b'-'; Self::LENGTH], length: SHORT };
        let bytes = &mut text.bytes;
        bytes[..id::LENGTH].copy_from_slice(&self.id.text());
        bytes[id::LENGTH + 1..id::LENGTH + 3].copy_from_slice(&id::digits(self.sighting.into())[6..]);
        bytes[EPOCH..SHORT].copy_from_slice(&id::digits(self.epoch));
        if let Some(length) = self.length {
            let digits = [id::digits((length >> 32) as u32), id::digits(length as u32)];
            let zeros = (length | 1).leading_zeros() as usize / 4;
            let digits = &digits.as_flattened()[zeros..];
            bytes[SHORT + 1..SHORT + 1 + digits.len()].copy_from_slice(digits);
            text.length = SHORT + 1 + digits.len();
        }
        if let Some(instants) = &self.instants {
            text.bytes[text.length] = b'.';
            text.length += 1 + instants.write(&mut text.bytes[text.length + 1..]);
        }
        text
    }

    /// Reads one; none where something else stands in the field.
    #[inline]
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let (id, rest) = text.split_at_checked(id::LENGTH)?;
        Self::of(Id::read(id)?, rest)
    }

    /// Reads one of this request, whichever attempt to send it was seen; none where another's or something else stands in the
    /// field.
    #[inline]
    #[must_use]
    pub fn read_own(text: &[u8], request: Id) -> Option<Self> {
        let (id, rest) = text.split_at_checked(id::LENGTH)?;
        // Written once and compared: most replies are those of their requests.
        if id[..id::ATTEMPT] != request.text()[..id::ATTEMPT] {
            return None;
        }
        Self::of(Id { attempt: id::number(&id[id::ATTEMPT..])? as u8, ..request }, rest)
    }

    /// With what stands behind its id.
    #[inline]
    fn of(id: Id, rest: &[u8]) -> Option<Self> {
        let (short, rest) = rest.split_at_checked(SHORT - id::LENGTH)?;
        let [b'-', sighting @ .., b'-'] = &short[..EPOCH - id::LENGTH] else { return None };
        // No digit of instants is a dot.
        let (length, instants) = match rest.iter().position(|byte| *byte == b'.') {
            None => (rest, None),
            Some(dot) => (&rest[..dot], Some(Instants::read(&rest[dot + 1..])?)),
        };
        let length = match length {
            [] => None,
            [b'-', b'0'] => Some(0),
            [b'-', b'0', ..] | [b'-'] => return None,
            [b'-', digits @ ..] if digits.len() <= 16 => Some(id::number(digits)?),
            _ => return None,
        };
        let sighting = id::number(sighting)? as u8;
        Some(Self { id, sighting, epoch: id::eight(&short[EPOCH - id::LENGTH..])?, length, instants })
    }
}

/// [`Seen`] as text.
#[derive(Clone, Copy, Debug)]
pub struct SeenText {
    bytes: [u8; Seen::LENGTH],
    length: usize,
}

impl Deref for SeenText {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let longest = Instants { host: None, seen: Instants::INSTANT, server: Instants::LONGEST - 1 };
        for length in [None, Some(0), Some(0x10), Some(u64::MAX)] {
            for (sighting, epoch) in [(0, 0), (1, 0x1234_5678), (u8::MAX, u32::MAX)] {
                let id = Id { run: u32::MAX, load: 7, number: u64::MAX, attempt: 3 };
                let instants = (sighting > 0).then_some(longest);
                let seen = Seen { id, sighting, epoch, length, instants };
                assert_eq!(Seen::read(&seen.text()), Some(seen));
            }
        }
        let id = "00000abc-00-00000000000000ff-00";
        for rest in ["", "-", "-01", "-01-", "-1-0000feed", "-01-feed", "-01-0000FEED", "-+1-0000feed"] {
            assert_eq!(Seen::read(format!("{id}{rest}").as_bytes()), None, "{rest}");
        }
        for length in
            [" ", "-", "-01", "-A", "-1-1", "-10000000000000000", ".", "-1.", ".-", ".0000000000000-1"]
        {
            assert_eq!(Seen::read(format!("{id}-01-0000feed{length}").as_bytes()), None, "{length}");
        }
        assert_eq!(Seen::read(b"00000abc-00-00000000000000fg-00-01-0000feed"), None);
    }

    #[test]
    fn what_is_of_a_request_is_read_as_its_own_whichever_attempt_it_is_of() {
        let request = Id { run: 0xabc, load: 1, number: 0xff, attempt: 0 };
        for (attempt, length) in [(0, None), (1, Some(0x400)), (u8::MAX, Some(0))] {
            let seen = Seen { id: Id { attempt, ..request }, sighting: 1, epoch: 7, length, instants: None };
            assert_eq!(Seen::read_own(&seen.text(), request), Some(seen));
            let text = seen.text();
            for at in 0..text.len() {
                for byte in [b'0', b'1', b'f', b'g', b'-', b' '] {
                    let mut other = text.to_vec();
                    other[at] = byte;
                    let is_own = |seen: &Seen| Id { attempt: 0, ..seen.id } == request;
                    assert_eq!(Seen::read_own(&other, request), Seen::read(&other).filter(is_own), "{at}");
                }
                assert_eq!(Seen::read_own(&text[..at], request), Seen::read(&text[..at]), "{at}");
            }
        }
    }
}
