//! What ran, as far as reports show it and figures depend on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plausible::is_printable;
use crate::plan::Plan;

/// As long as a URL can be, in bytes.
const LONGEST_TEXT: usize = 64 << 10;

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// Where the requests went, as a URL.
    pub target: String,
    /// The protocol's name.
    pub protocol: String,
    /// The requests' method.
    pub method: String,
    /// Requests per second on average, in an open loop.
    pub rate_per_second: Option<f64>,
    /// How long requests were to become due, in an open loop that has an end.
    pub window: Option<Duration>,
    /// How many requests there were to be.
    pub total: Option<u64>,
    /// How long requests were to become due, where that was said.
    pub duration: Option<Duration>,
    /// Connections to begin with.
    pub connections: usize,
    /// Requests at once on each.
    pub streams: usize,
    /// Threads.
    pub workers: usize,
    /// Requests at once.
    pub max_in_flight: usize,
    /// How long a request might take once it was sent.
    pub timeout: Duration,
}

impl RunSettings {
    /// Those of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let load = plan.load();
        Self {
            target: plan.target().to_string(),
            protocol: plan.target().protocol.to_string(),
            method: plan.request().method.to_string(),
            rate_per_second: load.arrivals().map(crate::schedule::Arrivals::mean_rate),
            window: load.window(),
            total: load.total,
            duration: load.duration,
            connections: load.connections.get(),
            streams: load.streams.get(),
            workers: plan.workers().get(),
            max_in_flight: load.max_in_flight.get(),
            timeout: load.timeout,
        }
    }

    /// Whether reports can print it: what was read may hold anything.
    pub(crate) fn is_plausible(&self) -> bool {
        [&self.target, &self.protocol, &self.method].into_iter().all(|text| is_printable(text, LONGEST_TEXT))
    }

    /// Whether requests were due by a schedule.
    #[must_use]
    pub fn is_open_loop(&self) -> bool {
        self.rate_per_second.is_some()
    }
}
