//! Comparisons of modelled contenders, in virtual time.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    alike::{Facts, faults, unknown},
    interval::outside,
    rules::{Conditions, MAX_HELD_UP, MAX_SERVER_LAG, Machine, Reason, RoundTrips, ServerConditions},
    *,
};

/// A normal number, by Box and Muller.
fn normal(random: &mut StdRng) -> f64 {
    let (radius, angle): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// A round of a contender whose true median is `usual`, on a machine that drifts, with noise that has a heavy tail: what
/// disturbs a round disturbs all of its figures.
fn round(usual: f64, drift: f64, random: &mut StdRng) -> Round {
    let disturbed = if random.random_bool(0.1) { 1.0 + random.random::<f64>() * 3.0 } else { 1.0 };
    let common = drift * disturbed * (0.05 * normal(random)).exp();
    let own = usual * 0.1 * random.random::<f64>();
    let mut times = |times_median: f64, spread: f64| {
        let response = usual * times_median * common * (spread * normal(random)).exp();
        Some(RoundTime { response, undelayed: (response - own).max(0.0) })
    };
    Round { p50: times(1.0, 0.02), p99: times(4.0, 0.2), mean: times(1.2, 0.05), cpu: None }
}

/// Compares contenders with these medians, and says whether any difference was found in any figure.
fn finds_a_difference(usual: &[f64], blocks: usize, seed: u64) -> bool {
    let mut random = StdRng::seed_from_u64(seed);
    let mut plan = Blocks::new(usual.len(), blocks, seed);
    let mut kept = Vec::new();
    let mut now = 0.0;
    while let Some(order) = plan.next_order() {
        let mut block = vec![Round::default(); usual.len()];
        for contender in order {
            // It gets slower all the time, also within a block.
            now += 1.0;
            block[contender] = round(usual[contender], 1.0 + 0.01 * now, &mut random);
        }
        let is_kept = random.random_bool(0.9);
        if is_kept {
            kept.push(block);
        }
        plan.record(is_kept);
    }
    assert_eq!(kept.len(), blocks);
    (1..usual.len()).any(|contender| {
        let taxes = judged_taxes(&kept, contender, usual.len());
        taxes.iter().any(|tax| matches!(tax.found, TaxFinding::Slower | TaxFinding::Faster))
    })
}

/// How many of a thousand comparisons find a difference.
fn found_of_a_thousand(usual: &[f64], blocks: usize) -> usize {
    (0..1000).filter(|seed| finds_a_difference(usual, blocks, *seed)).count()
}

#[test]
fn a_comparison_of_a_thing_with_itself_finds_no_difference_in_19_of_20() {
    // A true rate of 5% gives more than 70 of 1,000 in two of a thousand tests; these are fixed by their seeds.
    for (contenders, blocks) in [(2, 6), (2, 9), (2, 11), (2, 20), (3, 9), (5, 9), (16, 15)] {
        let found = found_of_a_thousand(&vec![1e6; contenders], blocks);
        assert!(found <= 60, "{found} of 1,000 comparisons of {contenders} with {blocks} blocks");
    }
}

#[test]
fn a_difference_that_is_larger_than_the_noise_is_found_in_nine_of_ten() {
    for usual in [&[1e6, 2.5e6][..], &[1e6, 1e6, 1e6, 0.3e6]] {
        let blocks = blocks_wanted(usual.len());
        let found = found_of_a_thousand(usual, blocks);
        assert!(found >= 900, "{found} of 1,000 with {blocks} blocks: {usual:?}");
    }
}

#[test]
fn intervals_are_those_of_order_statistics() {
    // Six: from the smallest to the largest. Nine: from the 2nd to the 8th.
    for (n, left_out, confidence) in [(6, 0, 0.969), (9, 1, 0.961), (11, 1, 0.988), (20, 5, 0.959)] {
        let values: Vec<f64> = (0..n).rev().map(f64::from).collect();
        let found = of_median(&values, 0.05).unwrap();
        assert_eq!((found.low, found.high), (f64::from(left_out), f64::from(n - 1 - left_out)), "{n}");
        assert!((found.confidence - confidence).abs() < 0.0006, "{n}: {}", found.confidence);
        assert!(found.contains(median(&values).unwrap()) && !found.contains(-0.5));
    }
    assert_eq!((of_median(&[1.0; 5], 0.05), of_median(&[], 0.05), median(&[])), (None, None, None));
    assert_eq!((median(&[3.0, 1.0]), median(&[5.0, 1.0, 2.0])), (Some(2.0), Some(2.0)));
    // Never more than half of them are left out.
    assert_eq!(outside(1, 2.0).map(|(left_out, _)| left_out), Some(0));
    assert!(outside(MAX_BLOCKS, 0.05).is_some_and(|(left_out, _)| (39..=40).contains(&left_out)));
}

#[test]
fn each_block_has_each_contender_once_in_an_order_that_follows_from_the_seed() {
    let orders = |seed| {
        let mut blocks = Blocks::new(4, MAX_BLOCKS, seed);
        let mut orders = Vec::new();
        while let Some(order) = blocks.next_order() {
            blocks.record(true);
            orders.push(order);
        }
        assert_eq!((blocks.kept(), blocks.discarded()), (MAX_BLOCKS, 0));
        orders
    };
    let first = orders(1);
    assert_eq!((first.len(), &first), (MAX_BLOCKS, &orders(1)));
    assert_ne!(first, orders(2));
    for order in &first {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3]);
    }
    // Each is the first one of a block about as often as another.
    for contender in 0..4 {
        let times = first.iter().filter(|order| order[0] == contender).count();
        assert!((10..=40).contains(&times), "{contender}: {times} of 100");
    }
}

