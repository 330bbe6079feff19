//! What dummy-server reports of its own part.

use serde::Serialize;

use crate::recorder::{ReportedLoad, ReportedTimes, ServerReport};

/// What dummy-server reports of its own part.
#[derive(Serialize)]
pub(super) struct DummyServer {
    in_server_us: Option<f64>,
    outside_us: Option<f64>,
    on_the_way_us: Option<f64>,
    load: Option<DummyServerLoad>,
}

impl DummyServer {
    pub(super) fn of(report: &ServerReport) -> Option<Self> {
        let (times, load) = (report.mean_times(), report.mean_load());
        let us = |time: fn(ReportedTimes) -> f64| times.map(|times| time(times) / 1e3);
        (times.is_some() || load.is_some()).then(|| Self {
            in_server_us: us(|times| times.server),
            outside_us: us(|times| times.outside),
            on_the_way_us: times.and_then(|times| times.way).map(|way| way / 1e3),
            load: load.map(DummyServerLoad::from),
        })
    }
}

#[derive(Serialize)]
struct DummyServerLoad {
    responses: u64,
    cpu_ratio: f64,
    mean_turn_lag_us: f64,
    longest_turn_lag_us: f64,
}

impl From<ReportedLoad> for DummyServerLoad {
    fn from(load: ReportedLoad) -> Self {
        Self {
            responses: load.replies,
            cpu_ratio: load.cpu,
            mean_turn_lag_us: load.turn_lag / 1e3,
            longest_turn_lag_us: load.longest_turn_lag as f64 / 1e3,
        }
    }
}
