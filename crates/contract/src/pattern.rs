//! The payload: byte `i` of every generated body is `ALPHABET[i % 36]`.
//!
//! A body is never filled: it is cut from one static buffer per size, whatever its offset and length. The
//! receiver can check any part of a body when it knows the part's offset.
//!
//! All such bodies are alike, and the same again every 36 bytes. In a verified run each body is [numbered](Numbered) instead:
//! it begins elsewhere in a buffer without a pattern, so that one that is another request's, or whose parts changed places,
//! is found out.

use std::{
    collections::BTreeMap,
    fmt,
    io::IoSlice,
    sync::{Mutex, OnceLock, PoisonError},
};

use bytes::Buf;

/// One period of the payload.
pub const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

const PERIOD: usize = ALPHABET.len();

/// The length of what numbered bodies repeat: a prime.
const NUMBERED_PERIOD: usize = 1_048_573;

/// By how much the bodies of two numbers in a row are shifted against each other: few bytes, so that what is read for one is
/// mostly there for the next. The period is a prime: it takes as many numbers as it has bytes until two begin alike.
const SHIFT: u64 = 67;

/// The byte at `offset` of the payload.
#[must_use]
pub const fn byte_at(offset: u64) -> u8 {
    ALPHABET[(offset % PERIOD as u64) as usize]
}

/// A static buffer that holds the payload, from which ranges are cut.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// `piece + period - 1` bytes, so that a whole piece can start at any phase.
    bytes: &'static [u8],
    piece: usize,
    period: usize,
}

impl Pattern {
    /// The pattern whose largest contiguous piece is `piece` bytes (at least one).
    ///
    /// The buffer lives as long as the process; asking again for the same size gives the same buffer.
    #[must_use]
    pub fn new(piece: usize) -> Self {
        Self::of(piece, ALPHABET)
    }

    /// What [numbered](Numbered) bodies are cut from, in pieces of at most `piece` bytes (at least one).
    ///
    /// Like [`Self::new`], it takes a lock: a thread makes it once.
    #[must_use]
    pub fn numbered(piece: usize) -> Self {
        static PERIOD: OnceLock<Vec<u8>> = OnceLock::new();
        Self::of(piece, PERIOD.get_or_init(unlike_itself))
    }

    fn of(piece: usize, period: &[u8]) -> Self {
        /// By the lengths of piece and period.
        type Buffers = BTreeMap<(usize, usize), &'static [u8]>;
        static BUFFERS: OnceLock<Mutex<Buffers>> = OnceLock::new();
        let piece = piece.max(1);
        let mut buffers = BUFFERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = *buffers.entry((piece, period.len())).or_insert_with(|| {
            let length = piece + period.len() - 1;
            let mut bytes = Vec::with_capacity(length);
            while bytes.len() < length {
                bytes.extend_from_slice(&period[..period.len().min(length - bytes.len())]);
            }
            bytes.leak()
        });
        Self { bytes, piece, period: period.len() }
    }

    /// The payload from `offset`, as much of it as is contiguous: at most `want` bytes and at most one piece.
    #[must_use]
    pub fn slice(self, offset: u64, want: u64) -> &'static [u8] {
        let phase = (offset % self.period as u64) as usize;
        let len = usize::try_from(want).unwrap_or(usize::MAX).min(self.piece);
        &self.bytes[phase..phase + len]
    }

    /// The range of `len` bytes from `offset`, as a buffer that costs no memory whatever its length.
    #[must_use]
    pub fn range(self, offset: u64, len: u64) -> Range {
        Range { pattern: self, offset, left: len }
    }
}

/// Bytes that repeat nothing: those of splitmix64 (Steele, Lea and Flood, 2014) from 0.
fn unlike_itself() -> Vec<u8> {
    let mut state = 0u64;
    let mut bytes = Vec::with_capacity(NUMBERED_PERIOD + 7);
    while bytes.len() < NUMBERED_PERIOD {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(mixed ^ mixed >> 31).to_le_bytes());
    }
    bytes.truncate(NUMBERED_PERIOD);
    bytes
}

