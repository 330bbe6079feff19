//! The report for programs, described by `report.schema.json`.

mod during;
mod protocols;

use std::{collections::BTreeMap, io, io::Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Serializer as _, V2Serializer},
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use self::{
    during::JsonDuring,
    protocols::{Grpc, WebSocket},
};
use super::loads;
use crate::{
    recorder::{self, ReportedLoad, ReportedTimes, ServerReport},
    summary::{MeanParts, Summary},
    verdict::{Judged, Time, ValidUpTo},
    verify::Verification,
};

pub use crate::summary::VERSION;

/// The report's JSON Schema.
pub const SCHEMA: &str = include_str!("../../../report.schema.json");

/// Writes the report as one JSON object and a line end.
///
/// # Errors
/// `out` can't be written to.
pub fn write(report: super::Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &ReportDocument::of(report)?)?;
    writeln!(out)
}

/// Writes the reports of several rounds as one JSON object and a line end.
///
/// # Errors
/// `out` can't be written to.
pub fn write_rounds(reports: &[super::Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    let rounds = reports.iter().map(|report| ReportDocument::of(*report)).collect::<io::Result<Vec<_>>>()?;
    serde_json::to_writer_pretty(&mut *out, &RoundsDocument { version: VERSION, rounds })?;
    writeln!(out)
}

/// Writes the reports of several loads at the same time as one JSON object and a line end.
///
/// # Errors
/// `out` can't be written to.
pub fn write_loads(reports: &[super::Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &LoadsDocument::of(reports)?)?;
    writeln!(out)
}

/// Writes the reports of rounds of several loads, round by round, as one JSON object and a line end.
///
/// # Errors
/// `out` can't be written to.
pub fn write_rounds_of_loads(reports: &[super::Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    let rounds = loads::by_round(reports).map(LoadsDocument::of).collect::<io::Result<Vec<_>>>()?;
    serde_json::to_writer_pretty(&mut *out, &RoundsDocument { version: VERSION, rounds })?;
    writeln!(out)
}

#[derive(Serialize)]
struct LoadsDocument<'a> {
    version: u32,
    /// Of all.
    requests: JsonRequests,
    loads: Vec<ReportDocument<'a>>,
}

impl<'a> LoadsDocument<'a> {
    fn of(reports: &[super::Report<'a>]) -> io::Result<Self> {
        let loads = reports.iter().map(|report| ReportDocument::of(*report)).collect::<io::Result<_>>()?;
        Ok(Self { version: VERSION, requests: JsonRequests::of(&loads::total(reports)), loads })
    }
}

#[derive(Serialize)]
struct RoundsDocument<R> {
    version: u32,
    rounds: Vec<R>,
}

#[derive(Serialize)]
struct ReportDocument<'a> {
    version: u32,
    origin: &'a recorder::Origin,
    run: RunReport,
    interrupted: bool,
    aborted_by: Option<&'a str>,
    outcome: &'static str,
    limit: &'static str,
    success_ratio: f64,
    verdict: [String; 2],
    valid_up_to: Option<&'static str>,
    validity: Option<String>,
    warnings: Vec<String>,
    thresholds: Vec<JsonThreshold<'a>>,
    elapsed_seconds: f64,
    requests: JsonRequests,
    warmup: Option<JsonRequests>,
    offered_rate_per_second: f64,
    achieved_rate_per_second: f64,
    body_bytes: u64,
    body_bytes_per_second: f64,
    mean_in_flight: f64,
    bytes_sent: u64,
    bytes_received: u64,
    busiest_worker_ratio: f64,
    run_delay_ratio: Option<f64>,
    longest_outage: Option<JsonSpan>,
    longest_stall: Option<JsonSpan>,
    mean_time_us: Option<MeanTime>,
    dummy_server: Option<DummyServer>,
    during: Option<JsonDuring<'a>>,
    verify: Option<&'a Verification>,
    connections: JsonConnections<'a>,
    grpc: Option<Grpc<'a>>,
    websocket: Option<WebSocket<'a>>,
    response_time_us: Option<Offered>,
    successful_response_time_us: Option<JsonTimes>,
    response_time_by_class_us: BTreeMap<String, JsonTimes>,
    service_time_us: Option<JsonTimes>,
    wait_time_us: Option<JsonTimes>,
    release_lag_us: Option<JsonTimes>,
    status_codes: BTreeMap<u16, u64>,
    failures: Vec<JsonFailure<'a>>,
    unmet: Vec<JsonUnmet<'a>>,
    requests_by_name: Vec<JsonRequestRecords<'a>>,
    backends: Vec<JsonBackend<'a>>,
    interval_seconds: f64,
    intervals: Vec<JsonInterval>,
    histograms: Histograms,
    /// In one line.
    records: Box<RawValue>,
}

#[derive(Serialize)]
struct RunReport {
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

#[derive(Serialize)]
struct JsonRequests {
    offered: u64,
    sent: u64,
    completed: u64,
    succeeded: u64,
    redirects: u64,
    client_errors: u64,
    server_errors: u64,
    call_errors: u64,
    transport_failed: u64,
    timed_out: u64,
    dropped: u64,
    dropped_late: u64,
    not_sent: u64,
    unanswered: u64,
    resent: u64,
    redirects_followed: u64,
    redirects_elsewhere: u64,
    redirects_beyond: u64,
}

/// Percentiles over all offered requests.
#[derive(Serialize)]
struct Offered {
    p50: JsonPercentile,
    p75: JsonPercentile,
    p90: JsonPercentile,
    p95: JsonPercentile,
    p99: JsonPercentile,
    p99_9: JsonPercentile,
}

#[derive(Serialize)]
struct JsonPercentile {
    /// As it was, or how long the request of this rank took at least.
    response: f64,
    /// Without what loadgen itself may have delayed; none if the request of this rank did not succeed.
    without_own_delay: Option<f64>,
    /// Whether the request of this rank did not succeed.
    at_least: bool,
    n_too_small: bool,
}

#[derive(Serialize)]
struct JsonThreshold<'a> {
    threshold: &'a str,
    result: &'static str,
    found: &'a str,
}

impl<'a> JsonThreshold<'a> {
    fn of(judged: &'a Judged) -> Self {
        Self { threshold: &judged.threshold, result: judged.judgement.as_str(), found: &judged.found }
    }
}

/// A part of the run.
#[derive(Serialize)]
struct JsonSpan {
    start_seconds: f64,
    seconds: f64,
}

impl From<recorder::Span> for JsonSpan {
    fn from(span: recorder::Span) -> Self {
        Self { start_seconds: span.start as f64 / 1e9, seconds: span.length as f64 / 1e9 }
    }
}

/// Where the time went, on average.
#[derive(Serialize)]
struct MeanTime {
    lag: f64,
    wait: f64,
    service: f64,
}

impl From<MeanParts> for MeanTime {
    fn from(parts: MeanParts) -> Self {
        Self { lag: parts.lag / 1e3, wait: parts.wait / 1e3, service: parts.service / 1e3 }
    }
}

/// What dummy-server reports of its own part.
#[derive(Serialize)]
struct DummyServer {
    in_server_us: Option<f64>,
    outside_us: Option<f64>,
    on_the_way_us: Option<f64>,
    load: Option<DummyServerLoad>,
}

#[derive(Serialize)]
struct DummyServerLoad {
    responses: u64,
    cpu_ratio: f64,
    mean_turn_lag_us: f64,
    longest_turn_lag_us: f64,
}

impl DummyServer {
    fn of(report: &ServerReport) -> Option<Self> {
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

#[derive(Serialize)]
struct JsonConnections<'a> {
    opened: u64,
    reopened: u64,
    attempts: u64,
    failed_attempts: u64,
    failure: Option<&'a str>,
    closed_by_server: u64,
    closed_by_loadgen: u64,
    tls: Option<JsonTls>,
    idle: Option<JsonIdle<'a>>,
}

/// What became of connections without requests.
#[derive(Serialize)]
struct JsonIdle<'a> {
    wanted: u64,
    opened: u64,
    open: u64,
    attempts: u64,
    failed_attempts: u64,
    closed_by_server: u64,
    closed_by_loadgen: u64,
    failure: Option<&'a str>,
}

impl<'a> JsonIdle<'a> {
    fn of(idle: &'a recorder::Idle) -> Self {
        Self {
            wanted: idle.wanted,
            opened: idle.opened,
            open: idle.open(),
            attempts: idle.attempts(),
            failed_attempts: idle.failed,
            closed_by_server: idle.closed_by_server,
            closed_by_loadgen: idle.closed_by_loadgen,
            failure: idle.failure.as_deref(),
        }
    }
}

/// What came of handshakes.
#[derive(Serialize)]
struct JsonTls {
    handshakes: u64,
    resumed: u64,
    handshake_time_us: Option<JsonTimes>,
    agreed: BTreeMap<String, u64>,
}

impl JsonTls {
    fn of(connections: &recorder::Connections) -> Option<Self> {
        let handshakes = connections.handshake.len();
        (handshakes > 0).then(|| Self {
            handshakes,
            resumed: connections.resumed,
            handshake_time_us: JsonTimes::of(&connections.handshake),
            agreed: connections.agreed.clone(),
        })
    }
}

#[derive(Serialize)]
struct JsonTimes {
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
struct JsonFailure<'a> {
    cause: String,
    count: u64,
    example: &'a str,
    request_id: &'a str,
}

/// Replies that were not as the plan expects.
#[derive(Serialize)]
struct JsonUnmet<'a> {
    expected: &'a str,
    count: u64,
    example: &'a str,
    request_id: &'a str,
}

