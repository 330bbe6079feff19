//! Who is measured next: all contenders once in each block, in an order that is drawn anew for each.
//!
//! What drifts with time hits all of a block alike, and what one leaves behind for the next hits each as often as another.

use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::{interval::outside, tax::MISS};

/// With fewer blocks there is no interval of 95%.
pub const MIN_BLOCKS: usize = 6;

/// The maximum number of blocks that are measured.
pub const MAX_BLOCKS: usize = 100;

/// How many blocks this number of contenders needs for a difference at the median to be found at all.
#[must_use]
pub fn blocks_needed(contenders: usize) -> usize {
    enough_for(contenders.saturating_sub(1).max(1), 0).max(MIN_BLOCKS)
}

/// How many blocks there are of this number of contenders, unless something else is said: enough to judge all figures even where one block
/// was disturbed.
#[must_use]
pub fn blocks_wanted(contenders: usize) -> usize {
    enough_for(contenders.saturating_sub(1).max(1) * super::FIGURES.len(), 1)
}

/// Blocks in which this number of questions can be answered, with one wrong answer in twenty among all of them, and `left_out` blocks at
/// either end left out.
fn enough_for(questions: usize, left_out: usize) -> usize {
    let miss = MISS / questions as f64;
    let is_enough = |blocks: &usize| outside(*blocks, miss).is_some_and(|(outside, _)| outside >= left_out);
    (1..=MAX_BLOCKS).find(is_enough).unwrap_or(MAX_BLOCKS)
}

/// The blocks of a comparison.
#[derive(Clone, Debug)]
pub struct Blocks {
    contenders: usize,
    wanted: usize,
    random: StdRng,
    kept: usize,
    discarded: usize,
}

impl Blocks {
    /// The `wanted` number of blocks of this number of contenders; their orders follow from `seed`.
    #[must_use]
    pub fn new(contenders: usize, wanted: usize, seed: u64) -> Self {
        Self { contenders, wanted, random: StdRng::seed_from_u64(seed), kept: 0, discarded: 0 }
    }

    /// The contenders, by index, in the order of the next block; none when there are enough, or too many were discarded.
    pub fn next_order(&mut self) -> Option<Vec<usize>> {
        if self.kept >= self.wanted || self.discarded >= self.wanted {
            return None;
        }
        let mut order: Vec<usize> = (0..self.contenders).collect();
        order.shuffle(&mut self.random);
        Some(order)
    }

    /// The block was measured; one that is not kept is replaced, as long as no more were discarded than there were to be.
    pub fn record(&mut self, is_kept: bool) {
        if is_kept {
            self.kept += 1;
        } else {
            self.discarded += 1;
        }
    }

    /// Those that count.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Those that do not.
    #[must_use]
    pub fn discarded(&self) -> usize {
        self.discarded
    }

    /// How many are to count.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.wanted
    }
}
