//! Loads that change, that are random, that warm up, and whose late requests are dropped.

use std::{
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use loadgen::{Summary, report, report::text::Style};

use crate::peer::{Peer, read_request, run, serve, serve_http1};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that counts requests.
fn counting() -> (Peer, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    let peer = serve_http1(move |_| {
        seen.fetch_add(1, SeqCst);
        OK.to_vec()
    });
    (peer, requests)
}

fn text(summary: &Summary) -> String {
    let mut out = Vec::new();
    report::text::write(summary.into(), Style::Plain, &mut out).unwrap();
    // Lines are broken where they are full.
    String::from_utf8(out).unwrap().replace("\n  ", " ")
}

#[test]
fn each_stage_sends_exactly_what_its_rate_says() {
    let (peer, requests) = counting();
    let line = "--stages 1s@50,1s@50..150,1s@0,1s@20 -c 4 --workers 2";
    let summary = run(&format!("{line} http://{}", peer.address));
    let counts = summary.records.counts;
    assert_eq!((counts.offered, counts.succeeded, requests.load(SeqCst)), (170, 170, 170));
    let offered: Vec<_> = summary.records.intervals.iter().map(|interval| interval.offered).collect();
    // Behind the pause the next one is due immediately.
    assert_eq!(offered, [50, 100, 0, 20]);
    let text = text(&summary);
    assert!(text.contains("open loop, stages 1s@50, 1s@50..150, 1s@0, 1s@20, for 4"), "{text}");
}

#[test]
fn a_total_ends_stages_early() {
    let (peer, requests) = counting();
    let summary = run(&format!("--stages 100ms@100,10s@1000 -n 60 http://{}", peer.address));
    assert_eq!((summary.records.counts.succeeded, requests.load(SeqCst)), (60, 60));
    assert_eq!(summary.run.window.map(|window| window.as_millis()), Some(150));
}

#[test]
fn a_warm_up_is_sent_and_counted_apart_in_both_loops() {
    for load in
        ["-r 100 -d 500ms", "-r 100 -n 50", "--stages 500ms@100", "-r 100 -n 50 --poisson", "-c 3 -n 50"]
    {
        let (peer, requests) = counting();
        let summary = run(&format!("{load} --workers 2 --warmup 300ms http://{}", peer.address));
        let (counts, warmup) = (summary.records.counts, summary.records.warmup.expect("there was one"));
        assert_eq!((counts.offered, counts.succeeded), (50, 50), "{load}");
        let is_even = !load.contains("poisson") && !load.contains("-c");
        assert!(if is_even { warmup.sent() == 30 } else { warmup.sent() > 5 }, "{load}: {warmup:?}");
        assert_eq!(warmup.succeeded, warmup.offered, "{load}");
        assert_eq!(requests.load(SeqCst) as u64, 50 + warmup.sent(), "{load}: the server's own count");
        let times = &summary.records.times;
        assert_eq!((times.response.len(), times.lag.len(), times.wait.len()), (50, 50, 50), "{load}");
        let in_intervals: u64 = summary.records.intervals.iter().map(|part| part.completed).sum();
        assert_eq!(in_intervals, 50, "{load}");
        let said =
            format!("Warm-up of 300 ms not counted above: {} sent {}", warmup.sent(), warmup.succeeded);
        let text = text(&summary).replace(',', "");
        assert!(text.contains(&said), "{load}: {text}");
    }
}

#[test]
fn what_a_server_does_in_the_warm_up_is_in_no_figure() {
    let peer = serve_http1(|n| match n {
        ..10 => b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nX-Dummy-Instance: cold\r\n\r\n".to_vec(),
        _ => OK.to_vec(),
    });
    let summary = run(&format!("-r 100 -n 20 --warmup 100ms --workers 1 http://{}", peer.address));
    let warmup = summary.records.warmup.unwrap();
    assert_eq!((warmup.server_errors, summary.records.counts.succeeded), (10, 20));
    assert_eq!(summary.records.statuses().collect::<Vec<_>>(), [(200, 20)]);
    assert!(summary.records.backends.sorted().is_empty());
    let mut json = Vec::new();
    report::json::write((&summary).into(), &mut json).unwrap();
    let read = Summary::read(&mut json.as_slice()).unwrap();
    assert_eq!(read.records.warmup, Some(warmup));
}

#[test]
fn random_times_are_repeated_by_their_seed() {
    let (peer, _) = counting();
    let due = |seed: &str| {
        let line = format!("-r 400 -d 500ms --poisson {seed} --workers 2 http://{}", peer.address);
        let summary = run(&line);
        let trend: Vec<_> = summary.records.trend.iter().map(|bin| bin.sent).collect();
        (trend, summary.run.seed.expect("it is shown"), text(&summary))
    };
    let (first, seed, said) = due("");
    assert!(said.contains(&format!("open loop, Poisson 400 requests/s (seed {seed})")), "{said}");
    let (again, _, _) = due(&format!("--seed {seed}"));
    let (other, _, _) = due(&format!("--seed {}", seed + 1));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.iter().max() > first.iter().min(), "not even: {first:?}");
}

