//! What is said of runs with planted delays.

use std::time::Duration;

use super::*;
use crate::{
    outcome::{Cause, Failure},
    planted::{MICRO, MILLI, Planted, PlantedEnd, SECOND, run},
    recorder::{Counts, Reached, Span},
    summary::Happened,
};

fn service(service: u64) -> Planted {
    Planted { service, ..Planted::default() }
}

fn band(summary: &Summary, quantile: f64) -> (u64, u64) {
    match summary.percentile(quantile).unwrap().time {
        Time::Band { response, undelayed } => (undelayed, response),
        Time::AtLeast(at_least) => panic!(">= {at_least}"),
    }
}

fn is_near(found: u64, expected: u64) -> bool {
    found.abs_diff(expected) <= expected / 500 + 1
}

#[test]
fn a_steady_target_holds_the_rate_however_slow_and_however_short_the_run() {
    for (line, time) in [
        ("-r 1000 -t 5000 a:1", MILLI),
        ("-r 1000 -t 1000 a:1", 100 * MILLI),
        ("-r 1000 -t 60 a:1", 10 * MILLI),
        ("-r 100 -d 1s a:1", 2000 * MILLI),
        ("-r 1 -t 1 a:1", 500 * MILLI),
        ("-r 50 -t 10 a:1", 30 * MILLI),
    ] {
        let summary = run(line, |_, _| service(time));
        let [outcome, limit] = summary.verdict();
        assert!(outcome.starts_with("succeeded"), "{line}: {outcome}");
        assert_eq!(summary.limit(), Limit::None, "{line}: {limit}");
        let (offered, achieved) = (summary.offered_rate(), summary.achieved_rate());
        assert!((achieved - offered).abs() < offered * 0.02, "{line}: {achieved} of {offered}");
    }
}

#[test]
fn a_target_that_stands_still_until_the_end_is_the_limit_whatever_waited_for_it() {
    // Requests wait for streams that the stall keeps occupied.
    let summary = run("-r 1000 -d 2s a:1", |_, at| match 1500 * MILLI {
        until if at >= until => {
            Planted { wait: (at - until).min(SECOND), service: 2 * SECOND, ..Planted::default() }
        }
        _ => service(MILLI),
    });
    assert_eq!(summary.limit(), Limit::Target, "{:?}", summary.verdict());
    let [_, limit] = summary.verdict();
    assert!(limit.contains("stood still from 1.5"), "{limit}");
    assert!(!limit.contains("--connections"), "{limit}");
    // One straggler at the end has cost nothing.
    let straggler = run("-r 100 -d 10s a:1", |n, _| service(if n == 999 { 150 * MILLI } else { MILLI }));
    assert_eq!(straggler.limit(), Limit::None, "{:?}", straggler.verdict());
    // Nor has one in a closed loop, whose last request was sent when it had long been outstanding; a stall that kept all
    // slots until the end is the target's.
    let closed = |arrivals_lasted| {
        let last = |n, _| service(if n == 99 { 5 * SECOND } else { MILLI });
        let summary = run("-r 100 -d 1s a:1", last);
        let run = crate::recorder::RunSettings { rate_per_second: None, window: None, ..summary.run };
        Summary { run, arrivals_lasted, ..summary }.limit()
    };
    assert_eq!(closed(Duration::from_millis(1000)), Limit::None);
    assert_eq!(closed(Duration::from_secs(5)), Limit::Target);
    // With connections that are really too few, replies go on.
    let few = run("-r 1000 -d 2s a:1", |_, at| Planted { wait: at / 2, ..Planted::default() });
    assert_eq!(few.limit(), Limit::Connections);
}

#[test]
fn a_server_that_reports_that_it_has_no_cpu_left_is_the_limit_and_not_the_way_to_it() {
    use contract::timing::WorkerLoad;
    let overloaded = |load: Option<WorkerLoad>| {
        run("-r 1000 -d 3s a:1", move |_, at| Planted {
            server: Some((at / 5, at / 5 + MICRO)),
            load,
            ..service(MILLI + at / 5)
        })
    };
    for (load, expected, said) in [
        (None, Limit::Way, "unless the server itself"),
        (Some(WorkerLoad { turn_lag_ns: MILLI, cpu_permille: 600 }), Limit::Way, "a proxy or the network"),
        (
            Some(WorkerLoad { turn_lag_ns: MILLI, cpu_permille: 990 }),
            Limit::DummyServer,
            "its workers had a CPU 99% of the time",
        ),
        (
            Some(WorkerLoad { turn_lag_ns: 80 * MILLI, cpu_permille: 300 }),
            Limit::DummyServer,
            "its workers got no CPU in time: timers were 80.0 ms late on average",
        ),
    ] {
        let summary = overloaded(load);
        let [_, limit] = summary.verdict();
        assert_eq!(summary.limit(), expected, "{load:?}: {limit}");
        assert!(limit.contains(said), "{load:?}: {limit}");
    }
    // It may be as busy as it likes where the rate is held.
    let busy = Some(WorkerLoad { turn_lag_ns: 0, cpu_permille: 1000 });
    let held = run("-r 1000 -d 3s a:1", move |_, _| Planted {
        server: Some((MICRO, 2 * MICRO)),
        load: busy,
        ..service(MILLI)
    });
    assert_eq!(held.limit(), Limit::None);
}

