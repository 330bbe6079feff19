//! What follows from planted records.

use crate::{
    planted::{MILLI, Planted, PlantedEnd, SECOND, run},
    recorder::{Availability, Carried, Flow},
};

#[test]
fn rates_and_averages_follow_from_the_records() {
    let summary = run("-r 1000 -d 1s a:1", |_, _| Planted { service: 20 * MILLI, ..Planted::default() });
    assert!((summary.offered_rate() - 1000.0).abs() < 0.1);
    assert!((summary.mean_in_flight() - 20.0).abs() < 0.5, "{}", summary.mean_in_flight());
}

#[test]
fn the_rate_of_a_closed_loop_is_that_until_the_last_request_was_sent_or_of_the_whole_run() {
    let mut summary = run("-r 1000 -n 1000 a:1", |n, _| Planted {
        service: if n == 999 { 4000 * MILLI } else { MILLI },
        ..Planted::default()
    });
    summary.run.rate_per_second = None;
    assert!(!summary.is_rate_over_all());
    assert!((summary.achieved_rate() - 1000.0).abs() < 5.0, "{}", summary.achieved_rate());
    let mut short = run("-r 1000 -n 10 a:1", |_, _| Planted { service: 500 * MILLI, ..Planted::default() });
    short.run.rate_per_second = None;
    assert!(short.is_rate_over_all());
    assert!((short.achieved_rate() - 10.0 / 0.509).abs() < 0.1, "{}", short.achieved_rate());
    assert!(short.warnings().iter().any(|warning| warning.contains("whole run")));
}

#[test]
fn the_rate_of_a_slow_closed_loop_does_not_depend_on_how_long_nothing_more_is_sent() {
    // Ten slots of 400 ms each: 25 a second, whenever the run ends.
    for window in [1000, 1100, 1190, 1900, 2350] {
        let sent = window / 400 + 1;
        let line = format!("-r 10000 -n {} a:1", sent * 10);
        let mut summary = run(&line, |_, _| Planted { service: 400 * MILLI, ..Planted::default() });
        summary.run.rate_per_second = None;
        summary.records.availability = Availability::default();
        summary.records.flow = Flow::default();
        for turn in 0..sent {
            summary.records.availability.due(turn * 400 * MILLI, true);
            summary.records.flow.at((turn + 1) * 400 * MILLI).completed += 10;
        }
        summary.arrivals_lasted = std::time::Duration::from_millis(window);
        assert!((summary.achieved_rate() - 25.0).abs() < 0.1, "{window}: {}", summary.achieved_rate());
    }
}

#[test]
fn the_rate_of_a_closed_loop_whose_target_hangs_is_that_of_the_whole_time() {
    let mut summary = run("-r 1000 -n 3000 a:1", |_, _| Planted { service: MILLI, ..Planted::default() });
    summary.run.rate_per_second = None;
    summary.arrivals_lasted = std::time::Duration::from_secs(10);
    assert!((summary.achieved_rate() - 300.0).abs() < 1.0, "{}", summary.achieved_rate());
}

#[test]
fn an_outage_behind_a_short_stall_is_reported_and_one_failure_in_a_pause_is_not() {
    let fails = |n: u64, _| match n {
        300..600 => Planted { end: PlantedEnd::Status(503), ..Planted::default() },
        100..120 => Planted { service: 300 * MILLI, ..Planted::default() },
        _ => Planted::default(),
    };
    let warnings = run("-r 100 -d 10s a:1", fails).warnings();
    let said =
        |warnings: &[String]| warnings.iter().any(|text| text.starts_with("no request succeeded for "));
    assert!(said(&warnings), "{warnings:?}");
    // One every ten seconds, of which a few fail in a row.
    for (failures, is_reported) in [(1, false), (4, false), (5, true)] {
        let few = |n: u64, _| match n {
            1.. if n <= failures => Planted { end: PlantedEnd::Status(503), ..Planted::default() },
            _ => Planted::default(),
        };
        let warnings = run("--stages 100s@0.1,2s@1000 a:1", few).warnings();
        assert_eq!(said(&warnings), is_reported, "{failures}: {warnings:?}");
    }
}

