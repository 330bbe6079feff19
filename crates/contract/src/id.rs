//! The id of a request, which loadgen writes into a header field and which logs along the way show.
//!
//! It says which run sent the request, which of the run's loads, its number there, and which attempt it is: a request that
//! loadgen retried is distinguished from one that something in between repeated.
//!
//! ```
//! use contract::id::Id;
//!
//! let id = Id { run: 0xabc, load: 0, number: 255, attempt: 1 };
//! assert_eq!(&id.text(), b"00000abc-00-00000000000000ff-01");
//! assert_eq!(Id::read(&id.text()), Some(id));
//! ```

use std::ops::Range;

/// Length of an id as text: digits of run, load, number and attempt, all hexadecimal, with a dash between two of them.
pub const LENGTH: usize = 8 + 1 + 2 + 1 + 16 + 1 + 2;

/// An id as text.
pub type Text = [u8; LENGTH];

/// Where the parts begin.
const LOAD: usize = 9;
const NUMBER: usize = 12;
pub(crate) const ATTEMPT: usize = 29;
/// Where the last eight digits of the number are: most ids of a run differ in them alone.
pub(crate) const LOW: Range<usize> = NUMBER + 8..NUMBER + 16;

/// Which request it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Id {
    /// Drawn by the run: most likely no other has it.
    pub run: u32,
    /// The load within the run.
    pub load: u8,
    /// The request within the load, from 0.
    pub number: u64,
    /// How often the request had been sent before.
    pub attempt: u8,
}

impl Id {
    /// As it is in a field.
    #[inline]
    #[must_use]
    pub fn text(&self) -> Text {
        let mut text = [b'-'; LENGTH];
        text[..8].copy_from_slice(&digits(self.run));
        let small = digits(u32::from(self.load) << 8 | u32::from(self.attempt));
        text[LOAD..LOAD + 2].copy_from_slice(&small[4..6]);
        text[NUMBER..NUMBER + 8].copy_from_slice(&digits((self.number >> 32) as u32));
        text[NUMBER + 8..NUMBER + 16].copy_from_slice(&digits(self.number as u32));
        text[ATTEMPT..].copy_from_slice(&small[6..]);
        text
    }

    /// Reads one; none where something else stands in the field.
    #[inline]
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let text: &Text = text.try_into().ok()?;
        let are_dashes = [LOAD, NUMBER, ATTEMPT].iter().all(|part| text[part - 1] == b'-');
        if !are_dashes {
            return None;
        }
        Some(Self {
            run: eight(&text[..LOAD - 1])?,
            load: number(&text[LOAD..NUMBER - 1])? as u8,
            number: u64::from(eight(&text[NUMBER..NUMBER + 8])?) << 32
                | u64::from(eight(&text[NUMBER + 8..ATTEMPT - 1])?),
            attempt: number(&text[ATTEMPT..])? as u8,
        })
    }
}

/// Reads ids of which most differ from the last one in the last digits of their numbers alone.
///
/// ```
/// use contract::id::{Id, IdReader, Ids};
///
/// let mut reader = IdReader::default();
/// for number in [255, 256, u64::MAX] {
///     let id = Ids { run: 0xabc, load: 0 }.of(number, 0);
///     assert_eq!(reader.read(&id.text()), Some(id));
/// }
/// assert_eq!(reader.read(b"another one"), None);
/// ```
#[derive(Clone, Debug)]
pub struct IdReader {
    last: Id,
    text: Text,
}

impl Default for IdReader {
    fn default() -> Self {
        let last = Id { run: 0, load: 0, number: 0, attempt: 0 };
        Self { last, text: last.text() }
    }
}

impl IdReader {
    /// As [`Id::read`].
    #[inline]
    pub fn read(&mut self, text: &[u8]) -> Option<Id> {
        let text: &Text = text.try_into().ok()?;
        if text[..LOW.start] == self.text[..LOW.start] && text[LOW.end..] == self.text[LOW.end..] {
            let low = eight(&text[LOW])?;
            return Some(Id { number: self.last.number >> 32 << 32 | u64::from(low), ..self.last });
        }
        self.read_whole(text)
    }

    #[cold]
    fn read_whole(&mut self, text: &Text) -> Option<Id> {
        let id = Id::read(text)?;
        (self.last, self.text) = (id, *text);
        Some(id)
    }
}

