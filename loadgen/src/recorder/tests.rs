//! Whatever happens is recorded, adds up, and merges.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::outcome::{Arrival, Cause, Failure, InFlight, Outcome};

fn record_anything(recorder: &mut Recorder, random: &mut StdRng, number: u64) {
    let due = random.random_range(0..20_000_000_000);
    let picked = due + random.random_range(0..1_000_000);
    recorder.picked_up(due, picked, 1);
    let written = random.random_bool(0.9).then(|| picked + random.random_range(0..1_000_000));
    let at = picked + random.random_range(1_000_000..2_000_000_000);
    let mut in_flight = InFlight::new(Arrival { written, ..Arrival::new(number, due, picked) }, picked);
    let failure = Failure::new(Cause::RstStream(random.random_range(0..14)), "reset");
    let outcome = match random.random_range(0..8) {
        0 => return recorder.dropped(0, due, picked, false),
        1 => Outcome::Abandoned,
        2 => Outcome::TimedOut,
        3 => Outcome::Failed(&failure),
        _ => {
            in_flight.reply.status = random.random_range(200..600);
            in_flight.reply.instance = Some(recorder.instance(&[b'a' + random.random_range(0..4)]));
            Outcome::Replied
        }
    };
    recorder.ended(in_flight.ended(at, outcome), at - 500_000);
}

#[test]
fn whatever_happens_adds_up_and_merging_is_recording_in_one_place() {
    let ids = Ids { run: 1, load: 0 };
    for seed in 0..20 {
        let mut parts = vec![Recorder::new(ids, ExpectedStatus::default()); 3];
        let mut whole = Recorder::new(ids, ExpectedStatus::default());
        for number in 0..500 {
            let seed = seed * 1000 + number;
            record_anything(&mut parts[number as usize % 3], &mut StdRng::seed_from_u64(seed), number);
            record_anything(&mut whole, &mut StdRng::seed_from_u64(seed), number);
        }
        let mut merged = Recorder::new(ids, ExpectedStatus::default());
        for part in &parts {
            assert!(part.counts.add_up(), "{:?}", part.counts);
            merged.merge(part);
        }
        assert!(merged.counts.add_up());
        assert_eq!(merged.counts, whole.counts);
        assert_eq!(merged.times.response, whole.times.response);
        assert_eq!(merged.times.lag, whole.times.lag);
        assert_eq!(merged.statuses, whole.statuses);
        assert_eq!(merged.in_flight, whole.in_flight);
        assert_eq!(merged.times, whole.times);
        assert_eq!(merged.flow, whole.flow);
        assert_eq!(merged.trend, whole.trend);
        assert_eq!(merged.availability, whole.availability);
        assert_eq!(
            merged.times.response.len() + merged.times.unsuccessful.len(),
            merged.counts.offered,
            "each has a time"
        );
        let totals = |recorder: &Recorder| {
            recorder.failures.iter().map(|(cause, seen)| (cause, seen.count)).collect::<Vec<_>>()
        };
        assert_eq!(totals(&merged), totals(&whole));
        let backends = |recorder: &Recorder| {
            recorder
                .backends
                .sorted()
                .into_iter()
                .map(|b| (b.name.clone(), b.response.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(backends(&merged), backends(&whole));
        let completed = |recorder: &Recorder| recorder.intervals.iter().map(|i| i.completed).sum::<u64>();
        assert_eq!(
            (completed(&merged), completed(&whole)),
            (whole.counts.completed(), whole.counts.completed())
        );
    }
}

#[test]
fn what_does_not_succeed_has_its_age_and_no_response_time() {
    let mut recorder = Recorder::new(Ids { run: 0, load: 0 }, ExpectedStatus::default());
    let arrival = Arrival { written: Some(3000), ..Arrival::new(0, 1000, 2000) };
    let in_flight = || InFlight::new(arrival, 2000);
    let failure = Failure::new(Cause::Reset, "reset");
    for (at, outcome) in [(700_001_000, Outcome::TimedOut), (5000, Outcome::Failed(&failure))] {
        recorder.picked_up(1000, 2000, 1);
        recorder.ended(in_flight().ended(at, outcome), at);
    }
    let times = &recorder.times;
    assert_eq!((times.response.len(), times.unsuccessful.len()), (0, 2));
    assert!(times.unsuccessful.equivalent(times.unsuccessful.max(), 700_000_000));
    assert_eq!((times.service.len(), times.wait.len()), (0, 2));
}
