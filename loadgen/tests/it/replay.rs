//! Access logs that are replayed.

use std::{io::Write as _, sync::PoisonError, time::Duration};

use loadgen::{
    Plan, Run,
    plan::{Body, RequestOptions},
};

use crate::{
    mix::{ok, server},
    peer::finish,
};

/// A log of requests that began within 300 ms: all in one second, as the stamps say.
fn log(lines: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".log").tempfile().unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    file
}

#[test]
fn a_log_is_replayed_in_its_order_with_its_methods() {
    let lines = r#"{"start_time":"2026-11-27T12:00:00.300Z","method":"GET","path":"/third?x={{seq}}"}
127.0.0.1:4 - - [nonsense] "-" 400 0

{"start_time":"2026-11-27T12:00:00.000Z","method":"GET","path":"/first"}
2026-11-27T12:00:00.100000Z 127.0.0.1:4321 "POST /second HTTP/1.1" 200 1024 1.234ms "curl/8" "-" -
{"start_time":"2026-11-27T12:00:00.400Z","request":"DELETE /fourth HTTP/1.1"}
"#;
    for workers in [1, 2] {
        let (peer, seen) = server(false, |_| ok("ok"));
        let file = log(lines);
        let plan = Plan::builder(format!("http://{}", peer.address))
            .replay(file.path())
            .workers(workers)
            .body("b{{seq}}")
            .build()
            .unwrap();
        assert_eq!(
            (plan.skipped().lines, plan.skipped().first.as_ref().map(|(line, _)| *line)),
            (1, Some(2))
        );
        assert_eq!(plan.load().count(), Some(4));
        let summary = finish(Run::new(plan));
        assert_eq!(summary.records.counts.succeeded, 4);
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> = seen.iter().map(|request| request.lines().next().unwrap_or_default()).collect();
        let expected = [
            "GET /first HTTP/1.1",
            "POST /second HTTP/1.1",
            "GET /third?x={{seq}} HTTP/1.1",
            "DELETE /fourth HTTP/1.1",
        ];
        assert_eq!(lines, expected, "{workers}");
        assert!(seen[1].ends_with("b1") && !seen[0].contains("content-length"), "{seen:?}");
        let by_method: Vec<_> =
            summary.records.requests.iter().map(|of| (of.name.clone(), of.offered)).collect();
        assert_eq!(by_method, [("GET".to_owned(), 2), ("POST".to_owned(), 1), ("DELETE".to_owned(), 1)]);
        let due = |number: u64| summary.run.replay.clone().map(|said| (said, number));
        assert!(due(0).is_some_and(|(said, _)| said.ends_with(".log at 1x")), "{:?}", summary.run.replay);
        // The last one was due 400 ms after the first.
        assert!(summary.arrivals_lasted.as_millis() >= 400, "{:?}", summary.arrivals_lasted);
    }
}

#[test]
fn a_replay_ends_as_is_said_and_is_as_fast_as_is_said() {
    let line = |second: u64| {
        format!("::1 - - [27/Nov/2026:12:00:{second:02} +0000] \"GET /{second} HTTP/1.1\" 200 2\n")
    };
    let file = log(&(0..60).map(line).collect::<String>());
    let (peer, seen) = server(false, |_| ok("ok"));
    let plan = || Plan::builder(format!("http://{}", peer.address)).replay(file.path()).speed(1000.0);
    for (plan, expected) in [
        (plan(), 60),
        (plan().total(7), 7),
        (plan().duration(Duration::from_millis(10)), 10),
        (plan().workers(3).connections(3), 60),
    ] {
        seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let summary = finish(Run::new(plan.build().unwrap()));
        assert_eq!((summary.records.counts.offered, summary.records.counts.succeeded), (expected, expected));
        assert_eq!(seen.lock().unwrap_or_else(PoisonError::into_inner).len() as u64, expected);
    }
}

#[test]
fn replays_that_make_no_sense_are_refused() {
    let file = log("::1 - - [27/Nov/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 200 2\n");
    let empty = log("garbage\n\n");
    let plan = || Plan::builder("http://a").replay(file.path());
    for (plan, said) in [
        (plan().rate(5.0), "--replay with --rate"),
        (plan().warmup(Duration::from_secs(1)), "or --warmup"),
        (plan().total(2), "at most 1, which the log has"),
        (plan().speed(0.0001), "from 0.001 to 1000"),
        (plan().speed(1001.0), "from 0.001 to 1000"),
        (plan().method("GET"), "--method with --replay"),
        (plan().request(RequestOptions::default()), "several requests or targets"),
        (plan().another_target("http://b"), "several requests or targets"),
        (Plan::builder("http://a/x?y").replay(file.path()), "a path of the target with --replay"),
        (Plan::builder("http://a").speed(2.0), "--speed needs --replay"),
        (Plan::builder("grpc://a").replay(file.path()), "calls or messages"),
        (Plan::builder("ws://a").replay(file.path()), "calls or messages"),
        (
            Plan::builder("http://a").replay(empty.path()),
            "it has no request: line 1 has no request between quotes",
        ),
        (Plan::builder("http://a").replay("/nonexistent"), "No such file"),
        (Plan::builder("http://a").replay("/"), "directory"),
    ] {
        let error = plan.build().unwrap_err().to_string();
        assert!(error.contains(said), "{said}: {error}");
    }
    assert!(plan().speed(0.001).build().is_ok() && plan().speed(1000.0).build().is_ok());
}

#[test]
fn logs_that_can_not_be_replayed_whole_are_replayed_as_far_as_they_can_or_refused() {
    let good = "::1 - - [27/Nov/2026:12:00:00 +0000] \"GET /a HTTP/1.1\" 200 2\n";
    let long =
        format!("::1 - - [27/Nov/2026:12:00:00 +0000] \"GET /{} HTTP/1.1\" 200 2\n", "x".repeat(70_000));
    let file = log(&format!("{good}{long}{good}"));
    let plan = Plan::builder("http://a").replay(file.path()).body("x").defaults(RequestOptions {
        chunked: Some(true),
        body: Some(Body::Bytes("x".into())),
        ..RequestOptions::default()
    });
    let plan = plan.build().unwrap();
    assert_eq!((plan.skipped().lines, plan.load().count()), (1, Some(2)));
    let endless = Plan::builder("http://a").replay("/dev/zero").build().unwrap_err().to_string();
    assert!(endless.contains("line 1 is longer than 16M"), "{endless}");
    let decades = log(&format!("{good}{{\"time\":99999999998,\"method\":\"GET\",\"path\":\"/\"}}\n"));
    let error = Plan::builder("http://a").replay(decades.path()).build().unwrap_err().to_string();
    assert!(error.contains("years, from its first request to its last"), "{error}");
}