/// A number from 0 to 1 that seems random: always the same one for the same `n` and `seed`.
fn random(n: u64, seed: u64) -> f64 {
    let mut bits = (n << 20 | seed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    for shift in [30, 27, 31] {
        bits = (bits ^ bits >> shift).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Shares of the rate that was achieved in 50 runs whose response times are drawn so.
fn shares(line: &str, time: impl Fn(f64) -> f64) -> Vec<f64> {
    let share = |seed| {
        let service = |n, _| Planted { service: (time(random(n, seed)) * 1e6) as u64, ..Planted::default() };
        let summary = run(line, service);
        summary.achieved_rate() / summary.offered_rate()
    };
    (0..50).map(share).collect()
}

#[test]
fn a_target_that_answers_all_at_times_as_different_as_may_be_has_achieved_the_rate() {
    let uniform = |from: f64, to: f64| move |random: f64| from + random * (to - from);
    let found: [(&str, Vec<f64>); 7] = [
        ("-r 10 -d 2s a:1", shares("-r 10 -d 2s a:1", uniform(2000.0, 2004.0))),
        ("-r 50 -d 8s a:1", shares("-r 50 -d 8s a:1", uniform(1.0, 2000.0))),
        ("-r 20 -d 2s a:1", shares("-r 20 -d 2s a:1", uniform(500.0, 1500.0))),
        ("exponential", shares("-r 100 -d 5s a:1", |random| -1000.0 * (1.0 - random).ln())),
        ("two kinds", shares("-r 100 -d 3s a:1", |random| if random < 0.1 { 2000.0 } else { 1.0 })),
        ("at random", shares("-r 100 -d 3s --poisson a:1", uniform(1.0, 1000.0))),
        ("by stages", shares("--stages 2s@10..200,2s@200..10 a:1", uniform(1.0, 1000.0))),
    ];
    for (name, shares) in found {
        let short = shares.iter().filter(|share| (**share - 1.0).abs() > 0.001).count();
        assert!(short <= 1, "{name}: {shares:?}");
    }
}

#[test]
fn a_target_that_falls_behind_at_times_as_different_as_may_be_shows_what_it_serves() {
    // It serves one each `per_request`; what comes back comes up to half a second later.
    for (per_request, served) in [(11.0, 90.9), (13.0, 76.9), (20.0, 50.0), (100.0, 10.0)] {
        for seed in 0..20 {
            let summary = run("-r 100 -d 10s a:1", |n, _| {
                let queue = n as f64 * (per_request - 10.0);
                Planted { service: ((queue + 500.0 * random(n, seed)) * 1e6) as u64, ..Planted::default() }
            });
            let share = summary.achieved_rate() / served;
            assert!((share - 1.0).abs() < 0.06, "{per_request} ms, {seed}: {share} of {served}");
        }
    }
}

#[test]
fn responses_that_are_outstanding_when_requests_are_no_longer_due_are_missing_in_the_rate() {
    let achieved = |plant: &dyn Fn(u64, u64) -> Planted| run("-r 1000 -d 10s a:1", plant).achieved_rate();
    let service = |service: u64| Planted { service, ..Planted::default() };
    let still = |from: u64, until: u64| {
        move |_: u64, at: u64| service(if at >= from * MILLI { until * MILLI - at } else { MILLI })
    };
    for (from, until, rate) in
        [(9000, 12_000, 900.0), (9500, 12_000, 950.0), (9500, 30_000, 950.0), (5000, 30_000, 500.0)]
    {
        let found = achieved(&still(from, until));
        assert!((found / rate - 1.0).abs() < 0.01, "{from} to {until}: {found}");
    }
    // One of two backends alone.
    let half =
        achieved(&|n, at| service(if at >= 8000 * MILLI && n % 2 == 0 { 3000 * MILLI } else { MILLI }));
    assert!((half - 900.0).abs() < 9.0, "{half}");
    // It serves half as many from the middle on.
    let slower = achieved(&|_, at| service(MILLI + at.saturating_sub(5000 * MILLI)));
    assert!((slower - 750.0).abs() < 10.0, "{slower}");
    // What is never answered is missing.
    let failing = achieved(&|n, _| Planted {
        end: if n % 5 == 0 { PlantedEnd::TimedOut } else { PlantedEnd::Status(200) },
        ..service(300 * MILLI)
    });
    assert!((failing - 800.0).abs() < 1.0, "{failing}");
    // A stall that was worked off has cost nothing, and stragglers nothing but themselves.
    let over =
        achieved(&|_, at| service(if at / MILLI / 1000 == 4 { 5000 * MILLI - at + MILLI } else { MILLI }));
    assert!((over - 1000.0).abs() < 1.0, "{over}");
    let late = achieved(&|n, _| service(if n == 9999 { 10_000 * MILLI } else { MILLI }));
    assert!((late - 1000.0).abs() < 0.2, "{late}");
}

#[test]
fn requests_that_are_due_in_no_time_have_the_rate_of_the_whole_run() {
    // 17 a millisecond are served.
    for (line, requests) in [("-r 100000000 -n 3000 a:1", 3000.0), ("-r 1000000 -n 1000 a:1", 1000.0)] {
        let summary =
            run(line, |n, at| Planted { service: n * 58_824 + MILLI - at.min(MILLI), ..Planted::default() });
        assert!(summary.is_rate_over_all(), "{line}");
        let (achieved, served) = (summary.achieved_rate(), requests / (requests / 17_000.0 + 0.001));
        assert!((achieved / served - 1.0).abs() < 0.01, "{line}: {achieved} of {served}");
        assert!(summary.warnings().iter().any(|warning| warning.contains("whole run")));
        let [_, limit] = summary.verdict();
        assert!(limit.starts_with("the run was too short to tell whether the rate was held"), "{limit}");
    }
    // Long enough to see that a queue grew.
    let summary = run("-r 50000 -n 5000 a:1", |n, _| Planted { service: n * 38_824, ..Planted::default() });
    assert!((summary.achieved_rate() / 17_000.0 - 1.0).abs() < 0.02, "{}", summary.achieved_rate());
}

#[test]
fn bytes_have_the_rate_of_the_replies_that_they_are_of() {
    // Ten requests a second, each of a mebibyte that takes two seconds to come.
    let mut summary = run("-r 10 -d 2s a:1", |_, _| Planted { service: 2100 * MILLI, ..Planted::default() });
    for part in 0..200 {
        let carried = Carried { bodies: (20 << 20) / 200, ..Carried::default() };
        summary.records.carried(carried, part * 20 * MILLI);
    }
    let rate = summary.body_bytes_per_second();
    assert!((rate / (10 << 20) as f64 - 1.0).abs() < 0.001, "{rate}");
    // Of none that were completed, those that came in time.
    let mut none = run("-r 10 -d 2s a:1", |_, _| Planted { end: PlantedEnd::TimedOut, ..Planted::default() });
    none.records.carried(Carried { bodies: 1 << 20, ..Carried::default() }, 1000 * MILLI);
    assert!((none.body_bytes_per_second() / (1 << 19) as f64 - 1.0).abs() < 0.001);
}

#[test]
fn a_rate_of_less_than_one_a_run_is_the_one_that_was_asked_for() {
    for (line, rate, said) in [
        ("-r 0.5 -d 3s a:1", 0.5, "0.50 of 0.50 requests/s"),
        ("-r 0.001 -d 2s a:1", 0.001, "one request says nothing of a rate"),
        ("-r 0.001 -n 1 a:1", 0.001, "one request says nothing of a rate"),
        ("-r 3 -d 1100ms a:1", 3.0, "3 of 3 requests/s"),
    ] {
        let summary = run(line, |_, _| Planted::default());
        let (offered, achieved) = (summary.offered_rate(), summary.achieved_rate());
        assert!(
            (offered / rate - 1.0).abs() < 1e-6 && (achieved / rate - 1.0).abs() < 1e-6,
            "{offered} {achieved}"
        );
        let [_, limit] = summary.verdict();
        assert!(limit.ends_with(said), "{line}: {limit}");
    }
    // At random times there may be more than that by chance.
    let random = run("-r 100 -d 2s --poisson --seed 1 a:1", |_, _| Planted::default());
    let offered = random.records.counts.offered as f64;
    assert!((random.offered_rate() - offered / 2.0).abs() < 1e-6);
}

#[test]
fn an_overloaded_target_fell_behind_in_whichever_order_it_answers() {
    // It serves 200/s: of 300/s, each third request is left until nothing newer waits, the last ones first.
    for seconds in [1_u64, 2, 4, 10] {
        let (window, left) = (seconds * SECOND, seconds * 100);
        let newest_first = run(&format!("-r 300 -d {seconds}s a:1"), |n, at| {
            let end = match n % 3 {
                0 => window + (left - n / 3) * 5 * MILLI,
                _ => at + 5 * MILLI,
            };
            Planted { service: end - at, ..Planted::default() }
        });
        let rate = newest_first.achieved_rate();
        assert!((rate / 200.0 - 1.0).abs() < 0.05, "{seconds}: {rate}");
        let [_, limit] = newest_first.verdict();
        assert!(!limit.contains("was held"), "{limit}");
    }
    // A third that takes long has left nothing behind.
    let slow = run("-r 300 -d 4s a:1", |n, _| Planted {
        service: if n % 3 == 0 { SECOND } else { 5 * MILLI },
        ..Planted::default()
    });
    assert!((slow.achieved_rate() / 300.0 - 1.0).abs() < 1e-6, "{}", slow.achieved_rate());
    // Nor has one that is asked for more and more.
    let ramp = run("--stages 4s@50..500 a:1", |n, _| Planted {
        service: if n % 2 == 0 { 1500 * MILLI } else { 5 * MILLI },
        ..Planted::default()
    });
    assert!((ramp.achieved_rate() / ramp.offered_rate() - 1.0).abs() < 1e-6, "{}", ramp.achieved_rate());
}

#[test]
fn littles_law_holds_for_few_requests() {
    for line in ["-r 5 -n 5 a:1", "-r 2 -n 4 a:1", "-r 0.5 -d 3s a:1", "-r 100 -d 2s a:1"] {
        let mut summary = run(line, |_, _| Planted { service: 20 * MILLI, ..Planted::default() });
        for elapsed in [summary.elapsed, summary.elapsed * 9 / 10] {
            // A run may end before the last interval is over.
            summary.elapsed = elapsed;
            let little = summary.little().unwrap();
            let by_rate = little.rate * little.service / 1e9;
            assert!(
                (by_rate / little.in_flight - 1.0).abs() < 0.05,
                "{line}: {by_rate} {}",
                little.in_flight
            );
        }
    }
}
