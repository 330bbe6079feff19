//! Open loop: when requests arrive, and what a server that stands still does to the times.

use std::{process::Command, time::Duration};

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
/// delays some, which is not a burst.
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

/// The time of `name` in the report's bands, in microseconds: the response time, and without loadgen's own delay.
fn band(report: &Report, name: &str) -> (u64, u64) {
    let at = |which: &str| report.number(&format!("/response_time_us/{name}/{which}"));
    (at("response"), at("without_own_delay"))
}

async fn a_generator_that_other_programs_starve_says_so_and_by_how_much() {
    let server = ServerProcess::start(&[]);
    let url = format!("http://{}/bin/100", server.http);
    // loadgen and the hogs share a CPU. They end by themselves, should this test be killed.
    let cpu = first_cpu().to_string();
    let hogs: Vec<_> = (0..4)
        .map(|_| {
            let hog = "end=$(($(date +%s) + 60)); while [ $(date +%s) -lt $end ]; do i=0; while [ $i -lt 100000 ]; \
                       do i=$((i+1)); done; done";
            Process::start(Command::new("taskset").args(["-c", &cpu, "sh", "-c", hog]))
        })
        .collect();
    let mut starved = Command::new("taskset");
    starved.args(["-c", &cpu, "nice", "-n", "5"]).arg(command("loadgen").get_program());
    starved.args(["--no-progress", "-o", "json", "-r", "500", "-d", "3s", "-c", "20", &url]);
    let run = Process::start(&mut starved);
    let finished = run.finish(Duration::from_secs(40));
    drop(hogs);
    assert_eq!(finished.code, Some(0), "{finished}");
    let report = Report::parse(&finished.stdout);
    report.assert_all_succeeded(1500);
    let said = format!("{:#}", report.json()["validity"]);
    assert!(said.contains("other programs had the CPU"), "{said}");
    assert_ne!(report.json()["valid_up_to"], "all", "{said}");
    // The band is as wide as the hogs' slices, a few milliseconds each.
    let (response, undelayed) = band(&report, "p99");
    assert!(response - undelayed > 1000, "{response} {undelayed}: {said}");
    // With one CPU, the hogs starve the server too.
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1) {
        assert_ne!(report.json()["limit"], "target", "{:#}", report.json()["verdict"]);
        assert_ne!(report.json()["limit"], "way", "{:#}", report.json()["verdict"]);
    }
}

/// One of those that this process may run on.
fn first_cpu() -> usize {
    let allowed = rustix::thread::sched_getaffinity(None).expect("the allowed CPUs");
    (0..rustix::thread::CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).expect("a CPU")
}

async fn a_starved_server_reports_that_it_was_and_loadgen_is_not_blamed(protocol: Protocol) {
    let scheme = if protocol == Protocol::Http1 { "http" } else { "h2c" };
    let args = ["-r", "200", "-t", "600", "-H", "x-dummy-timing: worker"];
    let report = frozen_after(10, scheme, &args).await;
    report.assert_all_succeeded(600);
    let longest = report.number("/dummy_server/load/longest_turn_lag_us");
    assert!(longest > 400_000, "its timers were up to a second late: {}", report.json()["dummy_server"]);
    let (response, undelayed) = band(&report, "p75");
    assert!(undelayed > response / 2, "the delay was not loadgen's: {undelayed} of {response}");
    assert_ne!(report.json()["limit"], "loadgen", "{:#}", report.json()["verdict"]);
    let p99 = |interval: usize| report.number(&format!("/intervals/{interval}/response_p99_us"));
    assert!(p99(0) > p99(2), "by when they were due: {} {}", p99(0), p99(2));
}

async fn a_target_that_stands_still_to_the_end_is_the_limit_in_either_loop() {
    for load in [["-r", "100", "-d", "2s"], ["-c", "4", "-d", "2s"]] {
        let server = ServerProcess::start(&[]);
        let url = format!("http://{}/delay/5", server.http);
        let flags = ["--no-progress", "-o", "json", "--timeout", "1s", &url];
        let run = Process::start(command("loadgen").args(load).args(flags));
        Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &[]) >= 20).await;
        server.signal(Signal::STOP);
        let finished = run.finish(Duration::from_secs(30));
        server.signal(Signal::CONT);
        let report = Report::parse(&finished.stdout);
        assert_eq!(report.json()["limit"], "target", "{load:?}: {:#}", report.json()["verdict"]);
        let said = report.json()["verdict"][1].as_str().expect("a sentence").to_owned();
        assert!(said.contains("stood still from ") && said.contains(" until the end"), "{said}");
    }
}

async fn a_slow_body_counts_to_its_last_byte(protocol: Protocol) {
    let server = ServerProcess::start(&[]);
    let scheme = if protocol == Protocol::Http1 { "http" } else { "h2c" };
    let url = format!("{scheme}://{}/bin/1M?dummy-rate=2M&dummy-timing=all", server.http);
    let report = loadgen_report(&["-n", "4", "-c", "4", "--streams", "1", &url]);
    report.assert_all_succeeded(4);
    assert_eq!(report.number("/body_bytes"), 4 << 20);
    assert!(report.number("/service_time_us/min") > 350_000, "{:#}", report.json()["service_time_us"]);
    // The server's part ends with the last byte too.
    assert!(report.number("/dummy_server/in_server_us") > 350_000, "{:#}", report.json()["dummy_server"]);
}

async fn a_request_waits_until_its_own_head_is_written_and_not_for_bodies(protocol: Protocol) {
    let server = ServerProcess::start(&[]);
    let scheme = if protocol == Protocol::Http1 { "http" } else { "h2c" };
    let url = format!("{scheme}://{}/upload?dummy-read-rate=1M", server.http);
    let body = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(body.path(), "x".repeat(512 << 10)).expect("it can be written");
    let body = body.path().to_str().expect("it is text");
    let (connections, streams) = if protocol == Protocol::Http1 { ("3", "1") } else { ("1", "3") };
    let report =
        loadgen_report(&["-n", "3", "-c", connections, "--streams", streams, "--body-file", body, &url]);
    report.assert_all_succeeded(3);
    let (wait, service) = (report.number("/wait_time_us/max"), report.number("/service_time_us/min"));
    assert!(service > 300_000 && wait < service / 2, "wait {wait}, service {service}");
}

/// A run against a server that is stopped for a second once it has answered a hundred requests.
async fn frozen_for_a_second(scheme: &str, args: &[&str]) -> Report {
    frozen_after(100, scheme, args).await
}

/// A run against a server that is stopped for a second once it has `answered` that many requests.
async fn frozen_after(answered: u64, scheme: &str, args: &[&str]) -> Report {
    let (server, other) = (ServerProcess::start(&[]), Server::start());
    let url = format!("{scheme}://{}/bin/100", server.http);
    let run = Process::start(command("loadgen").args(["--no-progress", "-o", "json"]).args(args).arg(url));
    Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &[]) >= answered).await;
    server.signal(Signal::STOP);
    // It stands still for as long as another server takes for its reply.
    let reply = fetch(Protocol::Http1, other.http, Request::get("/delay/1000")).await;
    assert_eq!(reply.status, 200);
    server.signal(Signal::CONT);
    let finished: Finished = run.finish(Duration::from_secs(30));
    assert_eq!(finished.code, Some(0), "{finished}");
    Report::parse(&finished.stdout)
}
