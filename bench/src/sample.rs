//! One measurement and what happens to a contender: what the tables and the record are made of.

use serde::Serialize;

use crate::{arrivals::ArrivalError, rows::Metric};

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Counted from 1.
    pub round: u32,
    /// Place in the round, counted from 1.
    pub position: usize,
    /// Requests with a whole reply.
    pub requests: u64,
    /// How long they took.
    pub seconds: f64,
    /// Size of one body.
    pub body_bytes: usize,
    /// CPU time of the server.
    pub server_cpu_seconds: f64,
    /// CPU time of the client, its start and end included.
    pub client_cpu_seconds: f64,
    /// 99th percentile of due to picked up, where the client paces.
    pub release_lag_p99_us: Option<f64>,
    /// How far arrivals were from a perfect schedule, where the server notes them.
    pub arrival_error: Option<ArrivalError>,
    /// Bytes by which the server's resident memory grew, where connections lie idle.
    pub server_memory_growth: Option<u64>,
    /// Share of both CPUs' time that the hypervisor took.
    pub stolen: f64,
    /// Nanoseconds of a cache line's round trip between both sides' CPUs, before and after; none where they share one.
    pub round_trip_ns: Option<[f64; 2]>,
}

impl Sample {
    /// The value that a row compares.
    #[must_use]
    pub fn value(&self, metric: Metric) -> f64 {
        let requests = self.requests as f64;
        match metric {
            Metric::ServerPerRequest => self.server_cpu_seconds * 1e6 / requests,
            Metric::ServerPerGb => self.server_cpu_seconds * 1e9 / (requests * self.body_bytes as f64),
            Metric::ClientPerRequest => self.client_cpu_seconds * 1e6 / requests,
            Metric::BothPerRequest => (self.server_cpu_seconds + self.client_cpu_seconds) * 1e6 / requests,
            Metric::LagP99 => self.release_lag_p99_us.unwrap_or(f64::NAN),
            Metric::ArrivalErrorP99 => self.arrival_error.map_or(f64::NAN, |error| error.p99_us),
            Metric::Rate => requests / self.seconds,
            Metric::ServerMemory => {
                self.server_memory_growth.map_or(f64::NAN, |bytes| bytes as f64 / 1024.0 / requests)
            }
        }
    }
}

/// What happened to a contender.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Measured in every round.
    Measured(Vec<Sample>),
    /// The program that is not installed.
    Missing(&'static str),
    /// Why it could not be measured.
    Failed(String),
}

impl Standing {
    /// The values that `metric` compares, round by round; empty if it was not measured.
    #[must_use]
    pub fn values(&self, metric: Metric) -> Vec<f64> {
        match self {
            Self::Measured(samples) => samples.iter().map(|sample| sample.value(metric)).collect(),
            Self::Missing(_) | Self::Failed(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A sample of one second.
    pub(crate) fn measured(requests: u64, server: f64, client: f64) -> Sample {
        Sample {
            round: 1,
            position: 1,
            requests,
            seconds: 1.0,
            body_bytes: 1024,
            server_cpu_seconds: server,
            client_cpu_seconds: client,
            release_lag_p99_us: None,
            arrival_error: None,
            server_memory_growth: None,
            stolen: 0.01,
            round_trip_ns: Some([50.4, 61.0]),
        }
    }

    #[test]
    fn values_are_per_request_per_gigabyte_per_second_and_per_connection() {
        let sample = Sample { seconds: 2.0, ..measured(1_000_000, 1.5, 3.0) };
        let close = |metric, expected: f64| (sample.value(metric) - expected).abs() < 1e-9;
        assert!(close(Metric::ServerPerRequest, 1.5));
        assert!(close(Metric::ClientPerRequest, 3.0));
        assert!(close(Metric::BothPerRequest, 4.5));
        assert!(close(Metric::ServerPerGb, 1.5 / 1.024));
        assert!(close(Metric::Rate, 500_000.0));
        assert!(sample.value(Metric::LagP99).is_nan());
        assert!(sample.value(Metric::ServerMemory).is_nan());
        let idle = Sample { server_memory_growth: Some(40_960_000), ..measured(10_000, 1.0, 1.0) };
        assert!((idle.value(Metric::ServerMemory) - 4.0).abs() < 1e-9);
    }
}
