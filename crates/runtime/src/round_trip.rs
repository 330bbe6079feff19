//! How far two CPUs are from each other: how long a cache line takes from one to the other and back.
//!
//! On some virtual machines it changes severalfold within seconds, and with it the cost of whatever reads memory that
//! the other side has just written. Neither stolen time nor load shows it. Nothing is decided here.

use std::{
    io,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

/// How many batches take 5 ms where the CPUs are near, and 30 ms where they are far.
pub const BATCHES: u64 = 100;

/// Round trips of a batch.
const BATCH: u64 = 1000;

/// After this many polls the other thread may be waiting for this CPU.
const PATIENCE: u32 = 200_000;

/// Its own cache line. Some processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

impl Line {
    fn await_value(&self, value: u64) {
        let mut looks = 0;
        while self.0.load(Ordering::Acquire) != value {
            looks += 1;
            if looks == PATIENCE {
                looks = 0;
                thread::yield_now();
            }
        }
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
}

/// The nanoseconds of a round trip between two CPUs, by the fastest of several batches: an interruption makes one slower. `None`
/// where they are one.
///
/// # Errors
/// This process may not use one of them.
pub fn between(one: usize, other: usize, batches: u64) -> io::Result<Option<f64>> {
    if one == other {
        return Ok(None);
    }
    let (line, refused, both) = (Line::default(), AtomicBool::new(false), Barrier::new(2));
    // Whether both threads are where they belong; neither waits for one that is not.
    let pin = |cpu| {
        let pinned = crate::affinity::pin(cpu);
        refused.fetch_or(pinned.is_err(), Ordering::AcqRel);
        both.wait();
        pinned.map(|()| !refused.load(Ordering::Acquire))
    };
    thread::scope(|scope| {
        let there = scope.spawn(|| -> io::Result<()> {
            if pin(other)? {
                for trip in 0..batches * BATCH {
                    line.await_value(2 * trip + 1);
                    line.set(2 * trip + 2);
                }
            }
            Ok(())
        });
        let here = scope.spawn(|| -> io::Result<f64> {
            let mut best = f64::INFINITY;
            if pin(one)? {
                for batch in 0..batches {
                    let start = Instant::now();
                    for trip in batch * BATCH..(batch + 1) * BATCH {
                        line.set(2 * trip + 1);
                        line.await_value(2 * trip + 2);
                    }
                    best = best.min(start.elapsed().as_nanos() as f64 / BATCH as f64);
                }
            }
            Ok(best)
        });
        let (there, here) = (there.join(), here.join());
        there.map_err(|_| io::Error::other("a thread has panicked"))??;
        let best = here.map_err(|_| io::Error::other("a thread has panicked"))??;
        Ok(Some(best))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_takes_time_between_two_cpus_and_is_not_measured_on_one() {
        let allowed = crate::affinity::allowed();
        assert_eq!(between(allowed[0], allowed[0], 1).unwrap(), None);
        if let [one, other, ..] = allowed[..] {
            let nanos = between(one, other, 10).unwrap().expect("two CPUs");
            assert!(nanos.is_finite() && nanos > 0.0, "{nanos}");
        }
    }

    #[test]
    fn a_cpu_that_may_not_be_used_is_an_error_and_leaves_no_thread_waiting() {
        let own = crate::affinity::allowed()[0];
        for (one, other) in [(own, 100_000), (100_000, own), (100_000, 100_001)] {
            between(one, other, 1).unwrap_err();
        }
    }
}
