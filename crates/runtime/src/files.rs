//! The limit of open files, which is the limit of connections.

use std::io;

/// The process's limit of open files; `u64::MAX` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// What held when the process started.
    pub before: u64,
    /// What holds now.
    pub now: u64,
}

/// Raises the soft limit of open files to the hard limit.
///
/// # Errors
/// The system refuses.
#[cfg(unix)]
pub fn raise_limit() -> io::Result<FileLimit> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let before = limit.current.unwrap_or(u64::MAX);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(FileLimit { before, now: limit.maximum.unwrap_or(u64::MAX) })
}

/// Raises the soft limit of open files to the hard limit.
///
/// # Errors
/// Always: this system has no such limit.
#[cfg(not(unix))]
pub fn raise_limit() -> io::Result<FileLimit> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How many files the process may have open; `u64::MAX` is unlimited. File numbers are below it.
#[must_use]
pub fn limit() -> u64 {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    #[cfg(not(unix))]
    return u64::MAX;
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn raising_the_file_limit_twice_is_idempotent() {
        let first = raise_limit().unwrap();
        let second = raise_limit().unwrap();
        assert_eq!(second, FileLimit { before: first.now, now: first.now });
        assert_eq!(limit(), first.now);
    }
}