#[test]
fn an_interrupted_run_blames_nobody_for_what_was_not_sent() {
    let run = || {
        run("-r 100 -d 2s a:1", |n, _| Planted {
            end: if n < 150 { PlantedEnd::Status(200) } else { PlantedEnd::NotSent },
            ..Planted::default()
        })
    };
    let interrupted = Summary { interrupted: true, arrivals_lasted: Duration::from_millis(1990), ..run() };
    let [outcome, limit] = interrupted.verdict();
    assert!(
        outcome.starts_with("interrupted after ")
            && outcome.ends_with(": 150 of 150 requests succeeded, 50 not sent"),
        "{outcome}"
    );
    assert!(limit.contains("of 100 requests/s"), "not more than was asked for: {limit}");
    assert_eq!((interrupted.failed(), interrupted.outcome()), (0, RunOutcome::Succeeded));
    assert!((interrupted.success_ratio() - 1.0).abs() < 1e-9);
    let [outcome, _] = run().verdict();
    assert!(outcome.starts_with("succeeded: 150 of 200 requests"), "{outcome}");
    assert_eq!(run().failed(), 50);
}

#[test]
fn what_cut_a_run_short_is_reported() {
    let summary = run("-r 100 -d 2s a:1", |_, _| Planted::default());
    let aborted_by = Some("p(99)<1ms was crossed".to_owned());
    let aborted = Summary { interrupted: true, aborted_by, ..summary };
    let [outcome, _] = aborted.verdict();
    let expected = " by --abort-on, as p(99)<1ms was crossed: 200 of 200 requests succeeded";
    assert!(outcome.starts_with("interrupted after ") && outcome.ends_with(expected), "{outcome}");
    let mut merged = run("-r 100 -d 2s a:1", |_, _| Planted::default());
    merged.merge(&aborted).unwrap();
    assert_eq!(merged.aborted_by, aborted.aborted_by);
}

#[test]
fn a_run_that_is_interrupted_before_a_request_is_due_has_not_failed() {
    let mut summary = run("-r 100 -d 1s --warmup 1s a:1", |_, _| Planted::default());
    summary.records.counts = Counts::default();
    summary.interrupted = true;
    assert_eq!(summary.verdict()[0], "interrupted in the warm-up: no request was due");
    summary.run.warmup = None;
    assert_eq!(summary.verdict()[0], "interrupted: no request was due");
    summary.interrupted = false;
    assert_eq!(summary.verdict()[0], "failed: no request was due");
}

#[test]
fn the_part_that_grows_is_the_limit() {
    let grown = |_: u64, at: u64| at / 5;
    for (limit, plant) in [
        (
            Limit::Loadgen,
            Box::new(move |n, at| Planted { lag: grown(n, at), ..Planted::default() })
                as Box<dyn Fn(u64, u64) -> Planted>,
        ),
        (Limit::Connections, Box::new(move |n, at| Planted { wait: grown(n, at), ..Planted::default() })),
        (Limit::Target, Box::new(move |n, at| service(MILLI + grown(n, at)))),
        (
            Limit::Way,
            Box::new(move |n, at| Planted {
                server: Some((grown(n, at), grown(n, at) + MILLI)),
                ..service(2 * MILLI + grown(n, at))
            }),
        ),
        (
            Limit::DummyServer,
            Box::new(move |n, at| Planted {
                server: Some((MICRO, MICRO + grown(n, at))),
                ..service(2 * MILLI + grown(n, at))
            }),
        ),
        (Limit::None, Box::new(|n, _| service(MILLI + n * 7919 % 13 * MILLI))),
    ] {
        let summary = run("-r 1000 -d 3s a:1", plant);
        assert_eq!(summary.limit(), limit, "{:?}", summary.verdict());
    }
    // A second in which everything stalls is not a growing queue: it is worked off.
    let stalled = run("-r 1000 -d 10s a:1", |_, at| {
        let is_stalled = (6 * SECOND..7 * SECOND).contains(&at);
        service(if is_stalled { 7 * SECOND - at + MILLI } else { MILLI })
    });
    assert_eq!(stalled.limit(), Limit::None);
    let busy = Summary { busiest_worker: 0.96, ..run("-r 1000 -d 1s a:1", |_, _| service(MILLI)) };
    assert_eq!(busy.limit(), Limit::Loadgen);
    assert!(busy.verdict()[1].contains("96%"));
}

