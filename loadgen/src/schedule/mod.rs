//! When requests are due: pure arithmetic, no clock.
//!
//! [`Arrivals`] are those of a whole run or of a [`Part`] of it, in the order in which they are due. A schedule is a file
//! for itself, and nothing beyond this folder knows which one it is.

mod connections;
mod constant;
mod part;
mod poisson;
mod profile;
mod replay;
mod stages;

use std::time::Duration;

pub use connections::{ConnectionStage, ConnectionStages};
pub use constant::Constant;
pub use part::Part;
pub use poisson::Poisson;
pub use replay::Replay;
pub use stages::Stages;

use crate::clock::Nanos;

/// Nothing is due later than this after the start, some 146 years, so that adding to it never overflows.
const LATEST: Nanos = Nanos::MAX / 4;

/// A part of a run with its own rate, in requests per second: a whole number of millionths, at most 10^8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// How long it lasts.
    pub length: Duration,
    /// The rate at its start.
    pub from: f64,
    /// The rate at its end; in between it lies on a straight line.
    pub to: f64,
}

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
    /// At a rate that changes.
    Stages(Stages),
    /// At random times.
    Poisson(Poisson),
    /// At given times.
    Replay(Replay),
}

/// Does the same with whichever arrivals they are.
macro_rules! with {
    ($any:expr, $arrivals:ident => $call:expr) => {
        match $any {
            Arrivals::Constant($arrivals) => $call,
            Arrivals::Stages($arrivals) => $call,
            Arrivals::Poisson($arrivals) => $call,
            Arrivals::Replay($arrivals) => $call,
        }
    };
}

impl Arrivals {
    /// Those of a part of these, from the first one on.
    #[must_use]
    pub fn part(&self, part: Part) -> Self {
        match self {
            Self::Constant(arrivals) => Self::Constant(arrivals.part(part)),
            Self::Stages(arrivals) => Self::Stages(arrivals.part(part)),
            Self::Poisson(arrivals) => Self::Poisson(arrivals.part(part)),
            Self::Replay(arrivals) => Self::Replay(arrivals.part(part)),
        }
    }

    /// How long the requests of the whole run take to become due: to the end of the interval that the last one opens.
    /// None: for ever, or until a total is reached at random.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        match self {
            Self::Constant(arrivals) => arrivals.window(),
            Self::Stages(arrivals) => Some(arrivals.window()),
            Self::Poisson(arrivals) => arrivals.window(),
            Self::Replay(arrivals) => Some(arrivals.window()),
        }
    }

    /// How many requests of the whole run are due before `at`, in nanoseconds after the start; on average, where they are due
    /// at random times.
    #[must_use]
    pub fn expected_by(&self, at: Nanos) -> u64 {
        with!(self, arrivals => arrivals.expected_by(at))
    }

    /// How many requests of the whole run will have been due. None: without end, or at random.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Poisson(_) => None,
            // Of two that lie that far ahead, both are due at the latest time.
            _ => self.window().map(|_| self.expected_by(Nanos::MAX)),
        }
    }
}

impl Iterator for Arrivals {
    type Item = Due;

    #[inline]
    fn next(&mut self) -> Option<Due> {
        with!(self, arrivals => arrivals.next())
    }

    #[inline]
    fn nth(&mut self, skipped: usize) -> Option<Due> {
        with!(self, arrivals => arrivals.nth(skipped))
    }
}
