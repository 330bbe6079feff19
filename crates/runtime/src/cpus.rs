//! How many CPUs this process may use: the affinity mask, narrowed by the cgroup's CPU quota.
//!
//! The standard library rounds a quota of 1.5 CPUs down; a server with one worker would then leave half a
//! CPU unused, so fractions are rounded up here.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use crate::{affinity, cgroup};

/// The number of CPUs that this process may use concurrently: never more than the affinity mask allows, nor than the
/// smallest cgroup quota (v1 or v2) on the way to the root, rounded up.
#[must_use]
pub fn available() -> NonZeroUsize {
    let allowed = affinity::allowed().len().max(1);
    let granted = quota(Path::new("/")).map_or(allowed, |quota| quota.get().min(allowed));
    NonZeroUsize::new(granted).unwrap_or(NonZeroUsize::MIN)
}

/// For how long the calling thread has been on a CPU, in nanoseconds; none where the system does not report it.
#[must_use]
pub fn time_of_this_thread_ns() -> Option<u64> {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).ok()?;
        seconds.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.tv_nsec).ok()?)
    }
    #[cfg(not(unix))]
    None
}

/// The CPU quota of the calling process's cgroup, read below the file system root `root`; none when there is
/// no limit.
#[must_use]
pub fn quota(root: &Path) -> Option<NonZeroUsize> {
    let read = |path: PathBuf| fs::read_to_string(path).ok();
    cgroup::smallest_of(
        root,
        "cpu",
        |folder| v2(&read(folder.join("cpu.max"))?),
        |folder| v1(&read(folder.join("cpu.cfs_quota_us"))?, &read(folder.join("cpu.cfs_period_us"))?),
    )
}

/// `cpu.max` of cgroup v2: `max 100000` or `150000 100000`.
fn v2(cpu_max: &str) -> Option<NonZeroUsize> {
    let mut words = cpu_max.split_whitespace();
    let quota = words.next()?.parse().ok()?;
    let period = words.next().map_or(Some(100_000), |period| period.parse().ok())?;
    rounded_up(quota, period)
}

/// `cpu.cfs_quota_us` (-1: none) and `cpu.cfs_period_us` of cgroup v1.
fn v1(quota: &str, period: &str) -> Option<NonZeroUsize> {
    rounded_up(quota.trim().parse().ok()?, period.trim().parse().ok()?)
}

fn rounded_up(quota: u64, period: u64) -> Option<NonZeroUsize> {
    if period == 0 {
        return None;
    }
    NonZeroUsize::new(usize::try_from(quota.div_ceil(period)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::tests::root;

    #[test]
    #[cfg(unix)]
    fn what_a_thread_does_takes_cpu_time() {
        let before = time_of_this_thread_ns().unwrap();
        while time_of_this_thread_ns().unwrap() == before {}
    }

    fn cpus(files: &[(&str, &str)]) -> Option<usize> {
        quota(root(files).path()).map(NonZeroUsize::get)
    }

    #[test]
    fn v2_quotas_are_rounded_up() {
        for (cpu_max, expected) in [
            ("max 100000\n", None),
            ("100000 100000\n", Some(1)),
            ("150000 100000\n", Some(2)),
            ("1000 100000\n", Some(1)),
            ("400000 100000\n", Some(4)),
            ("25000 10000\n", Some(3)),
            ("nonsense\n", None),
            ("100000 0\n", None),
        ] {
            let files = [("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", cpu_max)];
            assert_eq!(cpus(&files), expected, "{cpu_max:?}");
        }
    }

    #[test]
    fn v2_takes_the_smallest_quota_on_the_way_to_the_root() {
        let found = cpus(&[
            ("proc/self/cgroup", "0::/pods/pod-a/web\n"),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/pods/cpu.max", "800000 100000\n"),
            ("sys/fs/cgroup/pods/pod-a/cpu.max", "250000 100000\n"),
            ("sys/fs/cgroup/pods/pod-a/web/cpu.max", "max 100000\n"),
        ]);
        assert_eq!(found, Some(3));
    }

    #[test]
    fn v2_paths_that_only_the_host_sees_fall_back_to_the_mount() {
        let found = cpus(&[
            ("proc/self/cgroup", "0::/system.slice/docker-abc.scope\n"),
            ("sys/fs/cgroup/cpu.max", "200000 100000\n"),
        ]);
        assert_eq!(found, Some(2));
    }

    #[test]
    fn v1_is_read_from_the_cpu_controller_alone() {
        let membership = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n";
        let found = cpus(&[
            ("proc/self/cgroup", membership),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "110000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(found, Some(2));
    }

    #[test]
    fn v1_may_be_mounted_under_the_controllers_own_name() {
        let found = cpus(&[
            ("proc/self/cgroup", "4:cpu,cpuacct:/\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(found, Some(1));
    }

    #[test]
    fn no_cgroup_is_no_limit() {
        assert_eq!(cpus(&[]), None);
        assert_eq!(cpus(&[("proc/self/cgroup", "4:cpu:/\n0::/\n")]), None);
    }

    #[test]
    fn this_process_has_at_least_one_cpu() {
        assert!(available().get() >= 1);
        assert!(available().get() <= affinity::allowed().len().max(1));
    }
}
