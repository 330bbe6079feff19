//! The search for the highest rate that a target holds: upward by doubling, then bisection of the last doubling.
//!
//! Pure: it takes the result of a step at a rate, and says which rate is next. It knows no clock, no socket, and not what
//! was measured. That a rate is not held, or that loadgen can't keep up with it, is believed when two steps say so; one in
//! which the rate is held is enough.
//!
//! ```
//! use loadgen::search::{Bounds, Evidence, NextStep, Search};
//!
//! let mut search = Search::new(Bounds::new(100.0, 1e6, 0.05).expect("bounds in order"));
//! while let NextStep::Step(rate) = search.next() {
//!     // Whatever finds out whether the rate is held.
//!     search.record(if rate < 740.0 { Evidence::Held } else { Evidence::NotHeld });
//! }
//! assert!(search.held().is_some_and(|rate| (700.0..740.0).contains(&rate)));
//! ```

/// By how much the rate grows from step to step until one is not held.
const GROWTH: f64 = 2.0;

/// With three steps at a rate, two say the same, or one that it was held.
const MOST_AT_A_RATE: u32 = 3;

/// The smallest precision that is accepted. Rates have three digits, which differ by up to 1%.
pub const MIN_PRECISION: f64 = 0.01;

/// The largest precision that is accepted.
pub const MAX_PRECISION: f64 = 0.5;

/// Where rates are searched, in requests per second, and how closely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    start: f64,
    max: f64,
    precision: f64,
}

impl Bounds {
    /// From the rate of the first step to the highest one, until the highest rate that was held and the lowest one that was
    /// differ by at most the share `precision`. None unless `0 < start <= max` and the precision lies
    /// within [`MIN_PRECISION`] and [`MAX_PRECISION`].
    #[must_use]
    pub fn new(start: f64, max: f64, precision: f64) -> Option<Self> {
        let is_valid = start > 0.0
            && start <= max
            && max.is_finite()
            && (MIN_PRECISION..=MAX_PRECISION).contains(&precision);
        is_valid.then_some(Self { start, max, precision })
    }

    /// The rate of the first step.
    #[must_use]
    pub fn start(&self) -> f64 {
        self.start
    }

    /// No search takes more steps, repeated ones included.
    #[must_use]
    pub fn max_steps(&self) -> u32 {
        // Rounding to three digits may make a doubling as small as 1.99.
        let upward = (self.max / self.start).log(1.99).ceil() + 2.0;
        let halvings = (GROWTH.ln() / self.precision.ln_1p()).log2().ceil().max(0.0) + 2.0;
        // Within what their types hold: 2 to the power of 1024 is not a rate.
        MOST_AT_A_RATE * (upward + halvings) as u32
    }
}

/// What came of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The target held the rate.
    Held,
    /// The target did not.
    NotHeld,
    /// loadgen was the limit, or kept the step from being judged.
    Limited {
        /// Whether the rate was held all the same.
        held: bool,
    },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NextStep {
    /// A step at this many requests per second.
    Step(f64),
    /// Nothing more.
    End(SearchEnd),
}

/// How a search has ended. Rates are in requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SearchEnd {
    /// The highest rate lies between the two.
    Found {
        /// The highest one that was held.
        held: f64,
        /// The lowest one that was not.
        broken: f64,
    },
    /// The first rate was not held.
    NotHeld {
        /// That rate.
        broken: f64,
    },
    /// The highest rate that may be tried was held.
    MaxHeld {
        /// That rate.
        held: f64,
    },
    /// loadgen was the limit: the target may do more.
    Limited {
        /// The highest rate that was held, if any was.
        held: Option<f64>,
        /// The rate at which loadgen was the limit.
        at: f64,
    },
}

/// A search that goes on.
#[derive(Clone, Debug)]
pub struct Search {
    bounds: Bounds,
    /// The highest rate that was held.
    held: Option<f64>,
    /// The lowest rate that was not.
    broken: Option<f64>,
    /// What came of the steps at the next rate, of which none was held.
    doubted: Vec<Evidence>,
    /// The rate at which loadgen was the limit.
    limited_at: Option<f64>,
}

impl Search {
    /// Before its first step.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, held: None, broken: None, doubted: Vec::new(), limited_at: None }
    }

    /// The highest rate that was held so far.
    #[must_use]
    pub fn held(&self) -> Option<f64> {
        self.held
    }

    /// The lowest rate that was not held so far.
    #[must_use]
    pub fn broken(&self) -> Option<f64> {
        self.broken
    }

    /// Whether the next step is at the rate of the last one.
    #[must_use]
    pub fn is_repeating(&self) -> bool {
        !self.doubted.is_empty()
    }

    /// The next step, or how it has ended.
    #[must_use]
    pub fn next(&self) -> NextStep {
        let Bounds { start, max, precision } = self.bounds;
        if let Some(at) = self.limited_at {
            return NextStep::End(SearchEnd::Limited { held: self.held, at });
        }
        match (self.held, self.broken) {
            (None, None) => NextStep::Step(start),
            (None, Some(broken)) => NextStep::End(SearchEnd::NotHeld { broken }),
            (Some(held), None) if held >= max => NextStep::End(SearchEnd::MaxHeld { held }),
            (Some(held), None) => NextStep::Step(rounded(held * GROWTH).min(max)),
            (Some(held), Some(broken)) => {
                let middle = rounded((held * broken).sqrt());
                if broken <= held * (1.0 + precision) || middle <= held || middle >= broken {
                    NextStep::End(SearchEnd::Found { held, broken })
                } else {
                    NextStep::Step(middle)
                }
            }
        }
    }

    /// Takes in what came of the step that was next. After the end, nothing changes.
    pub fn record(&mut self, evidence: Evidence) {
        let NextStep::Step(rate) = self.next() else { return };
        self.doubted.push(evidence);
        let is_limit = |evidence: &&Evidence| matches!(evidence, Evidence::Limited { .. });
        let (limits, all) = (self.doubted.iter().filter(is_limit).count(), self.doubted.len());
        match () {
            () if evidence == Evidence::Held => self.held = Some(rate),
            () if limits >= 2 => {
                if self.doubted.contains(&Evidence::Limited { held: true }) {
                    self.held = Some(rate);
                }
                self.limited_at = Some(rate);
            }
            () if all - limits >= 2 => self.broken = Some(rate),
            () => return,
        }
        self.doubted.clear();
    }
}

/// With three digits, as people write rates.
fn rounded(rate: f64) -> f64 {
    let exponent = rate.log10().floor() - 2.0;
    // A power of ten below 1 is not exact.
    let scale = 10f64.powf(exponent.abs());
    if exponent < 0.0 { (rate * scale).round() / scale } else { (rate / scale).round() * scale }
}

#[cfg(test)]
mod tests;
