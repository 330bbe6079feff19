//! What ran, as far as reports show it and figures depend on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use transport::Address;

use super::plausible::is_printable;
use crate::{outcome::ExpectedStatus, plan::Plan};

/// As long as a URL can be, in bytes.
const LONGEST_TEXT: usize = 64 << 10;

/// The most addresses that are kept.
const MAX_ADDRESSES: usize = 8;

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// Where the requests went, as a URL.
    pub target: String,
    /// The addresses that its name was found at.
    pub addresses: Vec<String>,
    /// The protocol's name.
    pub protocol: String,
    /// The requests' method.
    pub method: String,
    /// Requests per second on average, in an open loop.
    pub rate_per_second: Option<f64>,
    /// How long requests were to become due, if that was known beforehand.
    pub window: Option<Duration>,
    /// How many requests there were to be.
    pub total: Option<u64>,
    /// How long requests were to become due, where that was said.
    pub duration: Option<Duration>,
    /// Connections to begin with.
    pub connections: usize,
    /// The maximum number of connections.
    pub max_connections: usize,
    /// The maximum number of concurrent requests on each.
    pub streams: usize,
    /// Threads.
    pub workers: usize,
    /// The maximum number of requests in flight.
    pub max_in_flight: usize,
    /// How long a request might take once it was sent.
    pub timeout: Duration,
    /// Statuses that count as success beside 2xx, as they were named.
    pub expected_status: Option<String>,
}

impl RunSettings {
    /// Those of a plan.
    #[must_use]
    pub fn of(plan: &Plan, addresses: &[Address]) -> Self {
        let load = plan.load();
        Self {
            target: plan.target().to_string(),
            addresses: addresses.iter().take(MAX_ADDRESSES).map(ToString::to_string).collect(),
            protocol: plan.target().protocol_name().to_owned(),
            method: plan.request().method.to_string(),
            rate_per_second: load.arrivals().map(crate::schedule::Arrivals::mean_rate),
            window: load.window().or(load.duration),
            total: load.total,
            duration: load.duration,
            connections: load.connections.get(),
            max_connections: load.max_connections.get(),
            streams: load.streams.get(),
            workers: plan.workers().get(),
            max_in_flight: load.max_in_flight.get(),
            timeout: load.timeout,
            expected_status: plan.expected_status().named().map(str::to_owned),
        }
    }

    /// Whether an address is another one that can be kept.
    pub(crate) fn has_room_for(&self, address: &String) -> bool {
        self.addresses.len() < MAX_ADDRESSES && !self.addresses.contains(address)
    }

    /// Whether reports can print it: what was read may hold anything.
    pub(crate) fn is_plausible(&self) -> bool {
        let texts = [&self.target, &self.protocol, &self.method].into_iter();
        self.addresses.len() <= MAX_ADDRESSES
            && texts
                .chain(&self.addresses)
                .chain(&self.expected_status)
                .all(|text| is_printable(text, LONGEST_TEXT))
            && self.expected().is_some()
    }

    /// Whether a reply with this status is a success.
    #[must_use]
    pub fn expects(&self, status: u16) -> bool {
        self.expected().unwrap_or_default().contains(status)
    }

    fn expected(&self) -> Option<ExpectedStatus> {
        let named = self.expected_status.as_deref();
        named.map_or(Some(ExpectedStatus::default()), |text| ExpectedStatus::default().with(text).ok())
    }

    /// How many requests could be in flight.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        let most = self.max_in_flight.min(self.max_connections.saturating_mul(self.streams));
        self.total.and_then(|total| usize::try_from(total).ok()).map_or(most, |total| most.min(total))
    }

    /// Whether requests were due by a schedule.
    #[must_use]
    pub fn is_open_loop(&self) -> bool {
        self.rate_per_second.is_some()
    }
}
