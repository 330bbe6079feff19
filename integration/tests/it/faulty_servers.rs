//! loadgen against servers that break the rules: it ends, and every request has exactly one fate.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use integration::{
    binaries::{command, loadgen, loadgen_report},
    cases::Cases,
    client::{Client, Exchange, Protocol, Request},
    peers::{BadHttp1, BadHttp2, Record, bad_http1, bad_http2},
    process::Process,
    report::Report,
};
use tokio::net::TcpStream;

tests!();

fn rows() -> Cases {
    let mut cases = Cases::new();
    for how in BadHttp1::ALL {
        cases = cases.named(format!("faulty_servers::http1::{how:?}"), move || {
            let peer = bad_http1(how);
            assert_accounted(&format!("http://{}/", peer.address), how == BadHttp1::NeverAnswers);
            assert!(peer.connections() > 0);
        });
    }
    for how in BadHttp2::ALL {
        cases = cases.named(format!("faulty_servers::http2::{how:?}"), move || {
            let peer = bad_http2(how);
            assert_accounted(&format!("h2c://{}/", peer.address), false);
            assert!(peer.connections() > 0);
        });
    }
    cases
}

const TOTAL: u64 = 20;

/// A run without one success ends in time, open and closed loop, and has failed with `--fail-on-error` too.
fn assert_accounted(url: &str, only_timeouts: bool) {
    for load in [&["-r", "400"][..], &["-c", "3"]] {
        // A connection that does not come about has failed before the run is over.
        let args = [load, &["-t", "20", "--timeout", "500ms", "--connect-timeout", "250ms", url]].concat();
        let report = loadgen_report(&args);
        assert_eq!(
            (report.requests("offered"), report.requests("completed")),
            (TOTAL, 0),
            "{:#}",
            report.json()
        );
        if only_timeouts {
            assert_eq!(report.requests("timed_out"), TOTAL, "{:#}", report.json());
        }
        assert_failures_add_up(&report);
    }
    let finished = loadgen(&["--no-progress", "--fail-on-error", "-t", "2", "--timeout", "500ms", url]);
    assert_eq!(finished.code, Some(1), "{finished}");
}

/// Each failed request is counted under one cause.
fn assert_failures_add_up(report: &Report) {
    let failures = report.json()["failures"].as_array().expect("failures are a list");
    let counted: u64 = failures.iter().map(|failure| failure["count"].as_u64().expect("a count")).sum();
    let failed = ["transport_failed", "timed_out"].iter().map(|name| report.requests(name)).sum::<u64>();
    assert!(failed == 0 || counted >= failed, "{counted} of {failed}: {:#}", report.json());
    assert!(counted > 0, "a run without success has a cause: {:#}", report.json());
}

async fn each_faulty_peer_makes_a_correct_client_fail() {
    for how in BadHttp1::ALL.into_iter().filter(|how| *how != BadHttp1::NeverAnswers) {
        let peer = bad_http1(how);
        let reply = attempt(Protocol::Http1, peer.address).await;
        assert!(reply.is_err(), "{how:?}: {reply:?}");
    }
    for how in BadHttp2::ALL.into_iter().filter(|how| *how != BadHttp2::NeverAnswers) {
        let peer = bad_http2(how);
        let reply = attempt(Protocol::Http2, peer.address).await;
        assert!(reply.is_err(), "{how:?}: {reply:?}");
    }
}

async fn attempt(protocol: Protocol, address: SocketAddr) -> anyhow::Result<Exchange> {
    let mut client = Client::on(protocol, TcpStream::connect(address).await?).await?;
    client.try_exchange(&Request::get("/")).await
}

async fn the_recording_peer_answers_and_counts(protocol: Protocol) {
    let record = Record::start(protocol);
    let mut client = Client::connect(protocol, record.peer.address).await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!((record.arrivals().len(), record.peer.connections()), (10, 1));
}

fn refused_connections_fail_every_request() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound port");
    drop(listener);
    for scheme in ["http", "h2c"] {
        let report = loadgen_report(&["-t", "20", "-r", "400", &format!("{scheme}://{address}/")]);
        assert_eq!((report.requests("offered"), report.requests("completed")), (TOTAL, 0));
        let failures = report.json()["failures"].to_string();
        assert!(failures.contains("refused"), "{failures}");
    }
}

fn timeouts_count_as_at_least_their_duration() {
    let peer = bad_http1(BadHttp1::NeverAnswers);
    let url = format!("http://{}/", peer.address);
    let report = loadgen_report(&["-t", "10", "-r", "100", "--timeout", "700ms", &url]);
    assert_eq!(report.requests("timed_out"), 10);
    assert!(
        report.number("/response_time_us/p50/response") >= 690_000
            && report.json()["response_time_us"]["p50"]["at_least"] == true,
        "{:#}",
        report.json()["response_time_us"]
    );

    // What had no time to time out when the run was cut short is unanswered, not lost.
    let run = Process::start(command("loadgen").args(["-r", "100", "-d", "500ms", "--timeout", "1s", &url]));
    let finished = run.finish(Duration::from_secs(20));
    assert_eq!(finished.code, Some(1), "{finished}");
}
