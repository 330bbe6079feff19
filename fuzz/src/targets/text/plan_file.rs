//! loadgen's plans: what is accepted has numbers within bounds, and a mistake is reported in one line with its place. Files that
//! a plan names are not read.

use std::path::Path;

use contract::quantity::LONGEST_TIME;
use loadgen::plan::{Builder, MAX_LOADS, Plan, PlanError, file::PlanFile, load};

use super::text;
use crate::feedback::met;

/// Words that plans are made of.
pub const WORDS: &[&[u8]] = &[
    b"target: a:1\n",
    b"targets: [a:1]\n",
    b"target: grpc://a:1\n",
    b"path: /a.B/C\n",
    b"deadline: 1s\n",
    b"grpc_encoding: gzip\n",
    b"messages: 2\n",
    b"message_interval: 1s\n",
    b"raw_message: true\n",
    b"seed: 1\n",
    b"defaults:\n  ",
    b"requests:\n- ",
    b"\n- ",
    b"\n  ",
    b"load: {",
    b"loads:\n- ",
    b"loads: [{name: a}, {name: b}]\n",
    b"name: c\n",
    b"start: 1s\n",
    b"requests: [a]\n",
    b"thresholds: [rate>1]\n",
    b"}",
    b"[",
    b"]",
    b"rate: 1\n",
    b"total: 1\n",
    b"connections: 1\n",
    b"h2_stream_window: 1M\n",
    b"idle_connections: 1\n",
    b"pipeline: 2\n",
    b"follow: 2\n",
    b"targets: [{url: 'https://a', insecure: true, sni: b}]\n",
    b"tls_min_version: 1.3\n",
    b"recv_rate: 1K\n",
    b"send_rate: 1K\n",
    b"h2_connection_window: 1M\n",
    b"h2_max_frame_size: 1M\n",
    b"h2_header_table_size: 1M\n",
    b"path: /a\n",
    b"weight: 2\n",
    b"count: 3\n",
    b"headers: {a: b}\n",
    b"body: x\n",
    b"chunked: true\n",
    b"expect_continue: true\n",
    b"trailers: {a: b}\n",
    b"expect: {",
    b"status: 200\n",
    b"json: {$.a: 1}\n",
    b"size: 1-2\n",
    b"within: 1s\n",
    b"{{seq}}",
    b"&a ",
    b"*a",
    b"!a ",
    b"'",
    b"\"",
    b": ",
    b"|\n ",
    b"---\n",
    b"18446744073709551615",
];

/// Reads an input.
pub fn run(input: &[u8]) {
    let text = text(input);
    // Files and variables are not the text's.
    if ["file", "template", "rows", "env", "proto"].iter().any(|word| text.contains(word)) {
        return;
    }
    let file = match PlanFile::parse(&text, "p", Path::new("/nonexistent")) {
        Ok(file) => file,
        Err(error) => return refused(&error),
    };
    if !file.has_loads() {
        return built(file.builder(None).and_then(Builder::build));
    }
    assert!(file.builder(None).is_err(), "one of several would be run without the others");
    let loads = match file.several(None) {
        Ok(loads) => loads,
        Err(error) => return refused(&error),
    };
    assert!((1..=MAX_LOADS).contains(&loads.len()));
    for load in loads {
        assert!(load.thresholds.iter().all(|bound| bound.place.starts_with("p:")));
        let plan = load.builder.build();
        assert!(plan.as_ref().map_or(true, |plan| plan.load().name.is_some()), "each has a name");
        built(plan);
    }
}

fn built(plan: Result<Plan, PlanError>) {
    match plan {
        Ok(plan) => {
            let load = plan.load();
            assert!(!plan.requests().is_empty() && load.max_in_flight.get() <= load::MAX_IN_FLIGHT);
            assert!(plan.requests().iter().all(|request| request.path().starts_with('/')));
            assert!(load.start <= LONGEST_TIME);
            met((plan.requests().len(), load.total.is_some(), load.window().is_some(), load.start.is_zero()));
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &PlanError) {
    let said = error.to_string();
    assert!(said.lines().count() == 1 && said.contains("; accepted: "), "{said}");
    let kind: String = said.chars().filter(|c| !c.is_ascii_digit()).take(30).collect();
    met(kind);
}