/// The body of the request with some number in a verified run.
///
/// ```
/// use contract::pattern::{Numbered, Pattern};
///
/// let body = Pattern::new(64 << 10).range(0, 100).numbered(Pattern::numbered(64 << 10), 7).piece(100);
/// assert_eq!(Numbered::new(7).verify(0, body), Ok(()));
/// assert_eq!(Numbered::new(8).verify(0, body).unwrap_err().offset, 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Where it begins in what all bodies repeat.
    start: u32,
}

impl Numbered {
    /// Of this number.
    #[inline]
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self { start: (number % NUMBERED_PERIOD as u64 * SHIFT % NUMBERED_PERIOD as u64) as u32 }
    }

    /// Checks `bytes`, which were received at `offset` of the body.
    ///
    /// # Errors
    /// The first byte that differs.
    #[inline]
    pub fn verify(self, offset: u64, bytes: &[u8]) -> Result<(), Mismatch> {
        static PATTERN: OnceLock<Pattern> = OnceLock::new();
        let pattern = *PATTERN.get_or_init(|| Pattern::numbered(PIECE));
        let start = u64::from(self.start);
        compare(pattern, offset.wrapping_add(start), bytes)
            .map_err(|mismatch| Mismatch { offset: mismatch.offset.wrapping_sub(start), ..mismatch })
    }
}

/// A range of the payload. As a [`Buf`] it hands out pieces of the static buffer.
#[derive(Clone, Debug)]
pub struct Range {
    pattern: Pattern,
    offset: u64,
    left: u64,
}

impl Range {
    /// The same bytes of the [numbered](Numbered) body, which is cut from `numbered`.
    #[inline]
    #[must_use]
    pub fn numbered(self, numbered: Pattern, number: u64) -> Self {
        let start = u64::from(Numbered::new(number).start);
        Self { pattern: numbered, offset: self.offset.wrapping_add(start), left: self.left }
    }

    /// Whether it is the body from its beginning.
    #[must_use]
    pub fn is_from_start(&self) -> bool {
        self.offset == 0
    }

    /// How many bytes are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Cuts off what is contiguous at the beginning, at most `most` bytes.
    pub fn piece(&mut self, most: u64) -> &'static [u8] {
        let piece = self.pattern.slice(self.offset, self.left.min(most));
        self.offset += piece.len() as u64;
        self.left -= piece.len() as u64;
        piece
    }

    /// Cuts off the first `len` bytes (or all that is left).
    #[must_use]
    pub fn split_to(&mut self, len: u64) -> Self {
        let len = len.min(self.left);
        let head = Self { pattern: self.pattern, offset: self.offset, left: len };
        self.offset += len;
        self.left -= len;
        head
    }
}

impl Buf for Range {
    fn remaining(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    fn chunk(&self) -> &[u8] {
        self.pattern.slice(self.offset, self.left)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut rest = self.clone();
        let mut filled = 0;
        while filled < slices.len() && rest.left > 0 {
            let piece = self.pattern.slice(rest.offset, rest.left);
            slices[filled] = IoSlice::new(piece);
            rest.offset += piece.len() as u64;
            rest.left -= piece.len() as u64;
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        let count = count as u64;
        assert!(count <= self.left, "advance past the end of the range");
        self.offset += count;
        self.left -= count;
    }
}

/// The first byte of a body that is not the payload's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Offset in the body.
    pub offset: u64,
    /// What the payload has there.
    pub expected: u8,
    /// What was received.
    pub found: u8,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} is {:#04x}, expected {:#04x}", self.offset, self.found, self.expected)
    }
}

impl std::error::Error for Mismatch {}

/// Checks `bytes`, which were received at `offset` of a body, against the payload.
///
/// # Errors
/// The first byte that differs.
pub fn verify(offset: u64, bytes: &[u8]) -> Result<(), Mismatch> {
    compare(Pattern::new(PIECE), offset, bytes)
}

/// What is compared at a time.
const PIECE: usize = 64 * 1024;

