//! The parts of a request's time, by when it was due, so that it can be told which of them grew.

use serde::{Deserialize, Serialize};

use super::binned::{Bin, Binned};
use crate::clock::Nanos;

/// Parts of requests' times: in bins of ten milliseconds, doubled beyond 1.28 s.
pub type Trend = Binned<Parts, 10_000_000, 128>;

/// Sums over the requests that were due within a bin. As a list it is short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 7]", into = "[u64; 7]")]
pub struct Parts {
    /// Requests that were sent.
    pub sent: u64,
    /// Nanoseconds from due to picked up.
    pub lag: u64,
    /// Nanoseconds from picked up to written.
    pub wait: u64,
    /// Nanoseconds from written to the end.
    pub service: u64,
    /// Of them, those whose reply told when the server saw the request and when it replied.
    pub told: u64,
    /// Nanoseconds from written to seen, of those.
    pub way: u64,
    /// Nanoseconds from seen to replied, of those.
    pub server: u64,
}

impl Parts {
    /// A number of requests with the same times.
    #[inline]
    pub(super) fn add(&mut self, lag: Nanos, wait: Nanos, service: Nanos, count: u64) {
        self.sent += count;
        self.lag = self.lag.saturating_add(lag.saturating_mul(count));
        self.wait = self.wait.saturating_add(wait.saturating_mul(count));
        self.service = self.service.saturating_add(service.saturating_mul(count));
    }

    /// One of them has told when it was seen and replied to.
    pub(super) fn tell(&mut self, way: Nanos, server: Nanos) {
        self.told += 1;
        self.way = self.way.saturating_add(way);
        self.server = self.server.saturating_add(server);
    }
}

impl Trend {
    /// Of the whole run.
    #[must_use]
    pub fn sum(&self) -> Parts {
        let mut all = Parts::default();
        self.iter().for_each(|parts| all.merge(parts));
        all
    }
}

impl From<[u64; 7]> for Parts {
    fn from([sent, lag, wait, service, told, way, server]: [u64; 7]) -> Self {
        Self { sent, lag, wait, service, told, way, server }
    }
}

impl From<Parts> for [u64; 7] {
    fn from(parts: Parts) -> Self {
        let Parts { sent, lag, wait, service, told, way, server } = parts;
        [sent, lag, wait, service, told, way, server]
    }
}

impl Bin for Parts {
    fn merge(&mut self, other: &Self) {
        self.add(0, 0, 0, other.sent);
        self.told += other.told;
        for (mine, theirs) in [
            (&mut self.lag, other.lag),
            (&mut self.wait, other.wait),
            (&mut self.service, other.service),
            (&mut self.way, other.way),
            (&mut self.server, other.server),
        ] {
            *mine = mine.saturating_add(theirs);
        }
    }
}
