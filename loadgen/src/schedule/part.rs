//! Which part does which of what is numbered: every nth.

/// One of the parts of a run that are as equal as can be: what is numbered `n` belongs to part `n % of`.
///
/// That spreads what is evenly spaced evenly over the parts, and gives exactly the same in all whatever their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    index: u64,
    of: u64,
}

impl Part {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Part `index` of `of`.
    ///
    /// # Panics
    /// When `index` is not below `of`.
    #[must_use]
    pub const fn new(index: usize, of: usize) -> Self {
        assert!(index < of, "a part is one of the parts");
        Self { index: index as u64, of: of as u64 }
    }

    /// Part `inner` of this one: of the processes that share a run, each shares its part out to its workers.
    ///
    /// # Panics
    /// When there are more parts of parts than 2^64.
    #[must_use]
    pub const fn part(self, inner: Self) -> Self {
        let Some(of) = inner.of.checked_mul(self.of) else { panic!("there are too many parts") };
        // It is less than `of`, so it does not overflow.
        Self { index: inner.index * self.of + self.index, of }
    }

    /// Which it is, from 0.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.index
    }

    /// How many parts there are.
    #[must_use]
    pub const fn of(self) -> u64 {
        self.of
    }

    /// The number in the whole of what has number `own` here; none when that is beyond all numbers.
    #[inline]
    #[must_use]
    pub fn number(self, own: u64) -> Option<u64> {
        own.checked_mul(self.of)?.checked_add(self.index)
    }

    /// How many of `total` belong to it.
    #[must_use]
    pub const fn share(self, total: u64) -> u64 {
        total / self.of + (self.index < total % self.of) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_differ_by_one_at_most() {
        for total in [0, 1, 5, 10, 1001, u64::MAX] {
            let shares: Vec<_> = (0..4).map(|index| Part::new(index, 4).share(total)).collect();
            assert_eq!(shares.iter().sum::<u64>(), total);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
        assert_eq!(Part::WHOLE.share(7), 7);
    }

    #[test]
    fn parts_of_parts_are_all_of_it_once() {
        let mut all: Vec<u64> = Vec::new();
        for shard in 0..3 {
            for worker in 0..5 {
                let part = Part::new(shard, 3).part(Part::new(worker, 5));
                assert_eq!((part.index(), part.of()), (worker as u64 * 3 + shard as u64, 15));
                all.extend((0..part.share(100)).map(|own| part.number(own).unwrap()));
            }
        }
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn numbers_beyond_the_largest_are_in_no_part() {
        assert_eq!(Part::new(1, 2).number(u64::MAX), None);
        assert_eq!(Part::new(1, 2).number(u64::MAX / 2), Some(u64::MAX));
    }
}