#[test]
fn an_overloaded_target_shows_what_it_serves() {
    // It serves 800 a second, then half of what is offered.
    for per_request in [MILLI * 5 / 4, 2 * MILLI] {
        let summary = run("-r 1000 -d 3s a:1", |n, _| service(MILLI + n * (per_request - MILLI)));
        assert_eq!(summary.limit(), Limit::Target);
        let served = 1e9 / per_request as f64;
        assert!((summary.achieved_rate() - served).abs() < served * 0.02, "{}", summary.achieved_rate());
    }
}

#[test]
fn requests_that_could_not_be_sent_name_the_options_that_bound_them() {
    let dropped = |n: u64, _: u64| match n % 4 {
        0 => Planted { end: PlantedEnd::Dropped, ..Planted::default() },
        _ => Planted::default(),
    };
    let summary = run("-r 1000 -d 1s --max-in-flight 7 --on-overload drop a:1", dropped);
    assert!(summary.verdict()[1].starts_with("--max-in-flight 7 was the limit"), "{:?}", summary.verdict());
    // Where it is known which one was reached, that one; and where none was, requests waited for the target.
    let waited = |reached| {
        let mut summary =
            run("-r 1000 -d 3s a:1", |_, at| Planted { wait: at / 5, ..service(MILLI + at / 20) });
        summary.records.reached = reached;
        (summary.limit(), summary.verdict()[1].clone())
    };
    let reached = |in_flight, connections| Some(Reached { in_flight, connections, pace: false });
    let paced = Some(Reached { pace: true, ..Reached::default() });
    for (reached, limit, said) in [
        (None, Limit::Connections, "--connections 10 with --streams 10 may be raised"),
        (reached(true, false), Limit::Connections, "--max-in-flight 10000 may be raised"),
        (reached(false, true), Limit::Connections, "--connections 10 with --streams 10 may"),
        (paced, Limit::Connections, "--connections-per-second may be raised"),
        (reached(false, false), Limit::Target, "longer and longer for it to accept connections"),
    ] {
        let (found, sentence) = waited(reached);
        assert!(found == limit && sentence.contains(said), "{reached:?}: {sentence}");
        assert!(limit == Limit::Connections || !sentence.contains("--"), "{sentence}");
    }
    let not_sent = |n: u64, _: u64| match n % 4 {
        0 => Planted { end: PlantedEnd::NotSent, ..Planted::default() },
        _ => Planted::default(),
    };
    let summary = run("-r 1000 -d 1s -c 2 -m 5 a:1", not_sent);
    assert_eq!(summary.limit(), Limit::Connections);
    assert!(summary.verdict()[1].contains("--connections 2 with --streams 5"), "{:?}", summary.verdict());
}

#[test]
fn a_run_has_failed_if_none_or_fewer_than_half_succeeded_and_says_why_it_did() {
    let refused = Failure::new(Cause::Refused, "Connection refused");
    let summary = run("-r 100 -d 1s a:1", |_, _| Planted {
        end: PlantedEnd::Failed(refused.clone()),
        ..service(MICRO)
    });
    let [outcome, limit] = summary.verdict();
    assert_eq!(outcome, "failed: no request succeeded: connection refused by 127.0.0.1:1 and [::1]:1");
    assert_eq!(limit, "nothing can be said of what the target can do");
    let busy = Summary { busiest_worker: 1.0, ..summary.clone() };
    assert_eq!(busy.limit(), Limit::None, "a worker is busy with refused connections");
    assert_eq!(summary.validity(), None);
    let unavailable = |share: u64| {
        move |n: u64, _: u64| match n % 100 < share {
            true => Planted { end: PlantedEnd::Status(503), ..service(MICRO) },
            false => Planted::default(),
        }
    };
    for (share, outcome, said) in [
        (0, RunOutcome::Succeeded, "succeeded: all 1,000 requests"),
        (
            1,
            RunOutcome::Succeeded,
            "succeeded: 990 of 1,000 requests (99%); the most common failure: status 503 (10 replies)",
        ),
        (50, RunOutcome::Succeeded, "succeeded: 500 of"),
        (
            51,
            RunOutcome::Failed,
            "failed: 490 of 1,000 requests (49%); the most common failure: status 503 (510 replies)",
        ),
        (100, RunOutcome::Failed, "failed: no request succeeded: status 503 (1,000 replies)"),
    ] {
        let summary = run("-r 1000 -d 1s a:1", unavailable(share));
        let [sentence, _] = summary.verdict();
        assert!(summary.outcome() == outcome && sentence.starts_with(said), "{sentence}");
    }
    let expected = run("-r 1000 -d 1s --expect-status 5xx a:1", unavailable(100));
    assert_eq!(expected.outcome(), RunOutcome::Succeeded);
}

