//! Requests at a rate that changes from stage to stage: steps, ramps, spikes, pauses.
//!
//! Number `n` of the whole run is due when the integral of the rate goes beyond `n`, in closed form, so that no error adds
//! up: the first one immediately, or where the rate is no longer 0. As with a constant rate, a part owns every nth.

use std::time::Duration;

use super::{
    Due, Part, Stage,
    profile::{Profile, REQUEST},
};
use crate::clock::Nanos;

/// Arrivals by stages. A clone shares what does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stages {
    profile: Profile,
    total: Option<u64>,
    part: Part,
    /// How many of this part have been due.
    given: u64,
    /// The stage of the last one.
    piece: usize,
}

impl Stages {
    /// These stages, ended by `total` arrivals or by the last stage, whichever comes first.
    ///
    /// # Panics
    /// When a rate is not from 0 to 10^8.
    #[must_use]
    pub fn new(stages: &[Stage], total: Option<u64>) -> Self {
        Self { profile: Profile::new(stages), total, part: Part::WHOLE, given: 0, piece: 0 }
    }

    pub(super) fn part(&self, part: Part) -> Self {
        Self { part: self.part.part(part), given: 0, piece: 0, ..self.clone() }
    }

    pub(super) fn window(&self) -> Duration {
        let by_total = self.total.and_then(|total| self.instant(&mut 0, total));
        Duration::from_nanos(by_total.unwrap_or(self.profile.length()))
    }

    pub(super) fn expected_by(&self, at: Nanos) -> u64 {
        self.profile.count_before(at).min(self.total.unwrap_or(u64::MAX))
    }

    #[inline]
    fn instant(&self, piece: &mut usize, number: u64) -> Option<Nanos> {
        self.profile.instant(piece, u128::from(number) * REQUEST)
    }
}

impl Iterator for Stages {
    type Item = Due;

    #[inline]
    fn next(&mut self) -> Option<Due> {
        let number = self.part.number(self.given)?;
        if self.total.is_some_and(|total| number >= total) {
            return None;
        }
        let mut piece = self.piece;
        let at = self.instant(&mut piece, number)?;
        (self.piece, self.given) = (piece, self.given + 1);
        Some(Due { number, at })
    }

    #[inline]
    fn nth(&mut self, skipped: usize) -> Option<Due> {
        self.given = self.given.saturating_add(skipped as u64);
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Arrivals, Constant};

    const SECOND: Nanos = 1_000_000_000;

    fn stage(millis: u64, from: f64, to: f64) -> Stage {
        Stage { length: Duration::from_millis(millis), from, to }
    }

    fn all(arrivals: Stages) -> Vec<(u64, Nanos)> {
        arrivals.map(|due| (due.number, due.at)).collect()
    }