#[test]
fn a_discarded_block_is_replaced_until_as_many_were_discarded_as_there_were_to_be() {
    let measured = |keeps: fn(usize) -> bool| {
        let mut blocks = Blocks::new(2, 6, 1);
        let mut count = 0;
        while blocks.next_order().is_some() {
            blocks.record(keeps(count));
            count += 1;
        }
        (count, blocks.kept(), blocks.discarded())
    };
    assert_eq!(measured(|_| true), (6, 6, 0));
    assert_eq!(measured(|count| count % 2 == 0), (11, 6, 5));
    assert_eq!(measured(|_| false), (6, 0, 6));
}

#[test]
fn there_are_as_many_blocks_as_contenders_need() {
    assert_eq!([2, 3, 5, 16].map(blocks_needed), [6, 7, 8, 10]);
    assert_eq!([2, 3, 5, 16].map(blocks_wanted), [11, 12, 13, 15]);
    assert!((1..=MAX_CONTENDERS).all(|contenders| blocks_wanted(contenders) <= MAX_BLOCKS));
}

#[test]
fn where_blocks_are_few_the_median_is_judged_first_and_what_a_round_lacks_is_not() {
    let block = |own: f64| {
        let times = |response: f64| Some(RoundTime { response, undelayed: response });
        let first = Round { p50: times(1e6), p99: times(2e6), mean: times(1e6), cpu: None };
        vec![first, Round { p50: times(own), p99: times(2.0 * own), mean: times(own), cpu: None }]
    };
    let found = |blocks: &[Vec<Round>]| {
        let taxes = judged_taxes(blocks, 1, 2);
        taxes.iter().map(|tax| tax.found).collect::<Vec<_>>()
    };
    assert_eq!(found(&vec![block(3e6); 9]), [TaxFinding::Slower; 3]);
    assert_eq!(found(&vec![block(0.5e6); 9]), [TaxFinding::Faster; 3]);
    assert_eq!(found(&vec![block(1e6); 9]), [TaxFinding::NoDifference; 3]);
    assert_eq!(
        found(&vec![block(3e6); 6]),
        [TaxFinding::Slower, TaxFinding::NotJudged, TaxFinding::NotJudged]
    );
    assert_eq!(found(&vec![block(3e6); 5]), [TaxFinding::NotJudged; 3]);
    assert_eq!(found(&[]), [TaxFinding::NotJudged; 3]);
    let mut lacks = vec![block(3e6); 9];
    lacks[4][1].p99 = None;
    assert_eq!(found(&lacks), [TaxFinding::Slower, TaxFinding::NotJudged, TaxFinding::Slower]);
    let taxes = judged_taxes(&vec![block(3e6); 9], 1, 2);
    assert_eq!((taxes[0].estimate, taxes[1].estimate), (Some(2e6), Some(4e6)));
    assert!(taxes[0].ratio.is_some_and(|ratio| (ratio - 3.0).abs() < 1e-9), "{taxes:?}");
    // What is there with loadgen's own delay alone is not believed.
    let mut delayed = vec![block(3e6); 9];
    for block in &mut delayed {
        block[1].p50 = Some(RoundTime { response: 3e6, undelayed: 0.9e6 });
    }
    assert_eq!(found(&delayed)[0], TaxFinding::NoDifference);
}

#[test]
fn the_rate_for_all_is_half_of_the_slowest_knee() {
    let knee = |rate| Knee { rate, is_lower_bound: false };
    for (knees, rate) in [
        (&[10_000.0, 4_000.0][..], 2_000.0),
        (&[3_140.0], 1_500.0),
        (&[7.0], 3.5),
        (&[0.0141], 0.0070),
        (&[1e8], 5e7),
    ] {
        let knees: Vec<Knee> = knees.iter().copied().map(knee).collect();
        assert_eq!(rate_for_all(&knees), Some(rate), "{knees:?}");
    }
    assert_eq!(rate_for_all(&[]), None);
}