#[test]
fn fast_errors_and_drops_improve_no_percentile() {
    let mixed = |end: PlantedEnd| {
        run("-r 1000 -d 2s a:1", move |n, _| match n % 10 {
            0..3 => Planted { end: end.clone(), ..service(MICRO) },
            _ => service(20 * MILLI + n * MICRO),
        })
    };
    let all_good = run("-r 1000 -d 2s a:1", |n, _| service(20 * MILLI + n * MICRO));
    let refused = PlantedEnd::Failed(Failure::new(Cause::Refused, "Connection refused"));
    for end in
        [PlantedEnd::Status(503), PlantedEnd::Status(404), refused, PlantedEnd::Dropped, PlantedEnd::TimedOut]
    {
        let summary = mixed(end.clone());
        assert!(band(&summary, 0.5).1 >= band(&all_good, 0.5).1, "{end:?}");
        for quantile in [0.75, 0.99] {
            let slowest = summary.records.times.response.max();
            match summary.percentile(quantile).unwrap().time {
                Time::AtLeast(at_least) => assert!(at_least >= slowest, "{end:?}"),
                other => panic!("{end:?}: {other:?}"),
            }
        }
    }
    let timed_out = run("-r 1000 -d 2s a:1", |n, _| match n % 10 {
        0 => Planted { end: PlantedEnd::TimedOut, ..service(10 * SECOND) },
        _ => service(MILLI),
    });
    let p99 = timed_out.percentile(0.99).unwrap().time;
    assert!(matches!(p99, Time::AtLeast(at_least) if is_near(at_least, 10 * SECOND)), "{p99:?}");
}

#[test]
fn a_percentile_with_fewer_than_ten_slower_requests_says_nothing() {
    let summary = run("-r 1000 -n 1000 a:1", |n, _| service(MILLI + n * MICRO));
    let is_too_small = |quantile| summary.percentile(quantile).unwrap().is_n_too_small;
    assert_eq!([0.5, 0.99, 0.991, 0.999, 1.0].map(is_too_small), [false, false, true, true, true]);
    // Ranks are those of all requests, at each quantile.
    for (quantile, expected) in [(0.5, 499), (0.9, 899), (0.99, 989), (0.0, 0), (1.0, 999)] {
        let (_, response) = band(&summary, quantile);
        assert!(is_near(response, MILLI + expected * MICRO), "{quantile}: {response}");
    }
}

#[test]
fn the_band_is_as_wide_as_loadgens_own_delay_and_where_it_was() {
    let late = |n: u64, _: u64| match n % 100 {
        99 => Planted { lag: 3 * MILLI, read_lag: MILLI, ..service(10 * MILLI) },
        98 => Planted { read_lag: 2 * MILLI, ..service(10 * MILLI) },
        _ => Planted { lag: 10 * MICRO, read_lag: 10 * MICRO, ..service(10 * MILLI) },
    };
    let summary = run("-r 1000 -d 10s a:1", late);
    let (low, high) = band(&summary, 0.5);
    assert!(
        is_near(high, 10 * MILLI + 10 * MICRO) && is_near(low, 10 * MILLI - 10 * MICRO),
        "{low} to {high}"
    );
    let (low, high) = band(&summary, 0.999);
    assert!(is_near(high, 13 * MILLI) && is_near(low, 10 * MILLI - 10 * MICRO), "{low} to {high}");
    assert_eq!(summary.valid_up_to(), ValidUpTo::Percentile("p99"));
    let summary = Summary { run_delay: Some(0.06), ..summary };
    let validity = summary.validity().unwrap();
    assert!(
        validity.starts_with("times are valid up to p99; above it, its own delay widens them by up to"),
        "{validity}"
    );
    assert!(validity.ends_with("other programs had the CPU, for 6% of the run"), "{validity}");

    let exact = run("-r 1000 -d 10s a:1", |_, _| service(10 * MILLI));
    assert_eq!(exact.valid_up_to(), ValidUpTo::All);
    let all_late = run("-r 1000 -d 1s a:1", |_, _| Planted { lag: 2 * MILLI, ..service(MILLI) });
    assert_eq!(all_late.valid_up_to(), ValidUpTo::Nothing);
    let one = run("-r 1000 -n 1 a:1", |_, _| service(MILLI));
    assert_eq!(one.validity().as_deref(), Some("too few requests for percentiles"));
}