    /// A list of stages for each number, of all kinds: even, up, down, pauses, rates with digits behind the point.
    fn some_stages(seed: u64) -> Vec<Stage> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let rate = |drawn: u64| if drawn < 300 { 0.0 } else { drawn as f64 / 7.0 };
        (0..=seed % 6)
            .map(|_| {
                let (from, other) = (rate(draw(1500)), rate(draw(1500)));
                let to = if draw(2) == 0 { from } else { other };
                Stage { length: Duration::from_nanos(1 + draw(3 * SECOND)), from, to }
            })
            .collect()
    }

    #[test]
    fn each_stage_has_as_many_arrivals_as_its_integral_says() {
        let stages = [
            stage(1000, 100.0, 100.0),
            stage(3000, 100.0, 1000.0),
            stage(2000, 0.0, 0.0),
            stage(500, 5000.0, 5000.0),
            stage(1000, 1000.0, 0.0),
            stage(1000, 0.0, 10.0),
        ];
        let arrivals = Stages::new(&stages, None);
        assert_eq!(arrivals.window(), Duration::from_millis(8500));
        let due = all(arrivals);
        let mut end = 0;
        for (stage, expected) in stages.iter().zip([100, 1650, 0, 2500, 500, 5]) {
            let start = end;
            end += stage.length.as_nanos() as u64;
            let within = due.iter().filter(|(_, at)| (start..end).contains(at)).count();
            assert_eq!(within, expected, "{stage:?}");
        }
        assert_eq!(due.len(), 4755);
        // Behind the pause, the next one is due where it ends.
        assert_eq!(due[1750], (1750, 6 * SECOND));
    }

    #[test]
    fn arrivals_are_in_order_are_those_of_the_parts_and_are_as_many_as_are_expected() {
        for seed in 0..60 {
            let stages = some_stages(seed);
            let whole = Stages::new(&stages, None);
            let due = all(whole.clone());
            assert!(due.is_sorted_by(|one, next| one.0 + 1 == next.0 && one.1 <= next.1), "{stages:?}");
            assert_eq!(whole.expected_by(Nanos::MAX), due.len() as u64, "{stages:?}");
            let integral: f64 =
                stages.iter().map(|s| s.length.as_secs_f64() * f64::midpoint(s.from, s.to)).sum();
            assert!((due.len() as f64 - integral).abs() <= 1.0, "{stages:?}: {} of {integral}", due.len());
            for (index, (number, at)) in due.iter().enumerate().step_by(37) {
                assert_eq!(*number, index as u64);
                let before = due.partition_point(|(_, other)| other < at) as u64;
                assert_eq!(whole.expected_by(*at), before, "{stages:?}, number {number}");
                assert!(whole.expected_by(at + 1) > *number);
            }
            for parts in [2, 3, 7] {
                let part = |index| all(whole.part(Part::new(index, parts)));
                let mut together: Vec<_> = (0..parts).flat_map(part).collect();
                together.sort_unstable();
                assert_eq!(together, due, "{stages:?} over {parts}");
            }
        }
    }

    #[test]
    fn a_total_ends_the_stages_exactly_there() {
        let stages = [stage(1000, 0.0, 100.0), stage(1000, 100.0, 100.0)];
        for total in [0, 1, 49, 50, 51, 149, 150, 151, 1000] {
            let arrivals = Stages::new(&stages, Some(total));
            let due = all(arrivals.clone());
            assert_eq!(due.len() as u64, total.min(150));
            assert_eq!(arrivals.expected_by(Nanos::MAX), total.min(150));
            assert!(due.iter().all(|(_, at)| u128::from(*at) < arrivals.window().as_nanos()), "{total}");
        }
        assert_eq!(Stages::new(&stages, Some(100)).window(), Duration::from_millis(1500));
    }

    #[test]
    fn skipping_arrivals_equals_taking_and_dropping_them() {
        let part = Stages::new(&some_stages(5), None).part(Part::new(1, 3));
        let mut behind = part;
        for skipped in [0, 1, 5, 100] {
            let mut ahead = behind.clone();
            for _ in 0..skipped {
                ahead.next();
            }
            assert_eq!(behind.nth(skipped), ahead.next(), "{skipped}");
        }
        assert_eq!(behind.nth(100_000), None);
    }

    #[test]
    fn an_even_stage_is_due_when_a_constant_rate_is() {
        for rate in [0.001, 0.3, 7.0, 333.0, 1e5] {
            let stage = Stage { length: Duration::from_secs(24 * 3600), from: rate, to: rate };
            let arrivals = Stages::new(&[stage], None);
            let constant = Constant::new(rate, None, Some(stage.length));
            assert_eq!(
                Arrivals::count(&Arrivals::Stages(arrivals.clone())),
                Arrivals::count(&Arrivals::Constant(constant)),
                "{rate}/s"
            );
            for skipped in [0, 1, 10, 23_000] {
                let (one, other) = (arrivals.clone().nth(skipped), { constant }.nth(skipped));
                assert_eq!(one.map(|due| due.number), other.map(|due| due.number));
                let apart = one.zip(other).map_or(0, |(one, other)| one.at.abs_diff(other.at));
                assert!(apart <= 1, "{rate}/s: {one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn the_highest_rate_and_the_longest_time_neither_overflow_nor_lose_their_order() {
        let year = Duration::from_secs(365 * 24 * 3600);
        let stages = [Stage { length: year, from: 0.0, to: 1e8 }, Stage { length: year, from: 1e8, to: 0.0 }];
        let arrivals = Stages::new(&stages, None);
        let all = arrivals.expected_by(Nanos::MAX);
        assert_eq!(all, 365 * 24 * 3600 * 100_000_000);
        for from in [0, all / 3, all / 2 - 500, all / 4 * 3, all - 1000] {
            let mut some = arrivals.clone();
            some.given = from;
            let due: Vec<_> = some.take(1000).map(|due| due.at).collect();
            assert!(due.len() == 1000 && due.is_sorted(), "from {from}");
        }
    }
}
