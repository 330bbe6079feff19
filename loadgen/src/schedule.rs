//! When requests are due: pure arithmetic, no clock.
//!
//! Arrival `n` of the whole run is due at `n / rate`, in closed form, so that no error adds up. A worker owns
//! every `workers`-th arrival, which shifts the workers' phases evenly and makes the total exact whatever
//! their number.

use std::time::Duration;

use contract::quantity::rounded;

use crate::clock::{Nanos, nanos};

const NANOS_PER_SECOND: f64 = 1e9;

/// Nothing is due later than this after the start, some 146 years, so that adding to it never overflows.
const LATEST: Nanos = Nanos::MAX / 4;

/// Evenly spaced arrivals of one worker.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    rate: f64,
    total: Option<u64>,
    window: Option<Nanos>,
    worker: u64,
    workers: u64,
}

impl Schedule {
    /// The share of worker `worker` of `workers` in `rate` arrivals a second, ended by `total` arrivals of
    /// all workers together, by `window`, or by whichever comes first.
    ///
    /// # Panics
    /// When `rate` isn't positive, or `worker` isn't below `workers`.
    #[must_use]
    pub fn constant(
        rate: f64,
        total: Option<u64>,
        window: Option<Duration>,
        (worker, workers): (usize, usize),
    ) -> Self {
        assert!(rate > 0.0 && worker < workers, "a rate is positive and a worker one of the workers");
        Self { rate, total, window: window.map(nanos), worker: worker as u64, workers: workers as u64 }
    }

    /// When this worker's arrival `index` is due, and its number in the whole run. `None`: there is no such
    /// arrival, nor any after it.
    #[must_use]
    pub fn arrival(&self, index: u64) -> Option<(u64, Nanos)> {
        let number = index.checked_mul(self.workers)?.checked_add(self.worker)?;
        let due = self.after(number);
        let beyond_total = self.total.is_some_and(|total| number >= total);
        let beyond_window = self.window.is_some_and(|window| due >= window);
        (!beyond_total && !beyond_window).then_some((number, due))
    }

    /// How long the arrivals of the whole run take: the end of the interval that the last one opens.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        let by_total = self.total.map(|total| self.after(total));
        let end = match (by_total, self.window) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        end.map(Duration::from_nanos)
    }

    /// How long so many intervals are. Cut off instead of rounded, an arrival that is due exactly at the end
    /// of the window could fall into it.
    fn after(&self, intervals: u64) -> Nanos {
        rounded(intervals as f64 * NANOS_PER_SECOND / self.rate).min(LATEST)
    }
}

/// Worker `worker`'s part of `total` things that are shared out as evenly as can be.
#[must_use]
pub fn share(total: u64, (worker, workers): (usize, usize)) -> u64 {
    let (worker, workers) = (worker as u64, workers as u64);
    total / workers + u64::from(worker < total % workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(schedule: Schedule) -> Vec<(u64, Nanos)> {
        (0..).map_while(|index| schedule.arrival(index)).collect()
    }

    #[test]
    fn arrivals_are_evenly_spread_from_the_start() {
        let schedule = Schedule::constant(1000.0, Some(4), None, (0, 1));
        assert_eq!(all(schedule), [(0, 0), (1, 1_000_000), (2, 2_000_000), (3, 3_000_000)]);
        assert_eq!(schedule.window(), Some(Duration::from_millis(4)));
    }

    #[test]
    fn the_total_is_exact_and_the_phases_shifted_whatever_the_number_of_workers() {
        for total in [0, 1, 2, 7, 100, 5000] {
            let alone = all(Schedule::constant(700.0, Some(total), None, (0, 1)));
            assert_eq!(alone.len() as u64, total);
            for workers in [2, 3, 8, 64] {
                let mut together: Vec<_> = (0..workers)
                    .flat_map(|w| all(Schedule::constant(700.0, Some(total), None, (w, workers))))
                    .collect();
                together.sort_unstable();
                assert_eq!(together, alone, "{total} over {workers}");
            }
        }
    }

    #[test]
    fn whichever_end_comes_first_counts() {
        let half = Some(Duration::from_millis(500));
        assert_eq!(all(Schedule::constant(100.0, Some(1000), half, (0, 1))).len(), 50);
        assert_eq!(all(Schedule::constant(100.0, Some(10), half, (0, 1))).len(), 10);
    }

    #[test]
    fn a_window_holds_exactly_as_many_arrivals_as_its_rate_says() {
        for rate in [1u32, 3, 7, 10, 300, 700, 1000, 1001, 4999] {
            for millis in [1, 333, 999, 1000, 1001, 1003, 2007] {
                let schedule =
                    Schedule::constant(f64::from(rate), None, Some(Duration::from_millis(millis)), (0, 1));
                let count = (u64::from(rate) * millis).div_ceil(1000);
                assert_eq!(all(schedule).len() as u64, count, "{rate}/s for {millis} ms");
            }
        }
    }

    #[test]
    fn what_lies_too_far_ahead_is_due_late_and_never_early() {
        let schedule = Schedule::constant(1e-12, Some(3), None, (0, 1));
        assert_eq!(all(schedule), [(0, 0), (1, LATEST), (2, LATEST)]);
        assert_eq!(schedule.window(), Some(Duration::from_nanos(LATEST)));
    }

    #[test]
    fn no_error_adds_up_over_a_million_arrivals() {
        let schedule = Schedule::constant(3.0, None, None, (0, 1));
        assert_eq!(schedule.arrival(3_000_000), Some((3_000_000, 1_000_000_000_000_000)));
    }

    #[test]
    fn shares_add_up_and_differ_by_one_at_most() {
        for total in [0, 1, 5, 10, 1001] {
            let shares: Vec<_> = (0..4).map(|worker| share(total, (worker, 4))).collect();
            assert_eq!(shares.iter().sum::<u64>(), total);
            assert!(shares[0] - shares[3] <= 1);
        }
    }
}