#[test]
fn thresholds_are_judged_by_the_band() {
    let summary = run("-r 1000 -d 2s a:1", |n, _| Planted {
        lag: 2 * MILLI,
        end: PlantedEnd::Status(if n % 50 == 0 { 503 } else { 200 }),
        ..service(10 * MILLI)
    });
    for (threshold, judgement, found) in [
        ("p(50)<13ms", Judgement::Passed, "10.0 ms to 12.0 ms"),
        ("p(50)<11ms", Judgement::NotJudged, "10.0 ms to 12.0 ms"),
        ("p(50)<9ms", Judgement::Failed, "10.0 ms to 12.0 ms"),
        ("p(50)>9ms", Judgement::Passed, "10.0 ms"),
        ("p(50)>11ms", Judgement::NotJudged, "10.0 ms"),
        ("p(50)>13ms", Judgement::Failed, "10.0 ms"),
        ("p(99)<10s", Judgement::Failed, "a request that did not succeed"),
        ("p(99)>1ms", Judgement::NotJudged, "a request that did not succeed"),
        ("p(99)>=10s", Judgement::NotJudged, "a request that did not succeed"),
        ("p(99.9)<10s", Judgement::NotJudged, "n too small"),
        ("service.p(50)<=10.1ms", Judgement::Passed, "10.0 ms"),
        ("lag.p(90)<1ms", Judgement::Failed, "2.00 ms"),
        ("wait.p(99.9)<1ms", Judgement::NotJudged, "n too small"),
        ("error_rate<=2%", Judgement::Passed, "2.000%"),
        ("error_rate<2%", Judgement::Failed, "2.000%"),
        ("rate>=990", Judgement::Passed, "1,000/s"),
        ("count(503)<=40", Judgement::Passed, "40"),
        ("count(5xx)<40", Judgement::Failed, "40"),
        ("unanswered<1", Judgement::Passed, "0"),
    ] {
        let judged = threshold.parse::<Threshold>().unwrap().judge(&summary);
        assert!(judged.judgement == judgement && judged.found.contains(found), "{judged:?}");
    }
}

#[test]
fn a_stalled_second_shows_in_its_interval_in_all_of_its_arrivals_and_as_a_stall() {
    let summary = run("-r 1000 -d 10s a:1", |_, at| {
        let is_stalled = (4 * SECOND..5 * SECOND).contains(&at);
        service(if is_stalled { 5 * SECOND - at + MILLI } else { MILLI })
    });
    let medians: Vec<_> =
        summary.records.intervals.iter().map(|interval| interval.response.value_at_quantile(0.5)).collect();
    assert!(medians[4].abs_diff(500 * MILLI) < 10 * MILLI, "{medians:?}");
    assert!([3, 5].iter().all(|second| medians[*second].abs_diff(MILLI) < 20 * MICRO), "{medians:?}");
    let Span { start, length } = summary.longest_stall().unwrap();
    assert!(
        start.abs_diff(4 * SECOND) <= 2 * MILLI && length.abs_diff(SECOND) <= 2 * MILLI,
        "{start} {length}"
    );
    assert_eq!(summary.longest_outage(), None, "each succeeded in the end");
    // A percentile of all requests has them all: one in ten was due in that second.
    assert!(band(&summary, 0.95).1 > 490 * MILLI);
}

#[test]
fn an_outage_is_found_by_the_arrivals_that_did_not_succeed() {
    let summary = run("-r 1000 -d 10s a:1", |_, at| match (4 * SECOND..6 * SECOND).contains(&at) {
        true => Planted { end: PlantedEnd::Status(502), ..Planted::default() },
        false => Planted::default(),
    });
    let Span { start, length } = summary.longest_outage().unwrap();
    assert!(start == 4 * SECOND && length.abs_diff(2 * SECOND) <= MILLI, "{start} {length}");
    assert_eq!(run("-r 1 -d 10s a:1", |_, _| Planted::default()).longest_outage(), None);
}

#[test]
fn one_straggler_is_reported_by_itself_and_takes_nothing_from_the_rate() {
    let summary = run("-r 1000 -d 2s a:1", |n, _| service(if n == 1999 { 8 * SECOND } else { MILLI }));
    assert!((summary.achieved_rate() - 1000.0).abs() < 1.0, "{}", summary.achieved_rate());
    let warnings = summary.warnings();
    assert!(
        warnings.iter().any(|warning| warning.starts_with("1 straggler took up to 8.00 s after")),
        "{warnings:?}"
    );
    assert!(
        (summary.mean_in_flight() - 1.0).abs() < 0.1,
        "{}: what is beyond the window is left out",
        summary.mean_in_flight()
    );
}

#[test]
fn stragglers_are_those_that_came_unusually_late_and_not_all_that_came_at_the_end() {
    let told = |plant: &dyn Fn(u64, u64) -> Planted| run("-r 1000 -d 2s a:1", plant).warnings().join("; ");
    // 500 are outstanding when the last one is sent, of which one is late.
    let one = told(&|n, _| service(if n == 1990 { 4 * SECOND } else { 500 * MILLI }));
    assert!(one.contains("1 straggler took up to 3.99 s after"), "{one}");
    let three = told(&|n, _| service(if n % 100 == 0 && n > 1600 { 4 * SECOND } else { MILLI }));
    assert!(three.contains("3 stragglers took up to 3.90 s after"), "{three}");
    assert_eq!(told(&|n, _| service(if n % 100 == 0 { SECOND } else { 300 * MILLI })), "");
}

