//! Where the limits of this process's cgroup are, v1 or v2 (cgroups(7)).

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The smallest limit of `controller` on the way from the cgroup of the calling process to the root, read below the
/// file system root `root`. `v2` and `v1` read it from a folder of that version.
pub(crate) fn smallest_of<T: Ord>(
    root: &Path,
    controller: &str,
    v2: impl Fn(&Path) -> Option<T>,
    v1: impl Fn(&Path) -> Option<T>,
) -> Option<T> {
    let membership = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    // A line is `hierarchy:controllers:path`.
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let mounts = root.join("sys/fs/cgroup");
        if controllers.is_empty() {
            return smallest(&mounts, path, &v2);
        }
        if !controllers.split(',').any(|one| one == controller) {
            return None;
        }
        // The mount may carry all the controllers' names, or a link for each.
        let mounts = [controllers, controller].map(|name| mounts.join(name));
        smallest(mounts.iter().find(|mount| mount.is_dir())?, path, &v1)
    };
    membership.lines().filter_map(of_line).min()
}

/// The smallest limit from the cgroup `path` up to the mount. Inside a container the path may name folders that only
/// the host sees: those are passed over.
fn smallest<T: Ord>(mount: &Path, path: &str, read: impl Fn(&Path) -> Option<T>) -> Option<T> {
    let relative = PathBuf::from(path.trim_start_matches('/'));
    relative.ancestors().filter_map(|folder| read(&mount.join(folder))).min()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    /// A file system root that holds the given files.
    pub(crate) fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }
}
