//! Resident memory of a process from /proc. What the kernel keeps for its sockets is not in it.

use std::{
    fs,
    io::{self, ErrorKind},
};

/// Bytes of a process's memory that are resident (`VmRSS`, proc_pid_status(5)).
///
/// # Errors
/// The process is gone.
pub fn resident(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    parse(&text, "VmRSS:").ok_or_else(|| ErrorKind::InvalidData.into())
}

/// The most memory that was resident of it so far (`VmHWM`).
///
/// # Errors
/// The process is gone.
pub fn peak(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    parse(&text, "VmHWM:").ok_or_else(|| ErrorKind::InvalidData.into())
}

fn parse(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_kib() {
        let status = "VmHWM:\t    9000 kB\nVmRSS:\t    1234 kB\nRssAnon:\t     100 kB\n";
        assert_eq!(parse(status, "VmRSS:"), Some(1234 * 1024));
        assert_eq!(parse(status, "VmHWM:"), Some(9000 * 1024));
        // A process that has ended and was not waited for has none.
        assert_eq!(parse("State:\tZ (zombie)\n", "VmRSS:"), None);
    }

    #[test]
    fn memory_that_is_written_becomes_resident() {
        const SIZE: usize = 64 << 20;
        let before = resident(std::process::id()).unwrap();
        let written = vec![1_u8; SIZE];
        let after = resident(std::process::id()).unwrap();
        assert!(peak(std::process::id()).unwrap() >= after);
        // Other tests of this process may give some back meanwhile, but nowhere near as much.
        assert!(after > before + SIZE as u64 / 2, "{before} to {after} with {}", written.len());
    }
}