#[test]
fn a_rate_that_was_not_held_names_what_explains_it_and_lies_within_the_run() {
    let said = |line: &str, plant: &dyn Fn(u64, u64) -> Planted| run(line, plant).verdict()[1].clone();
    let timed_out = || Planted { end: PlantedEnd::TimedOut, ..service(300 * MILLI) };
    // One of five fails all the time; what is outstanding when requests are no longer due is not a stall.
    let failing = said("-r 200 -d 2s --timeout 300ms a:1", &|n, _| match n % 5 {
        0 => timed_out(),
        _ => service(MILLI),
    });
    assert_eq!(
        failing,
        "the rate was not held, 160 of 200 requests/s: 80 of 400 requests got no reply: \
         no complete response within --timeout, from 127.0.0.1:1 and [::1]:1"
    );
    // Nor are those of a straggler, nor the first response time.
    let straggler = said("-r 200 -d 3s a:1", &|n, _| match n {
        599 => service(10 * SECOND),
        n if n % 5 == 0 => timed_out(),
        _ => service(400 * MILLI),
    });
    assert!(straggler.contains("120 of 600 requests got no reply"), "{straggler}");
    let failed_for = said("-r 200 -d 10s a:1", &|_, at| match at / SECOND {
        4..6 => timed_out(),
        _ => service(MILLI),
    });
    assert!(failed_for.ends_with("the target stood still or failed for 2.00 s"), "{failed_for}");
}

#[test]
fn a_step_of_the_wall_clock_changes_no_time_that_is_shown() {
    let plant = |step: u64| {
        move |_: u64, at: u64| Planted {
            server: Some(if at > SECOND { (step, step + MILLI) } else { (MICRO, MILLI) }),
            ..service(2 * MILLI)
        }
    };
    let (steady, stepped) =
        (run("-r 1000 -d 2s a:1", plant(MICRO)), run("-r 1000 -d 2s a:1", plant(3600 * SECOND)));
    assert_eq!(steady.records.times, stepped.records.times);
    assert_eq!(steady.limit(), stepped.limit());
}

#[test]
fn a_short_run_names_no_cpu_as_its_limit() {
    for (line, limit) in [("-r 1000 -n 3 a:1", Limit::None), ("-r 1000 -n 2000 a:1", Limit::Loadgen)] {
        let mut summary = run(line, |_, _| Planted { service: MILLI, ..Planted::default() });
        (summary.busiest_worker, summary.run_delay) = (0.3, Some(0.7));
        assert_eq!(summary.limit(), limit, "{line}");
    }
}

#[test]
fn one_request_says_nothing_of_a_rate() {
    let said = [
        (1, "one request says nothing of a rate"),
        (2, "the run was too short to tell whether the rate was held: "),
        (100, "the rate was held: "),
    ];
    for (count, said) in said {
        let summary =
            run(&format!("-r 1000 -n {count} a:1"), |_, _| Planted { service: MILLI, ..Planted::default() });
        let [_, limit] = summary.verdict();
        assert!(limit.contains(said), "{limit}");
    }
    // A run ends with its last reply, which is not a reason for a rate above the one that was asked for.
    let mut short = run("-r 50 -n 2 a:1", |_, _| Planted { service: MILLI, ..Planted::default() });
    short.elapsed = Duration::from_millis(21);
    assert!((short.achieved_rate() - 50.0).abs() < 0.01, "{}", short.achieved_rate());
}

#[test]
fn what_an_interrupt_left_unanswered_does_not_mean_that_the_rate_was_not_held() {
    let mut summary = run("-r 50 -n 100 a:1", |n, _| Planted {
        end: if n < 90 { PlantedEnd::Status(200) } else { PlantedEnd::NotSent },
        service: MILLI,
        ..Planted::default()
    });
    let [_, limit] = summary.verdict();
    assert!(!limit.starts_with("the rate was held"), "{limit}");
    summary.interrupted = true;
    let [_, limit] = summary.verdict();
    assert!(limit.starts_with("the rate was held"), "{limit}");
}

#[test]
fn a_sentence_on_widths_names_those_of_its_percentiles_alone() {
    // Of 400 requests, the slowest are late by far: there are too few for p99 and above.
    let summary = run("-r 200 -d 2s a:1", |n, _| Planted {
        service: 50 * MILLI,
        lag: if n >= 397 { 900 * MILLI } else { 0 },
        ..Planted::default()
    });
    assert_eq!(
        summary.validity().unwrap(),
        "times are valid up to p95; too few requests are slower to tell more"
    );
}

