//! How much memory this process may use: the limit of its cgroup.

use std::{fs, path::Path};

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
}
