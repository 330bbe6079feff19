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
    pub(crate) connections_refused: u64,
    pub(crate) connections_handed_over: u64,
    pub(crate) accept_errors: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
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

impl Sum {
    /// Over several servers.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            in_flight: self.in_flight + other.in_flight,
            streams_open: self.streams_open + other.streams_open,
            connections_opened: self.connections_opened + other.connections_opened,
            connections_open: self.connections_open + other.connections_open,
            connections_refused: self.connections_refused + other.connections_refused,
            connections_handed_over: self.connections_handed_over + other.connections_handed_over,
            accept_errors: self.accept_errors + other.accept_errors,
            bytes_received: self.bytes_received + other.bytes_received,
            bytes_sent: self.bytes_sent + other.bytes_sent,
        }
    }
}

/// Resident memory of the process, where the system reports it (proc(5)).
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