/// The ids of one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The run, as in [`Id`].
    pub run: u32,
    /// The load, as in [`Id`].
    pub load: u8,
}

impl Ids {
    /// The id of a request that has been sent `attempt` times before.
    #[inline]
    #[must_use]
    pub fn of(&self, number: u64, attempt: u8) -> Id {
        Id { run: self.run, load: self.load, number, attempt }
    }
}

/// The number that at most 16 hexadecimal digits are; none with anything else, such as a sign or a capital.
#[inline]
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

/// A one in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;

/// The number that eight hexadecimal digits are, all read together; none with anything else.
#[inline]
pub(crate) fn eight(text: &[u8]) -> Option<u32> {
    let text: [u8; 8] = text.try_into().ok()?;
    let bytes = u64::from_be_bytes(text);
    // Of a digit, the lower half is its value; of a letter, which alone has bit 6, nine less.
    let values = (bytes & (0x0f * ONES)) + (bytes >> 6 & ONES) * 9;
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let halves = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    let value = (halves | halves >> 16) as u32;
    // Whatever else it was made of is written otherwise.
    (digits(value) == text).then_some(value)
}

/// Eight hexadecimal digits, all computed together: each is a byte of one number.
#[inline]
pub(crate) fn digits(value: u32) -> [u8; 8] {
    let halves = u64::from(value);
    let halves = (halves | halves << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (bytes | bytes << 4) & (0x0f * ONES);
    // A digit from ten on has a fifth bit when six is added.
    let are_letters = ((digits + 6 * ONES) >> 4) & ONES;
    let letters = are_letters * u64::from(b'a' - b'0' - 10);
    (digits + u64::from(b'0') * ONES + letters).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_up_to_the_largest() {
        for run in [0, 0x0123_4567, 0x89ab_cdef, u32::MAX] {
            for (load, attempt) in [(0, 0), (1, 2), (0xab, 0xcd), (u8::MAX, u8::MAX)] {
                for number in [0, 9, 10, 0x0123_4567_89ab_cdef, u64::MAX] {
                    let id = Ids { run, load }.of(number, attempt);
                    let text = id.text();
                    let expected = format!("{run:08x}-{load:02x}-{number:016x}-{attempt:02x}");
                    assert_eq!(str::from_utf8(&text), Ok(expected.as_str()));
                    assert_eq!(Id::read(&text), Some(id));
                }
            }
        }
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in [
            "",
            "00000abc-00000000000000ff",
            "00000ABC-00-00000000000000ff-01",
            "+0000abc-00-00000000000000ff-01",
            "00000abc-0-000000000000000ff-01",
            "00000abc-00-00000000000000ff-01 ",
            "00000abc-00-00000000000000ff-0g",
            "00000abc-00-00000000000000ff--1",
            "-------------------------------",
        ] {
            assert_eq!(Id::read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn one_after_the_other_they_are_read_as_each_by_itself() {
        let mut reader = IdReader::default();
        let mut same = |text: &[u8]| assert_eq!(reader.read(text), Id::read(text), "{}", text.escape_ascii());
        for run in [0, 7] {
            for number in [0, 1, 2, u64::from(u32::MAX), 1 << 32, (1 << 32) + 1, u64::MAX, 3] {
                for (load, attempt) in [(0, 0), (0, 0), (0, 1), (1, 1)] {
                    let text = Id { run, load, number, attempt }.text();
                    same(&text);
                    for (place, byte) in (0..LENGTH).flat_map(|place| b"0fg-F".map(|byte| (place, byte))) {
                        let mut other = text;
                        other[place] = byte;
                        same(&other);
                        same(&text);
                    }
                    same(&text[1..]);
                }
            }
        }
    }

    #[test]
    fn eight_digits_are_read_where_each_is_one_and_nowhere_else() {
        for (place, byte) in (0..8).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte))) {
            for other in [b'0', b'9', b'a', b'f'] {
                let mut text = [other; 8];
                text[place] = byte;
                assert_eq!(eight(&text), number(&text).map(|value| value as u32), "{}", text.escape_ascii());
            }
        }
        assert_eq!([eight(b"1234567"), eight(b"123456789")], [None; 2]);
    }
}