#[test]
fn a_random_total_is_exact() {
    let (peer, requests) = counting();
    let summary = run(&format!("-r 500 -n 77 --poisson -c 3 --workers 3 http://{}", peer.address));
    assert_eq!((summary.records.counts.succeeded, requests.load(SeqCst)), (77, 77));
}

#[test]
fn requests_that_wait_for_longer_than_the_maximum_lag_are_dropped() {
    let silent = serve(|_, mut stream| while read_request(&mut stream).is_some() {});
    let line = "-r 100 -n 20 -c 1 --fixed-connections --max-lag 50ms --timeout 600ms";
    let summary = run(&format!("{line} http://{}", silent.address));
    let counts = summary.records.counts;
    // One is in flight until it times out; the others wait for its connection, or another.
    assert_eq!((counts.succeeded, counts.not_sent, counts.dropped), (0, 0, counts.dropped_late));
    assert!(counts.dropped >= 18, "{counts:?}");
    let ages = &summary.records.times.unsuccessful;
    assert!(ages.min() >= 50_000_000, "{}", ages.min());
    let text = text(&summary);
    assert!(text.contains("too late (--max-lag)"), "{text}");
    assert!(text.contains("dropped after --max-lag"), "{text}");
}

#[test]
fn requests_in_time_are_not_dropped() {
    let (peer, _) = counting();
    let summary = run(&format!("-r 100 -n 20 --max-lag 10s http://{}", peer.address));
    assert_eq!((summary.records.counts.succeeded, summary.records.counts.dropped), (20, 0));
}

#[test]
fn coalesced_requests_are_all_sent_and_their_wait_is_lag() {
    let (peer, requests) = counting();
    let summary = run(&format!("-r 1000 -n 50 --coalesce 20ms http://{}", peer.address));
    let (counts, times) = (summary.records.counts, &summary.records.times);
    assert_eq!((counts.succeeded, counts.offered, requests.load(SeqCst)), (50, 50, 50));
    // The first of those that are sent together has waited for all of the time.
    assert!(times.lag.max() >= 20_000_000, "{}", times.lag.max());
    assert!(times.response.max() >= times.lag.max(), "{}", times.response.max());
}

/// Answers, and keeps how many requests are there at the same time, and how many connections are open.
fn watched() -> (Peer, Arc<Mutex<Vec<usize>>>) {
    let open = Arc::new(AtomicUsize::new(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let of_peer = Arc::clone(&seen);
    let peer = serve(move |_, mut stream| {
        of_peer.lock().unwrap().push(open.fetch_add(1, SeqCst) + 1);
        while read_request(&mut stream).is_some() {
            std::thread::yield_now();
            if stream.write_all(OK).is_err() {
                break;
            }
        }
        of_peer.lock().unwrap().push(open.fetch_sub(1, SeqCst) - 1);
    });
    (peer, seen)
}

#[test]
fn connections_of_a_closed_loop_come_and_go_with_its_stages() {
    let (peer, seen) = watched();
    let line = "--stages 200ms@2c,200ms@8c,300ms@3c --workers 2";
    let summary = run(&format!("{line} http://{}", peer.address));
    let counts = summary.records.counts;
    assert!(counts.succeeded > 100 && counts.succeeded == counts.offered, "{counts:?}");
    assert_eq!((summary.records.connections.opened, summary.records.connections.reopened), (8, 0));
    let seen = seen.lock().unwrap().clone();
    let most = seen.iter().position(|open| *open == 8).expect("all were open");
    assert_eq!(seen[..=most], [1, 2, 3, 4, 5, 6, 7, 8]);
    // Five have gone before the run was over, and then all.
    assert_eq!(seen[most + 1..][..5], [7, 6, 5, 4, 3]);
    assert_eq!(peer.connections(), 8);
    let text = text(&summary);
    assert!(text.contains("closed loop, stages 200ms@2c, 200ms@8c, 300ms@3c"), "{text}");
    assert!(text.contains("what up to 8 outstanding requests gave"), "{text}");
}

#[test]
fn connections_over_http2_come_and_go_too_and_lose_nothing() {
    let server = loadgen::embedded::Embedded::start().unwrap();
    let line =
        "--stages 200ms@1c,200ms@1c..6c,200ms@6c..0c,100ms@0c,200ms@2c -m 3 --workers 2 --warmup 100ms";
    let summary = run(&format!("{line} h2c://{}/delay/5", server.address()));
    server.stop();
    let (counts, warmup) = (summary.records.counts, summary.records.warmup.unwrap());
    assert!(counts.succeeded > 50 && counts.succeeded == counts.offered, "{counts:?}");
    assert!(warmup.succeeded > 10 && warmup.succeeded == warmup.offered, "{warmup:?}");
    let connections = &summary.records.connections;
    assert_eq!((connections.opened, connections.reopened), (8, 0), "{connections:?}");
}
