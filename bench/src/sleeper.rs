//! The bare clock: a thread that sleeps until each due time and notes how late it woke.
//!
//! It shows what the machine and its kernel allow at a rate, beside the release lag of loadgen at that rate.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use rustix::{
    thread::clock_nanosleep_absolute,
    time::{ClockId, Timespec, clock_gettime},
};

use crate::{cpu, interrupt};

/// What the loop saw.
#[derive(Clone, Copy, Debug)]
pub struct Wakes {
    /// How many due times there were.
    pub count: u64,
    /// 99th percentile of the lateness, microseconds.
    pub lag_p99_us: f64,
    /// CPU time of the loop.
    pub cpu: Duration,
}

/// Wakes `total` times at `rate` per second on `cpu`, sleeping with `clock_nanosleep` alone.
///
/// # Errors
/// The CPU cannot be used, or the user interrupted.
pub fn run(cpu: usize, rate: u32, total: u64) -> Result<Wakes> {
    let thread = std::thread::Builder::new().name("sleeper".to_owned()).spawn(move || {
        runtime::affinity::pin(cpu).with_context(|| format!("CPU {cpu} cannot be used"))?;
        let mut lags = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
        let start = now();
        for n in 0..total {
            let due = start + due_after(n, rate);
            // Late already: the next one follows at once, as an open loop does.
            if now() < due {
                sleep_until(due)?;
            }
            lags.saturating_record((now().saturating_sub(due)).as_nanos() as u64);
            if n % 1024 == 0 {
                interrupt::check()?;
            }
        }
        let lag_p99_us = lags.value_at_quantile(0.99) as f64 / 1e3;
        Ok(Wakes { count: lags.len(), lag_p99_us, cpu: cpu::of_this_thread() })
    })?;
    thread.join().map_err(|_| anyhow!("the sleeping thread panicked"))?
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
        let wakes = run(runtime::affinity::allowed()[0], 2000, 50).unwrap();
        assert_eq!(wakes.count, 50);
        assert!(wakes.lag_p99_us > 0.0);
    }
}
