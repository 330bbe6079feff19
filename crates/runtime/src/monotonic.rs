//! The monotonic clock as the kernel has it, which all processes of a host share, and how to find out whether two of them do.

use std::fs;

/// What the kernel's monotonic clock shows, in nanoseconds.
#[must_use]
pub fn now_ns() -> u64 {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let (seconds, nanos) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
        seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos)
    }
    #[cfg(not(unix))]
    0
}

/// What is the same for all processes that share the clock: what the kernel drew when it started, and the time namespace.
/// None where the kernel does not report it.
#[must_use]
pub fn shared_by() -> Option<(String, String)> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // Kernels before 5.6, and those built without, have one namespace for all.
    let namespace = fs::read_link("/proc/self/ns/time").unwrap_or_default();
    Some((boot, namespace.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_and_is_the_same_for_a_thread() {
        let before = now_ns();
        let meanwhile = std::thread::spawn(now_ns).join().unwrap();
        assert!(before > 0 && before <= meanwhile && meanwhile <= now_ns());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_shares_it_is_stated_in_the_same_way_each_time() {
        let told = shared_by().unwrap();
        assert!(!told.0.trim().is_empty());
        assert_eq!(Some(told), shared_by());
    }
}
