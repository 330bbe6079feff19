//! Requests at random times (a Poisson process), as those of many independent users: at a constant rate,
//! or by stages.
//!
//! Each part draws from its own stream, seeded by the run's seed and the part: parts are independent, and together
//! they are a Poisson process at the whole rate. The same seed and number of parts give the same times; a clone goes on with
//! the same draws. Numbers are those of a part's every nth, so that they are unique; at the end of the run some may be
//! missing, as one part draws more than another.

use std::time::Duration;

use contract::quantity::rounded;

use super::{
    Due, Part, Stage,
    profile::{Profile, REQUEST, endless},
};
use crate::clock::{Nanos, nanos};

/// Arrivals at random times. A clone shares what does not change, and draws the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poisson {
    profile: Profile,
    /// Arrivals from `since` on.
    total: Option<u64>,
    since: Nanos,
    seed: u64,
    part: Part,
    draws: Draws,
    /// How much of the integral of the rate lies behind the last one.
    mass: u128,
    piece: usize,
    /// How many of this part have been due, and how many of them count towards the total.
    given: u64,
    counted: u64,
}

impl Poisson {
    /// At these rates, ended by the last stage, or by `total` arrivals that are due `since` this long after the start or later.
    ///
    /// # Panics
    /// When a rate is not from 0 to 10^8.
    #[must_use]
    pub fn new(stages: &[Stage], total: Option<u64>, since: Duration) -> Self {
        let whole = Self {
            profile: Profile::new(stages),
            total,
            since: nanos(since),
            seed: 0,
            part: Part::WHOLE,
            draws: Draws(0),
            mass: 0,
            piece: 0,
            given: 0,
            counted: 0,
        };
        whole.seeded(0)
    }

    /// At this rate without end, but for `total`.
    ///
    /// # Panics
    /// When the rate is not from 0 to 10^8.
    #[must_use]
    pub fn endless(rate: f64, total: Option<u64>, since: Duration) -> Self {
        Self::new(&[endless(rate)], total, since)
    }

    /// The same with draws that follow from this seed, from the first one on.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }.part(Part::WHOLE)
    }

    pub(super) fn part(&self, part: Part) -> Self {
        let part = self.part.part(part);
        let draws = Draws::new([self.seed, part.index(), part.of()]);
        Self { part, draws, mass: 0, piece: 0, given: 0, counted: 0, ..self.clone() }
    }

    pub(super) fn window(&self) -> Option<Duration> {
        self.total.is_none().then(|| Duration::from_nanos(self.profile.length()))
    }

    pub(super) fn expected_by(&self, at: Nanos) -> u64 {
        let before = self.profile.count_before(self.since);
        let most = self.total.map_or(u64::MAX, |total| total.saturating_add(before));
        self.profile.count_before(at).min(most)
    }
}

