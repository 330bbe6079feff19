//! The body of a request in a verified run: what is announced of it in the field [`UPLOAD`](crate::field::UPLOAD), and what came.
//!
//! A user's body is whatever it is: a server can't know where it differs, only that its checksum does. So it keeps the checksum at
//! the end of each block, too, and the client, which has the body, finds the first block that differs.

use serde::{Deserialize, Serialize};

use crate::id;

/// What a client says of a body before it sends it.
///
/// ```
/// use contract::ledger::Announced;
///
/// let announced = Announced::of(b"123456789");
/// assert_eq!(announced.text(), "9-e3069283");
/// assert_eq!(Announced::read(b"9-e3069283"), Some(announced));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announced {
    /// How long it is, in bytes.
    pub length: u64,
    /// Its CRC-32C.
    pub crc32c: u32,
}

impl Announced {
    /// Of a body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self { length: body.len() as u64, crc32c: crc32c::crc32c(body) }
    }

    /// As it is in a field: both in hexadecimal digits.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:x}-{:08x}", self.length, self.crc32c)
    }

    /// Reads one; none where something else stands in the field.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let (length, crc) = text.split_at_checked(text.len().checked_sub(9)?)?;
        let crc32c = id::number(crc.strip_prefix(b"-")?)? as u32;
        let is_length = (1..=16).contains(&length.len()) && (length[0] != b'0' || length.len() == 1);
        Some(Self { length: id::number(length).filter(|_| is_length)?, crc32c })
    }
}

/// Maximum number of blocks of a body that have their own checksum.
pub const MAX_BLOCKS: usize = 64;

/// The smallest block, in bytes.
const MIN_BLOCK: u64 = 1024;

/// The checksum of a body as it comes.
#[derive(Clone, Debug)]
pub struct Digest {
    block: u64,
    /// The checksums at the ends of blocks.
    ends: Vec<u32>,
    length: u64,
    crc32c: u32,
}

impl Digest {
    /// Of a body that is announced to be so long.
    #[must_use]
    pub fn of_length(announced: u64) -> Self {
        let block = announced.div_ceil(MAX_BLOCKS as u64).max(MIN_BLOCK);
        Self { block, ends: Vec::new(), length: 0, crc32c: 0 }
    }

    /// More of it has arrived.
    pub fn update(&mut self, mut data: &[u8]) {
        while self.ends.len() < MAX_BLOCKS && !data.is_empty() {
            let left = (self.ends.len() as u64 + 1).saturating_mul(self.block) - self.length;
            let (part, rest) = data.split_at(usize::try_from(left).unwrap_or(usize::MAX).min(data.len()));
            self.append(part);
            if part.len() as u64 == left {
                self.ends.push(self.crc32c);
            }
            data = rest;
        }
        self.append(data);
    }

    fn append(&mut self, data: &[u8]) {
        self.crc32c = crc32c::crc32c_append(self.crc32c, data);
        self.length += data.len() as u64;
    }

    /// What came.
    #[must_use]
    pub fn came(&self) -> Announced {
        Announced { length: self.length, crc32c: self.crc32c }
    }

    /// The length of blocks, and the checksums at their ends.
    #[must_use]
    pub fn into_blocks(self) -> (u64, Vec<u32>) {
        (self.block, self.ends)
    }
}

/// A body that came whole, and is not the announced one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differing {
    /// The number of its request.
    pub number: u64,
    /// How often its client had sent it before.
    pub attempt: u8,
    /// The instance that received it.
    pub instance: String,
    /// What was announced.
    pub announced: Announced,
    /// What came.
    pub came: Announced,
    /// The length of a block, in bytes.
    pub block: u64,
    /// The checksums of what came up to the end of each block.
    pub ends: Vec<u32>,
}

impl Differing {
    /// Where in the `body` that was sent the first block begins that differs, or where what came ends. None if nothing of what is
    /// known differs.
    #[must_use]
    pub fn offset(&self, body: &[u8]) -> Option<u64> {
        let mut sent = Digest { block: self.block.max(1), ..Digest::of_length(0) };
        sent.update(body);
        let blocks = self.ends.iter().zip(&sent.ends).position(|(came, sent)| came != sent);
        let length = self.came.length.min(body.len() as u64);
        match blocks {
            Some(block) => Some((block as u64).saturating_mul(sent.block)),
            // It may be in the rest that fills no block.
            None if self.came.length == body.len() as u64 => {
                (self.came != sent.came()).then_some((sent.ends.len() as u64).saturating_mul(sent.block))
            }
            None => Some(length),
        }
    }
}

/// What a server has seen of bodies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uploads {
    /// Those that came whole and were announced, each time they came.
    pub checked: u64,
    /// Those of them that are not what was announced, each time they came.
    pub differing: u64,
    /// The numbers of requests that these are of, each once for each part of a server: up to [`MAX_BROKEN`].
    #[serde(default)]
    pub numbers: Vec<u64>,
    /// Those that differ and whose request is not among the numbers, as there was no room for it.
    #[serde(default)]
    pub unlisted: u64,
    /// Those that came whole, and of which nothing was announced: the field was removed on the way. Calls announce nothing.
    #[serde(default)]
    pub unannounced: u64,
    /// The first ones of these that differ.
    pub examples: Vec<Differing>,
    /// The numbers of requests whose body broke off, and has not come whole since.
    pub broken: Vec<u64>,
}

