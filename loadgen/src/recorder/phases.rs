//! What came of requests before, while and after something happened, by when they were due.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    LONGEST, encoded,
    times::{add, histogram},
};
use crate::clock::Nanos;

/// The three parts of such a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phases {
    /// Before it, while it happened, and after it.
    pub figures: [PhaseFigures; 3],
    /// When the first request was due that did not succeed, and the last one, in nanoseconds since the run began; of those that
    /// were due when it had begun.
    pub unsuccessful: Option<(Nanos, Nanos)>,
    /// When it began and ended, by the run's clock.
    #[serde(skip)]
    marks: [Nanos; 2],
}

/// What came of the requests of one part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseFigures {
    /// Requests that succeeded.
    pub succeeded: u64,
    /// Requests that did not, whyever.
    pub unsuccessful: u64,
    /// Response times of those that succeeded, in nanoseconds.
    #[serde(with = "encoded::fine")]
    pub response: Histogram<u64>,
}

impl Default for PhaseFigures {
    fn default() -> Self {
        Self { succeeded: 0, unsuccessful: 0, response: histogram() }
    }
}

impl Default for Phases {
    fn default() -> Self {
        Self { figures: Default::default(), unsuccessful: None, marks: [Nanos::MAX; 2] }
    }
}

impl Phases {
    /// Whether no request was due after it: nothing is known of what it did.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        let [.., after] = &self.figures;
        after.succeeded + after.unsuccessful == 0
    }

    /// When it began and ended, as far as it has, by the run's clock.
    pub(crate) fn mark(&mut self, marks: [Nanos; 2]) {
        self.marks = marks;
    }

    fn of(&mut self, due: Nanos) -> &mut PhaseFigures {
        let index = self.marks.iter().filter(|mark| due >= **mark).count();
        &mut self.figures[index]
    }

    /// `count` requests that were due then have succeeded.
    pub(super) fn succeeded(&mut self, due: Nanos, response: Nanos, count: u64) {
        let figures = self.of(due);
        figures.succeeded += count;
        figures.response.saturating_record_n(response.min(LONGEST), count);
    }

    /// `count` requests that were due then have not.
    pub(super) fn failed(&mut self, due: Nanos, since_start: Nanos, count: u64) {
        self.of(due).unsuccessful += count;
        if due >= self.marks[0] {
            let (first, last) = self.unsuccessful.unwrap_or((since_start, since_start));
            self.unsuccessful = Some((first.min(since_start), last.max(since_start)));
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (own, more) in self.figures.iter_mut().zip(&other.figures) {
            own.succeeded += more.succeeded;
            own.unsuccessful += more.unsuccessful;
            add(&mut own.response, &more.response);
        }
        self.unsuccessful = match (self.unsuccessful, other.unsuccessful) {
            (Some((first, last)), Some((other_first, other_last))) => {
                Some((first.min(other_first), last.max(other_last)))
            }
            (own, other) => own.or(other),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_belong_to_the_part_in_which_they_were_due() {
        let mut phases = Phases::default();
        phases.succeeded(5, 1, 1);
        phases.mark([10, Nanos::MAX]);
        phases.failed(9, 9, 1);
        phases.failed(10, 10, 2);
        phases.mark([10, 20]);
        phases.succeeded(19, 1, 3);
        phases.failed(25, 25, 4);
        phases.succeeded(20, 1, 5);
        let counts = phases.figures.each_ref().map(|part| (part.succeeded, part.unsuccessful));
        assert_eq!((counts, phases.unsuccessful), ([(1, 1), (3, 2), (5, 4)], Some((10, 25))));
        let mut merged = Phases::default();
        merged.merge(&phases);
        merged.merge(&phases);
        let counts = merged.figures.each_ref().map(|part| (part.succeeded, part.unsuccessful));
        assert_eq!((counts, merged.unsuccessful), ([(2, 2), (6, 4), (10, 8)], Some((10, 25))));
    }
}
