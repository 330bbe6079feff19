//! What a run's figures are worth, and what its limit was.
//!
//! Decided from a [`Summary`] alone: nothing here reads a clock, prints or knows an option of the command line but by the
//! name that a user is told.

mod band;
mod growth;
mod success;
#[cfg(test)]
mod tests;
mod threshold;

pub use band::{Percentile, QUANTILES, Time, ValidUpTo};
pub use growth::Part;
pub use threshold::{Judged, Judgement, Threshold};

use crate::{
    numbers::{count, decimal},
    summary::Summary,
};

/// The share of its time on a CPU beyond which a worker has no room left.
pub const MAX_BUSY: f64 = 0.95;

/// The share of requests that has to succeed, or else the run has failed.
pub const MIN_SUCCESS: f64 = 0.5;

/// What came of a run's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least half of the requests succeeded.
    Succeeded,
    /// None did, or fewer than half of them.
    Failed,
}

impl Outcome {
    /// As reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// What kept the run from more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing: the rate was held, or the loop was closed.
    None,
    /// loadgen itself.
    Loadgen,
    /// Requests waited for a connection or a stream, or were dropped.
    Connections,
    /// The way to the server: a proxy or the network.
    Way,
    /// dummy-server, by what it says of its own time.
    DummyServer,
    /// The target, or the way to it.
    Target,
}

impl Limit {
    /// As reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Loadgen => "loadgen",
            Self::Connections => "connections",
            Self::Way => "way",
            Self::DummyServer => "dummy-server",
            Self::Target => "target",
        }
    }
}

impl Summary {
    /// What came of the requests.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let counts = &self.records.counts;
        if counts.succeeded > 0 && self.success_ratio() >= MIN_SUCCESS {
            Outcome::Succeeded
        } else {
            Outcome::Failed
        }
    }

    /// The share of all offered requests that succeeded, from 0 to 1.
    #[must_use]
    pub fn success_ratio(&self) -> f64 {
        let counts = &self.records.counts;
        counts.succeeded as f64 / counts.offered.max(1) as f64
    }

    /// What kept the run from more: the part of requests' time that grew in the second half of the run.
    #[must_use]
    pub fn limit(&self) -> Limit {
        let counts = &self.records.counts;
        if self.busiest_worker > MAX_BUSY {
            Limit::Loadgen
        } else if counts.dropped > 0 || (counts.not_sent > 0 && !self.interrupted && counts.completed() > 0) {
            Limit::Connections
        } else if !self.run.is_open_loop() {
            Limit::None
        } else {
            match growth::fastest(self) {
                None => Limit::None,
                Some(Part::Lag) => Limit::Loadgen,
                Some(Part::Wait) => Limit::Connections,
                Some(Part::Way) => Limit::Way,
                Some(Part::Server) => Limit::DummyServer,
                Some(Part::Service) => Limit::Target,
            }
        }
    }

    /// The verdict: a sentence on what came of the requests, and one on what the limit was.
    #[must_use]
    pub fn verdict(&self) -> [String; 2] {
        [success::sentence(self), self.limit_sentence()]
    }

    fn limit_sentence(&self) -> String {
        let rates =
            format!("{} of {} requests/s", decimal(self.achieved_rate()), decimal(self.offered_rate()));
        let busy = self.busiest_worker * 100.0;
        match self.limit() {
            Limit::Loadgen if self.busiest_worker > MAX_BUSY => format!(
                "loadgen was the limit: a worker was busy {busy:.0}% of the time; give it more CPUs (--workers) or lower the rate"
            ),
            Limit::Loadgen => {
                format!(
                    "loadgen was the limit: it sent later and later, {rates}; lower the rate or free CPUs for it"
                )
            }
            Limit::Connections if self.records.counts.dropped > 0 => format!(
                "{} was the limit: requests that were due while it was reached were dropped, {rates}",
                self.room_flags()
            ),
            Limit::Connections => format!(
                "connections were the limit: requests waited longer and longer to be sent, {rates}; {} may be raised, unless the target serves no more",
                self.room_flags()
            ),
            Limit::Way => format!("the way to the server was the limit, a proxy or the network: {rates}"),
            Limit::DummyServer => format!("dummy-server was the limit: {rates}"),
            Limit::Target => format!("the target was the limit, or a proxy in front of it: {rates}"),
            Limit::None if self.outcome() == Outcome::Failed => {
                "nothing can be said of what the target can do".to_owned()
            }
            Limit::None if self.run.is_open_loop() => format!("the rate was held: {rates}"),
            Limit::None => format!(
                "{} requests/s is what {} outstanding requests gave: the loop was closed",
                decimal(self.achieved_rate()),
                count(self.run.outstanding() as u64)
            ),
        }
    }

    /// The options that bound how many requests could be in flight, as they were set.
    fn room_flags(&self) -> String {
        let run = &self.run;
        let by_connections = run.max_connections.saturating_mul(run.streams);
        if run.max_in_flight <= by_connections {
            format!("--max-in-flight {}", run.max_in_flight)
        } else if run.streams > 1 {
            format!("--connections {} with --streams {}", run.max_connections, run.streams)
        } else {
            format!("--connections {}", run.max_connections)
        }
    }
}
