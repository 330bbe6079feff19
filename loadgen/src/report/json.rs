//! The report for programs, described by `report.schema.json`.

use std::{collections::BTreeMap, io, io::Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Serializer as _, V2Serializer},
};
use serde::Serialize;

use crate::summary::Summary;

/// The version of the report's form. It changes when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// The report's JSON Schema.
pub const SCHEMA: &str = include_str!("../../report.schema.json");

/// Writes the report as one JSON object and a line end.
///
/// # Errors
/// `out` can't be written to.
pub fn write(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Report::of(summary)?)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    run: RunReport,
    interrupted: bool,
    verdict: &'static str,
    verdict_reason: String,
    warnings: Vec<String>,
    elapsed_seconds: f64,
    requests: Requests,
    offered_rate_per_second: f64,
    achieved_rate_per_second: f64,
    body_bytes: u64,
    body_bytes_per_second: f64,
    mean_in_flight: f64,
    busiest_worker_ratio: f64,
    longest_gap_without_success_us: f64,
    response_time_us: Option<Times>,
    service_time_us: Option<Times>,
    wait_time_us: Option<Times>,
    release_lag_us: Option<Times>,
    status_codes: BTreeMap<u16, u64>,
    failures: Vec<Failure<'a>>,
    backends: Vec<Backend<'a>>,
    interval_seconds: f64,
    intervals: Vec<Interval>,
    histograms: Histograms,
}

#[derive(Serialize)]
struct RunReport {
    target: String,
    protocol: String,
    method: String,
    rate_per_second: Option<f64>,
    total: Option<u64>,
    duration_seconds: Option<f64>,
    connections: usize,
    streams: usize,
    workers: usize,
    max_in_flight: usize,
    timeout_seconds: f64,
}

#[derive(Serialize)]
struct Requests {
    offered: u64,
    sent: u64,
    completed: u64,
    succeeded: u64,
    client_errors: u64,
    server_errors: u64,
    transport_failed: u64,
    timed_out: u64,
    dropped: u64,
    not_sent: u64,
    unanswered: u64,
    resent: u64,
}

#[derive(Serialize)]
struct Times {
    min: f64,
    mean: f64,
    p50: f64,
    p75: f64,
    p90: f64,
    p95: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

#[derive(Serialize)]
struct Failure<'a> {
    cause: String,
    count: u64,
    example: &'a str,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Backend<'a> {
    instance: &'a str,
    completed: u64,
    p50_us: f64,
    p99_us: f64,
}

#[derive(Serialize)]
struct Interval {
    start_seconds: f64,
    offered: u64,
    completed: u64,
    errors: u64,
    response_p50_us: Option<f64>,
    response_p99_us: Option<f64>,
    response_max_us: Option<f64>,
}

/// HDR V2, base64; values are nanoseconds.
#[derive(Serialize)]
struct Histograms {
    response_time_ns: String,
    service_time_ns: String,
    wait_time_ns: String,
    release_lag_ns: String,
}

impl<'a> Report<'a> {
    fn of(summary: &'a Summary) -> io::Result<Self> {
        let records = &summary.records;
        let times = &records.times;
        Ok(Self {
            version: VERSION,
            run: RunReport::of(summary),
            interrupted: summary.interrupted,
            verdict: summary.verdict().as_str(),
            verdict_reason: summary.verdict_reason(),
            warnings: summary.warnings(),
            elapsed_seconds: summary.elapsed.as_secs_f64(),
            requests: Requests::of(summary),
            offered_rate_per_second: summary.offered_rate(),
            achieved_rate_per_second: summary.achieved_rate(),
            body_bytes: records.body_bytes,
            body_bytes_per_second: summary.body_bytes_per_second(),
            mean_in_flight: summary.mean_in_flight(),
            busiest_worker_ratio: summary.busiest_worker,
            longest_gap_without_success_us: summary.longest_gap().as_nanos() as f64 / 1e3,
            response_time_us: Times::of(&times.response),
            service_time_us: Times::of(&times.service),
            wait_time_us: Times::of(&times.wait),
            release_lag_us: Times::of(&times.lag),
            status_codes: records.statuses().collect(),
            failures: failures(summary),
            backends: backends(summary),
            interval_seconds: records.intervals.width() as f64 / 1e9,
            intervals: intervals(summary),
            histograms: Histograms {
                response_time_ns: encoded(&times.response)?,
                service_time_ns: encoded(&times.service)?,
                wait_time_ns: encoded(&times.wait)?,
                release_lag_ns: encoded(&times.lag)?,
            },
        })
    }
}

impl RunReport {
    fn of(summary: &Summary) -> Self {
        let run = &summary.run;
        Self {
            target: run.target.clone(),
            protocol: run.protocol.clone(),
            method: run.method.clone(),
            rate_per_second: run.rate_per_second,
            total: run.total,
            duration_seconds: run.duration.map(|duration| duration.as_secs_f64()),
            connections: run.connections,
            streams: run.streams,
            workers: run.workers,
            max_in_flight: run.max_in_flight,
            timeout_seconds: run.timeout.as_secs_f64(),
        }
    }
}

impl Requests {
    fn of(summary: &Summary) -> Self {
        let counts = &summary.records.counts;
        Self {
            offered: counts.offered,
            sent: counts.sent(),
            completed: counts.completed(),
            succeeded: counts.succeeded,
            client_errors: counts.client_errors,
            server_errors: counts.server_errors,
            transport_failed: counts.transport_failed,
            timed_out: counts.timed_out,
            dropped: counts.dropped,
            not_sent: counts.not_sent,
            unanswered: counts.unanswered,
            resent: counts.resent,
        }
    }
}

impl Times {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        Some(Self {
            min: micros(histogram.min()),
            mean: (histogram.mean()).round() / 1e3,
            p50: at(0.5),
            p75: at(0.75),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            max: micros(histogram.max()),
        })
    }
}

fn failures(summary: &Summary) -> Vec<Failure<'_>> {
    let all = summary.records.failures.iter();
    all.map(|(cause, seen)| Failure {
        cause: cause.to_string(),
        count: seen.count,
        example: &seen.example,
        request_id: &seen.request_id,
    })
    .collect()
}

fn backends(summary: &Summary) -> Vec<Backend<'_>> {
    let all = summary.records.backends.sorted().into_iter();
    all.map(|backend| Backend {
        instance: &backend.name,
        completed: backend.response.len(),
        p50_us: micros(backend.response.value_at_quantile(0.5)),
        p99_us: micros(backend.response.value_at_quantile(0.99)),
    })
    .collect()
}

fn intervals(summary: &Summary) -> Vec<Interval> {
    let width = summary.records.intervals.width() as f64 / 1e9;
    let interval = |(index, interval): (usize, &crate::recorder::Interval)| {
        let response = Some(&interval.response).filter(|response| !response.is_empty());
        Interval {
            start_seconds: index as f64 * width,
            offered: interval.offered,
            completed: interval.completed,
            errors: interval.errors,
            response_p50_us: response.map(|response| micros(response.value_at_quantile(0.5))),
            response_p99_us: response.map(|response| micros(response.value_at_quantile(0.99))),
            response_max_us: response.map(|response| micros(response.max())),
        }
    };
    summary.records.intervals.iter().enumerate().map(interval).collect()
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

fn encoded(histogram: &Histogram<u64>) -> io::Result<String> {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(histogram, &mut bytes).map_err(io::Error::other)?;
    Ok(STANDARD.encode(bytes))
}
