//! The bare clock: a thread that sleeps until each due time and notes how late it woke.
//!
//! It shows what the machine and its kernel allow at a rate, beside the release lag of loadgen at that rate.

use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use rustix::{
    thread::clock_nanosleep_absolute,
    time::{ClockId, Timespec, clock_gettime},
};

use super::{Client, Outcome, Place, Run, run_on};
use crate::{interrupt, load::Load};

/// The bare clock, which sends nothing.
#[derive(Debug)]
pub struct Sleeper;

impl Client for Sleeper {
    /// Sleeps with `clock_nanosleep` alone.
    fn run(&self, load: &Load, at: &Place<'_>) -> Result<Run> {
        let rate = load.rate.context("the bare clock needs a rate")?;
        run(at.cpu, rate, load.total().unwrap_or_default())
    }

    fn sends(&self) -> bool {
        false
    }
}

/// Wakes `total` times at `rate` per second.
fn run(cpu: usize, rate: u32, total: u64) -> Result<Run> {
    run_on(cpu, || {
        let mut lags = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
        let start = now();
        for n in 0..total {
            let due = start + due_after(n, rate);
            // Late already: the next one follows immediately, as an open loop does.
            if now() < due {
                sleep_until(due)?;
            }
            lags.saturating_record((now().saturating_sub(due)).as_nanos() as u64);
            if n % 1024 == 0 {
                interrupt::check()?;
            }
        }
        Ok(Outcome {
            requests: lags.len(),
            errors: 0,
            seconds: None,
            sent: Some(lags.len()),
            lag_p99_us: Some(lags.value_at_quantile(0.99) as f64 / 1e3),
        })
    })
}

fn due_after(n: u64, rate: u32) -> Duration {
    let nanos = u128::from(n) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Time since an arbitrary start, on the clock that `sleep_until` sleeps on.
fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

fn sleep_until(due: Duration) -> Result<()> {
    let due = Timespec::try_from(due)?;
    while let Err(error) = clock_nanosleep_absolute(ClockId::Monotonic, &due) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_do_not_drift_with_rates_that_do_not_divide_a_second() {
        assert_eq!(due_after(0, 3), Duration::ZERO);
        assert_eq!(due_after(1, 3), Duration::from_nanos(333_333_333));
        assert_eq!(due_after(3_000_000, 3), Duration::from_secs(1_000_000));
    }

    #[test]
    fn every_due_time_is_counted_and_never_early() {
        let wakes = run(runtime::affinity::allowed()[0], 2000, 50).unwrap().outcome;
        assert_eq!((wakes.requests, wakes.sent), (50, Some(50)));
        assert!(wakes.lag_p99_us.unwrap() > 0.0);
    }
}
