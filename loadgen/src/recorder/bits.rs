//! One bit for each millisecond of a run, which gets wider when there would be too many. Those of several workers are laid
//! over each other.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::binned::is_doubled;
use crate::clock::Nanos;

/// The width of a bit to begin with, in nanoseconds.
const WIDTH: Nanos = 1_000_000;

/// The maximum number of bits that are kept: an eighth of a mebibyte, 17 minutes by the millisecond.
const MAX_BITS: u64 = 1 << 20;

/// Bits of time since the start of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(Nanos, String)", into = "(Nanos, String)")]
pub(super) struct Bits {
    width: Nanos,
    words: Vec<u64>,
}

/// Width and bits, in base64.
impl From<Bits> for (Nanos, String) {
    fn from(bits: Bits) -> Self {
        let bytes: Vec<u8> = bits.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        (bits.width, STANDARD.encode(bytes))
    }
}

impl TryFrom<(Nanos, String)> for Bits {
    type Error = String;

    fn try_from((width, text): (Nanos, String)) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
        let (words, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() || words.len() as u64 > MAX_BITS / 64 || !is_doubled(width, WIDTH, MAX_BITS) {
            return Err("bits of time of another size or width".to_owned());
        }
        Ok(Self { width, words: words.iter().map(|word| u64::from_le_bytes(*word)).collect() })
    }
}

impl Default for Bits {
    fn default() -> Self {
        Self { width: WIDTH, words: Vec::new() }
    }
}

impl Bits {
    /// Sets the bit of a time since the start.
    #[inline]
    pub(super) fn set(&mut self, since_start: Nanos) {
        self.set_range(since_start, since_start);
    }

    /// Sets the bits from one time to another, both included.
    #[inline]
    pub(super) fn set_range(&mut self, from: Nanos, to: Nanos) {
        while to / self.width >= MAX_BITS {
            self.widen();
        }
        let (first, last) = (from.min(to) / self.width, to / self.width);
        let (low, high) = ((first / 64) as usize, (last / 64) as usize);
        if high >= self.words.len() {
            self.words.resize(high + 1, 0);
        }
        let (from_first, to_last) = (u64::MAX << (first % 64), u64::MAX >> (63 - last % 64));
        if low == high {
            self.words[low] |= from_first & to_last;
            return;
        }
        self.words[low] |= from_first;
        self.words[low + 1..high].fill(u64::MAX);
        self.words[high] |= to_last;
    }

    /// Adds what another worker has set.
    pub(super) fn merge(&mut self, other: &Self) {
        while self.width < other.width {
            self.widen();
        }
        let other = other.widened(self.width);
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// The same as of a start that lies so much earlier.
    pub(super) fn delay(&mut self, by: Nanos) {
        while (by / self.width).saturating_add(self.words.len() as u64 * 64) >= MAX_BITS - 64 {
            self.widen();
        }
        let bits = by.saturating_add(self.width / 2) / self.width;
        let (words, shift) = ((bits / 64) as usize, bits % 64);
        let mut moved = vec![0; words + self.words.len() + 1];
        for (index, word) in self.words.iter().enumerate() {
            moved[words + index] |= word << shift;
            if shift > 0 {
                moved[words + index + 1] |= word >> (64 - shift);
            }
        }
        let used = moved.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        moved.truncate(used);
        self.words = moved;
    }

    /// The two bits of each time, as far as either has any, and how wide they are.
    pub(super) fn beside(&self, other: &Self) -> (Nanos, impl Iterator<Item = (bool, bool)> + use<>) {
        let width = self.width.max(other.width);
        let (one, other) = (self.widened(width), other.widened(width));
        let words = one.words.len().max(other.words.len());
        let word = |bits: &Self, index: usize| bits.words.get(index).copied().unwrap_or(0);
        let pairs = (0..words).flat_map(move |index| {
            let (one, other) = (word(&one, index), word(&other, index));
            (0..64).map(move |bit| (one >> bit & 1 == 1, other >> bit & 1 == 1))
        });
        (width, pairs)
    }

    fn widened(&self, width: Nanos) -> Self {
        let mut wide = self.clone();
        while wide.width < width {
            wide.widen();
        }
        wide
    }

    fn widen(&mut self) {
        self.width *= 2;
        let halved = |word: u64| {
            let mut bits = (word | word >> 1) & 0x5555_5555_5555_5555;
            for (shift, mask) in [
                (1, 0x3333_3333_3333_3333),
                (2, 0x0f0f_0f0f_0f0f_0f0f),
                (4, 0x00ff_00ff_00ff_00ff),
                (8, 0x0000_ffff_0000_ffff),
                (16, 0x0000_0000_ffff_ffff),
            ] {
                bits = (bits | bits >> shift) & mask;
            }
            bits
        };
        let pair = |pair: &[u64]| halved(pair[0]) | pair.get(1).map_or(0, |high| halved(*high) << 32);
        self.words = self.words.chunks(2).map(pair).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(bits: &Bits) -> Vec<u64> {
        let (_, pairs) = bits.beside(&Bits::default());
        (0..).zip(pairs).filter(|(_, (one, _))| *one).map(|(index, _)| index).collect()
    }

    #[test]
    fn ranges_of_any_length_set_their_bits_and_no_others() {
        for (from, to) in [(0, 0), (5, 9), (63, 64), (0, 63), (64, 127), (10, 500), (127, 128), (320, 320)] {
            let mut bits = Bits::default();
            bits.set_range(from * WIDTH, to * WIDTH + WIDTH / 2);
            assert_eq!(set(&bits), (from..=to).collect::<Vec<_>>(), "{from} to {to}");
        }
    }

    #[test]
    fn a_long_run_is_recorded_more_coarsely() {
        let mut bits = Bits::default();
        let (seconds, second) = (100_000, 1_000_000_000);
        (0..seconds).for_each(|at| bits.set(at * second));
        assert!(bits.words.len() as u64 * 64 <= MAX_BITS);
        let expected: Vec<_> = (0..seconds).map(|at| at * second / bits.width).collect();
        assert_eq!(set(&bits), expected);
    }

    #[test]
    fn an_earlier_start_moves_all_bits() {
        for by in [0, 1, 63, 64, 65, 1000] {
            let mut bits = Bits::default();
            bits.set_range(5 * WIDTH, 70 * WIDTH);
            bits.delay(by * WIDTH);
            assert_eq!(set(&bits), (5 + by..=70 + by).collect::<Vec<_>>(), "{by}");
        }
        let mut bits = Bits::default();
        bits.set(5 * WIDTH);
        bits.delay(MAX_BITS * WIDTH * 8);
        assert!(bits.words.len() as u64 * 64 <= MAX_BITS);
        assert_eq!(set(&bits), [(MAX_BITS * WIDTH * 8 + 5 * WIDTH) / bits.width]);
    }

    #[test]
    fn those_of_different_widths_are_laid_over_each_other() {
        let (mut long, mut short) = (Bits::default(), Bits::default());
        long.set(MAX_BITS * WIDTH);
        short.set(6 * WIDTH);
        for (one, other) in [(&long, &short), (&short, &long)] {
            let mut both = one.clone();
            both.merge(other);
            assert_eq!(both.width, 2 * WIDTH);
            assert_eq!(set(&both), [3, MAX_BITS / 2]);
        }
    }
}
