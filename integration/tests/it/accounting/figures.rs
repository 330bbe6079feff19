//! What adds up in every report.

use integration::report::Report;
use serde_json::Value;

/// Asserts the identities of a report beyond those that hold for each one that is read.
pub(super) fn assert_adds_up(report: &Report) {
    let json = report.json();
    let count = |name: &str| report.requests(name);
    let unsuccessful = count("offered") - count("succeeded");
    let failed = count("transport_failed") + count("timed_out");
    let errors = count("server_errors") + count("call_errors") + failed;
    for (name, expected) in [
        ("offered", count("offered")),
        ("completed", count("completed")),
        ("unsuccessful", unsuccessful),
        ("errors", errors),
    ] {
        assert_eq!(of_each(&json["intervals"], name), expected, "intervals: {name}: {json:#}");
    }
    // Messages have no status.
    let statuses = if json["websocket"].is_null() { count("completed") } else { 0 };
    assert_eq!(of_all(&json["status_codes"]), statuses, "statuses: {json:#}");
    assert_eq!(of_each(&json["failures"], "count"), failed, "failures: {json:#}");
    if !json["requests_by_name"].as_array().expect("a list").is_empty() {
        for (name, expected) in [
            ("offered", count("offered")),
            ("completed", count("completed")),
            ("succeeded", count("succeeded")),
            ("failed", unsuccessful),
        ] {
            assert_eq!(of_each(&json["requests_by_name"], name), expected, "names: {name}: {json:#}");
        }
    }
    if !json["grpc"].is_null() {
        assert_eq!(of_all(&json["grpc"]["statuses"]), count("completed"), "{json:#}");
        assert_eq!(of_each(&json["grpc"]["errors"], "count"), count("call_errors"), "{json:#}");
    }
    if !json["websocket"].is_null() {
        let ended = report.number("/websocket/lost") + report.number("/websocket/wrong");
        // Those that fail with the handshake were never sent, and are not lost.
        assert!(ended <= count("sent") - count("succeeded"), "{json:#}");
    }
    let warmup = &json["warmup"];
    if !warmup.is_null() {
        let sum = |names: &[&str]| names.iter().map(|name| number(&warmup[*name])).sum::<u64>();
        assert_eq!(sum(&["offered"]), sum(&["sent", "dropped", "not_sent"]), "{warmup:#}");
        let ends = ["completed", "transport_failed", "timed_out", "unanswered"];
        assert_eq!(sum(&["sent"]), sum(&ends), "{warmup:#}");
        let classes = ["succeeded", "redirects", "client_errors", "server_errors", "call_errors"];
        assert_eq!(sum(&["completed"]), sum(&classes), "{warmup:#}");
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no count: {value}"))
}

/// The sum of a count over a list.
fn of_each(list: &Value, name: &str) -> u64 {
    list.as_array().expect("a list").iter().map(|one| number(&one[name])).sum()
}

/// The sum of an object's counts.
fn of_all(counts: &Value) -> u64 {
    counts.as_object().expect("counts by name").values().map(number).sum()
}
