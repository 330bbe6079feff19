//! CPU time from /proc: nanoseconds of the living, microseconds of ended children, and stolen time.
//!
//! `utime` and `stime` in /proc/PID/stat count ticks of 10 ms; the schedulers' own sums, used here, are exact.

use std::{
    fs,
    io::{self, ErrorKind},
    time::Duration,
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};

/// CPU time of a process with all its threads and all its children's threads, as long as they live.
///
/// # Errors
/// The process is gone, or the kernel keeps no scheduler statistics.
pub fn of_process(pid: u32) -> io::Result<Duration> {
    let mut total = Duration::ZERO;
    let mut left = vec![pid];
    while let Some(pid) = left.pop() {
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = entry?.path();
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(task.join("schedstat")) else { continue };
            total += parse_schedstat(&text).ok_or(ErrorKind::InvalidData)?;
            if let Ok(children) = fs::read_to_string(task.join("children")) {
                left.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
        }
    }
    Ok(total)
}

/// CPU time of one thread of this process.
///
/// # Errors
/// The thread is gone, or the kernel keeps no scheduler statistics.
pub fn of_thread(task: i32) -> io::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/self/task/{task}/schedstat"))?;
    parse_schedstat(&text).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// CPU time of all children of this process that have ended and been waited for.
///
/// # Errors
/// The system does not report it.
pub fn of_ended_children() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros.unsigned_abs()))
}

/// CPU time of the calling thread.
#[must_use]
pub fn of_this_thread() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Ticks that some CPUs have spent, since the machine started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ticks {
    /// Ticks in which the hypervisor ran something else.
    pub stolen: u64,
    /// All ticks, the idle ones too.
    pub all: u64,
}

impl Ticks {
    /// The ticks of `cpus` until now.
    ///
    /// # Errors
    /// /proc/stat cannot be read.
    pub fn now(cpus: &[usize]) -> io::Result<Self> {
        Ok(parse_stat(&fs::read_to_string("/proc/stat")?, cpus))
    }

    /// The stolen share (0 to 1) between an earlier reading and this one.
    #[must_use]
    pub fn stolen_since(self, earlier: Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all);
        if all == 0 { 0.0 } else { self.stolen.saturating_sub(earlier.stolen) as f64 / all as f64 }
    }
}

/// The first number of a schedstat file: nanoseconds on a CPU.
fn parse_schedstat(text: &str) -> Option<Duration> {
    text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Sums the lines of `cpus` in /proc/stat (proc_stat(5)): user nice system idle iowait irq softirq steal.
fn parse_stat(text: &str, cpus: &[usize]) -> Ticks {
    let mut ticks = Ticks::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let cpu = words.next().and_then(|name| name.strip_prefix("cpu")?.parse::<usize>().ok());
        if cpu.is_none_or(|cpu| !cpus.contains(&cpu)) {
            continue;
        }
        // Guest time follows, but is in user time already.
        let fields: Vec<u64> = words.take(8).map(|word| word.parse().unwrap_or(0)).collect();
        ticks.all += fields.iter().sum::<u64>();
        ticks.stolen += fields.get(7).copied().unwrap_or(0);
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  30 3 6 9 12 15 18 21 24 27\n\
        cpu0 10 1 2 3 4 5 6 7 8 9\n\
        cpu1 20 2 4 6 8 10 12 14 16 18\n\
        cpu10 1000 0 0 0 0 0 0 1000 0 0\n\
        intr 12345\n";

    #[test]
    fn schedstat_gives_the_nanoseconds_on_a_cpu() {
        assert_eq!(parse_schedstat("157013 149632 2\n"), Some(Duration::from_nanos(157_013)));
        assert_eq!(parse_schedstat(""), None);
        assert_eq!(parse_schedstat("x 1 2"), None);
    }

    #[test]
    fn stat_counts_the_named_cpus_alone_and_leaves_guest_time_out() {
        assert_eq!(parse_stat(STAT, &[0]), Ticks { stolen: 7, all: 38 });
        assert_eq!(parse_stat(STAT, &[0, 1]), Ticks { stolen: 21, all: 38 + 76 });
        assert_eq!(parse_stat(STAT, &[7]), Ticks::default());
    }

    #[test]
    fn the_stolen_share_is_of_the_time_between_two_readings() {
        let before = Ticks { stolen: 10, all: 1000 };
        let after = Ticks { stolen: 15, all: 1100 };
        assert!((after.stolen_since(before) - 0.05).abs() < 1e-12);
        assert!(before.stolen_since(before).abs() < 1e-12);
    }

    #[test]
    fn cpu_time_of_this_process_grows_with_work() {
        let before = of_process(std::process::id()).unwrap();
        let own = of_this_thread();
        while of_this_thread() < own + Duration::from_millis(20) {}
        // The scheduler's sum may be one tick behind the clock.
        assert!(of_process(std::process::id()).unwrap() >= before + Duration::from_millis(9));
    }

    #[test]
    fn a_process_that_does_not_exist_has_no_cpu_time() {
        assert!(of_process(u32::MAX).is_err());
    }
}