impl Iterator for Poisson {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        if self.total.is_some_and(|total| self.counted >= self.part.share(total)) {
            return None;
        }
        let number = self.part.number(self.given)?;
        // The integral of the whole rate grows by a request for each part on average, in which this one has one.
        let gap = u128::from(rounded(self.draws.exponential() * REQUEST as f64)) * u128::from(self.part.of());
        self.mass = self.mass.saturating_add(gap);
        let at = self.profile.instant(&mut self.piece, self.mass)?;
        self.given += 1;
        self.counted += u64::from(at >= self.since);
        Some(Due { number, at })
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same on every machine and in every version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Draws(u64);

impl Draws {
    /// A stream for each list of words.
    fn new(words: [u64; 3]) -> Self {
        Self(words.into_iter().fold(0, |state, word| Self(state ^ word).next()))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// From the exponential distribution with mean 1: at most 37.
    fn exponential(&mut self) -> f64 {
        const STEPS: f64 = (1_u64 << 53) as f64;
        let uniform = ((self.next() >> 11) + 1) as f64 / STEPS;
        -uniform.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn even(rate: f64, seconds: u64) -> Stage {
        Stage { length: Duration::from_secs(seconds), from: rate, to: rate }
    }

    fn mean_and_variance(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance)
    }

    fn together(whole: &Poisson, parts: usize) -> Vec<Due> {
        let mut all: Vec<_> = (0..parts).flat_map(|index| whole.part(Part::new(index, parts))).collect();
        all.sort_unstable_by_key(|due| due.at);
        all
    }

    #[test]
    fn gaps_are_exponential_and_counts_poisson_whatever_the_number_of_parts() {
        for (seed, parts) in [(1, 1), (2, 2), (3, 16), (u64::MAX, 3)] {
            let whole = Poisson::new(&[even(1000.0, 100)], None, Duration::ZERO).seeded(seed);
            let due = together(&whole, parts);
            let n = due.len() as f64;
            assert!((n - 100_000.0).abs() < 4.0 * 100_000_f64.sqrt(), "seed {seed}: {n}");
            let gaps: Vec<_> = due.windows(2).map(|pair| (pair[1].at - pair[0].at) as f64 / 1e6).collect();
            let (mean, variance) = mean_and_variance(&gaps);
            assert!((mean - 1.0).abs() < 0.02 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
            // Counts in intervals of 10 ms: as large a variance as mean.
            let mut counts = vec![0.0; 10_000];
            due.iter().for_each(|due| counts[(due.at / 10_000_000) as usize] += 1.0);
            let (mean, variance) = mean_and_variance(&counts);
            assert!((mean - 10.0).abs() < 0.2 && (variance - 10.0).abs() < 0.6, "{mean} {variance}");
            // Counts of neighbours say nothing of each other.
            let products = counts.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>();
            let correlation = products / counts.len() as f64 / variance;
            assert!(correlation.abs() < 0.04, "{correlation}");
        }
    }

    #[test]
    fn parts_are_independent_and_their_numbers_unique() {
        let whole = Poisson::new(&[even(1000.0, 50)], None, Duration::ZERO).seeded(7);
        let counts = |index| {
            let mut counts = vec![0.0; 5000];
            whole.part(Part::new(index, 2)).for_each(|due| counts[(due.at / 10_000_000) as usize] += 1.0);
            counts
        };
        let (one, other) = (counts(0), counts(1));
        let ((mean, variance), (other_mean, other_variance)) =
            (mean_and_variance(&one), mean_and_variance(&other));
        let products = one.iter().zip(&other).map(|(one, other)| (one - mean) * (other - other_mean));
        let correlation = products.sum::<f64>() / 5000.0 / (variance * other_variance).sqrt();
        assert!(correlation.abs() < 0.06, "{correlation}");
        let mut numbers: Vec<_> = together(&whole, 5).iter().map(|due| due.number).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
    }

    #[test]
    fn a_total_is_exact_over_all_parts_and_counts_from_the_time_that_is_said() {
        for total in [1, 7, 1000] {
            for parts in [1, 2, 7] {
                let whole = Poisson::endless(500.0, Some(total), Duration::from_secs(2)).seeded(3);
                let due = together(&whole, parts);
                let counted = due.iter().filter(|due| due.at >= 2 * SECOND).count() as u64;
                assert_eq!(counted, total, "over {parts}");
                let before = due.len() as u64 - counted;
                assert!(total < 7 || (850..1150).contains(&before), "{before}");
            }
        }
    }

    #[test]
    fn the_rate_follows_the_stages() {
        let ramp = Stage { length: Duration::from_secs(20), from: 0.0, to: 2000.0 };
        let stages = [even(100.0, 10), ramp, even(0.0, 10), even(1000.0, 10)];
        let whole = Poisson::new(&stages, None, Duration::ZERO).seeded(11);
        let due = together(&whole, 3);
        let within = |from: u64, to: u64| {
            due.iter().filter(|due| (from * SECOND..to * SECOND).contains(&due.at)).count() as f64
        };
        for (from, to, expected) in
            [(0, 10, 1000.0), (10, 20, 5000.0), (20, 30, 15_000.0), (30, 40, 0.0), (40, 50, 10_000.0)]
        {
            let found = within(from, to);
            assert!((found - expected).abs() <= 4.0 * f64::sqrt(expected), "{from} to {to}: {found}");
        }
        assert_eq!(whole.window(), Some(Duration::from_secs(50)));
        assert_eq!(whole.expected_by(10 * SECOND), 1000);
    }

    #[test]
    fn the_same_seed_gives_the_same_times_and_a_clone_goes_on_alike() {
        let whole = |seed| Poisson::new(&[even(1000.0, 5)], None, Duration::ZERO).seeded(seed);
        assert_eq!(together(&whole(5), 2), together(&whole(5), 2));
        assert_ne!(together(&whole(5), 2), together(&whole(6), 2));
        let mut ahead = whole(5).part(Part::new(1, 2));
        let mut behind = ahead.clone();
        let taken: Vec<_> = ahead.by_ref().take(100).collect();
        assert!(taken.is_sorted_by_key(|due| due.at));
        assert_eq!(behind.nth(99), Some(taken[99]));
        assert_eq!(behind.next(), ahead.next());
        // It ends once.
        assert_eq!((ahead.by_ref().count() > 1000, ahead.next(), ahead.next()), (true, None, None));
    }

    #[test]
    fn extremes_neither_overflow_nor_go_on_for_ever() {
        let parts = Part::new(1023, 1024);
        let fast = Poisson::endless(1e8, None, Duration::ZERO).part(parts);
        assert!(fast.take(1000).is_sorted_by_key(|due| due.at));
        let slow = Poisson::endless(0.001, Some(1_000_000_000_000_000), Duration::ZERO).part(parts);
        assert!(slow.take(100_000).all(|due| due.at < super::super::LATEST));
    }
}
