//! What happened to requests: counts, by name and by server, and what failed.

use serde::Serialize;

use super::times::{JsonTimes, micros};
use crate::{recorder, summary::Summary};

#[derive(Serialize)]
pub(super) struct JsonRequests {
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

impl JsonRequests {
    pub(super) fn of(counts: &recorder::Counts) -> Self {
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

/// What happened to one of several requests.
#[derive(Serialize)]
pub(super) struct JsonRequestRecords<'a> {
    name: &'a str,
    offered: u64,
    completed: u64,
    succeeded: u64,
    failed: u64,
    unmet: u64,
    successful_response_time_us: Option<JsonTimes>,
}

pub(super) fn requests(summary: &Summary) -> Vec<JsonRequestRecords<'_>> {
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

#[derive(Serialize)]
pub(super) struct JsonFailure<'a> {
    cause: String,
    count: u64,
    example: &'a str,
    request_id: &'a str,
}

pub(super) fn failures(summary: &Summary) -> Vec<JsonFailure<'_>> {
    let all = summary.records.failures.iter();
    all.map(|(cause, seen)| JsonFailure {
        cause: cause.to_string(),
        count: seen.count,
        example: &seen.example,
        request_id: &seen.request_id,
    })
    .collect()
}

/// Replies that were not as the plan expects.
#[derive(Serialize)]
pub(super) struct JsonUnmet<'a> {
    expected: &'a str,
    count: u64,
    example: &'a str,
    request_id: &'a str,
}

pub(super) fn unmet(summary: &Summary) -> Vec<JsonUnmet<'_>> {
    let all = summary.records.unmet.iter();
    all.map(|(expected, seen)| JsonUnmet {
        expected,
        count: seen.count,
        example: &seen.example,
        request_id: &seen.request_id,
    })
    .collect()
}

#[derive(Serialize)]
pub(super) struct JsonBackend<'a> {
    instance: &'a str,
    completed: u64,
    p50_us: f64,
    p99_us: f64,
}

pub(super) fn backends(summary: &Summary) -> Vec<JsonBackend<'_>> {
    let all = summary.records.backends.sorted().into_iter();
    all.map(|backend| JsonBackend {
        instance: &backend.name,
        completed: backend.response.len(),
        p50_us: micros(backend.response.value_at_quantile(0.5)),
        p99_us: micros(backend.response.value_at_quantile(0.99)),
    })
    .collect()
}