#[test]
fn a_closed_loop_without_a_cpu_does_not_measure_the_target() {
    let mut summary = run("-r 1000 -d 2s a:1", |_, _| Planted { service: MILLI, ..Planted::default() });
    summary.run.rate_per_second = None;
    let limit = |summary: &Summary| summary.verdict()[1].clone();
    assert!(limit(&summary).ends_with("the loop was closed"), "{}", limit(&summary));
    summary.run_delay = Some(0.3);
    assert!(limit(&summary).contains("waited for a CPU 30% of the run"), "{}", limit(&summary));
}

#[test]
fn a_stall_is_reported_unless_loadgen_itself_was_stopped() {
    let mut summary = run("-r 100 -d 4s a:1", |_, at| Planted {
        service: if (SECOND..2 * SECOND).contains(&at) { 2 * SECOND + MILLI - at } else { MILLI },
        ..Planted::default()
    });
    let warnings = |summary: &Summary| summary.warnings().join("\n");
    assert!(warnings(&summary).starts_with("no reply for 1.00 s at 1.00 s"), "{}", warnings(&summary));
    summary.records.held_up = (SECOND, SECOND);
    assert_eq!(warnings(&summary), "");
}

/// 100 requests/s, each of which is sent at the time that follows from when it was due.
fn coalesced(sent: impl Fn(u64) -> u64) -> Summary {
    run("-r 100 -d 1s --coalesce 100ms a:1", |_, at| Planted { lag: sent(at) - at, ..Planted::default() })
}

#[test]
fn what_is_sent_together_at_the_end_has_held_the_rate() {
    let summary = coalesced(|at| at - at % (110 * MILLI) + 100 * MILLI);
    assert!((summary.achieved_rate() - 100.0).abs() < 0.1, "{}", summary.achieved_rate());
}

#[test]
fn delay_is_that_of_coalescing_only_where_it_is_about_as_long() {
    let together = coalesced(|at| at - at % (110 * MILLI) + 100 * MILLI).validity().unwrap();
    assert!(together.ends_with("--coalesce has it send up to 100 ms late"), "{together}");
    for lag in [10 * MILLI, 300 * MILLI] {
        let otherwise = coalesced(|at| at + lag).validity().unwrap();
        assert!(!otherwise.contains("--coalesce"), "{otherwise}");
    }
}

#[test]
fn a_closed_loop_whose_target_went_away_says_for_how_long() {
    let gone = |_, at| match at {
        at if at > 3 * SECOND => Planted {
            end: PlantedEnd::Failed(Failure::new(Cause::Refused, "Connection refused")),
            ..service(0)
        },
        _ => service(MILLI),
    };
    let mut summary = run("-r 100 -d 4s a:1", gone);
    summary.run.rate_per_second = None;
    let [_, limit] = summary.verdict();
    assert!(limit.ends_with("; no request succeeded for 990 ms of the 4.00 s"), "{limit}");
    assert_eq!(summary.warnings(), ["no request succeeded for 990 ms from 3.01 s"]);
    // Single failures now and then are not an outage.
    let some = |n: u64, _| match n % 10 {
        3 => Planted {
            end: PlantedEnd::Failed(Failure::new(Cause::Refused, "Connection refused")),
            ..service(0)
        },
        _ => service(MILLI),
    };
    let mut summary = run("-r 5 -d 40s a:1", some);
    summary.run.rate_per_second = None;
    assert!(!summary.verdict()[1].contains("no request succeeded") && summary.warnings().is_empty());
}

#[test]
fn what_was_dropped_while_loadgen_was_kept_from_running_says_nothing_of_the_target() {
    let dropped = |n: u64, _| match n {
        100..140 => Planted { end: PlantedEnd::Dropped, ..Planted::default() },
        _ => Planted::default(),
    };
    for reached in [None, Some(Reached::default()), Some(Reached { connections: true, ..Reached::default() })]
    {
        let mut summary = run("-r 300 -d 3s a:1", dropped);
        (summary.records.held_up, summary.records.reached) = ((SECOND, SECOND), reached);
        assert_eq!(summary.limit(), Limit::None);
        let limit = &summary.verdict()[1];
        assert!(limit.starts_with("loadgen itself was kept from running for 1.00 s, "), "{limit}");
        // A short time explains few of them.
        summary.records.held_up = (SECOND / 9, SECOND / 20);
        assert_ne!(summary.limit(), Limit::None);
    }
}

#[test]
fn a_rate_that_is_held_by_failures_says_how_many_succeeded() {
    let sheds = |n: u64, _| match n % 2 {
        0 => Planted { end: PlantedEnd::Status(503), ..Planted::default() },
        _ => Planted::default(),
    };
    let [_, limit] = run("-r 100 -d 4s a:1", sheds).verdict();
    assert_eq!(limit, "the rate was held: 100 of 100 requests/s, of which 50% succeeded");
}

