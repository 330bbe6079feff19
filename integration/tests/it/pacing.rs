//! Open loop: when requests arrive, and what a server that stands still does to the times.

use std::time::Duration;

use integration::{
    binaries::{ServerProcess, command, loadgen_report},
    client::{Protocol, Request, fetch},
    metrics::{Metrics, REQUESTS},
    peers::{Record, in_place},
    process::{Finished, Process},
    report::Report,
    server::Server,
};
use rustix::process::Signal;

tests!(alone);

const RATE: usize = 200;
const TOTAL: usize = 400;

async fn arrivals_are_evenly_spread(protocol: Protocol) {
    assert_even(protocol, &[]);
}

async fn arrivals_stay_even_across_workers() {
    assert_even(Protocol::Http1, &["--workers", "2", "-c", "2"]);
}

/// Most arrivals are in their place. Of bursts of a tenth of a second, a quarter would be; a busy machine
/// delays some, which is no burst.
fn assert_even(protocol: Protocol, args: &[&str]) {
    let record = Record::start(protocol);
    let scheme = if protocol == Protocol::Http1 { "http" } else { "h2c" };
    let url = format!("{scheme}://{}/", record.peer.address);
    let (rate, total) = (RATE.to_string(), TOTAL.to_string());
    let report = loadgen_report(&[&["-r", &rate, "-t", &total], args, &[&url]].concat());
    report.assert_all_succeeded(TOTAL as u64);
    let arrivals = record.arrivals();
    assert_eq!(arrivals.len(), TOTAL);
    let in_place = in_place(&arrivals, RATE as f64, Duration::from_millis(10));
    assert!(
        in_place >= TOTAL * 3 / 4,
        "only {in_place} of {TOTAL} arrivals are in their place: {arrivals:?}"
    );
}

async fn a_frozen_server_shows_in_response_time(protocol: Protocol) {
    let scheme = if protocol == Protocol::Http1 { "http" } else { "h2c" };
    let report = frozen_for_a_second(scheme, &["-r", "200", "-t", "600"]).await;
    report.assert_all_succeeded(600);
    // About 200 requests were due while it stood still, and waited from a second down to nothing.
    let response = |name: &str| report.number(&format!("/response_time_us/{name}/response"));
    let stall = report.json()["longest_stall"]["seconds"].as_f64();
    assert!(stall.is_some_and(|seconds| (0.9..3.0).contains(&seconds)), "{stall:?}");
    assert!(
        report.number("/successful_response_time_us/max") >= 900_000,
        "{:#}",
        report.json()["response_time_us"]
    );
    assert!(response("p90") >= 400_000, "{:#}", report.json()["response_time_us"]);
    assert!(response("p50") < 400_000, "{:#}", report.json()["response_time_us"]);
    let lag = report.number("/release_lag_us/p90");
    assert!(lag < 100_000, "arrivals went on while the server stood still, {lag}");
}

async fn a_frozen_server_does_not_show_in_the_service_time_of_others() {
    let report =
        frozen_for_a_second("http", &["-r", "200", "-t", "600", "-c", "2", "--fixed-connections"]).await;
    report.assert_all_succeeded(600);
    // Two requests were on the wire; those that waited for a connection are distinguished from those.
    let number = |pointer: &str| report.number(pointer);
    assert!(number("/response_time_us/p90/response") >= 400_000, "{:#}", report.json());
    assert!(number("/wait_time_us/p90") >= 300_000, "{:#}", report.json());
    assert!(number("/service_time_us/max") >= 900_000, "{:#}", report.json());
    assert!(number("/service_time_us/p95") < 200_000, "{:#}", report.json());
}

/// A run against a server that is stopped for a second once it has answered a hundred requests.
async fn frozen_for_a_second(scheme: &str, args: &[&str]) -> Report {
    let (server, other) = (ServerProcess::start(&[]), Server::start());
    let url = format!("{scheme}://{}/bin/100", server.http);
    let run = Process::start(command("loadgen").args(["--no-progress", "-o", "json"]).args(args).arg(url));
    Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &[]) >= 100).await;
    server.signal(Signal::STOP);
    // It stands still for as long as another server takes for its reply.
    let reply = fetch(Protocol::Http1, other.http, Request::get("/delay/1000")).await;
    assert_eq!(reply.status, 200);
    server.signal(Signal::CONT);
    let finished: Finished = run.finish(Duration::from_secs(30));
    assert_eq!(finished.code, Some(0), "{finished}");
    Report::parse(&finished.stdout)
}