#[test]
fn blocks_are_discarded_by_rules_that_do_not_look_at_the_contender() {
    let p50 = |response: f64, undelayed: f64| Some(RoundTime { response, undelayed });
    let server = |lag| Some(ServerConditions { busy: 1.0, lag });
    let fine = Conditions {
        steal: Some(0.02),
        held_up: MAX_HELD_UP,
        p50: p50(10e6, 5e6),
        busy: 1.0,
        server: server(MAX_SERVER_LAG),
    };
    assert_eq!(fine.fault(), None);
    assert_eq!(Conditions::default().fault(), None);
    assert_eq!(Conditions { p50: p50(1e6, 0.0), ..fine }.fault(), None, "that short");
    for (conditions, reason) in [
        (Conditions { steal: Some(0.021), ..fine }, Reason::Steal),
        (Conditions { held_up: MAX_HELD_UP + 1, ..fine }, Reason::HeldUp),
        (Conditions { p50: p50(10e6, 4.9e6), ..fine }, Reason::OwnDelay),
        (Conditions { server: server(MAX_SERVER_LAG * 1.01), ..fine }, Reason::ServerLate),
    ] {
        assert_eq!(conditions.fault(), Some(reason), "{conditions:?}");
    }
    // CPUs that are near are so in each round, or the block is not of one machine.
    for (nearest, farthest, fault) in [
        (50.0, 99.0, None),
        (50.0, 300.0, Some(Reason::CacheLine)),
        (300.0, 600.0, None),
        (300.0, 601.0, Some(Reason::CacheLine)),
    ] {
        let one = |nanos| RoundTrips { nearest: nanos, farthest: nanos };
        assert_eq!(one(farthest).and(one(nearest)).fault(), fault, "{nearest} {farthest}");
        assert_eq!(one(farthest).fault(), None);
    }
    let shown: Vec<String> = Reason::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(shown[0], "other machines had more than 2% of the CPUs (steal)");
}

#[test]
fn a_machine_that_is_too_small_is_reported_with_figures() {
    let large = Machine { cpus: 64, busiest: 0.3, busiest_server: 0.7, is_shared: false };
    assert!(large.warnings().is_empty());
    let server = Machine { busiest_server: 0.9, ..large }.warnings();
    assert!(
        server[0].starts_with("dummy-server's workers were busy 90% of a round, above 70%"),
        "{server:?}"
    );
    let warnings = Machine { cpus: 2, busiest: 0.815, busiest_server: 0.0, is_shared: true }.warnings();
    assert!(warnings[0].contains("busy 82% of a round, above 70%"), "{warnings:?}");
    assert!(warnings[1].contains("share 2 CPUs with loadgen"), "{warnings:?}");
    assert!(warnings[2].starts_with("2 CPUs are few: CPU time for each request"), "{warnings:?}");
}

#[test]
fn what_differs_between_contenders_is_named() {
    let direct = Facts {
        name: "direct".to_owned(),
        protocol: "HTTP/1.1".to_owned(),
        statuses: [200].into(),
        lengths: [1024].into(),
        encodings: [].into(),
        cached: Some(false),
        closes: false,
        per_connection: 8.0,
        per_upstream: Some(8.0),
    };
    let nginx = Facts { name: "nginx".to_owned(), ..direct.clone() };
    let said = |other: Facts| faults(&[direct.clone(), other]);
    assert!(said(nginx.clone()).is_empty());
    for (other, expected) in [
        (
            Facts { protocol: "h2c".to_owned(), ..nginx.clone() },
            "protocols differ: direct HTTP/1.1, nginx h2c",
        ),
        (
            Facts { statuses: [200, 503].into(), ..nginx.clone() },
            "statuses differ: direct 200, nginx 200/503",
        ),
        (
            Facts { lengths: [99].into(), ..nginx.clone() },
            "body lengths differ: direct 1024 bytes, nginx 99 bytes",
        ),
        (
            Facts { encodings: ["gzip".to_owned()].into(), ..nginx.clone() },
            "nginx compresses: content-encoding gzip",
        ),
        (
            Facts { cached: Some(true), ..nginx.clone() },
            "nginx replies from a cache: not each request reaches a server",
        ),
        (
            Facts { per_connection: 1.0, ..nginx.clone() },
            "nginx: 1.0 requests per connection: keep-alive is off between loadgen and it",
        ),
        (
            Facts { per_upstream: Some(1.0), ..nginx.clone() },
            "nginx: 1.0 requests per upstream connection: keep-alive is off",
        ),
    ] {
        assert_eq!(said(other), [expected]);
    }
    let closing = Facts { closes: true, per_connection: 1.0, per_upstream: None, ..nginx.clone() };
    assert!(said(closing.clone()).is_empty() && unknown(&[closing]).is_empty(), "that was asked for");
    let blind = Facts { cached: None, per_upstream: None, ..nginx };
    let said = unknown(&[direct.clone(), blind]);
    assert!(said.len() == 2 && said.iter().all(|said| said.contains("can't be known of nginx")), "{said:?}");
    assert!(unknown(&[direct]).is_empty());
}
