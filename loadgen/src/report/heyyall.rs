//! The report of a run over several endpoints as heyyall has it: its JSON by the same names, and what its text has beside ours.
//!
//! Where heyyall lists the time of each request, which nothing here keeps, there are the shortest and the longest time,
//! percentiles and a histogram. Times are of requests that succeeded, from when they were due.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Detail, Report, normalized, text};
use crate::{
    clock::{Nanos, nanos},
    numbers::{plural, time},
    outcome::Cause,
    recorder::{RequestRecords, Seen},
    summary::Summary,
};

/// What requests are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeyyallEndpoint {
    /// What its requests are called in the plan.
    pub name: String,
    /// Where they go.
    pub url: String,
    /// Their method.
    pub method: String,
}

/// Percentiles with their names.
const PERCENTILES: [(&str, f64); 5] =
    [("P50", 0.5), ("P75", 0.75), ("P90", 0.9), ("P95", 0.95), ("P99", 0.99)];

/// What the rows are; the last one ends the tables.
const LEGEND: &str = "\
Times of endpoints are of successes, from when they were due; round trips are
from when they were sent.
";

/// Writes heyyall's JSON, as one object and a line end.
///
/// # Errors
/// `out` can't be written to.
pub fn write_json(report: Report<'_>, endpoints: &[HeyyallEndpoint], out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &RunResults::of(report, endpoints))?;
    writeln!(out)
}

/// Writes the usual text; in full detail, followed by tables of endpoints and of the network.
///
/// # Errors
/// `out` can't be written to.
pub fn write_text(
    report: Report<'_>,
    endpoints: &[HeyyallEndpoint],
    style: text::Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    text::write(report, style, out)?;
    if report.detail == Detail::Short {
        return Ok(());
    }
    let summary = report.summary;
    let head = |title: &str, out: &mut dyn Write| {
        writeln!(
            out,
            "{title:<20}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "min", "median", "P75", "P90", "P95", "P99"
        )
    };
    head("Endpoints", out)?;
    row("  all", &summary.records.times.response, out)?;
    for call in calls(summary, endpoints) {
        writeln!(out, "  {} {}", call.method, call.url)?;
        row(&format!("    {}", plural(call.completed, "response")), call.response, out)?;
    }
    writeln!(out)?;
    head("Network", out)?;
    for (name, times) in network(summary) {
        row(&format!("  {name}"), times, out)?;
    }
    writeln!(out, "{LEGEND}")
}

fn row(name: &str, times: &Histogram<u64>, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{name:<20}")?;
    let all = std::iter::once(times.min()).chain(PERCENTILES.map(|(_, at)| times.value_at_quantile(at)));
    for value in all {
        let shown = if times.is_empty() { "-".to_owned() } else { time(value as f64) };
        write!(out, "{shown:>10}")?;
    }
    writeln!(out)
}

/// What happened to the requests with one method to one endpoint.
struct HeyyallMethod<'a> {
    url: &'a str,
    method: &'a str,
    offered: u64,
    completed: u64,
    succeeded: u64,
    statuses: BTreeMap<u16, u64>,
    response: &'a Histogram<u64>,
}

/// All of them, in the order of the plan. Names beyond those that reports distinguish are one endpoint without a method.
fn calls<'a>(summary: &'a Summary, endpoints: &'a [HeyyallEndpoint]) -> Vec<HeyyallMethod<'a>> {
    let records = &summary.records;
    if records.requests.is_empty() {
        let whole = |HeyyallEndpoint { url, method, .. }: &'a HeyyallEndpoint| HeyyallMethod {
            url,
            method,
            ..whole(summary)
        };
        return endpoints.first().map(whole).into_iter().collect();
    }
    let of_name = |own: &'a RequestRecords| {
        let endpoint = endpoints.iter().find(|endpoint| endpoint.name == own.name);
        let (url, method) =
            endpoint.map_or((own.name.as_str(), ""), |endpoint| (&endpoint.url, &endpoint.method));
        HeyyallMethod {
            url,
            method,
            offered: own.offered,
            completed: own.completed,
            succeeded: own.succeeded,
            statuses: own.statuses.clone(),
            response: &own.response,
        }
    };
    records.requests.iter().map(of_name).collect()
}

/// All requests together.
fn whole(summary: &Summary) -> HeyyallMethod<'_> {
    let records = &summary.records;
    HeyyallMethod {
        url: "",
        method: "",
        offered: records.counts.offered,
        completed: records.counts.completed(),
        succeeded: records.counts.succeeded,
        statuses: records.statuses().collect(),
        response: &records.times.response,
    }
}

