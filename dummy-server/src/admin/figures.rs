//! The workers' counters, added up.

use std::sync::Arc;

use crate::{counter::Counter, stats::Stats};

/// Sums over all workers. Differences of two counters can be a moment off, and are never below 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) requests: u64,
    pub(crate) in_flight: u64,
    pub(crate) streams_open: u64,
    pub(crate) connections_opened: u64,
    pub(crate) connections_open: u64,
}

/// A counter of all these workers, added up.
pub(super) fn add(workers: &[Arc<Stats>], counter: impl Fn(&Stats) -> &Counter) -> u64 {
    workers.iter().map(|stats| counter(stats).get()).sum()
}

impl Sum {
    pub(super) fn of(workers: &[Arc<Stats>]) -> Self {
        // The end is read before the beginning, so that a difference is never negative.
        let ended = add(workers, |stats| &stats.requests_ended);
        let closed = add(workers, |stats| &stats.connections_closed);
        let streams_closed = add(workers, |stats| &stats.streams_closed);
        let requests = add(workers, |stats| &stats.requests_begun);
        let connections_opened = add(workers, |stats| &stats.connections_opened);
        Self {
            requests,
            in_flight: requests.saturating_sub(ended),
            streams_open: add(workers, |stats| &stats.streams_opened).saturating_sub(streams_closed),
            connections_opened,
            connections_open: connections_opened.saturating_sub(closed),
        }
    }
}

/// Resident memory of the process, where the system reports it (proc(5)).
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
