//! Requests at a steady rate.
//!
//! Number `n` of the whole run is due at `n / rate`, in closed form, so that no error adds up. A part owns every nth,
//! which shifts the parts' phases evenly and makes the total exact whatever their number.

use std::time::Duration;

use contract::quantity::rounded;

use super::{Due, LATEST, Part};
use crate::clock::{Nanos, nanos};

const NANOS_PER_SECOND: f64 = 1e9;

/// Evenly spaced arrivals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant {
    rate: f64,
    total: Option<u64>,
    window: Option<Nanos>,
    part: Part,
    /// How many of this part have been due.
    given: u64,
}

impl Constant {
    /// `rate` arrivals a second, ended by `total` of them, by `window`, or by whichever comes first.
    ///
    /// # Panics
    /// When `rate` isn't above 0 and at most 10^9.
    #[must_use]
    pub fn new(rate: f64, total: Option<u64>, window: Option<Duration>) -> Self {
        assert!(rate > 0.0 && rate <= NANOS_PER_SECOND, "a rate is above 0 and at most 10^9");
        Self { rate, total, window: window.map(nanos), part: Part::WHOLE, given: 0 }
    }

    pub(super) fn part(&self, part: Part) -> Self {
        Self { part: self.part.part(part), given: 0, ..*self }
    }

    pub(super) fn window(&self) -> Option<Duration> {
        let by_total = self.total.map(|total| self.after(total));
        let end = match (by_total, self.window) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        end.map(Duration::from_nanos)
    }

    pub(super) fn expected_by(&self, at: Nanos) -> u64 {
        let end = self.window.map_or(at, |window| at.min(window));
        if end > LATEST {
            return self.total.unwrap_or(u64::MAX);
        }
        // The first that is due then or later, which rounding may have put beside its place.
        let mut count = (end as f64 / NANOS_PER_SECOND * self.rate).ceil() as u64;
        while count > 0 && self.after(count - 1) >= end {
            count -= 1;
        }
        while self.after(count) < end {
            count += 1;
        }
        self.total.map_or(count, |total| count.min(total))
    }

    /// How long a number of intervals is. Cut off instead of rounded, an arrival that is due exactly at the end
    /// of the window could fall into it.
    #[inline]
    fn after(&self, intervals: u64) -> Nanos {
        rounded(intervals as f64 * NANOS_PER_SECOND / self.rate).min(LATEST)
    }
}

impl Iterator for Constant {
    type Item = Due;

