//! How a run went, second by second: latency by when requests were due, throughput by when they completed.
//!
//! By completion, a second in which the target stalled would show nothing.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    LONGEST,
    binned::{Bin, Binned},
    encoded,
};
use crate::clock::Nanos;

/// Digits that an interval's histogram keeps.
const DIGITS: u8 = 2;

/// Intervals of a second, doubled beyond ten minutes.
pub type Intervals = Binned<Interval, 1_000_000_000, 600>;

/// What happened within one interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Requests that were due within it.
    pub offered: u64,
    /// Of those, how many did not succeed, whenever that was known.
    pub unsuccessful: u64,
    /// Response times of those that succeeded and were due within it, in nanoseconds.
    #[serde(with = "encoded::coarse")]
    pub response: Histogram<u32>,
    /// Replies that were completed within it, whenever they were due.
    pub completed: u64,
    /// 5xx and failures within it.
    pub errors: u64,
}

impl Default for Interval {
    fn default() -> Self {
        let response =
            Histogram::new(DIGITS).unwrap_or_else(|error| unreachable!("{DIGITS} digits: {error}"));
        Self { offered: 0, unsuccessful: 0, response, completed: 0, errors: 0 }
    }
}

impl Interval {
    /// A number of requests that were due within it succeeded.
    #[inline]
    pub(super) fn succeeded(&mut self, response: Nanos, count: u64) {
        // A bin of 32 bits is too small only for more requests than there can be in flight.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let recorded = self.response.record_n(response.min(LONGEST), count);
        debug_assert!(recorded.is_ok(), "{recorded:?}: it grows as needed");
    }
}

impl Bin for Interval {
    fn merge(&mut self, other: &Self) {
        let Self { offered, unsuccessful, response, completed, errors } = other;
        self.offered += offered;
        self.unsuccessful += unsuccessful;
        self.completed += completed;
        self.errors += errors;
        let added = self.response.add(response);
        debug_assert!(added.is_ok(), "{added:?}");
    }
}
