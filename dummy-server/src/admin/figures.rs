//! The workers' counters, added up.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    drain::Shutdown,
    process::{Instance, Process},
    stats::Stats,
    worker::ConnectionsQuery,
};

/// Reads the counters of the workers of one server.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Its name, where there are several.
    pub(crate) instance: Option<&'static str>,
    /// The number in the process of the first worker.
    pub(crate) first_worker: usize,
    pub(crate) workers: Vec<Arc<Stats>>,
    pub(crate) shutdown: Shutdown,
    /// Where workers are asked for their connections.
    pub(crate) workers_to_ask: Vec<mpsc::Sender<ConnectionsQuery>>,
}

/// Sums over all workers. Differences of two counters can be a moment off, and are never below 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) requests: u64,
    pub(crate) in_flight: u64,
    pub(crate) streams_open: u64,
    pub(crate) connections_opened: u64,
    pub(crate) connections_open: u64,
}

impl Figures {
    /// Those of all servers of the process as it is now.
    pub(crate) fn of_all(process: &Process) -> Vec<Self> {
        let name = |instance: &Instance| process.has_several().then(|| instance.name());
        process.instances.iter().map(|instance| Self::of(instance, name(instance))).collect()
    }

    fn of(instance: &Instance, name: Option<&'static str>) -> Self {
        let life = instance.life();
        Self {
            instance: name,
            first_worker: instance.first_worker(),
            workers: instance.stats().to_vec(),
            shutdown: life.shutdown,
            workers_to_ask: life.workers_to_ask,
        }
    }
}

/// A counter of all these workers, added up.
pub(super) fn add(workers: &[Arc<Stats>], read: impl Fn(&Stats) -> u64) -> u64 {
    workers.iter().map(|stats| read(stats)).sum()
}

impl Sum {
    pub(super) fn of(workers: &[Arc<Stats>]) -> Self {
        // The end is read before the beginning, so that a difference is never negative.
        let ended = add(workers, |stats| stats.requests_ended.get());
        let closed = add(workers, |stats| stats.connections_closed.get());
        let streams_closed = add(workers, |stats| stats.streams_closed.get());
        let requests = add(workers, |stats| stats.requests_begun.get());
        let connections_opened = add(workers, |stats| stats.connections_opened.get());
        Self {
            requests,
            in_flight: requests.saturating_sub(ended),
            streams_open: add(workers, |stats| stats.streams_opened.get()).saturating_sub(streams_closed),
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
