//! How long requests took, and what is seen of that while a run goes on.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{LONGEST, counts::Counts, encoded};

/// Digits that the report's histograms keep.
const DIGITS: u8 = 3;

/// Times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// Due to last byte; timeouts at their age.
    #[serde(with = "encoded::fine")]
    pub response: Histogram<u64>,
    /// First byte written to last byte read.
    #[serde(with = "encoded::fine")]
    pub service: Histogram<u64>,
    /// Picked up to first byte written.
    #[serde(with = "encoded::fine")]
    pub wait: Histogram<u64>,
    /// Due to picked up.
    #[serde(with = "encoded::fine")]
    pub lag: Histogram<u64>,
}

impl Default for Times {
    fn default() -> Self {
        Self { response: histogram(), service: histogram(), wait: histogram(), lag: histogram() }
    }
}

pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, DIGITS)
        .unwrap_or_else(|error| unreachable!("the bounds are fixed: {error}"))
}

/// Adds histograms of the same bounds.
pub(super) fn add(into: &mut Histogram<u64>, other: &Histogram<u64>) {
    let added = into.add(other);
    debug_assert!(added.is_ok(), "{added:?}");
}

/// The figures of a run so far.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Requests and what became of them.
    pub counts: Counts,
    /// Response times in nanoseconds.
    pub response: Histogram<u64>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { counts: Counts::default(), response: histogram() }
    }
}

impl Snapshot {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        add(&mut self.response, &other.response);
    }
}
