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
/// let seen = Seen { id, sighting: 2, epoch: 0xfeed, length: Some(1024), status: 200, instants: None };
/// assert_eq!(&*seen.text(), b"00000abc-00-00000000000000ff-00-02-0000feed-400");
/// assert_eq!(Seen::read(&seen.text()), Some(seen));
/// let failed = Seen { status: 503, ..seen };
/// assert_eq!(&*failed.text(), b"00000abc-00-00000000000000ff-00-02-0000feed-400=503");
/// assert_eq!(Seen::read(&failed.text()), Some(failed));
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
    /// Of the reply, as the server gave it: 100 to 999. Not in the text where it is [the usual one](Self::USUAL).
    pub status: u16,
    /// When it was seen, and its reply handed over.
    pub instants: Option<Instants>,
}

/// Length without the length of a body, a status and instants: the id, two digits for the sighting and eight for the epoch, hexadecimal, with dashes
/// between.
const SHORT: usize = id::LENGTH + 1 + 2 + 1 + 8;

/// Where the epoch begins.
const EPOCH: usize = id::LENGTH + 4;

/// Length of a status with what stands before it.
const STATUS: usize = 1 + 3;

impl Seen {
    /// The longest text.
    pub const LENGTH: usize = SHORT + 1 + 16 + STATUS + 1 + Instants::LENGTH;

    /// The status of a reply that says nothing of it.
    pub const USUAL: u16 = 200;

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
        if self.status != Self::USUAL {
            text.put_status(self.status);
        }
        if let Some(instants) = &self.instants {
            text.bytes[text.length] = b'.';
            if let Some(place) = text.bytes[text.length + 1..].first_chunk_mut() {
                text.length += 1 + instants.write(place);
            }
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
        let (length, status) = match length {
            [length @ .., b'=', hundreds, tens, ones] => (length, read_status([*hundreds, *tens, *ones])?),
            _ => (length, Self::USUAL),
        };
        let length = match length {
            [] => None,
            [b'-', b'0'] => Some(0),
            [b'-', b'0', ..] | [b'-'] => return None,
            [b'-', digits @ ..] if digits.len() <= 16 => Some(id::number(digits)?),
            _ => return None,
        };
        let sighting = id::number(sighting)? as u8;
        let epoch = id::eight(&short[EPOCH - id::LENGTH..])?;
        Some(Self { id, sighting, epoch, length, status, instants })
    }
}

