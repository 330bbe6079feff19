//! The generator's accounting against the server's: the same numbers, to the last request.

use integration::{
    binaries::loadgen_report,
    cases::{Cases, block_on},
    client::Protocol,
    metrics::{Metrics, REQUESTS},
    server::Server,
};

tests!();

fn rows() -> Cases {
    let mut cases = Cases::new();
    for shape in SHAPES {
        cases = cases.named(format!("counts::{}", shape.name), move || block_on(is_exact(shape)));
    }
    cases
}

struct Shape {
    name: &'static str,
    scheme: &'static str,
    args: &'static [&'static str],
    total: u64,
    server: &'static [&'static str],
}

const fn shape(name: &'static str, scheme: &'static str, args: &'static [&'static str], total: u64) -> Shape {
    Shape { name, scheme, args, total, server: &[] }
}

const SHAPES: [Shape; 20] = [
    shape("one_request", "http", &["-n", "1"], 1),
    shape("one_request_over_h2c", "h2c", &["-n", "1"], 1),
    shape("fewer_requests_than_connections", "http", &["-n", "7", "-c", "50"], 7),
    shape("fewer_requests_than_streams", "h2c", &["-n", "7", "-c", "3", "-m", "100"], 7),
    shape("a_closed_loop", "http", &["-n", "3001", "-c", "7"], 3001),
    shape("a_closed_loop_over_h2c", "h2c", &["-n", "3001", "-c", "3", "-m", "7"], 3001),
    shape("two_workers", "http", &["-n", "2999", "-c", "5", "--workers", "2"], 2999),
    shape("two_workers_over_h2c", "h2c", &["-n", "2999", "-c", "5", "--workers", "2"], 2999),
    shape("more_workers_than_requests", "http", &["-n", "3", "--workers", "4", "-c", "4"], 3),
    shape("a_rate", "http", &["-r", "1000", "-t", "777"], 777),
    shape("a_rate_over_h2c", "h2c", &["-r", "1000", "-t", "777"], 777),
    shape("a_rate_below_the_workers", "http", &["-r", "3", "-t", "4", "--workers", "2"], 4),
    shape("a_rate_that_is_a_fraction", "h2c", &["-r", "333.3", "-t", "100", "--workers", "2"], 100),
    shape("a_rate_beyond_one_connection", "http", &["-r", "3000", "-t", "2000", "-c", "1"], 2000),
    shape("fixed_connections", "http", &["-r", "2000", "-t", "1500", "-c", "2", "--fixed-connections"], 1500),
    shape("one_stream_at_a_time", "h2c", &["-r", "1000", "-t", "500", "-c", "1", "-m", "1"], 500),
    shape("a_rate_and_a_longer_duration", "h2c", &["-r", "500", "-t", "250", "-d", "30s"], 250),
    shape("bodies", "http", &["-r", "500", "-t", "300", "-X", "POST", "-b", "some body"], 300),
    shape("bodies_over_h2c", "h2c", &["-r", "500", "-t", "300", "-X", "POST", "-b", "some body"], 300),
    Shape {
        name: "a_server_with_few_streams",
        scheme: "h2c",
        args: &["-n", "1000", "-c", "2", "-m", "50"],
        total: 1000,
        server: &["--max-streams=3"],
    },
];

async fn is_exact(shape: Shape) {
    let server = Server::with(shape.server);
    let url = format!("{}://{}/bin/100", shape.scheme, server.http);
    let report = loadgen_report(&[shape.args, &[&url]].concat());
    report.assert_all_succeeded(shape.total);
    assert_eq!(counted(&server, shape.total).await, shape.total);
}

async fn statuses_are_counted_by_their_class(protocol: Protocol) {
    let server = Server::start();
    for (status, class) in [
        (200, "succeeded"),
        (204, "succeeded"),
        (301, "redirects"),
        (404, "client_errors"),
        (503, "server_errors"),
    ] {
        let url = format!("{}://{}/status/{status}", scheme(protocol), server.http);
        let report = loadgen_report(&["-n", "50", "-c", "3", &url]);
        assert_eq!((report.requests("completed"), report.requests(class)), (50, 50), "{status}");
        let codes = &report.json()["status_codes"];
        assert_eq!(codes[status.to_string()], 50, "{codes:#}");
        let metrics =
            Metrics::until(server.admin, |m| m.sum(REQUESTS, &[("status", &status.to_string())]) >= 50);
        assert_eq!(metrics.await.sum(REQUESTS, &[("status", &status.to_string())]), 50);
    }
}

async fn a_run_limited_by_duration_sends_every_offered_request(protocol: Protocol) {
    let server = Server::start();
    let url = format!("{}://{}/delay/50", scheme(protocol), server.http);
    // The last replies come after the end of the arrivals, and are awaited.
    for load in [&["-r", "200"][..], &["-c", "5"]] {
        let before = counted(&server, 0).await;
        let report = loadgen_report(&[load, &["-d", "700ms", &url]].concat());
        let offered = report.requests("offered");
        assert!(offered > 0);
        report.assert_all_succeeded(offered);
        assert_eq!(counted(&server, before + offered).await - before, offered);
        if load[0] == "-r" {
            assert!((139..=141).contains(&offered), "0.7 s of 200/s are 140 arrivals, not {offered}");
        }
    }
}

/// The server ends each connection after a while (`Connection: close`, GOAWAY). What crosses such an end is
/// retried, and none of it is served twice.
async fn closing_aged_connections_loses_no_request(protocol: Protocol) {
    let server = Server::with(&["--max-connection-age=200ms"]);
    let url = format!("{}://{}/bin/100", scheme(protocol), server.http);
    let report = loadgen_report(&["-r", "500", "-t", "1000", "-c", "4", &url]);
    for name in ["offered", "sent", "completed", "succeeded"] {
        assert_eq!(report.requests(name), 1000, "{name}: {:#}", report.json());
    }
    assert_eq!(counted(&server, 1000).await, 1000);
    let metrics = server.metrics().await;
    let connections = metrics.sum("dummy_server_connections_total", &[]);
    assert!(connections >= 4 * 5, "two seconds are many ages, and not {connections} connections");
}

/// What the server has counted, once that is at least `least`: a reply may be read before it is counted.
async fn counted(server: &Server, least: u64) -> u64 {
    Metrics::until(server.admin, |m| m.sum(REQUESTS, &[]) >= least).await.sum(REQUESTS, &[])
}

pub(crate) fn scheme(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "http",
        Protocol::Http2 => "h2c",
    }
}
