//! How a run went over time, in intervals of a second that double in width when there would be too many.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    LONGEST,
    encoded::{self, AtMost},
};
use crate::clock::Nanos;

/// The width of an interval to begin with, in nanoseconds.
const WIDTH: Nanos = 1_000_000_000;

/// The most intervals that are kept. It must be even.
const MAX_INTERVALS: usize = 600;

/// Digits that an interval's histogram keeps.
const DIGITS: u8 = 2;

/// What happened within one interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Requests that were due within it.
    pub offered: u64,
    /// Replies that were completed within it.
    pub completed: u64,
    /// 5xx and failures within it.
    pub errors: u64,
    /// Response times of the replies, in nanoseconds.
    #[serde(with = "encoded::coarse")]
    pub response: Histogram<u32>,
}

impl Default for Interval {
    fn default() -> Self {
        let response =
            Histogram::new(DIGITS).unwrap_or_else(|error| unreachable!("{DIGITS} digits: {error}"));
        Self { offered: 0, completed: 0, errors: 0, response }
    }
}

impl Interval {
    /// Counts so many replies.
    pub(super) fn replied(&mut self, response: Nanos, is_error: bool, count: u64) {
        self.completed += count;
        self.errors += if is_error { count } else { 0 };
        // A bin of 32 bits is too small only for more requests than there can be in flight.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let recorded = self.response.record_n(response.min(LONGEST), count);
        debug_assert!(recorded.is_ok(), "{recorded:?}: it grows as needed");
    }

    fn merge(&mut self, other: &Self) {
        self.offered += other.offered;
        self.completed += other.completed;
        self.errors += other.errors;
        let added = self.response.add(&other.response);
        debug_assert!(added.is_ok(), "{added:?}");
    }
}

/// Consecutive intervals from the start of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "(Nanos, AtMost<Interval, MAX_INTERVALS>)", into = "(Nanos, Vec<Interval>)")]
pub struct Intervals {
    width: Nanos,
    all: Vec<Interval>,
}

impl From<Intervals> for (Nanos, Vec<Interval>) {
    fn from(intervals: Intervals) -> Self {
        (intervals.width, intervals.all)
    }
}

impl TryFrom<(Nanos, AtMost<Interval, MAX_INTERVALS>)> for Intervals {
    type Error = String;

    fn try_from((width, AtMost(all)): (Nanos, AtMost<Interval, MAX_INTERVALS>)) -> Result<Self, String> {
        if !is_doubled(width, WIDTH) {
            return Err("intervals of another width".to_owned());
        }
        Ok(Self { width, all })
    }
}

impl Default for Intervals {
    fn default() -> Self {
        Self { width: WIDTH, all: Vec::new() }
    }
}

impl Intervals {
    /// The interval in which `since_start` lies.
    pub(super) fn at(&mut self, since_start: Nanos) -> &mut Interval {
        while since_start / self.width >= MAX_INTERVALS as u64 {
            self.widen();
        }
        let index = (since_start / self.width) as usize;
        if index >= self.all.len() {
            self.all.resize_with(index + 1, Interval::default);
        }
        &mut self.all[index]
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

    /// How wide an interval is, in nanoseconds.
    #[must_use]
    pub fn width(&self) -> Nanos {
        self.width
    }

    /// The intervals in order.
    pub fn iter(&self) -> impl Iterator<Item = &Interval> {
        self.all.iter()
    }

    fn widen(&mut self) {
        self.width *= 2;
        let narrow = std::mem::take(&mut self.all);
        for (index, interval) in narrow.into_iter().enumerate() {
            if index % 2 == 0 {
                self.all.push(interval);
            } else if let Some(wide) = self.all.last_mut() {
                wide.merge(&interval);
            }
        }
    }
}

/// Whether it is `width`, doubled as often as the longest run needs.
pub(super) fn is_doubled(wide: Nanos, width: Nanos) -> bool {
    wide.is_multiple_of(width) && (wide / width).is_power_of_two() && wide / width <= MOST_DOUBLED
}

/// Intervals of 34 years.
const MOST_DOUBLED: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_has_wider_intervals_and_loses_nothing() {
        let mut intervals = Intervals::default();
        for second in 0..5000 {
            intervals.at(second * WIDTH).replied(3_000_000, false, 1);
        }
        let slowest = intervals.iter().map(|interval| interval.response.max()).max().unwrap();
        assert!(slowest.abs_diff(3_000_000) < 30_000);
        assert_eq!(intervals.width(), 16 * WIDTH);
        assert_eq!(intervals.iter().count(), 5000_usize.div_ceil(16));
        assert_eq!(intervals.iter().map(|interval| interval.completed).sum::<u64>(), 5000);
        assert!(intervals.iter().take(312).all(|interval| interval.completed == 16));
    }

    #[test]
    fn workers_with_different_widths_merge() {
        let (mut long, mut short) = (Intervals::default(), Intervals::default());
        long.at(1000 * WIDTH).offered = 1;
        short.at(3 * WIDTH).offered = 2;
        let mut merged = short.clone();
        merged.merge(&long);
        long.merge(&short);
        for intervals in [merged, long] {
            assert_eq!(intervals.width(), 2 * WIDTH);
            let offered: Vec<_> = intervals.iter().map(|interval| interval.offered).collect();
            assert_eq!((offered[1], offered[500], offered.iter().sum::<u64>()), (2, 1, 3));
        }
    }
}
