//! The workers' counters, added up.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{behaviour::Shared, drain::Shutdown, ledger::Desk, stats::Stats, worker::Question};

/// Reads all workers' counters.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) behaviour: Arc<Shared>,
    pub(crate) workers: Vec<Arc<Stats>>,
    pub(crate) shutdown: Shutdown,
    /// In bytes.
    pub(crate) memory_budget: u64,
    /// Where workers are asked for their connections.
    pub(crate) workers_to_ask: Vec<mpsc::Sender<Question>>,
    /// And for what they have seen of verified runs.
    pub(crate) desk: Arc<Desk>,
}

/// Sums over all workers. Differences of two counters can be a moment off, and are never below 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) requests: u64,
    pub(crate) in_flight: u64,
    pub(crate) streams_open: u64,
    pub(crate) connections_opened: u64,
    pub(crate) connections_open: u64,
    pub(crate) connections_refused: u64,
    pub(crate) connections_handed_over: u64,
    pub(crate) accept_errors: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
}

impl Figures {
    pub(crate) fn sum(&self) -> Sum {
        let add = |read: fn(&Stats) -> u64| self.workers.iter().map(|stats| read(stats)).sum::<u64>();
        // The end is read before the beginning, so that a difference is never negative.
        let (ended, closed) = (add(|s| s.requests_ended.get()), add(|s| s.connections_closed.get()));
        let streams_closed = add(|s| s.streams_closed.get());
        let requests = add(|s| s.requests_begun.get());
        let connections_opened = add(|s| s.connections_opened.get());
        Sum {
            requests,
            in_flight: requests.saturating_sub(ended),
            streams_open: add(|s| s.streams_opened.get()).saturating_sub(streams_closed),
            connections_opened,
            connections_open: connections_opened.saturating_sub(closed),
            connections_refused: add(|s| s.connections_refused.get()),
            connections_handed_over: add(|s| s.connections_handed_over.get()),
            accept_errors: add(|s| s.accept_errors.get()),
            bytes_received: add(|s| s.bytes_received.get()),
            bytes_sent: add(|s| s.bytes_sent.get()),
        }
    }
}

/// Resident memory of the process, where the system tells (proc(5)).
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
