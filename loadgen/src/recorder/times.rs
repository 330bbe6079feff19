//! How long requests took, and what is seen of that while a run goes on.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{LONGEST, counts::Counts, encoded};
use crate::clock::Nanos;

/// Digits that the report's histograms keep.
const DIGITS: u8 = 3;

/// Digits of the times of one status class.
const CLASS_DIGITS: u8 = 2;

/// Classes of status: 1xx to 5xx.
const CLASSES: usize = 5;

/// Times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// Due to last byte, of requests that succeeded.
    #[serde(with = "encoded::fine")]
    pub response: Histogram<u64>,
    /// The same without what loadgen itself may have delayed: release lag and read lag.
    #[serde(with = "encoded::fine")]
    pub undelayed: Histogram<u64>,
    /// Due to the end, of requests that did not succeed, whatever happened to them.
    #[serde(with = "encoded::fine")]
    pub unsuccessful: Histogram<u64>,
    /// Head written to last byte read, of requests that succeeded.
    #[serde(with = "encoded::fine")]
    pub service: Histogram<u64>,
    /// Picked up to head written.
    #[serde(with = "encoded::fine")]
    pub wait: Histogram<u64>,
    /// Due to picked up.
    #[serde(with = "encoded::fine")]
    pub lag: Histogram<u64>,
    /// Due to last byte of replies, by class of status; where 2xx alone are successes, without those: they are `response`.
    by_class: [Coarse; CLASSES],
}

/// A histogram of the times of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Coarse(#[serde(with = "encoded::coarse")] Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let coarse = || {
            let made = Histogram::new(CLASS_DIGITS);
            Coarse(made.unwrap_or_else(|error| unreachable!("{CLASS_DIGITS} digits: {error}")))
        };
        Self {
            response: histogram(),
            undelayed: histogram(),
            unsuccessful: histogram(),
            service: histogram(),
            wait: histogram(),
            lag: histogram(),
            by_class: std::array::from_fn(|_| coarse()),
        }
    }
}

impl Times {
    /// Response times of recorded replies with a status of this class, 1 to 5: what is beyond counts as 5.
    #[must_use]
    pub(crate) fn of_class(&self, class: usize) -> &Histogram<u64> {
        &self.by_class[class.clamp(1, CLASSES) - 1].0
    }

    /// A number of replies of the same status and response time.
    #[inline]
    pub(super) fn of_status(&mut self, status: u16, response: Nanos, count: u64) {
        let class = usize::from(status / 100).clamp(1, CLASSES);
        let recorded = self.by_class[class - 1].0.record_n(response.min(LONGEST), count);
        debug_assert!(recorded.is_ok(), "{recorded:?}: it grows as needed");
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let Self { response, undelayed, unsuccessful, service, wait, lag, by_class } = other;
        for (mine, theirs) in [
            (&mut self.response, response),
            (&mut self.undelayed, undelayed),
            (&mut self.unsuccessful, unsuccessful),
            (&mut self.service, service),
            (&mut self.wait, wait),
            (&mut self.lag, lag),
        ]
        .into_iter()
        .chain(self.by_class.iter_mut().zip(by_class).map(|(mine, theirs)| (&mut mine.0, &theirs.0)))
        {
            add(mine, theirs);
        }
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
    /// Requests and what happened to them.
    pub counts: Counts,
    /// Requests that are due and wait to be sent.
    pub waiting: u64,
    /// How many workers' figures are of a time when they knew that no more requests become due.
    pub(crate) stopped: usize,
    /// Response times of those that succeeded, in nanoseconds.
    pub response: Histogram<u64>,
    /// The same without what loadgen itself may have delayed.
    pub undelayed: Histogram<u64>,
}

impl Default for Snapshot {
    fn default() -> Self {
        let (response, undelayed) = (histogram(), histogram());
        Self { counts: Counts::default(), waiting: 0, stopped: 0, response, undelayed }
    }
}

impl Snapshot {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.waiting += other.waiting;
        self.stopped += other.stopped;
        add(&mut self.response, &other.response);
        add(&mut self.undelayed, &other.undelayed);
    }
}
