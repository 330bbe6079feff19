//! How exactly a client kept to its rate, as the server saw it: each arrival against a perfect schedule.
//!
//! The client's own clock and words have no part in it. A perfect schedule has one arrival every `1/rate` seconds; where
//! it begins is chosen so that it fits best, since no client says when it began. Nothing here reads a clock.

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest error that is distinguished from a longer one, in nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;

/// How far arrivals were from a perfect schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ArrivalError {
    /// Arrivals compared.
    pub arrivals: u64,
    /// Arrivals before those, such as requests that a client makes to begin with.
    pub before: u64,
    /// Arrivals per second, from the first to the last.
    pub rate: f64,
    /// Median of the distance, early or late, in microseconds.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// The largest one.
    pub max_us: f64,
}

impl ArrivalError {
    /// Compares instants in nanoseconds with `rate` arrivals per second. Of more than `total`, the last ones count: some
    /// clients make requests before their load.
    ///
    /// # Errors
    /// There are fewer than two.
    pub fn of(instants: &[u64], rate: u32, total: u64) -> Result<Self> {
        let before = instants.len().saturating_sub(usize::try_from(total)?);
        let instants = &instants[before..];
        let (&first, &last) = instants.first().zip(instants.last()).context("nothing arrived")?;
        ensure!(last > first, "all requests arrived at the same instant");
        let due = |index: usize| index as u64 * 1_000_000_000 / u64::from(rate.max(1));
        let mut late: Vec<i64> = instants
            .iter()
            .enumerate()
            .map(|(index, &at)| (at - first).cast_signed() - due(index).cast_signed())
            .collect();
        // Of all starts, the median has the smallest sum of distances.
        let middle = late.len() / 2;
        let start = *late.select_nth_unstable(middle).1;
        let mut distances = Histogram::<u64>::new_with_bounds(1, LONGEST, 3)?;
        for late in late {
            distances.saturating_record(late.abs_diff(start));
        }
        let at = |quantile| distances.value_at_quantile(quantile) as f64 / 1e3;
        let rate = (instants.len() - 1) as f64 * 1e9 / (last - first) as f64;
        let arrivals = instants.len() as u64;
        Ok(Self { arrivals, before: before as u64, rate, p50_us: at(0.5), p99_us: at(0.99), max_us: at(1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a perfect client of 1,000 per second makes.
    fn perfect(total: u64) -> Vec<u64> {
        (0..total).map(|index| 77_000 + index * 1_000_000).collect()
    }

    fn is_near(value: f64, expected: f64) -> bool {
        (value - expected).abs() <= expected * 0.002 + 0.001
    }

    #[test]
    fn a_perfect_schedule_has_no_error_wherever_it_begins() {
        let error = ArrivalError::of(&perfect(1000), 1000, 1000).unwrap();
        assert!(is_near(error.rate, 1000.0) && error.max_us <= 0.001, "{error:?}");
        assert_eq!((error.arrivals, error.before), (1000, 0));
    }

    #[test]
    fn a_late_first_request_does_not_shift_the_schedule() {
        let mut instants = perfect(1000);
        instants[0] += 900_000;
        let error = ArrivalError::of(&instants, 1000, 1000).unwrap();
        assert!(error.p99_us <= 0.001 && is_near(error.max_us, 900.0), "{error:?}");
    }

    #[test]
    fn early_and_late_arrivals_count_alike() {
        let mut instants = perfect(1000);
        for index in 0..30 {
            instants[100 + 2 * index] -= 300_000;
            instants[501 + 2 * index] += 200_000;
        }
        let error = ArrivalError::of(&instants, 1000, 1000).unwrap();
        assert!(error.p50_us <= 0.001 && is_near(error.p99_us, 300.0), "{error:?}");
    }

    #[test]
    fn bursts_are_as_far_off_as_half_their_interval() {
        // Ten requests together every 10 ms.
        let instants: Vec<u64> = (0..1000).map(|index| index / 10 * 10_000_000).collect();
        let error = ArrivalError::of(&instants, 1000, 1000).unwrap();
        assert!((4000.0..=5010.0).contains(&error.max_us), "{error:?}");
    }

    #[test]
    fn a_slower_rate_is_an_error_that_grows() {
        // A tenth slower: the ends are 50 ms off after one second.
        let instants: Vec<u64> = (0..1000).map(|index| index * 1_100_000).collect();
        let error = ArrivalError::of(&instants, 1000, 1000).unwrap();
        assert!(is_near(error.max_us, 50_000.0) && is_near(error.rate, 909.09), "{error:?}");
    }

    #[test]
    fn requests_before_the_load_are_left_out() {
        let instants: Vec<u64> = [3, 4, 5].into_iter().chain(perfect(1000)).collect();
        let error = ArrivalError::of(&instants, 1000, 1000).unwrap();
        assert_eq!((error.arrivals, error.before), (1000, 3));
        assert!(error.max_us <= 0.001, "{error:?}");
    }

    #[test]
    fn too_few_arrivals_have_no_error() {
        for instants in [&[][..], &[5], &[5, 5]] {
            assert!(ArrivalError::of(instants, 1000, 1000).is_err(), "{instants:?}");
        }
    }
}
