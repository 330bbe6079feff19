//! When requests are sent, how many, and what happens to those that can't be.

use std::{
    io::Write as _,
    sync::{
        Arc, Condvar, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use loadgen::{Handle, Run, Summary, embedded::Embedded, verdict::Limit};

use crate::peer::{Peer, failures, finish, plan, read_request, run, serve, serve_http1};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn silent() -> Peer {
    serve(|_, mut stream| while read_request(&mut stream).is_some() {})
}

/// Answers no request until this many are in flight.
fn answers_once_all_are_there(all: usize) -> Peer {
    let there = Arc::new((Mutex::new(0), Condvar::new()));
    serve(move |_, mut stream| {
        if read_request(&mut stream).is_none() {
            return;
        }
        let (count, changed) = &*there;
        *count.lock().unwrap() += 1;
        changed.notify_all();
        drop(changed.wait_while(count.lock().unwrap(), |count| *count < all));
        let _ = stream.write_all(OK);
    })
}

#[test]
fn slow_replies_do_not_delay_an_open_loop() {
    let peer = answers_once_all_are_there(20);
    let counts = run(&format!("-r 1000 -n 20 -c 1 http://{}", peer.address)).records.counts;
    assert_eq!((counts.succeeded, peer.connections()), (20, 20));
}

#[test]
fn fixed_connections_stay_fixed_and_the_wait_is_measured() {
    let server = Embedded::start().unwrap();
    let line = format!("-r 1000 -n 20 -c 1 --fixed-connections http://{}/delay/20", server.address());
    let summary = run(&line);
    server.stop();
    assert_eq!((summary.records.counts.succeeded, summary.records.connections.opened), (20, 1));
    let times = &summary.records.times;
    assert!(times.wait.max() >= 300_000_000, "the last one waited for the others: {}", times.wait.max());
    assert!(times.response.max() >= times.wait.max() && times.service.min() >= 20_000_000);
    assert_eq!(times.lag.len(), 20);
}

#[test]
fn totals_are_exact_whatever_the_shape() {
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    let peer = serve_http1(move |_| {
        seen.fetch_add(1, SeqCst);
        OK.to_vec()
    });
    for (line, total) in [
        ("-n 1 -c 10", 1),
        ("-n 7 -c 3 --workers 3", 7),
        ("-n 100 -c 7 --workers 2", 100),
        ("-n 33 -r 1000 -c 4 --workers 4", 33),
        ("-n 33 -r 700.5 -d 10s", 33),
        ("-r 100 -d 250ms", 25),
        ("-n 40 -r 1000 --max-in-flight 2", 40),
    ] {
        let before = requests.load(SeqCst);
        let counts = run(&format!("{line} http://{}", peer.address)).records.counts;
        assert_eq!((counts.offered, counts.succeeded), (total, total), "{line}");
        assert_eq!(requests.load(SeqCst) - before, total as usize, "{line}");
    }
}

#[test]
fn requests_over_the_limit_are_dropped_on_request() {
    let peer = silent();
    let line = "-r 1000 -n 20 -c 1 --fixed-connections --on-overload drop --timeout 500ms";
    let summary = run(&format!("{line} http://{}", peer.address));
    let counts = summary.records.counts;
    assert_eq!((counts.dropped, counts.timed_out, counts.not_sent), (19, 1, 0));
}

#[test]
fn queued_requests_end_as_not_sent_and_those_in_flight_as_unanswered() {
    let peer = silent();
    let line = "-r 1000 -n 5 -c 1 --fixed-connections --timeout 300ms";
    let counts = run(&format!("{line} http://{}", peer.address)).records.counts;
    assert_eq!((counts.timed_out, counts.unanswered, counts.not_sent), (1, 1, 3));
}

#[test]
fn timeouts_are_recorded_with_their_age() {
    for scheme in ["-c 5", "-r 1000"] {
        let peer = silent();
        let summary = run(&format!("{scheme} -n 5 --timeout 200ms http://{}", peer.address));
        assert_eq!(failures(&summary), [("timeout".to_owned(), 5)], "{scheme}");
        let times = &summary.records.times;
        assert_eq!((times.response.len(), times.unsuccessful.len(), times.service.len()), (0, 5, 0));
        assert!(times.unsuccessful.min() >= 199_000_000, "{}", times.unsuccessful.min());
    }
}

#[test]
fn the_first_interrupt_lets_requests_in_flight_finish() {
    for load in ["-c 4", "-r 2000"] {
        let handle = Arc::new(OnceLock::<Handle>::new());
        let of_peer = Arc::clone(&handle);
        let peer = serve_http1(move |n| {
            if n == 50 {
                of_peer.wait().stop();
            }
            OK.to_vec()
        });
        let run = Run::new(plan(&format!("{load} -d 60s http://{}", peer.address)));
        handle.set(run.handle()).unwrap();
        let summary = finish(run);
        let counts = summary.records.counts;
        assert!(summary.interrupted && counts.succeeded > 50, "{load}: {counts:?}");
        assert_eq!(counts.succeeded, counts.sent(), "{load}: {counts:?}");
    }
}

#[test]
fn the_second_interrupt_abandons_requests_in_flight() {
    let requests = Arc::new(AtomicUsize::new(0));
    let handle = Arc::new(OnceLock::<Handle>::new());
    let (of_peer, count) = (Arc::clone(&handle), Arc::clone(&requests));
    let peer = serve(move |_, mut stream| {
        while read_request(&mut stream).is_some() {
            if count.fetch_add(1, SeqCst) == 2 {
                of_peer.wait().stop();
                of_peer.wait().abort();
            }
        }
    });
    let run = Run::new(plan(&format!("-c 3 -d 60s --timeout 60s http://{}", peer.address)));
    handle.set(run.handle()).unwrap();
    let summary = finish(run);
    let counts = summary.records.counts;
    assert_eq!((counts.sent(), counts.unanswered), (3, 3));
}

#[test]
fn a_target_that_falls_behind_is_reported() {
    let server = Embedded::start().unwrap();
    // A quarter of the rate is all that it can do over one connection.
    let line = format!("-r 400 -d 1s -c 1 --fixed-connections http://{}/delay/10", server.address());
    // Where other programs keep loadgen itself from running, it says that and nothing of the target.
    let is_undisturbed = |summary: &Summary| summary.records.held_up.0 < 100_000_000;
    let summary = (0..20).map(|_| run(&line)).find(is_undisturbed).expect("a run with a CPU");
    server.stop();
    assert!(summary.achieved_rate() < 110.0, "{}", summary.achieved_rate());
    assert_eq!(summary.limit(), Limit::Connections, "{:?}", summary.verdict());
}
