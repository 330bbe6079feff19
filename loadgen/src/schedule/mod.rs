//! When requests are due: pure arithmetic, no clock.
//!
//! [`Arrivals`] are those of a whole run or of a [`Part`] of it, in the order in which they are due. A schedule is a file
//! of its own, and nothing beyond this folder knows which one it is.

mod constant;
mod part;

use std::time::Duration;

pub use constant::Constant;
pub use part::Part;

use crate::clock::Nanos;

/// Nothing is due later than this after the start, some 146 years, so that adding to it never overflows.
const LATEST: Nanos = Nanos::MAX / 4;

/// A request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its number in the whole run.
    pub number: u64,
    /// Nanoseconds after the start.
    pub at: Nanos,
}

/// The requests of an open loop, as they become due. A clone goes on from where the original is.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// Evenly spaced.
    Constant(Constant),
}

impl Arrivals {
    /// Those of a part of these, from the first one on.
    #[must_use]
    pub fn part(&self, part: Part) -> Self {
        match self {
            Self::Constant(arrivals) => Self::Constant(arrivals.part(part)),
        }
    }

    /// How long the requests of the whole run take to become due: to the end of the interval that the last one opens.
    /// None: for ever.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        match self {
            Self::Constant(arrivals) => arrivals.window(),
        }
    }

    /// How many requests of the whole run are due before `at`, in nanoseconds after the start.
    #[must_use]
    pub fn expected_by(&self, at: Nanos) -> u64 {
        match self {
            Self::Constant(arrivals) => arrivals.expected_by(at),
        }
    }

    /// How many requests of the whole run will have been due. None: without end.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        // Of two that lie that far ahead, both are due at the latest time.
        self.window().map(|_| self.expected_by(Nanos::MAX))
    }

    /// Requests of the whole run per second, on average.
    #[must_use]
    pub fn mean_rate(&self) -> f64 {
        match self {
            Self::Constant(arrivals) => arrivals.rate(),
        }
    }
}

impl Iterator for Arrivals {
    type Item = Due;

    #[inline]
    fn next(&mut self) -> Option<Due> {
        match self {
            Self::Constant(arrivals) => arrivals.next(),
        }
    }

    #[inline]
    fn nth(&mut self, skipped: usize) -> Option<Due> {
        match self {
            Self::Constant(arrivals) => arrivals.nth(skipped),
        }
    }
}
