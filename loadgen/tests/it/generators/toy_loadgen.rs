//! toy-loadgen's words are loadgen's own: `--rate RATE --total TOTAL ADDRESS`.

use std::time::Duration;

#[cfg(feature = "embedded")]
use super::Dummy;
use super::{assert_refused, server, typed};
use crate::peer::{closed_port, read_request, serve};

#[cfg(feature = "embedded")]
#[test]
fn rate_and_total_are_sent_over_few_http2_connections_without_tls() {
    let server = Dummy::start();
    let (_, port) =
        server.address().rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    let mut sent = 0;
    for line in [
        format!("--rate 400 --total 200 localhost:{port}"),
        format!("-r 400 -t 200 127.0.0.1:{port}"),
        format!("-r 400 -t 200 -c 1 127.0.0.1:{port}"),
    ] {
        let opened = server.counted("connections", &[]);
        let ran = typed(&line);
        sent += 200;
        assert!(ran.code == Some(0) && ran.out.contains(" over h2c\n"), "{line}: {ran:?}");
        assert_eq!(
            server.counted("requests", &["endpoint=\"echo\"", "protocol=\"HTTP/2\"", "status=\"200\""]),
            sent,
            "{line}"
        );
        let opened = server.counted("connections", &[]) - opened;
        assert!(opened <= if line.contains("-c 1") { 1 } else { 10 }, "{line}: {opened} connections");
    }
    assert_eq!(server.counted("requests", &[]), sent);
}

#[cfg(feature = "embedded")]
#[test]
fn a_request_ends_when_its_whole_body_has_been_read() {
    let server = Dummy::start();
    let ran = typed(&format!("-r 100 -t 20 -o json {}/bin/1M", server.address()));
    let report = ran.json();
    assert_eq!((&report["requests"]["succeeded"], &report["body_bytes"]), (&20.into(), &(20 << 20).into()));
    assert_eq!(server.counted("requests", &["endpoint=\"bin\""]), 20);
}

#[cfg(feature = "embedded")]
#[test]
fn a_5xx_is_an_error() {
    let server = Dummy::start();
    let ran = typed(&format!("-r 500 -t 30 -o json {}/status/503", server.address()));
    let report = ran.json();
    assert_eq!((ran.code, &report["requests"]["server_errors"]), (Some(1), &30.into()));
    assert_eq!(server.counted("requests", &["status=\"503\""]), 30);
    let shown = typed(&format!("-r 500 -t 30 {}/status/500", server.address()));
    // Errors are in the report, once each with their number, and nothing else is written between.
    assert!(
        shown.out.contains("server errors (5xx)               30\n") && shown.err.is_empty(),
        "{shown:?}"
    );
}

#[test]
fn requests_that_fail_do_not_hang_the_run() {
    let ran = typed(&format!("-r 500 -t 25 -o json {}", closed_port()));
    assert_eq!((ran.code, &ran.json()["requests"]["transport_failed"]), (Some(1), &25.into()));
    let silent = serve(|_, mut stream| while read_request(&mut stream).is_some() {});
    let ran = typed(&format!("-r 500 -t 5 --timeout 300ms -o json http://{}", silent.address));
    let report = ran.json();
    assert_eq!(
        (ran.code, &report["requests"]["timed_out"]),
        (Some(1), &5.into()),
        "a deadline for each request"
    );
}

#[test]
fn requests_are_spread_over_the_second() {
    let (peer, seen) = server();
    assert_eq!(typed(&format!("-r 20 -t 20 http://{}", peer.address)).code, Some(0));
    let mut times: Vec<_> = seen.requests().iter().map(|request| request.at).collect();
    times.sort_unstable();
    // The last is due 950 ms after the first; in a burst they would come together.
    let (first_half, all) = (times[10] - times[0], times[19] - times[0]);
    assert!(
        first_half > Duration::from_millis(150) && all > Duration::from_millis(500),
        "{first_half:?} of {all:?}"
    );
}

#[test]
fn queue_time_service_time_and_requests_in_flight_are_distinguished() {
    let (peer, _) = server();
    let ran = typed(&format!("-r 500 -t 50 -o json http://{}", peer.address));
    let report = ran.json();
    for times in ["response_time_us", "service_time_us", "wait_time_us", "release_lag_us"] {
        assert!(
            report[times]["p99_9"].is_number() || report[times]["p99_9"]["response"].is_number(),
            "{times}: {report:#}"
        );
    }
    assert!(report["mean_in_flight"].as_f64().unwrap() > 0.0);
}

#[test]
fn help_and_mistakes_are_printed() {
    assert!(typed("-h").out.contains("--rate"));
    assert_refused(&typed("--rate -5 --total 10 localhost:1"), "invalid value '-5' for --rate");
    assert_refused(&typed("--rate 5 --total 1.5 localhost:1"), "invalid value '1.5' for --total");
    assert_refused(&typed("--rate 5 --total 10 localhost"), "the port is missing");
    assert_refused(&typed("--rate 5 --total 10"), "no target");
}
