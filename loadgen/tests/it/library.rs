//! The library as another program uses it.

use std::{env, process::Command, time::Duration};

use loadgen::{Plan, Run, Summary, plan::MAX_BODY};

use crate::peer::{closed_port, serve_http1};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// `cargo test` builds examples beside the tests.
#[test]
fn the_example_prints_a_percentile() {
    let test = env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/p99");
    assert!(example.exists(), "no {}: cargo build --workspace --examples", example.display());
    let peer = serve_http1(|_| OK.to_vec());
    let output = Command::new(example).arg(format!("http://{}", peer.address)).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    assert!(out.contains("1000 of 1000 succeeded, p99 "), "{out}");
    let half = out.split(' ').next().and_then(|count| count.parse::<u64>().ok()).unwrap();
    assert!((1..1000).contains(&half), "the figures of a run that goes on: {out}");
    let wrong = Command::new(test.ancestors().nth(2).unwrap().join("examples/p99")).output().unwrap();
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("write a target"));
}

#[test]
fn an_invalid_plan_is_refused_with_its_option() {
    let plan = |port: u16| Plan::builder(format!("localhost:{port}"));
    for (builder, said) in [
        (plan(0), "port '0' is not a number from 1 to 65535"),
        (plan(1).rate(0.0), "--rate"),
        (plan(1).rate(f64::NAN), "--rate"),
        (plan(1).total(0), "--total"),
        (plan(1).duration(Duration::ZERO), "--duration"),
        (plan(1).duration(Duration::MAX), "--duration"),
        (plan(1).connections(0), "--connections"),
        (plan(1).connections(usize::MAX), "--connections"),
        (plan(1).max_in_flight(0), "--max-in-flight"),
        (plan(1).streams(100_001), "--streams"),
        (plan(1).timeout(Duration::ZERO), "--timeout"),
        (plan(1).connect_timeout(Duration::MAX), "--connect-timeout"),
        (plan(1).workers(11), "--workers"),
        (plan(1).method("CON NECT"), "--method"),
        (plan(1).header("no colon"), "--header"),
        (plan(1).header("content-length: 1"), "content-length"),
        (plan(1).body_file("no/such/file"), "--body-file"),
        (plan(1).request_id_header("host"), "--request-id-header"),
    ] {
        let shown = format!("{builder:?}");
        let error = builder.build().map(|_| shown).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_body_is_taken_up_to_its_limit() {
    let plan = |length: u64| Plan::builder("localhost:1").body(vec![0; length as usize]).build();
    assert_eq!(plan(MAX_BODY).unwrap().request().body.len() as u64, MAX_BODY);
    assert!(plan(MAX_BODY + 1).unwrap_err().to_string().contains("256M"));
}

#[test]
fn a_run_that_is_stopped_before_it_begins_sends_nothing() {
    let run = Run::new(Plan::builder(closed_port().to_string()).total(5).build().unwrap());
    run.handle().abort();
    let summary = run.start().unwrap().join().unwrap();
    assert!(summary.interrupted);
    assert_eq!(summary.records.counts.sent(), 0);
}

#[test]
fn a_snapshot_of_a_running_run_is_part_of_its_summary() {
    let peer = serve_http1(|_| OK.to_vec());
    let plan = Plan::builder(format!("http://{}", peer.address)).duration(Duration::from_secs(60));
    let run = Run::new(plan.connections(2).build().unwrap()).observe(Duration::from_millis(1));
    let running = run.start().unwrap();
    let handle = running.handle();
    let seen = loop {
        let seen = running.snapshot();
        if seen.counts.succeeded > 10 {
            break seen;
        }
        std::thread::yield_now();
    };
    assert!(handle.elapsed().is_some_and(|elapsed| elapsed > Duration::ZERO));
    handle.stop();
    let summary = running.join().unwrap();
    assert!(summary.interrupted && summary.records.counts.succeeded >= seen.counts.succeeded);
    assert!(seen.response.len() >= seen.counts.succeeded, "each has a time");
    assert_eq!(summary.records.failures.iter().next(), None);
}

#[test]
fn a_written_summary_is_read_back() {
    let peer = serve_http1(|_| OK.to_vec());
    let plan = Plan::builder(format!("http://{}", peer.address)).total(20).build().unwrap();
    let summary = Run::new(plan).start().unwrap().join().unwrap();
    let mut kept = Vec::new();
    summary.write(&mut kept).unwrap();
    let read = Summary::read(&mut kept.as_slice()).unwrap();
    assert_eq!((read.records.counts, read.verdict()), (summary.records.counts, summary.verdict()));
}
