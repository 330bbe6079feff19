//! Where the time of verified requests goes: what a proxy holds back on one way is reported as that way's.

use std::time::Duration;

use integration::{
    binaries::loadgen,
    planted::{Fault, Planted},
    report::Report,
    server::Server,
};

tests!();

const SENT: u64 = 300;
const HELD: Duration = Duration::from_millis(3);

/// Of verified requests through a proxy that does this to each, and the median of how long it has held them, in microseconds.
fn through(fault: Fault, scheme: &str) -> (Report, f64) {
    let server = Server::with(&["--workers=2"]);
    let planted = Planted::start(server.http, move |_| fault);
    let address = if fault == Fault::None { server.http } else { planted.address };
    let (total, url) = (SENT.to_string(), format!("{scheme}://{address}/bin/10K"));
    let finished = loadgen(&["--no-progress", "-o", "json", "--zero-loss", "-c", "4", "-n", &total, &url]);
    assert_eq!(finished.code, Some(0), "{finished}");
    let mut held = planted.held();
    held.sort_unstable();
    let median = held.get(held.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    (Report::parse(&finished.stdout), median.as_secs_f64() * 1e6)
}

fn figure(report: &Report, pointer: &str) -> f64 {
    let found = report.json().pointer(&format!("/verify/time{pointer}"));
    found
        .and_then(serde_json::Value::as_f64)
        .unwrap_or_else(|| panic!("{pointer}: {:#}", report.json()["verify"]))
}

/// Each part is of all requests, and their means add up to that of the whole.
fn assert_adds_up(report: &Report) {
    for part in ["/ways/there_us", "/server_us", "/ways/back_us"] {
        assert_eq!(report.number(&format!("/verify/time{part}/count")), SENT, "{part}");
    }
    assert_eq!(report.number("/verify/time/outside_us/count"), 0, "the ways of all are distinguished");
    assert_eq!(report.number("/verify/time/impossible"), 0);
    assert_eq!(report.number("/verify/time/untold"), 0);
    let mean = |part: &str| figure(report, &format!("{part}/mean"));
    let parts = mean("/ways/there_us") + mean("/server_us") + mean("/ways/back_us");
    let whole = report.json().pointer("/mean_time_us/service").and_then(serde_json::Value::as_f64).unwrap();
    assert!((parts - whole).abs() < 0.01, "{parts} us of {whole}");
}

fn what_is_held_on_one_way_is_a_part_of_that_way() {
    // The proxy has it for a part of the way, so the median of the way is at least that, on any machine.
    let (report, held) = through(Fault::HoldRequest(HELD), "http");
    assert_adds_up(&report);
    assert!(held >= 3000.0 && figure(&report, "/ways/there_us/p50") >= held, "{held} us");
    let (report, held) = through(Fault::HoldReply(HELD), "http");
    assert_adds_up(&report);
    assert!(held >= 3000.0 && figure(&report, "/ways/back_us/p50") >= held, "{held} us");
}

fn the_server_s_own_time_is_neither_way_s() {
    for scheme in ["http", "h2c"] {
        let server = Server::with(&["--workers=2"]);
        let url = format!("{scheme}://{}/delay/20", server.http);
        let total = SENT.to_string();
        let finished =
            loadgen(&["--no-progress", "-o", "json", "--zero-loss", "-c", "40", "-n", &total, &url]);
        assert_eq!(finished.code, Some(0), "{finished}");
        let report = Report::parse(&finished.stdout);
        assert_adds_up(&report);
        assert!(figure(&report, "/server_us/p50") >= 20_000.0, "{scheme}");
    }
}

fn the_text_names_the_ways() {
    let server = Server::start();
    let url = format!("http://{}/bin/1K", server.http);
    for format in ["text", "markdown"] {
        let finished = loadgen(&["--no-progress", "-o", format, "--verify", "-n", "50", &url]);
        let words: Vec<_> = finished.stdout.split_whitespace().collect();
        let text = words.join(" ");
        for part in [
            "the way there took",
            "the server",
            "the way back",
            "(50 requests, by the clock that both ends share)",
        ] {
            assert!(text.contains(part), "{part}: {finished}");
        }
    }
}