/// What the network took, by its name in text.
fn network(summary: &Summary) -> [(&'static str, &Histogram<u64>); 4] {
    let connections = &summary.records.connections;
    [
        ("DNS lookup", &connections.lookup),
        ("TCP connect", &connections.tcp),
        ("TLS handshake", &connections.handshake),
        ("round trip", &summary.records.times.service),
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RunResults<'a> {
    run_summary: RunSummary<'a>,
    /// How many requests there were, by URL and method.
    endpoint_summary: BTreeMap<&'a str, BTreeMap<&'a str, u64>>,
    endpoint_details: BTreeMap<&'a str, EndpointDetail<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RunSummary<'a> {
    rqst_rate_per_sec: f64,
    run_duration_nanos: Nanos,
    interrupted: bool,
    rqst_stats: RqstStats,
    #[serde(rename = "HTTPStatusDist")]
    http_status_dist: BTreeMap<u16, u64>,
    /// By cause.
    failures: BTreeMap<String, HeyyallFailure<'a>>,
    rqst_histogram: Vec<HeyyallBin>,
    #[serde(rename = "DNSLookupNanos")]
    dns_lookup_nanos: Option<HeyyallTimes>,
    #[serde(rename = "TCPConnSetupNanos")]
    tcp_conn_setup_nanos: Option<HeyyallTimes>,
    rqst_round_trip_nanos: Option<HeyyallTimes>,
    #[serde(rename = "TLSHandshakeNanos")]
    tls_handshake_nanos: Option<HeyyallTimes>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HeyyallFailure<'a> {
    rqsts: u64,
    example: &'a str,
}

/// A bin of the histogram.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HeyyallBin {
    up_to_nanos: Nanos,
    rqsts: u64,
}

#[derive(Serialize)]
struct EndpointDetail<'a> {
    #[serde(rename = "URL")]
    url: &'a str,
    #[serde(rename = "HTTPMethodStatusDist")]
    statuses: BTreeMap<&'a str, BTreeMap<u16, u64>>,
    #[serde(rename = "HTTPMethodRqstStats")]
    stats: BTreeMap<&'a str, RqstStats>,
}

/// What heyyall has of the run and of each method of an endpoint.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RqstStats {
    /// Those that were answered completely.
    total_rqsts: u64,
    succeeded_rqsts: u64,
    /// Those that were due, and did not succeed.
    failed_rqsts: u64,
    total_request_duration_nanos: Option<u64>,
    max_rqst_duration_nanos: Option<Nanos>,
    /// What the bins of the same width span, if the histogram is normalized.
    normalized_max_rqst_duration_nanos: Option<Nanos>,
    min_rqst_duration_nanos: Option<Nanos>,
    avg_rqst_duration_nanos: Option<u64>,
    rqst_duration_percentiles_nanos: Option<BTreeMap<&'static str, Nanos>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HeyyallTimes {
    min: Nanos,
    #[serde(flatten)]
    percentiles: BTreeMap<&'static str, Nanos>,
    max: Nanos,
}

fn percentiles(times: &Histogram<u64>) -> BTreeMap<&'static str, Nanos> {
    PERCENTILES.iter().map(|(name, quantile)| (*name, times.value_at_quantile(*quantile))).collect()
}

impl HeyyallTimes {
    fn of(times: &Histogram<u64>) -> Option<Self> {
        (!times.is_empty()).then(|| Self {
            min: times.min(),
            percentiles: percentiles(times),
            max: times.max(),
        })
    }
}

impl RqstStats {
    fn of(call: &HeyyallMethod<'_>, report: Report<'_>) -> Self {
        let times = Some(call.response).filter(|times| !times.is_empty());
        let average = times.map(|times| contract::quantity::rounded(times.mean()));
        let total = times.map(|times| contract::quantity::rounded(times.mean() * times.len() as f64));
        let is_normalized = report.normalization.is_some();
        let span = times.filter(|_| is_normalized).map(|times| normalized::span(times, report.normalization));
        Self {
            total_rqsts: call.completed,
            succeeded_rqsts: call.succeeded,
            failed_rqsts: call.offered.saturating_sub(call.succeeded),
            total_request_duration_nanos: total,
            max_rqst_duration_nanos: times.map(Histogram::max),
            normalized_max_rqst_duration_nanos: span,
            min_rqst_duration_nanos: times.map(Histogram::min),
            avg_rqst_duration_nanos: average,
            rqst_duration_percentiles_nanos: times.map(percentiles),
        }
    }
}

impl<'a> RunSummary<'a> {
    fn of(report: Report<'a>) -> Self {
        let summary = report.summary;
        let run = whole(summary);
        let failure = |(cause, seen): (Cause, &'a Seen)| {
            (cause.to_string(), HeyyallFailure { rqsts: seen.count, example: &seen.example })
        };
        let bins = normalized::bins(run.response, report.normalization);
        let bin = |bin: normalized::NormalizedBin| HeyyallBin { up_to_nanos: bin.up_to, rqsts: bin.count };
        let [dns, tcp, tls, round_trip] = network(summary).map(|(_, times)| HeyyallTimes::of(times));
        Self {
            rqst_rate_per_sec: summary.achieved_rate(),
            run_duration_nanos: nanos(summary.elapsed),
            interrupted: summary.interrupted,
            rqst_stats: RqstStats::of(&run, report),
            http_status_dist: run.statuses,
            failures: summary.records.failures.iter().map(failure).collect(),
            rqst_histogram: bins.into_iter().map(bin).collect(),
            dns_lookup_nanos: dns,
            tcp_conn_setup_nanos: tcp,
            rqst_round_trip_nanos: round_trip,
            tls_handshake_nanos: tls,
        }
    }
}

impl<'a> RunResults<'a> {
    fn of(report: Report<'a>, endpoints: &'a [HeyyallEndpoint]) -> Self {
        let mut results = Self {
            run_summary: RunSummary::of(report),
            endpoint_summary: BTreeMap::new(),
            endpoint_details: BTreeMap::new(),
        };
        for call in calls(report.summary, endpoints) {
            let stats = RqstStats::of(&call, report);
            results.endpoint_summary.entry(call.url).or_default().insert(call.method, call.completed);
            let detail = results.endpoint_details.entry(call.url).or_insert_with(|| EndpointDetail {
                url: call.url,
                statuses: BTreeMap::new(),
                stats: BTreeMap::new(),
            });
            detail.statuses.insert(call.method, call.statuses);
            detail.stats.insert(call.method, stats);
        }
        results
    }
}
