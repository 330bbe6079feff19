//! How much memory this process may use: the limit of its cgroup; and whether the system gives it huge pages.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::cgroup;

/// The smallest memory limit (cgroup v1 or v2) on the way to the root, in bytes; none when there is no limit.
#[must_use]
pub fn limit() -> Option<u64> {
    limit_below(Path::new("/"))
}

/// The same, read below the file system root `root`.
#[must_use]
pub fn limit_below(root: &Path) -> Option<u64> {
    let read = |path: &Path| fs::read_to_string(path).ok();
    cgroup::smallest_of(
        root,
        "memory",
        |folder| read(&folder.join("memory.max"))?.trim().parse().ok(),
        // Without a limit, v1 says a number near the largest.
        |folder| {
            let limit: u64 = read(&folder.join("memory.limit_in_bytes"))?.trim().parse().ok()?;
            (limit < 1 << 62).then_some(limit)
        },
    )
}

/// Whether this process has done without huge pages since [`without_huge_pages`].
static IS_WITHOUT: AtomicBool = AtomicBool::new(false);

/// From now on, memory that is used for the first time comes in pages of the usual size: each of many threads that use a little
/// of it else takes some times 2 MiB, which the system clears. Where it refuses, or has no such pages, nothing changes.
pub fn without_huge_pages() {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};
        let is_new = transparent_huge_pages_are_disabled() == Ok(false);
        if is_new && disable_transparent_huge_pages(true).is_ok() {
            IS_WITHOUT.store(true, Ordering::Relaxed);
        }
    }
}

/// As it was before [`without_huge_pages`], for all of this process from now on: processes that it starts would inherit that.
pub fn with_huge_pages_again() {
    #[cfg(target_os = "linux")]
    if IS_WITHOUT.swap(false, Ordering::Relaxed) {
        // It was permitted the other way round.
        let _ = rustix::thread::disable_transparent_huge_pages(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::tests::root;

    #[test]
    fn the_smallest_limit_on_the_way_to_the_root_holds() {
        for (files, expected) in [
            (&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "max\n")][..], None),
            (&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "1048576\n")], Some(1 << 20)),
            (
                &[
                    ("proc/self/cgroup", "0::/pod/web\n"),
                    ("sys/fs/cgroup/pod/memory.max", "4096\n"),
                    ("sys/fs/cgroup/pod/web/memory.max", "8192\n"),
                ],
                Some(4096),
            ),
            (
                &[
                    ("proc/self/cgroup", "4:memory:/box\n0::/\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                    ("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "65536\n"),
                ],
                Some(65536),
            ),
            (&[], None),
        ] {
            assert_eq!(limit_below(root(files).path()), expected, "{files:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn huge_pages_are_as_before_once_they_are_used_again() {
        use rustix::thread::transparent_huge_pages_are_disabled as are_disabled;
        let before = are_disabled().unwrap();
        with_huge_pages_again();
        assert_eq!(are_disabled(), Ok(before), "nothing was changed before");
        without_huge_pages();
        assert_eq!(are_disabled(), Ok(true));
        with_huge_pages_again();
        assert_eq!(are_disabled(), Ok(before));
    }
}