/// What became of one of several requests.
#[derive(Serialize)]
struct JsonRequestRecords<'a> {
    name: &'a str,
    offered: u64,
    completed: u64,
    succeeded: u64,
    failed: u64,
    unmet: u64,
    successful_response_time_us: Option<JsonTimes>,
}

#[derive(Serialize)]
struct JsonBackend<'a> {
    instance: &'a str,
    completed: u64,
    p50_us: f64,
    p99_us: f64,
}

#[derive(Serialize)]
struct JsonInterval {
    start_seconds: f64,
    offered: u64,
    unsuccessful: u64,
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
    response_time_without_own_delay_ns: String,
    unsuccessful_ns: String,
    service_time_ns: String,
    wait_time_ns: String,
    release_lag_ns: String,
}

impl<'a> ReportDocument<'a> {
    fn of(report: super::Report<'a>) -> io::Result<Self> {
        let summary = report.summary;
        let records = &summary.records;
        let times = &records.times;
        Ok(Self {
            version: VERSION,
            origin: &summary.origin,
            run: RunReport::of(summary),
            interrupted: summary.interrupted,
            aborted_by: summary.aborted_by.as_deref(),
            outcome: summary.outcome().as_str(),
            limit: summary.limit().as_str(),
            success_ratio: summary.success_ratio(),
            verdict: summary.verdict(),
            valid_up_to: match summary.valid_up_to() {
                ValidUpTo::All => Some("all"),
                ValidUpTo::Percentile(name) => Some(name),
                ValidUpTo::Nothing => None,
            },
            validity: summary.validity(),
            warnings: summary.warnings(),
            thresholds: report.judged.iter().map(JsonThreshold::of).collect(),
            elapsed_seconds: summary.elapsed.as_secs_f64(),
            requests: JsonRequests::of(&records.counts),
            warmup: summary.run.warmup.map(|_| JsonRequests::of(&records.warmup.unwrap_or_default())),
            offered_rate_per_second: summary.offered_rate(),
            achieved_rate_per_second: summary.achieved_rate(),
            body_bytes: records.body_bytes,
            body_bytes_per_second: summary.body_bytes_per_second(),
            mean_in_flight: summary.mean_in_flight(),
            bytes_sent: records.bytes_sent,
            bytes_received: records.bytes_received,
            busiest_worker_ratio: summary.busiest_worker,
            run_delay_ratio: summary.run_delay,
            longest_outage: summary.longest_outage().map(JsonSpan::from),
            longest_stall: summary.longest_stall().map(JsonSpan::from),
            mean_time_us: summary.mean_parts().map(MeanTime::from),
            dummy_server: DummyServer::of(&records.server_report),
            during: JsonDuring::of(summary),
            verify: summary.verification.as_deref(),
            connections: JsonConnections {
                opened: records.connections.opened,
                reopened: records.connections.reopened,
                attempts: records.connections.attempts(),
                failed_attempts: records.connections.failed,
                failure: records.connections.failure.as_deref(),
                closed_by_server: records.connections.closed_by_server,
                closed_by_loadgen: records.connections.closed_by_loadgen,
                tls: JsonTls::of(&records.connections),
                idle: records.connections.idle.as_deref().map(JsonIdle::of),
            },
            grpc: Grpc::of(summary)?,
            websocket: summary.records.sockets.as_deref().map(WebSocket::of).transpose()?,
            response_time_us: Offered::of(summary),
            successful_response_time_us: JsonTimes::of(&times.response),
            response_time_by_class_us: by_class(summary),
            service_time_us: JsonTimes::of(&times.service),
            wait_time_us: JsonTimes::of(&times.wait),
            release_lag_us: JsonTimes::of(&times.lag),
            status_codes: records.statuses().collect(),
            failures: failures(summary),
            unmet: unmet(summary),
            requests_by_name: requests(summary),
            backends: backends(summary),
            interval_seconds: records.intervals.width() as f64 / 1e9,
            intervals: intervals(summary),
            histograms: Histograms {
                response_time_ns: encoded(&times.response)?,
                response_time_without_own_delay_ns: encoded(&times.undelayed)?,
                unsuccessful_ns: encoded(&times.unsuccessful)?,
                service_time_ns: encoded(&times.service)?,
                wait_time_ns: encoded(&times.wait)?,
                release_lag_ns: encoded(&times.lag)?,
            },
            records: to_raw_value(summary)?,
        })
    }
}

