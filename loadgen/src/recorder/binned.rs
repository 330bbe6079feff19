//! What happened over time, in bins that double in width when there would be too many: a run of any length takes the
//! same memory.

use serde::{Deserialize, Serialize};

use super::encoded::AtMost;
use crate::clock::Nanos;

/// What a bin holds.
pub trait Bin: Default {
    /// Adds what another bin of the same time holds.
    fn merge(&mut self, other: &Self);
}

/// Consecutive bins from the start of the run: `WIDTH` nanoseconds wide to begin with, at most `MAX`, which is even.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "(Nanos, AtMost<T, MAX>)", into = "(Nanos, Vec<T>)")]
#[serde(bound(serialize = "T: Bin + Clone + Serialize", deserialize = "T: Bin + Deserialize<'de>"))]
pub struct Binned<T, const WIDTH: Nanos, const MAX: usize> {
    width: Nanos,
    all: Vec<T>,
    /// The bin that was asked for last, by where it begins: most times lie in the same one as the time before.
    last: Option<(Nanos, usize)>,
}

/// Which bin was asked for last makes no difference.
impl<T: PartialEq, const WIDTH: Nanos, const MAX: usize> PartialEq for Binned<T, WIDTH, MAX> {
    fn eq(&self, other: &Self) -> bool {
        (self.width, &self.all) == (other.width, &other.all)
    }
}

impl<T, const WIDTH: Nanos, const MAX: usize> From<Binned<T, WIDTH, MAX>> for (Nanos, Vec<T>) {
    fn from(binned: Binned<T, WIDTH, MAX>) -> Self {
        (binned.width, binned.all)
    }
}

impl<T, const WIDTH: Nanos, const MAX: usize> TryFrom<(Nanos, AtMost<T, MAX>)> for Binned<T, WIDTH, MAX> {
    type Error = String;

    fn try_from((width, AtMost(all)): (Nanos, AtMost<T, MAX>)) -> Result<Self, String> {
        if !is_doubled(width, WIDTH, MAX as u64) {
            return Err(format!("bins of {width} ns: they are {WIDTH} ns wide, or that doubled some times"));
        }
        Ok(Self { width, all, last: None })
    }
}

impl<T, const WIDTH: Nanos, const MAX: usize> Default for Binned<T, WIDTH, MAX> {
    fn default() -> Self {
        Self { width: WIDTH, all: Vec::new(), last: None }
    }
}

impl<T: Bin, const WIDTH: Nanos, const MAX: usize> Binned<T, WIDTH, MAX> {
    /// The bin in which `since_start` lies.
    #[inline]
    pub(crate) fn at(&mut self, since_start: Nanos) -> &mut T {
        let index = match self.last {
            Some((from, index)) if since_start.wrapping_sub(from) < self.width => index,
            _ => self.find(since_start),
        };
        &mut self.all[index]
    }

    fn find(&mut self, since_start: Nanos) -> usize {
        while since_start / self.width >= MAX as u64 {
            self.widen();
        }
        let index = (since_start / self.width) as usize;
        if index >= self.all.len() {
            self.all.resize_with(index + 1, T::default);
        }
        self.last = Some((index as u64 * self.width, index));
        index
    }

    /// Adds what another worker has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        while self.width < other.width {
            self.widen();
        }
        for (index, theirs) in other.all.iter().enumerate() {
            self.at(index as u64 * other.width).merge(theirs);
        }
    }

    /// What it has, as of a start that lies so much earlier: by whole bins, to the nearest.
    pub(super) fn delay(&mut self, by: Nanos) {
        while (by / self.width).saturating_add(self.all.len() as u64) >= MAX as u64 {
            self.widen();
        }
        let bins = by.saturating_add(self.width / 2) / self.width;
        self.all.splice(..0, (0..bins).map(|_| T::default()));
        self.last = None;
    }

    /// How wide a bin is, in nanoseconds.
    #[must_use]
    pub fn width(&self) -> Nanos {
        self.width
    }

    /// The bins in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.all.iter()
    }

    fn widen(&mut self) {
        self.width *= 2;
        self.last = None;
        let narrow = std::mem::take(&mut self.all);
        for (index, bin) in narrow.into_iter().enumerate() {
            if index % 2 == 0 {
                self.all.push(bin);
            } else if let Some(wide) = self.all.last_mut() {
                wide.merge(&bin);
            }
        }
    }
}

/// Whether it is `width`, doubled some times, and `max` of them are not longer than any run.
pub(super) fn is_doubled(wide: Nanos, width: Nanos, max: u64) -> bool {
    wide.is_multiple_of(width) && (wide / width).is_power_of_two() && wide <= LONGEST_RUN / max
}

/// A century, or so.
const LONGEST_RUN: Nanos = 1 << 62;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[derive(Debug, Default, PartialEq)]
    struct Count(u64);

    impl Bin for Count {
        fn merge(&mut self, other: &Self) {
            self.0 += other.0;
        }
    }

    type Counts = Binned<Count, SECOND, 600>;

    #[test]
    fn a_long_run_has_wider_bins_and_loses_nothing() {
        let mut bins = Counts::default();
        for second in 0..5000 {
            bins.at(second * SECOND).0 += 1;
        }
        assert_eq!(bins.width(), 16 * SECOND);
        assert_eq!(bins.iter().count(), 5000_usize.div_ceil(16));
        assert_eq!(bins.iter().map(|bin| bin.0).sum::<u64>(), 5000);
        assert!(bins.iter().take(312).all(|bin| bin.0 == 16));
    }

    #[test]
    fn an_earlier_start_moves_all_by_whole_bins() {
        for (by, bins) in [(0, 0), (SECOND * 4 / 10, 0), (SECOND * 6 / 10, 1), (3 * SECOND, 3)] {
            let mut counts = Counts::default();
            counts.at(2 * SECOND).0 = 7;
            counts.delay(by);
            let found: Vec<_> = counts.iter().map(|bin| bin.0).collect();
            assert_eq!((found.len(), found[2 + bins]), (3 + bins, 7), "{by}");
        }
        let mut counts = Counts::default();
        counts.at(599 * SECOND).0 = 7;
        counts.delay(10_000 * SECOND);
        assert!(counts.iter().count() <= 600);
        assert_eq!(counts.iter().map(|bin| bin.0).sum::<u64>(), 7);
        assert_eq!(counts.at(10_599 * SECOND).0, 7);
    }

    #[test]
    fn workers_with_different_widths_merge() {
        let make = |second: u64, count: u64| {
            let mut bins = Counts::default();
            bins.at(second * SECOND).0 = count;
            bins
        };
        for (mut into, from) in [(make(1000, 1), make(3, 2)), (make(3, 2), make(1000, 1))] {
            into.merge(&from);
            assert_eq!(into.width(), 2 * SECOND);
            let counts: Vec<_> = into.iter().map(|bin| bin.0).collect();
            assert_eq!((counts[1], counts[500], counts.iter().sum::<u64>()), (2, 1, 3));
        }
    }
}
