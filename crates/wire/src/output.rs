//! Bytes on their way to a socket. Small pieces are gathered in one buffer; large ones are kept as they are and
//! go out by vectored write, so that they are never copied.

use std::{collections::VecDeque, io::IoSlice};

use bytes::Bytes;

/// A piece smaller than this is copied: a system call spends more on a separate slice.
const LARGE: usize = 4 << 10;

/// What was written is removed from the buffer once it is at least this many bytes.
const COMPACT: usize = 64 << 10;

/// A queue of bytes. What bounds it is up to its callers: see [`Output::len`].
#[derive(Debug, Default)]
pub struct Output {
    small: Vec<u8>,
    /// How much of `small` has been written.
    written: usize,
    large: VecDeque<Large>,
    large_len: usize,
}

/// A piece that comes before the byte at `before` of the small ones.
#[derive(Debug)]
struct Large {
    before: usize,
    bytes: Bytes,
}

impl Output {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { small: Vec::new(), written: 0, large: VecDeque::new(), large_len: 0 }
    }

    /// How many bytes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.small.len() - self.written + self.large_len
    }

    /// Whether none wait.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The buffer, for adding at its end. What is in it already must stay as it is.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.small
    }

    /// Adds a copy.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
    }

    /// Adds bytes, without a copy if they are many.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() < LARGE {
            self.small.extend_from_slice(&bytes);
        } else {
            self.large_len += bytes.len();
            self.large.push_back(Large { before: self.small.len(), bytes });
        }
    }

    /// Adds bytes that live for ever, without a copy if they are many.
    pub fn push_static(&mut self, bytes: &'static [u8]) {
        if bytes.len() < LARGE {
            self.small.extend_from_slice(bytes);
        } else {
            self.push(Bytes::from_static(bytes));
        }
    }

    /// The next bytes to write as slices, as many as there is room for; how many slices.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut at = self.written;
        let mut count = 0;
        let ends = self.large.iter().map(|large| (large.before, &large.bytes[..]));
        for (before, bytes) in ends.chain([(self.small.len(), &[][..])]) {
            for slice in [&self.small[at..before], bytes] {
                if count == slices.len() {
                    return count;
                }
                if !slice.is_empty() {
                    slices[count] = IoSlice::new(slice);
                    count += 1;
                }
            }
            at = before;
        }
        count
    }

    /// What waits, if it is in one piece.
    #[must_use]
    pub fn single(&self) -> Option<&[u8]> {
        self.large.is_empty().then(|| &self.small[self.written..])
    }

    /// This number of bytes was written.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "more was written than there was");
        let mut left = count;
        while let Some(large) = self.large.front_mut() {
            let small = (large.before - self.written).min(left);
            self.written += small;
            left -= small;
            let part = large.bytes.len().min(left);
            left -= part;
            self.large_len -= part;
            if part < large.bytes.len() {
                let _ = large.bytes.split_to(part);
                break;
            }
            if self.written < large.before {
                break;
            }
            self.large.pop_front();
        }
        self.written += left;
        if self.is_empty() {
            self.small.clear();
            self.written = 0;
        } else if self.written >= COMPACT && self.written * 2 >= self.small.len() {
            self.small.drain(..self.written);
            for large in &mut self.large {
                large.before -= self.written;
            }
            self.written = 0;
        }
    }

    /// Throws away what waits.
    pub fn clear(&mut self) {
        self.small.clear();
        self.large.clear();
        (self.written, self.large_len) = (0, 0);
    }

    /// Puts an empty buffer in the place of the own one, which must be empty too. So an idle connection
    /// holds no memory.
    ///
    /// # Panics
    /// When something waits.
    pub fn exchange_buffer(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        assert!(self.is_empty() && buffer.is_empty(), "only empty buffers are exchanged");
        std::mem::replace(&mut self.small, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(output: &Output, most: usize) -> Vec<u8> {
        let mut slices = vec![IoSlice::new(&[]); most];
        let count = output.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    fn filled() -> (Output, Vec<u8>) {
        let mut output = Output::new();
        let mut expected = Vec::new();
        for (index, len) in [3, 5000, 10, 4096, 4096, 0, 70_000, 9].into_iter().enumerate() {
            let bytes = vec![index as u8; len];
            expected.extend_from_slice(&bytes);
            output.push(bytes.into());
        }
        (output, expected)
    }

    #[test]
    fn small_and_large_parts_keep_their_order() {
        let (output, expected) = filled();
        assert_eq!(output.len(), expected.len());
        assert_eq!(all(&output, 64), expected);
        assert_eq!(all(&output, 2), expected[..5003]);
        assert!(output.single().is_none());
    }

    #[test]
    fn writing_may_stop_at_every_byte() {
        for step in [1, 2, 7, 4095, 4096, 4097, 30_000, 100_000] {
            let (mut output, expected) = filled();
            let mut seen = Vec::new();
            while !output.is_empty() {
                let mut slices = [IoSlice::new(&[]); 3];
                assert!(output.slices(&mut slices) > 0);
                let count = slices[0].len().min(step);
                seen.extend_from_slice(&slices[0][..count]);
                output.advance(count);
                assert_eq!(output.len(), expected.len() - seen.len());
            }
            assert!(seen == expected, "in steps of {step}");
        }
    }

    #[test]
    fn bytes_added_during_writing_come_last() {
        let mut output = Output::new();
        let mut expected = Vec::new();
        let mut seen = Vec::new();
        for round in 0..200_u8 {
            let bytes = vec![round; 1000 + 40 * usize::from(round)];
            expected.extend_from_slice(&bytes);
            output.push(bytes.into());
            let next = all(&output, 8);
            let count = next.len().min(1500);
            seen.extend_from_slice(&next[..count]);
            output.advance(count);
        }
        while !output.is_empty() {
            let next = all(&output, 8);
            seen.extend_from_slice(&next);
            output.advance(next.len());
        }
        assert!(seen == expected);
    }

    #[test]
    fn an_empty_output_gives_away_its_buffer() {
        let mut output = Output::new();
        output.copy(b"abc");
        output.advance(3);
        assert!(output.exchange_buffer(Vec::new()).capacity() >= 3);
        assert_eq!(output.buffer().capacity(), 0);
    }
}
