//! Searches against modelled targets, in virtual time.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

/// Searches, and counts the steps.
fn search(bounds: Bounds, mut evidence: impl FnMut(f64) -> Evidence) -> (SearchEnd, u32) {
    let mut search = Search::new(bounds);
    let mut steps = 0;
    loop {
        match search.next() {
            NextStep::End(end) => return (end, steps),
            NextStep::Step(rate) => {
                assert!(rate > 0.0 && rate <= bounds.max, "{rate} of {bounds:?}");
                search.record(evidence(rate));
                steps += 1;
                assert!(steps <= bounds.max_steps(), "{bounds:?}: {search:?}");
            }
        }
    }
}

/// A queue in front of a server of this capacity, as a fluid: at a higher rate the last requests of a step of 10 s wait
/// for what has piled up.
fn fluid(capacity: f64) -> impl Fn(f64) -> Evidence {
    move |rate| {
        let wait = (rate / capacity - 1.0).max(0.0) * 10.0;
        if wait < 0.02 { Evidence::Held } else { Evidence::NotHeld }
    }
}

#[test]
fn any_capacity_is_found_within_the_precision() {
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..20_000 {
        let capacity = 10f64.powf(random.random_range(-2.0..8.0));
        let start = capacity / 10f64.powf(random.random_range(0.0..6.0));
        let bounds = Bounds::new(start, 1e12, random.random_range(0.01..0.05)).unwrap();
        let (end, _) = search(bounds, fluid(capacity));
        let SearchEnd::Found { held, broken } = end else { panic!("{capacity} {bounds:?}: {end:?}") };
        assert!((held / capacity - 1.0).abs() <= 0.05, "{held} of {capacity}, {bounds:?}");
        assert!(held < broken && fluid(capacity)(held) == Evidence::Held, "{end:?}");
        assert_eq!(fluid(capacity)(broken), Evidence::NotHeld, "{end:?}");
    }
}

#[test]
fn one_bad_step_is_repeated_and_not_believed() {
    let mut random = StdRng::seed_from_u64(2);
    for _ in 0..20_000 {
        let capacity = 10f64.powf(random.random_range(0.0..7.0));
        let bounds = Bounds::new(capacity / 500.0, 1e12, 0.05).unwrap();
        let mut last = (0.0, false);
        let (end, _) = search(bounds, |rate| {
            // Never twice in a row at the same rate.
            let is_bad = random.random_bool(0.3) && last != (rate, true);
            last = (rate, is_bad);
            match (fluid(capacity)(rate), is_bad) {
                (Evidence::Held, true) if random.random_bool(0.5) => Evidence::Limited { held: false },
                (Evidence::Held, true) => Evidence::NotHeld,
                (evidence, _) => evidence,
            }
        });
        let SearchEnd::Found { held, .. } = end else { panic!("{capacity}: {end:?}") };
        assert!((held / capacity - 1.0).abs() <= 0.05, "{held} of {capacity}");
    }
}

#[test]
fn a_first_rate_that_is_not_held_twice_ends_the_search() {
    let bounds = Bounds::new(100.0, 1000.0, 0.05).unwrap();
    assert_eq!(search(bounds, fluid(50.0)), (SearchEnd::NotHeld { broken: 100.0 }, 2));
}

#[test]
fn the_highest_rate_that_may_be_tried_is_tried_and_not_exceeded() {
    for (max, steps) in [(100.0, 1), (150.0, 2), (300.0, 3), (801.0, 5)] {
        let bounds = Bounds::new(100.0, max, 0.05).unwrap();
        assert_eq!(search(bounds, fluid(1e9)), (SearchEnd::MaxHeld { held: max }, steps));
    }
}

#[test]
fn a_limit_of_loadgen_ends_the_search_when_it_is_seen_twice() {
    let bounds = Bounds::new(100.0, 1e6, 0.05).unwrap();
    let limited = |above: f64, held: bool| {
        move |rate: f64| if rate > above { Evidence::Limited { held } } else { Evidence::Held }
    };
    assert_eq!(
        search(bounds, limited(500.0, false)),
        (SearchEnd::Limited { held: Some(400.0), at: 800.0 }, 5)
    );
    assert_eq!(
        search(bounds, limited(500.0, true)),
        (SearchEnd::Limited { held: Some(800.0), at: 800.0 }, 5)
    );
    assert_eq!(search(bounds, limited(50.0, false)), (SearchEnd::Limited { held: None, at: 100.0 }, 2));
}

#[test]
fn where_two_steps_differ_a_third_one_decides() {
    let bounds = Bounds::new(100.0, 1e6, 0.05).unwrap();
    let (limited, broken) =
        (SearchEnd::Limited { held: None, at: 100.0 }, SearchEnd::NotHeld { broken: 100.0 });
    let (not_held, in_doubt) = (Evidence::NotHeld, Evidence::Limited { held: false });
    for (steps, expected) in [
        ([not_held, in_doubt, not_held], broken),
        ([in_doubt, not_held, not_held], broken),
        ([in_doubt, not_held, in_doubt], limited),
        ([not_held, in_doubt, in_doubt], limited),
    ] {
        let mut next = steps.into_iter();
        assert_eq!(search(bounds, |_| next.next().unwrap()), (expected, 3), "{steps:?}");
    }
}

#[test]
fn whatever_the_steps_say_a_search_ends() {
    let mut random = StdRng::seed_from_u64(3);
    for _ in 0..20_000 {
        let start = 10f64.powf(random.random_range(-3.0..8.0));
        let max = start * 10f64.powf(random.random_range(0.0..11.0));
        let bounds = Bounds::new(start, max, random.random_range(MIN_PRECISION..MAX_PRECISION)).unwrap();
        let worst = random.random_range(0.0..1.0);
        let limited = random.random_bool(0.5);
        let (end, _) = search(bounds, |_| match random.random_bool(worst) {
            true if limited && random.random_bool(0.5) => Evidence::Limited { held: random.random() },
            true => Evidence::NotHeld,
            false => Evidence::Held,
        });
        if let SearchEnd::Found { held, broken } = end {
            assert!(held < broken, "{end:?}");
        }
    }
}

#[test]
fn rates_have_three_digits() {
    for (rate, expected) in
        [(141.42, 141.0), (0.014142, 0.0141), (99.96, 100.0), (123_456.0, 123_000.0), (8.0, 8.0)]
    {
        assert_eq!(rounded(rate).to_string(), expected.to_string());
    }
}

#[test]
fn bounds_that_make_no_sense_are_refused() {
    for (start, max, precision) in [
        (0.0, 1.0, 0.05),
        (-1.0, 1.0, 0.05),
        (2.0, 1.0, 0.05),
        (f64::NAN, 1.0, 0.05),
        (1.0, f64::INFINITY, 0.05),
        (1.0, 2.0, 0.001),
        (1.0, 2.0, 0.6),
        (1.0, 2.0, f64::NAN),
    ] {
        assert_eq!(Bounds::new(start, max, precision), None);
    }
}
