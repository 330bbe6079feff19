//! What was run.

use serde::Serialize;

use crate::summary::Summary;

#[derive(Serialize)]
pub(super) struct RunReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    load_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_seconds: Option<f64>,
    target: String,
    protocol: String,
    method: String,
    load: String,
    rate_per_second: Option<f64>,
    stages: Option<String>,
    replay: Option<String>,
    poisson: bool,
    seed: Option<u64>,
    warmup_seconds: Option<f64>,
    max_lag_seconds: Option<f64>,
    coalesce_seconds: Option<f64>,
    total: Option<u64>,
    duration_seconds: Option<f64>,
    addresses: Vec<String>,
    expected_status: Option<String>,
    connections: usize,
    max_connections: usize,
    streams: usize,
    workers: usize,
    max_in_flight: usize,
    timeout_seconds: f64,
}

impl RunReport {
    pub(super) fn of(summary: &Summary) -> Self {
        let run = &summary.run;
        Self {
            load_name: run.load_name.clone(),
            start_seconds: run.load_name.as_ref().map(|_| run.start.unwrap_or_default().as_secs_f64()),
            target: run.target.clone(),
            protocol: run.protocol.clone(),
            method: run.method.clone(),
            load: run.load(),
            rate_per_second: run.rate_per_second,
            stages: run.stages.clone(),
            replay: run.replay.clone(),
            poisson: run.poisson,
            seed: run.seed,
            warmup_seconds: run.warmup.map(|time| time.as_secs_f64()),
            max_lag_seconds: run.max_lag.map(|time| time.as_secs_f64()),
            coalesce_seconds: run.coalesce.map(|time| time.as_secs_f64()),
            total: run.total,
            duration_seconds: run.duration.map(|duration| duration.as_secs_f64()),
            addresses: run.addresses.clone(),
            expected_status: run.expected_status.clone(),
            connections: run.connections,
            max_connections: run.max_connections,
            streams: run.streams,
            workers: run.workers,
            max_in_flight: run.max_in_flight,
            timeout_seconds: run.timeout.as_secs_f64(),
        }
    }
}
