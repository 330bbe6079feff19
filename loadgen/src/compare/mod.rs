//! The comparison of several ways to a server: in which order they are measured, what is measured of each, and what follows.
//!
//! Pure: it knows no clock, no socket, and not how a round is run. [`Blocks`] says which contender is next, [`tax`] what one contender takes
//! more than another, [`rules`] which rounds do not count, and [`alike`] what makes a comparison unfair before anything is measured.
//!
//! ```
//! use loadgen::compare::{Blocks, Round, RoundTime, judged_taxes};
//!
//! let mut blocks = Blocks::new(2, 9, 42);
//! let mut kept = Vec::new();
//! while let Some(order) = blocks.next_order() {
//!     let mut block = vec![Round::default(); 2];
//!     for contender in order {
//!         // Whatever measures it: here, the second one takes a millisecond more.
//!         let response = 1e6 * (1 + contender) as f64;
//!         block[contender].p50 = Some(RoundTime { response, undelayed: response });
//!     }
//!     kept.push(block);
//!     blocks.record(true);
//! }
//! let p50 = &judged_taxes(&kept, 1, 2)[0];
//! assert_eq!((p50.estimate, p50.interval.map(|interval| interval.low)), (Some(1e6), Some(1e6)));
//! ```

pub mod alike;
mod blocks;
pub mod bound;
mod interval;
pub mod rules;
pub mod tax;
#[cfg(test)]
mod tests;

pub use blocks::{Blocks, MAX_BLOCKS, MIN_BLOCKS, blocks_needed, blocks_wanted};
pub use bound::{Bound, Bounded};
pub use interval::{MedianInterval, median, of_median};
pub use tax::{FIGURES, Tax, TaxFigure, TaxFinding, judged_taxes};

/// The maximum number of contenders of a comparison.
pub const MAX_CONTENDERS: usize = 16;

/// Parts of each one's own knee at which a curve has points.
pub const CURVE: [f64; 4] = [0.25, 0.5, 0.75, 0.9];

/// The same rate for all is at most this part of the slowest one's knee.
pub const MAX_OF_KNEE: f64 = 0.5;

/// A time of a round in nanoseconds: as it was, and without what loadgen itself may have delayed, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoundTime {
    /// Due to last byte.
    pub response: f64,
    /// The same without loadgen's own delay.
    pub undelayed: f64,
}

/// What was measured of a contender in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Round {
    /// The median; none if it can't be known.
    pub p50: Option<RoundTime>,
    /// The 99th percentile; none where fewer than ten requests were slower, or it is one of a request that failed.
    pub p99: Option<RoundTime>,
    /// The mean.
    pub mean: Option<RoundTime>,
    /// Microseconds of a CPU for each request, of the processes that were named.
    pub cpu: Option<f64>,
}

/// The highest rate that a contender holds, in requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knee {
    /// The highest one that was held.
    pub rate: f64,
    /// Whether it may hold more: loadgen was the limit, or no higher rate was to be tried.
    pub is_lower_bound: bool,
}

/// The rate at which all are compared: half of the slowest one's knee, rounded down to two digits. None without a knee.
#[must_use]
pub fn rate_for_all(knees: &[Knee]) -> Option<f64> {
    let slowest = knees.iter().map(|knee| knee.rate).reduce(f64::min)?;
    let half = slowest * MAX_OF_KNEE;
    let scale = 10f64.powf(1.0 - half.log10().floor());
    // A product that is a hair below a whole number is that number.
    Some((half * scale + 1e-9).floor() / scale)
}
