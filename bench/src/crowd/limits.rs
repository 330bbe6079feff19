//! What the machine allows, and how many connections in how many processes that makes.

use std::fs;

use anyhow::{Context, Result};

/// Open files that a process needs beside its connections.
const OTHER_FILES: u64 = 256;
/// Processes on either side.
const MOST_PROCESSES: u64 = 32;
/// Memory that a connection takes, both ends and the kernel together: more than was ever seen.
const MEMORY: u64 = 32 << 10;

/// What the system says.
#[derive(Clone, Copy, Debug)]
pub struct SystemLimits {
    /// Open files of a process.
    pub files: u64,
    /// Open files of the system that are left.
    pub all_files: u64,
    /// Ports of an address that the system picks from.
    pub ports: u64,
    /// Connections that the firewall can still keep account of, if it does.
    pub tracked: Option<u64>,
    /// Bytes of memory that are available.
    pub memory: u64,
}

impl SystemLimits {
    /// Those of this machine. The process's own limit of open files is raised as far as it goes, also for those that
    /// it starts.
    ///
    /// # Errors
    /// The system does not say.
    pub fn here() -> Result<Self> {
        let files = runtime::files::raise_limit()?.now;
        let read = |path: &str| fs::read_to_string(path).with_context(|| format!("{path} cannot be read"));
        let [used, _, most] = numbers(&read("/proc/sys/fs/file-nr")?)?;
        let [first, last] = numbers(&read("/proc/sys/net/ipv4/ip_local_port_range")?)?;
        let netfilter =
            |name: &str| fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
        let tracked = match (netfilter("max"), netfilter("count")) {
            (Ok(most), Ok(count)) => {
                let ([most], [count]) = (numbers(&most)?, numbers(&count)?);
                Some(most.saturating_sub(count))
            }
            _ => None,
        };
        Ok(Self {
            files,
            all_files: most.saturating_sub(used),
            ports: (last + 1).saturating_sub(first),
            tracked,
            memory: available(&read("/proc/meminfo")?).context("the available memory is not told")?,
        })
    }
}

/// The first numbers of a text.
fn numbers<const N: usize>(text: &str) -> Result<[u64; N]> {
    let all: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    all.first_chunk().copied().with_context(|| format!("{text:?} has too few numbers"))
}

/// Bytes of memory that are available (`MemAvailable`, proc_meminfo(5)).
pub(super) fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// How many connections, and between how many processes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Connections.
    pub connections: u32,
    /// Servers, which share a port.
    pub servers: u32,
    /// Clients, each with its own address.
    pub clients: u32,
    /// Why there are fewer than were wanted.
    pub limit: Option<&'static str>,
}

impl Plan {
    /// As many of the wanted connections as the limits allow.
    #[must_use]
    pub fn of(wanted: u32, limits: &SystemLimits) -> Self {
        let server = limits.files.saturating_sub(OTHER_FILES);
        // When every second port is taken, the system looks at all of those first, each time. Others have some, too.
        let client = server.min(limits.ports / 20 * 9);
        let allowed = [
            ("open files of a process (ulimit -Hn)", shared(server).saturating_mul(MOST_PROCESSES)),
            ("ports of an address (net.ipv4.ip_local_port_range)", client.saturating_mul(MOST_PROCESSES)),
            ("open files of the system (fs.file-max)", limits.all_files / 2),
            ("tracked connections (net.netfilter.nf_conntrack_max)", limits.tracked.unwrap_or(u64::MAX)),
            ("memory (MemAvailable)", limits.memory / MEMORY),
        ];
        let wanted = u64::from(wanted);
        let mut plan = (wanted, None);
        for (name, most) in allowed {
            if most < plan.0 {
                plan = (most, Some(name));
            }
        }
        let (connections, limit) = plan;
        let servers = if connections <= server { 1 } else { connections.div_ceil(shared(server).max(1)) };
        // At least two, so that there is more than one address.
        let clients = connections.div_ceil(client.max(1)).max(2);
        Self { connections: connections as u32, servers: servers as u32, clients: clients as u32, limit }
    }

    /// The connections of each client.
    pub fn shares(&self) -> impl Iterator<Item = u32> {
        let Self { connections, clients, .. } = *self;
        (0..clients).map(move |client| connections / clients + u32::from(client < connections % clients))
    }
}

/// What a server among several is counted on for: the kernel deals connections out by a hash, and not quite evenly.
fn shared(most: u64) -> u64 {
    most / 8 * 7
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: SystemLimits =
        SystemLimits { files: 1 << 20, all_files: 1 << 40, ports: 28_232, tracked: None, memory: 1 << 40 };

    fn plan(limits: &SystemLimits) -> (u32, u32, u32, Option<&'static str>) {
        let Plan { connections, servers, clients, limit } = Plan::of(100_000, limits);
        (connections, servers, clients, limit)
    }

    #[test]
    fn a_large_machine_needs_one_server_and_several_source_addresses() {
        assert_eq!(plan(&LARGE), (100_000, 1, 8, None));
        assert_eq!(Plan::of(10, &LARGE), Plan { connections: 10, servers: 1, clients: 2, limit: None });
    }

    #[test]
    fn a_low_open_file_limit_means_more_processes() {
        let limits = SystemLimits { files: 20_000, ..LARGE };
        assert_eq!(plan(&limits), (100_000, 6, 8, None));
        let limits = SystemLimits { files: 8192, ..LARGE };
        assert_eq!(plan(&limits), (100_000, 15, 13, None));
    }

    #[test]
    fn the_limit_that_binds_is_named() {
        for (limits, connections, name) in [
            (SystemLimits { files: 1256, ..LARGE }, 28_000, "ulimit -Hn"),
            (SystemLimits { ports: 1000, ..LARGE }, 14_400, "ip_local_port_range"),
            (SystemLimits { all_files: 1000, ..LARGE }, 500, "fs.file-max"),
            (SystemLimits { tracked: Some(7), ..LARGE }, 7, "nf_conntrack_max"),
            (SystemLimits { memory: 64 << 20, all_files: 5000, ..LARGE }, 2048, "MemAvailable"),
        ] {
            let (found, servers, clients, limit) = plan(&limits);
            assert_eq!(found, connections, "{limits:?}");
            assert!(limit.is_some_and(|limit| limit.contains(name)), "{limit:?}");
            assert!(servers >= 1 && clients >= 2);
        }
    }

    #[test]
    fn shares_of_connections_add_up() {
        let plan = Plan { connections: 100, servers: 1, clients: 3, limit: None };
        assert_eq!(plan.shares().collect::<Vec<_>>(), [34, 33, 33]);
    }

    #[test]
    fn limits_of_this_machine_are_read() {
        let limits = SystemLimits::here().unwrap();
        assert!(limits.files > OTHER_FILES && limits.ports > 0 && limits.memory > 0, "{limits:?}");
        assert_eq!(available("MemFree: 1 kB\nMemAvailable:   17 kB\n"), Some(17 * 1024));
        assert!(numbers::<2>("1").is_err() && numbers::<1>("x").is_err());
    }
}