/// How many examples there are of bodies that differ.
pub const MAX_DIFFERING: usize = 10;

/// Maximum number of requests whose body broke off, or differs, that are reported by number.
pub const MAX_BROKEN: usize = 64 << 10;

impl Uploads {
    /// Adds what another part has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        self.checked = self.checked.saturating_add(other.checked);
        let room = MAX_BROKEN.saturating_sub(self.numbers.len());
        let cut = other.numbers.len().saturating_sub(room) as u64;
        self.unlisted = self.without_number().saturating_add(other.without_number()).saturating_add(cut);
        self.numbers.extend(other.numbers.iter().take(room));
        self.differing = self.differing.saturating_add(other.differing);
        self.unannounced = self.unannounced.saturating_add(other.unannounced);
        let room = MAX_DIFFERING.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.iter().take(room).cloned());
        let room = MAX_BROKEN.saturating_sub(self.broken.len());
        self.broken.extend(other.broken.iter().take(room));
    }

    /// How many of those that differ are of requests that are not listed: all of them where a server lists none.
    #[must_use]
    pub fn without_number(&self) -> u64 {
        if self.numbers.is_empty() { self.differing } else { self.unlisted }
    }

    /// Whether its lists are within their limits.
    pub(super) fn is_bounded(&self, longest_text: usize) -> bool {
        let is_small = |differing: &Differing| {
            differing.instance.len() <= longest_text && differing.ends.len() <= MAX_BLOCKS
        };
        self.examples.len() <= MAX_DIFFERING
            && self.examples.iter().all(is_small)
            && self.numbers.len() <= MAX_BROKEN
            && self.broken.len() <= MAX_BROKEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differing(sent: &[u8], came: &[u8], pieces: usize) -> Differing {
        let mut digest = Digest::of_length(sent.len() as u64);
        came.chunks(pieces).for_each(|piece| digest.update(piece));
        let came = digest.came();
        let (block, ends) = digest.into_blocks();
        Differing { announced: Announced::of(sent), came, block, ends, ..Differing::default() }
    }

    #[test]
    fn merged_lists_say_how_many_requests_they_lack() {
        let listed = Uploads { differing: 2, numbers: vec![7], ..Uploads::default() };
        let mut all = Uploads::default();
        all.merge(&listed);
        assert_eq!((all.differing, all.without_number()), (2, 0));
        // A server without a list.
        all.merge(&Uploads { differing: 5, ..Uploads::default() });
        assert_eq!((all.differing, &all.numbers[..], all.without_number()), (7, &[7][..], 5));
        let mut all = Uploads { differing: 5, ..Uploads::default() };
        all.merge(&listed);
        assert_eq!((all.differing, &all.numbers[..], all.without_number()), (7, &[7][..], 5));
        // More than are listed.
        let many = Uploads { differing: 1 << 16, numbers: vec![1; MAX_BROKEN], ..Uploads::default() };
        all.merge(&many);
        assert_eq!((all.numbers.len(), all.without_number()), (MAX_BROKEN, 6));
    }

    #[test]
    fn the_first_block_that_differs_is_found_whatever_pieces_it_came_in() {
        let sent: Vec<u8> = (0..200_000_u32).map(|byte| (byte * 7 % 251) as u8).collect();
        let block = 200_000_u64.div_ceil(64);
        for pieces in [1, 1000, 3125, 65_536, 200_000] {
            assert_eq!(differing(&sent, &sent, pieces).came, Announced::of(&sent));
            let mut flipped = sent.clone();
            flipped[150_000] ^= 1;
            let found = differing(&sent, &flipped, pieces);
            assert_ne!(found.came, found.announced);
            assert_eq!(found.offset(&sent), Some(150_000 / block * block));
            let mut swapped = sent.clone();
            swapped[32_768..65_536].rotate_left(16_384);
            assert_eq!(differing(&sent, &swapped, pieces).offset(&sent), Some(32_768 / block * block));
            assert_eq!(differing(&sent, &sent[..100_001], pieces).offset(&sent), Some(100_001));
            assert_eq!(differing(&sent, &[&sent[..], b"more"].concat(), pieces).offset(&sent), Some(200_000));
        }
        let found = differing(b"hello", b"hallo", 2);
        assert_eq!((found.offset(b"hello"), found.offset(b"hallo")), (Some(0), None));
        assert_eq!(differing(b"", b"x", 1).offset(b""), Some(0));
    }

    #[test]
    fn blocks_are_few_whatever_is_announced_and_whatever_comes() {
        for announced in [0, 1, 65_536, u64::MAX] {
            let mut digest = Digest::of_length(announced);
            (0..300).for_each(|_| digest.update(&[7; 1000]));
            assert_eq!(digest.came(), Announced::of(&[7; 300_000]));
            assert!(digest.into_blocks().1.len() <= MAX_BLOCKS);
        }
    }

    #[test]
    fn anything_else_announces_nothing() {
        for announced in [Announced::default(), Announced { length: u64::MAX, crc32c: u32::MAX }] {
            assert_eq!(Announced::read(announced.text().as_bytes()), Some(announced));
        }
        for other in [
            "",
            "-00000000",
            "1-0000000",
            "01-00000000",
            "1 00000000",
            "1-0000000G",
            "11111111111111111-00000000",
            "+1-00000000",
        ] {
            assert_eq!(Announced::read(other.as_bytes()), None, "{other}");
        }
    }
}
