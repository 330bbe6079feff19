//! Which CPUs a thread may run on. Only Linux can report and pin; elsewhere pinning is refused.

use std::io;

/// The CPUs that the calling thread may run on, in ascending order.
#[cfg(target_os = "linux")]
#[must_use]
pub fn allowed() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect(),
        Err(_) => unmasked(),
    }
}

/// The CPUs that the calling thread may run on, in ascending order.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn allowed() -> Vec<usize> {
    unmasked()
}

fn unmasked() -> Vec<usize> {
    (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
}

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// The system refuses, for instance because the CPU is not in the allowed set.
#[cfg(target_os = "linux")]
pub fn pin(cpu: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// Always: this system has no such call.
#[cfg(not(target_os = "linux"))]
pub fn pin(_cpu: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_cpu() {
        let pinned = std::thread::spawn(|| {
            let cpu = *allowed().last().unwrap();
            pin(cpu).unwrap();
            (cpu, allowed())
        });
        let (cpu, after) = pinned.join().unwrap();
        assert_eq!(after, [cpu]);
    }

    #[test]
    fn a_cpu_that_does_not_exist_is_refused() {
        assert!(pin(usize::MAX).is_err());
    }
}