#[test]
fn connections_that_follow_from_max_in_flight_are_named_by_it() {
    let dropped = |n: u64, _| match n % 4 {
        0 => Planted { end: PlantedEnd::Dropped, ..Planted::default() },
        _ => Planted::default(),
    };
    let reached = Some(Reached { connections: true, ..Reached::default() });
    for (flags, said) in [
        ("--http1.1 --max-in-flight 50", "--max-in-flight 50 was the limit"),
        ("--http1.1 --max-in-flight 50 -c 4 --fixed-connections", "--connections 4 was the limit"),
    ] {
        let mut summary = run(&format!("-r 1000 -d 1s --on-overload drop {flags} http://a:1"), dropped);
        summary.records.reached = reached;
        let limit = &summary.verdict()[1];
        assert!(limit.starts_with(said), "{flags}: {limit}");
    }
}

#[test]
fn a_run_that_failed_while_connections_were_held_to_a_rate_says_so() {
    let reset = |_, _| Planted {
        end: PlantedEnd::Failed(Failure::new(Cause::Reset, "Connection reset by peer")),
        ..service(MILLI)
    };
    let mut summary = run("-r 20 -d 2s a:1", reset);
    summary.records.bytes_sent = 1000;
    summary.run.throttle = Some("--send-rate 64K".to_owned());
    let said = "nothing can be said of what the target can do: each connection was held to --send-rate 64K";
    assert_eq!(summary.verdict()[1], said);
}

#[test]
fn what_was_not_sent_when_the_command_of_a_run_had_ended_is_not_a_failure() {
    let unsent = |n: u64, _| match n {
        199 => Planted { end: PlantedEnd::NotSent, ..Planted::default() },
        _ => Planted::default(),
    };
    let mut summary = run("-r 100 -d 2s a:1", unsent);
    assert_eq!((summary.failed(), summary.limit()), (1, Limit::Connections));
    let (command, from, to) = ("true".to_owned(), Duration::ZERO, Duration::from_secs(1));
    summary.happened = Some(Box::new(Happened { command, code: Some(0), from, to, recovered: true }));
    assert_eq!((summary.failed(), summary.limit()), (0, Limit::None));
    assert_eq!(summary.verdict()[0], "succeeded: all 199 requests");
    // What a bound is held against is the share that the verdict has.
    let some = |n: u64, _| match n {
        199 => Planted { end: PlantedEnd::NotSent, ..Planted::default() },
        n if n % 2 == 0 => Planted { end: PlantedEnd::Status(503), ..Planted::default() },
        _ => Planted::default(),
    };
    let happened = summary.happened.clone();
    let half = Summary { happened, ..run("-r 100 -d 2s a:1", some) };
    let found = "error_rate<1".parse::<Threshold>().unwrap().judge(&half).found;
    assert_eq!(found, format!("{:.3}%", 100.0 - 100.0 * half.success_ratio()));
    assert_eq!((half.failed(), half.left_unsent()), (100, 1));
    // Many have waited for long.
    let unsent = |n: u64, _| match n {
        100.. => Planted { end: PlantedEnd::NotSent, ..Planted::default() },
        _ => Planted::default(),
    };
    let happened = summary.happened.clone();
    let summary = Summary { happened, ..run("-r 100 -d 2s a:1", unsent) };
    assert_eq!((summary.left_unsent(), summary.failed(), summary.limit()), (0, 100, Limit::Connections));
}

#[test]
fn a_closed_loop_says_that_loadgen_itself_was_kept_from_running() {
    let mut summary = run("-r 100 -d 3s a:1", |_, _| Planted::default());
    summary.run.rate_per_second = None;
    assert!(!summary.verdict()[1].contains("kept from running"));
    summary.records.held_up = (SECOND, SECOND);
    let limit = &summary.verdict()[1];
    assert!(limit.contains("; loadgen itself was kept from running for 1.00 s of the run"), "{limit}");
}

#[test]
fn where_two_options_have_the_same_bound_both_are_named() {
    let dropped = |n: u64, _| match n % 4 {
        0 => Planted { end: PlantedEnd::Dropped, ..Planted::default() },
        _ => Planted::default(),
    };
    for (most, said) in [
        (6, "--max-in-flight 6 (and --connections 2 with --streams 3) was the limit"),
        (5, "--max-in-flight 5 was the limit"),
        (7, "--connections 2 with --streams 3 was the limit"),
    ] {
        let line = format!("-r 1000 -d 1s --on-overload drop -c 2 -m 3 --max-in-flight {most} a:1");
        let limit = &run(&line, dropped).verdict()[1];
        assert!(limit.starts_with(said), "{limit}");
    }
}