/// A status in three digits that is not the usual one, which is not written.
#[cold]
fn read_status(digits: [u8; 3]) -> Option<u16> {
    let [hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = digits else { return None };
    let status = [hundreds, tens, ones].iter().fold(0, |all, digit| all * 10 + u16::from(digit - b'0'));
    (status != Seen::USUAL).then_some(status)
}

/// Writes one after the other: most differ from the last one in number and instants alone.
///
/// ```
/// use contract::{id::Ids, ledger::{Seen, SeenWriter}};
///
/// let mut writer = SeenWriter::default();
/// for number in [7, 8, u64::MAX] {
///     let id = Ids { run: 0xabc, load: 0 }.of(number, 0);
///     let seen = Seen { id, sighting: 1, epoch: 0xfeed, length: Some(1024), status: 200, instants: None };
///     assert_eq!(writer.text(&seen), &*seen.text());
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct SeenWriter(Option<Written>);

/// One that was written or read, and how.
#[derive(Clone, Copy, Debug)]
struct Written {
    seen: Seen,
    text: SeenText,
    /// Where its instants begin; behind the end where there are none.
    instants: usize,
}

impl Written {
    fn of(seen: Seen, text: SeenText) -> Self {
        let dot = text.iter().position(|byte| *byte == b'.').unwrap_or(text.length);
        Self { seen, text, instants: dot + 1 }
    }
}

impl SeenWriter {
    /// As [`Seen::text`].
    #[inline]
    pub fn text(&mut self, seen: &Seen) -> &[u8] {
        if !self.0.as_mut().is_some_and(|last| last.becomes(seen)) {
            self.0 = Some(Written::of(*seen, seen.text()));
        }
        self.0.as_ref().map_or(&[], |last| &last.text)
    }
}

impl Written {
    /// Makes it another one that differs in the last digits of the number and the instants alone; whether it does.
    #[inline]
    fn becomes(&mut self, seen: &Seen) -> bool {
        let Self { seen: last, text, instants } = self;
        let (Some(told), Some(before)) = (&seen.instants, &last.instants) else { return false };
        let (id, known) = (&seen.id, &last.id);
        let is_like = id.number >> 32 == known.number >> 32
            && (id.run, id.load, id.attempt) == (known.run, known.load, known.attempt)
            && (seen.sighting, seen.epoch, seen.length) == (last.sighting, last.epoch, last.length)
            && seen.status == last.status
            && told.host == before.host;
        let Some(place) = text.bytes[*instants..].first_chunk_mut().filter(|_| is_like) else { return false };
        if told.seen != before.seen {
            told.write_seen(place);
        }
        text.length = *instants + told.write_server(place);
        text.bytes[id::LOW].copy_from_slice(&id::digits(id.number as u32));
        // In all else it is like it.
        (last.id.number, last.instants) = (id.number, seen.instants);
        true
    }
}

/// Reads those of replies to requests that are known, one after the other: most differ from the last one in number and instants
/// alone.
#[derive(Clone, Debug, Default)]
pub struct SeenReader(Option<Written>);

impl SeenReader {
    /// As [`Seen::read_own`].
    #[inline]
    pub fn read_own(&mut self, text: &[u8], request: Id) -> Option<&Seen> {
        let is_like = self.0.as_mut().is_some_and(|last| last.reads(text, request));
        if !is_like {
            self.read_whole(text, request)?;
        }
        self.0.as_ref().map(|last| &last.seen)
    }

    #[cold]
    fn read_whole(&mut self, text: &[u8], request: Id) -> Option<()> {
        let seen = Seen::read_own(text, request)?;
        let mut known = SeenText { bytes: [0; Seen::LENGTH], length: text.len() };
        known.bytes.get_mut(..text.len())?.copy_from_slice(text);
        self.0 = Some(Written::of(seen, known));
        Some(())
    }
}

impl Written {
    /// Makes it the one in `text`, if that differs from it in the last digits of the number and the instants alone; whether it does.
    #[inline]
    fn reads(&mut self, text: &[u8], request: Id) -> bool {
        let Self { seen, text: known, instants } = self;
        let (Some(before), Some((own, told))) = (&mut seen.instants, text.split_at_checked(*instants)) else {
            return false;
        };
        let known_own = &known.bytes[..*instants];
        let is_own = (request.run, request.load) == (seen.id.run, seen.id.load)
            && request.number >> 32 == seen.id.number >> 32
            && own[..id::LOW.start] == known_own[..id::LOW.start]
            && own[id::LOW] == id::digits(request.number as u32)
            && own[id::LOW.end..] == known_own[id::LOW.end..];
        let known = known.bytes[*instants..].first_chunk_mut().filter(|_| is_own);
        if !known.is_some_and(|known| before.read_next(told, known)) {
            return false;
        }
        seen.id.number = request.number;
        true
    }
}

/// [`Seen`] as text.
#[derive(Clone, Copy, Debug)]
pub struct SeenText {
    bytes: [u8; Seen::LENGTH],
    length: usize,
}

impl SeenText {
    /// Behind what is there. What no status is (RFC 9110 section 15) is left out, so that the rest can be read.
    #[cold]
    fn put_status(&mut self, status: u16) {
        if !(100..=999).contains(&status) {
            return;
        }
        let digit = |of: u16| b'0' + (status / of % 10) as u8;
        self.bytes[self.length..self.length + STATUS].copy_from_slice(&[
            b'=',
            digit(100),
            digit(10),
            digit(1),
        ]);
        self.length += STATUS;
    }
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
    use super::{super::Host, *};

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let longest = Instants { host: None, seen: Instants::INSTANT, server: Instants::LONGEST - 1 };
        let mut longest_text = 0;
        for length in [None, Some(0), Some(0x10), Some(u64::MAX)] {
            for (sighting, epoch) in [(0, 0), (1, 0x1234_5678), (u8::MAX, u32::MAX)] {
                for status in (100..=999).chain([Seen::USUAL]) {
                    let id = Id { run: u32::MAX, load: 7, number: u64::MAX, attempt: 3 };
                    let instants = (sighting > 0).then_some(longest);
                    let seen = Seen { id, sighting, epoch, length, status, instants };
                    let text = seen.text();
                    assert_eq!(Seen::read(&text), Some(seen));
                    assert_eq!(text.contains(&b'='), status != Seen::USUAL);
                    longest_text = longest_text.max(text.len());
                }
            }
        }
        assert_eq!(longest_text, Seen::LENGTH);
        let id = "00000abc-00-00000000000000ff-00";
        for rest in ["", "-", "-01", "-01-", "-1-0000feed", "-01-feed", "-01-0000FEED", "-+1-0000feed"] {
            assert_eq!(Seen::read(format!("{id}{rest}").as_bytes()), None, "{rest}");
        }
        for length in
            [" ", "-", "-01", "-A", "-1-1", "-10000000000000000", ".", "-1.", ".-", ".0000000000000-1"]
        {
            assert_eq!(Seen::read(format!("{id}-01-0000feed{length}").as_bytes()), None, "{length}");
        }
        for status in [
            "=", "=50", "=5030", "=200", "=099", "=000", "=5f3", "=+50", "=503=503", "-=503", "503", "=503-4",
        ] {
            assert_eq!(Seen::read(format!("{id}-01-0000feed{status}").as_bytes()), None, "{status}");
        }
        // An invalid status is not written.
        let seen = Seen::read(format!("{id}-01-0000feed").as_bytes()).unwrap();
        for status in [0, 99, 1000, u16::MAX] {
            assert_eq!(Seen::read(&Seen { status, ..seen }.text()), Some(seen), "{status}");
        }
        assert_eq!(Seen::read(b"00000abc-00-00000000000000fg-00-01-0000feed"), None);
    }

    /// Those that differ in one thing from the one before, and in several.
    fn various() -> impl Iterator<Item = Seen> {
        let host = Some(Host::of("boot", "time"));
        let instants = [
            None,
            Some(Instants { host, seen: 1 << 40, server: 5 }),
            Some(Instants { host, seen: 1 << 40, server: 64 }),
            Some(Instants { host, seen: Instants::INSTANT, server: Instants::LONGEST - 1 }),
            Some(Instants { host: None, seen: 0, server: 0 }),
        ];
        let lengths = [None, Some(0), Some(1024), Some(u64::MAX)];
        let statuses = [200, 503, 204];
        let numbers = [1, 0xffff_ffff, 1 << 32, (1 << 32) + 1, u64::MAX];
        // Coprime strides go through all combinations of neighbours.
        (0..20_000_usize).map(move |step| {
            let of = |stride: usize, most: usize| step / stride % most;
            let id = Id {
                run: 7 + of(9, 2) as u32,
                load: of(11, 2) as u8,
                number: numbers[of(2, 5)] - of(1, 2) as u64,
                attempt: of(13, 2) as u8,
            };
            let sighting = 1 + of(17, 2) as u8;
            Seen {
                id,
                sighting,
                epoch: of(19, 2) as u32,
                length: lengths[of(5, 4)],
                status: statuses[of(7, 3)],
                instants: instants[of(3, 5)],
            }
        })
    }

    #[test]
    fn one_after_the_other_they_are_written_and_read_as_each_by_itself() {
        let (mut writer, mut reader) = (SeenWriter::default(), SeenReader::default());
        let (mut like, mut last) = (0, None::<Written>);
        for seen in various() {
            let text = seen.text();
            assert_eq!(writer.text(&seen), &*text);
            like += u32::from(last.is_some_and(|mut last| last.becomes(&seen)));
            last = Some(Written::of(seen, text));
            assert_eq!(reader.read_own(&text, seen.id).copied(), Some(seen));
            let other = Id { number: seen.id.number ^ 1, ..seen.id };
            assert_eq!(reader.read_own(&text, other).copied(), None);
            assert_eq!(
                reader.read_own(&text[..text.len() - 1], seen.id).copied(),
                Seen::read_own(&text[..text.len() - 1], seen.id)
            );
        }
        assert!(like > 1000, "only {like} were like the one before");
    }

    #[test]
    fn a_text_that_is_damaged_anywhere_is_read_as_it_is_without_the_one_before() {
        let id = Id { run: 0xabc, load: 1, number: 0xff, attempt: 0 };
        let host = Some(Host::of("boot", "time"));
        let seen = |length, status| {
            let instants = Some(Instants { host, seen: 1 << 40, server: 4096 });
            Seen { id, sighting: 1, epoch: 7, length, status, instants }
        };
        for seen in [seen(None, 200), seen(Some(1024), 200), seen(None, 204), seen(Some(1024), 503)] {
            let (text, mut reader) = (seen.text(), SeenReader::default());
            for (at, byte) in (0..text.len()).flat_map(|at| b"01fgA-.= ~".map(|byte| (at, byte))) {
                let mut other = text.to_vec();
                other[at] = byte;
                assert_eq!(reader.read_own(&text, id).copied(), Some(seen));
                assert_eq!(reader.read_own(&other, id).copied(), Seen::read_own(&other, id), "{at}");
            }
            for length in 0..text.len() {
                assert_eq!(reader.read_own(&text, id).copied(), Some(seen));
                assert_eq!(
                    reader.read_own(&text[..length], id).copied(),
                    Seen::read_own(&text[..length], id)
                );
            }
            let long = [&text[..], &[b'1'; 80]].concat();
            assert_eq!(reader.read_own(&long, id).copied(), None);
        }
    }

    #[test]
    fn what_is_of_a_request_is_read_as_its_own_whichever_attempt_it_is_of() {
        let request = Id { run: 0xabc, load: 1, number: 0xff, attempt: 0 };
        for (attempt, length, status) in [
            (0, None, 200),
            (1, Some(0x400), 200),
            (u8::MAX, Some(0), 200),
            (0, None, 404),
            (2, Some(1), 503),
        ] {
            let id = Id { attempt, ..request };
            let seen = Seen { id, sighting: 1, epoch: 7, length, status, instants: None };
            assert_eq!(Seen::read_own(&seen.text(), request), Some(seen));
            let text = seen.text();
            for at in 0..text.len() {
                for byte in [b'0', b'1', b'f', b'g', b'-', b'=', b' '] {
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
