//! The report for programs, described by `report.schema.json`.

mod connections;
mod during;
mod intervals;
mod protocols;
mod requests;
mod run;
mod server;
mod times;

use std::{collections::BTreeMap, io, io::Write};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use self::{
    connections::JsonConnections,
    during::JsonDuring,
    intervals::{JsonInterval, JsonSpan, intervals},
    protocols::{Grpc, WebSocket},
    requests::{
        JsonBackend, JsonFailure, JsonRequestRecords, JsonRequests, JsonUnmet, backends, failures, requests,
        unmet,
    },
    run::RunReport,
    server::DummyServer,
    times::{Histograms, JsonTimes, MeanTime, Offered, by_class},
};
use super::loads;
use crate::{
    recorder,
    verdict::{Judged, ValidUpTo},
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
            connections: JsonConnections::of(&records.connections),
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
            histograms: Histograms::of(times)?,
            records: to_raw_value(summary)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{Planted, run};

    #[test]
    fn the_schema_has_every_protocol_that_is_spoken_and_no_other() {
        let schema = serde_json::from_str(SCHEMA).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let plan = folder.path().join("plan.yaml");
        std::fs::write(&plan, "targets: [\"http://a:1\", \"b:1\", \"http://c:1\"]\nrequests: [{path: /}]\n")
            .unwrap();
        for (target, protocol) in [
            ("http://a:1", "HTTP/1.1"),
            ("--http1.1 https://a:1", "HTTP/1.1 over TLS"),
            ("--http1.0 a:1", "HTTP/1.0"),
            ("--http1.0 https://a:1", "HTTP/1.0 over TLS"),
            ("a:1", "h2c"),
            ("--http2 https://a:1", "HTTP/2 over TLS"),
            ("ws://a:1/", "WebSocket"),
            ("wss://a:1/", "WebSocket over TLS"),
            ("--http2 ws://a:1/", "WebSocket over h2c"),
            ("--http2 wss://a:1/", "WebSocket over HTTP/2 and TLS"),
            (&format!("-f {}", plan.display()), "HTTP/1.1 and h2c"),
        ] {
            let summary = run(&format!("-r 10 -d 1s {target}"), |_, _| Planted::default());
            let mut json = Vec::new();
            write((&summary).into(), &mut json).unwrap();
            let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(json["run"]["protocol"], protocol);
            let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{protocol}: {errors:?}");
            json["run"]["protocol"] = "HTTP/1.1 and".into();
            assert!(!validator.is_valid(&json));
        }
    }
}