    #[inline]
    fn next(&mut self) -> Option<Due> {
        let number = self.part.number(self.given)?;
        let at = self.after(number);
        let beyond_total = self.total.is_some_and(|total| number >= total);
        let beyond_window = self.window.is_some_and(|window| at >= window);
        if beyond_total || beyond_window {
            return None;
        }
        self.given += 1;
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

    fn all(arrivals: Constant) -> Vec<(u64, Nanos)> {
        arrivals.map(|due| (due.number, due.at)).collect()
    }

    #[test]
    fn arrivals_are_evenly_spread_from_the_start() {
        let arrivals = Constant::new(1000.0, Some(4), None);
        assert_eq!(all(arrivals), [(0, 0), (1, 1_000_000), (2, 2_000_000), (3, 3_000_000)]);
        assert_eq!(arrivals.window(), Some(Duration::from_millis(4)));
    }

    #[test]
    fn the_total_is_exact_and_the_phases_shifted_whatever_the_number_of_parts() {
        for total in [0, 1, 2, 7, 100, 5000] {
            let whole = Constant::new(700.0, Some(total), None);
            let alone = all(whole);
            assert_eq!(alone.len() as u64, total);
            for parts in [2, 3, 8, 64] {
                let part = |index| all(whole.part(Part::new(index, parts)));
                let mut together: Vec<_> = (0..parts).flat_map(part).collect();
                together.sort_unstable();
                assert_eq!(together, alone, "{total} over {parts}");
            }
        }
    }

    #[test]
    fn whichever_end_comes_first_counts() {
        let half = Some(Duration::from_millis(500));
        assert_eq!(all(Constant::new(100.0, Some(1000), half)).len(), 50);
        assert_eq!(all(Constant::new(100.0, Some(10), half)).len(), 10);
    }

    #[test]
    fn a_window_holds_exactly_as_many_arrivals_as_its_rate_says() {
        for rate in [1u32, 3, 7, 10, 300, 700, 1000, 1001, 4999] {
            for millis in [1, 333, 999, 1000, 1001, 1003, 2007] {
                let window = Duration::from_millis(millis);
                let arrivals = Constant::new(f64::from(rate), None, Some(window));
                let count = (u64::from(rate) * millis).div_ceil(1000);
                assert_eq!(all(arrivals).len() as u64, count, "{rate}/s for {millis} ms");
                assert_eq!(arrivals.expected_by(Nanos::MAX), count, "{rate}/s for {millis} ms");
            }
        }
    }

    #[test]
    fn the_expected_count_equals_the_arrivals() {
        for rate in [0.3, 7.0, 333.0, 1e9 / 3.0] {
            let arrivals = Constant::new(rate, Some(100), None);
            let due = all(arrivals);
            for (index, (_, at)) in due.iter().enumerate() {
                let before = due.iter().filter(|(_, other)| other < at).count() as u64;
                assert_eq!(arrivals.expected_by(*at), before, "{rate}/s, number {index}");
            }
            assert_eq!(arrivals.expected_by(LATEST), 100);
            assert_eq!(arrivals.part(Part::new(1, 2)).expected_by(LATEST), 100, "of the whole run");
        }
    }

    #[test]
    fn arrivals_beyond_the_latest_time_are_never_early() {
        let arrivals = Constant::new(1e-12, Some(3), None);
        assert_eq!(all(arrivals), [(0, 0), (1, LATEST), (2, LATEST)]);
        assert_eq!(arrivals.window(), Some(Duration::from_nanos(LATEST)));
        assert_eq!((arrivals.expected_by(LATEST), arrivals.expected_by(Nanos::MAX)), (1, 3));
    }

    #[test]
    fn no_error_adds_up_over_a_million_arrivals() {
        let due = Constant::new(3.0, None, None).nth(3_000_000);
        assert_eq!(due, Some(Due { number: 3_000_000, at: 1_000_000_000_000_000 }));
    }

    #[test]
    fn over_a_day_an_arrival_is_due_when_whole_numbers_say_at_any_rate() {
        const DAY: u64 = 24 * 3600;
        for rate in [1_u64, 3, 700, 9_999, 1_000_000, 99_999_989, 100_000_000] {
            let arrivals = Constant::new(rate as f64, None, None);
            for second in [0, 1, DAY / 3, DAY - 1, DAY] {
                for number in (rate * second).saturating_sub(2)..rate * second + 3 {
                    let due = { arrivals }.nth(number as usize).unwrap();
                    let exact =
                        (u128::from(number) * 2_000_000_000 + u128::from(rate)) / (2 * u128::from(rate));
                    assert_eq!(u128::from(due.at), exact, "{rate}/s, number {number}");
                }
                assert_eq!({ arrivals }.nth((rate * second) as usize).unwrap().at, second * 1_000_000_000);
            }
        }
    }

    #[test]
    fn skipping_arrivals_equals_taking_and_dropping_them() {
        let part = Constant::new(700.0, Some(1000), None).part(Part::new(1, 3));
        let mut behind = part;
        for skipped in [0, 1, 5, 100] {
            let mut ahead = behind;
            for _ in 0..skipped {
                ahead.next();
            }
            assert_eq!(behind.nth(skipped), ahead.next(), "{skipped}");
        }
        assert_eq!(behind.nth(1000), None);
    }
}