fn compare(pattern: Pattern, offset: u64, bytes: &[u8]) -> Result<(), Mismatch> {
    let mut offset = offset;
    for part in bytes.chunks(PIECE) {
        let expected = pattern.slice(offset, part.len() as u64);
        if part != expected {
            let at = part.iter().zip(expected).position(|(a, b)| a != b).unwrap_or_default();
            return Err(Mismatch { offset: offset + at as u64, expected: expected[at], found: part[at] });
        }
        offset += part.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_the_payload_at_any_phase_across_pieces() {
        let pattern = Pattern::new(100);
        for offset in 0..80 {
            let mut range = pattern.range(offset, 1000);
            let bytes = range.copy_to_bytes(1000);
            assert_eq!(verify(offset, &bytes), Ok(()));
            assert!(bytes.iter().zip(offset..).all(|(b, i)| *b == byte_at(i)));
        }
    }

    #[test]
    fn vectored_pieces_are_in_order_and_stop_at_the_end() {
        let range = Pattern::new(100).range(7, 250);
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = range.chunks_vectored(&mut slices);
        let whole: Vec<u8> = slices[..filled].iter().flat_map(|s| s.iter().copied()).collect();
        assert_eq!(whole.len(), 250);
        assert_eq!(verify(7, &whole), Ok(()));
    }

    #[test]
    fn splitting_a_range_keeps_its_offset() {
        let mut range = Pattern::new(64).range(0, 50);
        let head = range.split_to(30);
        assert_eq!((head.left(), range.left()), (30, 20));
        assert_eq!(range.chunk()[0], byte_at(30));
    }

    #[test]
    fn pieces_are_contiguous() {
        let mut range = Pattern::new(64).range(5, 500);
        let mut whole = Vec::new();
        while range.left() > 0 {
            whole.extend_from_slice(range.piece(50));
        }
        assert_eq!((whole.len(), verify(5, &whole)), (500, Ok(())));
    }

    #[test]
    fn a_mismatch_reports_its_offset() {
        let mut bytes: Vec<u8> = (10..200_010).map(byte_at).collect();
        bytes[150_000] = b'?';
        let found = verify(10, &bytes).unwrap_err();
        assert_eq!(found, Mismatch { offset: 150_010, expected: byte_at(150_010), found: b'?' });
    }

    #[test]
    fn numbered_bodies_differ_from_each_other_and_from_themselves_elsewhere() {
        let body = |number: u64, length: u64| {
            let mut range = Pattern::new(1000).range(0, length).numbered(Pattern::numbered(1000), number);
            range.copy_to_bytes(length as usize)
        };
        for number in [0, 1, 1 << 20, u64::MAX] {
            let bytes = body(number, 200_000);
            assert_eq!(Numbered::new(number).verify(0, &bytes), Ok(()));
            assert_eq!(Numbered::new(number).verify(70_000, &bytes[70_000..]), Ok(()));
            let mut swapped = bytes.to_vec();
            swapped[..32 << 10].rotate_left(16 << 10);
            assert_eq!(Numbered::new(number).verify(0, &swapped).unwrap_err().offset, 0);
            let mut without = bytes.to_vec();
            without.drain(36_000..72_000);
            // The bytes behind may be the same by chance.
            let found = Numbered::new(number).verify(0, &without).unwrap_err().offset;
            assert!((36_000..36_008).contains(&found), "{found}");
            let mut flipped = bytes.to_vec();
            flipped[150_000] ^= 1;
            assert_eq!(Numbered::new(number).verify(0, &flipped).unwrap_err().offset, 150_000);
        }
        for other in [8, 9, 1000, 100_000] {
            assert!(Numbered::new(other).verify(0, &body(7, 8)).is_err(), "{other}");
        }
    }

    #[test]
    fn a_body_that_is_longer_than_what_it_repeats_is_checked_to_its_end() {
        let mut range = Pattern::new(1 << 20).range(0, 5 << 20).numbered(Pattern::numbered(1 << 20), 3);
        let mut offset = 0;
        while range.left() > 0 {
            let piece = range.piece(u64::MAX);
            assert_eq!(Numbered::new(3).verify(offset, piece), Ok(()));
            offset += piece.len() as u64;
        }
        assert_eq!(offset, 5 << 20);
    }

    #[test]
    fn buffers_are_shared_by_size() {
        assert!(std::ptr::eq(Pattern::new(4096).bytes, Pattern::new(4096).bytes));
    }
}
