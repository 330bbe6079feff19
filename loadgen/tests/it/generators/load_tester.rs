//! load-tester's words, with its defaults.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
    sync::{Arc, Condvar, Mutex},
};

use rustix::process::{Pid, Signal, kill_process};

#[cfg(feature = "embedded")]
use super::Dummy;
use super::{assert_refused, program, server, typed};
use crate::peer::{read_request, serve};

#[cfg(feature = "embedded")]
#[test]
fn without_numbers_100_requests_are_sent_10_at_a_time_over_http1() {
    let server = Dummy::start();
    let ran = typed(&format!("load-tester --url http://{}/health", server.address()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        server.counted("requests", &["endpoint=\"health\"", "protocol=\"HTTP/1.1\"", "status=\"200\""]),
        100
    );
    assert_eq!((server.counted("requests", &[]), server.counted("connections", &[])), (100, 10));
    assert!(ran.out.contains("over HTTP/1.1\nclosed loop, 100 requests: 10 connections"), "{ran:?}");
    // The same words without the subcommand, whose defaults are loadgen's own.
    let line = format!("--url http://{}/health --requests 150 --concurrency 5", server.address());
    assert_eq!(typed(&line).code, Some(0));
    assert_eq!((server.counted("requests", &[]), server.counted("connections", &[])), (250, 15));
}

#[test]
fn requests_and_concurrency_are_limits_in_either_spelling() {
    for (line, total, most) in [
        ("--requests 200 --concurrency 7", 200, 7),
        ("-n 33 -c 2", 33, 2),
        ("-n=1 -c=10", 1, 1),
        ("-n 5 -c 50", 5, 5),
    ] {
        let (peer, seen) = server();
        let ran = typed(&format!("load-tester {line} -u http://{}/x", peer.address));
        assert_eq!((ran.code, seen.counts().get("GET /x")), (Some(0), Some(&total)), "{line}: {ran:?}");
        assert!(
            seen.most_in_flight() <= most && peer.connections() <= most,
            "{line}: {:?}",
            seen.most_in_flight()
        );
    }
}

#[test]
fn each_request_has_its_own_id() {
    let (peer, seen) = server();
    typed(&format!("load-tester -u http://{} -n 60", peer.address));
    let requests = seen.requests();
    let ids: BTreeSet<_> = requests.iter().filter_map(|request| request.field("x-request-id")).collect();
    assert_eq!(ids.len(), 60);
}

#[test]
fn the_report_has_totals_percentiles_and_a_map_of_statuses() {
    let (peer, _) = server();
    let ran = typed(&format!("load-tester -u http://{}/404 -n 40", peer.address));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for part in [
        "  offered                                 40\n",
        "client errors (4xx)               40\n",
        "Achieved rate",
        "took",
        "Status\n  404                                     40",
    ] {
        assert!(ran.out.contains(part), "no '{part}' in {}", ran.out);
    }
    let report = typed(&format!("load-tester -u http://{} -n 40 -o json", peer.address)).json();
    for percentile in ["p50", "p90", "p99", "max"] {
        assert!(report["successful_response_time_us"][percentile].is_number(), "{percentile}");
    }
    assert_eq!((&report["requests"]["succeeded"], &report["status_codes"]["200"]), (&40.into(), &40.into()));
    assert!(
        report["achieved_rate_per_second"].as_f64().unwrap() > 0.0 && report["elapsed_seconds"].is_number()
    );
}

#[test]
fn ctrl_c_lets_requests_in_flight_finish_and_the_rest_unsent() {
    let there = Arc::new((Mutex::new((0, false)), Condvar::new()));
    let of_peer = Arc::clone(&there);
    let peer = serve(move |_, mut stream| {
        while read_request(&mut stream).is_some() {
            let (state, changed) = &*of_peer;
            state.lock().unwrap().0 += 1;
            changed.notify_all();
            drop(changed.wait_while(state.lock().unwrap(), |(_, may_answer)| !*may_answer));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let mut command = program();
    let url = format!("http://{}", peer.address);
    command.args(["load-tester", "-u", &url, "-n", "1000", "-c", "3", "-o", "json"]);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (state, changed) = &*there;
    drop(changed.wait_while(state.lock().unwrap(), |(count, _)| *count < 3));
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let draining = lines.find_map(|line| line.ok().filter(|line| line.contains("draining")));
    assert_eq!(draining.as_deref(), Some("draining, 3 in flight"));
    state.lock().unwrap().1 = true;
    changed.notify_all();
    let output = run.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["interrupted"]), (Some(130), &true.into()));
    let requests = &report["requests"];
    assert_eq!((&requests["sent"], &requests["succeeded"]), (&3.into(), &3.into()), "{requests}");
    assert_eq!(state.lock().unwrap().0, 3);
}

#[test]
fn mistakes_are_reported_in_its_words() {
    for (line, said) in [
        ("", "no --url"),
        ("-u", "--url needs a value"),
        ("-u ftp://a", "invalid value 'ftp://a' for --url: its scheme is neither http nor https"),
        ("-u h2c://me:secret@a:1", "invalid value 'h2c://[redacted]@a:1' for --url"),
        ("-u http://", "for --url"),
        ("-u a:1 -n 0", "invalid value '0' for --requests"),
        ("-u a:1 -n -5", "invalid value '-5' for --requests"),
        ("-u a:1 -n 99999999999999999999", "for --requests"),
        ("-u a:1 -c 0", "invalid value '0' for --concurrency; accepted: a whole number from 1 to 1000000"),
        ("-u a:1 -c 1000001", "invalid value '1000001' for --concurrency"),
        ("-u a:1 --nf 1", "invalid value '1' for --nf; accepted: a whole number, 0 or from 2 to 1000000"),
        ("-u a:1 --rate 5", "unexpected argument '--rate'"),
        ("-u a:1 b:2", "unexpected argument 'b:2'"),
    ] {
        let ran = typed(&format!("load-tester {line}"));
        assert_refused(&ran, said);
        assert!(!ran.err.contains("secret"), "{ran:?}");
    }
}

#[test]
fn progress_is_shown_while_a_run_goes_on() {
    // The reply comes when progress was seen, which elsewhere than on a terminal is a line every ten seconds.
    let seen = Arc::new((Mutex::new(false), Condvar::new()));
    let waits = Arc::clone(&seen);
    let peer = serve(move |_, mut stream| {
        if read_request(&mut stream).is_some() {
            drop(waits.1.wait_while(waits.0.lock().unwrap(), |seen| !*seen).unwrap());
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        }
    });
    let line = format!("load-tester -n 1 -c 1 --url http://{}", peer.address);
    let mut child =
        program().args(line.split(' ')).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut shown = String::new();
    errors.read_line(&mut shown).unwrap();
    *seen.0.lock().unwrap() = true;
    seen.1.notify_all();
    assert!(child.wait().unwrap().success());
    assert!(shown.starts_with("0/1 done, 0/s, 1 in flight"), "{shown}");
}
