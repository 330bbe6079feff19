//! When requests succeeded, as one bit for each millisecond, so that the longest gap of all workers together
//! can be told. The bits get wider when there would be too many.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::intervals::is_doubled;
use crate::clock::Nanos;

/// The width of a bit to begin with, in nanoseconds.
const WIDTH: Nanos = 1_000_000;

/// The most bits that are kept: half a mebibyte, 70 minutes by the millisecond.
const MAX_BITS: u64 = 1 << 22;

/// Bits of time, set where a request succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(Nanos, String)", into = "(Nanos, String)")]
pub struct Successes {
    width: Nanos,
    words: Vec<u64>,
}

/// Width and bits, in base64.
impl From<Successes> for (Nanos, String) {
    fn from(successes: Successes) -> Self {
        let bytes: Vec<u8> = successes.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        (successes.width, STANDARD.encode(bytes))
    }
}

impl TryFrom<(Nanos, String)> for Successes {
    type Error = String;

    fn try_from((width, text): (Nanos, String)) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
        let (words, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() || words.len() as u64 > MAX_BITS / 64 || !is_doubled(width, WIDTH) {
            return Err("times of successes of another size or width".to_owned());
        }
        Ok(Self { width, words: words.iter().map(|word| u64::from_le_bytes(*word)).collect() })
    }
}

impl Default for Successes {
    fn default() -> Self {
        Self { width: WIDTH, words: Vec::new() }
    }
}

impl Successes {
    /// A request has succeeded at this time since the start.
    pub(super) fn mark(&mut self, since_start: Nanos) {
        while since_start / self.width >= MAX_BITS {
            self.widen();
        }
        let bit = since_start / self.width;
        let word = (bit / 64) as usize;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (bit % 64);
    }

    /// Adds what another worker has marked.
    pub(super) fn merge(&mut self, other: &Self) {
        while self.width < other.width {
            self.widen();
        }
        for bit in other.bits() {
            self.mark(bit * other.width);
        }
    }

    /// The longest time without a success from the start to `end`, in nanoseconds, a bit's width more or less.
    #[must_use]
    pub fn longest_gap(&self, end: Nanos) -> Nanos {
        let (mut longest, mut last) = (0, 0);
        for at in self.bits().map(|bit| bit * self.width).chain([end]) {
            longest = longest.max(at.saturating_sub(last));
            last = at;
        }
        longest
    }

    fn bits(&self) -> impl Iterator<Item = u64> {
        (0..).zip(&self.words).filter(|(_, word)| **word != 0).flat_map(|(index, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 64 + bit)
        })
    }

    fn widen(&mut self) {
        let narrow = Self { width: self.width, words: std::mem::take(&mut self.words) };
        self.width *= 2;
        for bit in narrow.bits() {
            self.mark(bit * narrow.width);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn the_longest_gap_may_lie_anywhere() {
        let gap = |marks: &[Nanos]| {
            let mut successes = Successes::default();
            marks.iter().for_each(|at| successes.mark(*at));
            successes.longest_gap(10 * SECOND)
        };
        assert_eq!(gap(&[]), 10 * SECOND);
        assert_eq!(gap(&[7 * SECOND, 9 * SECOND]), 7 * SECOND);
        assert_eq!(gap(&[SECOND, 6 * SECOND, 9 * SECOND]), 5 * SECOND);
        assert_eq!(gap(&[SECOND, 2 * SECOND]), 8 * SECOND);
    }

    #[test]
    fn two_workers_fill_each_others_gaps() {
        let (mut even, mut odd) = (Successes::default(), Successes::default());
        for second in 0..5 {
            even.mark(2 * second * SECOND);
            odd.mark((2 * second + 1) * SECOND);
        }
        even.merge(&odd);
        assert_eq!(even.longest_gap(10 * SECOND), SECOND);
    }

    #[test]
    fn a_long_run_is_told_more_coarsely() {
        let mut successes = Successes::default();
        (0..100_000).for_each(|second| successes.mark(second * SECOND));
        assert!(successes.words.len() as u64 * 64 <= MAX_BITS);
        let gap = successes.longest_gap(100_000 * SECOND);
        assert!(gap.abs_diff(SECOND) <= successes.width);
    }
}