impl RunReport {
    fn of(summary: &Summary) -> Self {
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

impl JsonRequests {
    fn of(counts: &recorder::Counts) -> Self {
        Self {
            offered: counts.offered,
            sent: counts.sent(),
            completed: counts.completed(),
            succeeded: counts.succeeded,
            redirects: counts.redirects,
            client_errors: counts.client_errors,
            server_errors: counts.server_errors,
            call_errors: counts.call_errors,
            transport_failed: counts.transport_failed,
            timed_out: counts.timed_out,
            dropped: counts.dropped,
            dropped_late: counts.dropped_late,
            not_sent: counts.not_sent,
            unanswered: counts.unanswered,
            resent: counts.resent,
            redirects_followed: counts.redirects_followed,
            redirects_elsewhere: counts.redirects_elsewhere,
            redirects_beyond: counts.redirects_beyond,
        }
    }
}

impl Offered {
    fn of(summary: &Summary) -> Option<Self> {
        let at = |quantile: f64| {
            let found = summary.percentile(quantile)?;
            let (response, without_own_delay) = match found.time {
                Time::Band { response, undelayed } => (response, Some(micros(undelayed))),
                Time::AtLeast(at_least) => (at_least, None),
            };
            Some(JsonPercentile {
                response: micros(response),
                without_own_delay,
                at_least: without_own_delay.is_none(),
                n_too_small: found.is_n_too_small,
            })
        };
        Some(Self {
            p50: at(0.5)?,
            p75: at(0.75)?,
            p90: at(0.9)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
            p99_9: at(0.999)?,
        })
    }
}

fn by_class(summary: &Summary) -> BTreeMap<String, JsonTimes> {
    (1..=5)
        .filter_map(|class| Some((format!("{class}xx"), JsonTimes::of(summary.times_of_class(class))?)))
        .collect()
}

impl JsonTimes {
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

fn failures(summary: &Summary) -> Vec<JsonFailure<'_>> {
    let all = summary.records.failures.iter();
    all.map(|(cause, seen)| JsonFailure {
        cause: cause.to_string(),
        count: seen.count,
        example: &seen.example,
        request_id: &seen.request_id,
    })
    .collect()
}

fn unmet(summary: &Summary) -> Vec<JsonUnmet<'_>> {
    let all = summary.records.unmet.iter();
    all.map(|(expected, seen)| JsonUnmet {
        expected,
        count: seen.count,
        example: &seen.example,
        request_id: &seen.request_id,
    })
    .collect()
}

fn requests(summary: &Summary) -> Vec<JsonRequestRecords<'_>> {
    let all = summary.records.requests.iter();
    all.map(|own| JsonRequestRecords {
        name: &own.name,
        offered: own.offered,
        completed: own.completed,
        succeeded: own.succeeded,
        failed: own.failed(),
        unmet: own.unmet,
        successful_response_time_us: JsonTimes::of(&own.response),
    })
    .collect()
}

fn backends(summary: &Summary) -> Vec<JsonBackend<'_>> {
    let all = summary.records.backends.sorted().into_iter();
    all.map(|backend| JsonBackend {
        instance: &backend.name,
        completed: backend.response.len(),
        p50_us: micros(backend.response.value_at_quantile(0.5)),
        p99_us: micros(backend.response.value_at_quantile(0.99)),
    })
    .collect()
}

fn intervals(summary: &Summary) -> Vec<JsonInterval> {
    let width = summary.records.intervals.width() as f64 / 1e9;
    let interval = |(index, interval): (usize, &recorder::Interval)| {
        let response = Some(&interval.response).filter(|response| !response.is_empty());
        JsonInterval {
            start_seconds: index as f64 * width,
            offered: interval.offered,
            unsuccessful: interval.unsuccessful,
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
