//! A server from one start to its end, and what outlasts that.

use std::{
    io,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use runtime::mutex::lock;
use tokio::sync::{mpsc, watch};
use transport::listen::SocketFile;

use super::Common;
use crate::{
    accept, access_log, behaviour,
    ended::WorkerEnd,
    fleet::{Arrived, Fleet},
    ledger::{self, Aggregator},
    listener::{Addresses, Listeners, Ports},
    settings::Config,
    stats::Stats,
    worker::{ConnectionsQuery, Server, Worker},
};

/// Questions of the admin port that may wait for a worker.
const QUESTIONS: usize = 4;

/// What a server keeps when it ends and starts again.
#[derive(Debug)]
pub(crate) struct Lasting {
    /// One short text per server, so that each reply can borrow it.
    pub(crate) name: &'static str,
    /// The same where there are several servers.
    pub(crate) label: Option<&'static str>,
    pub(super) config: Arc<Config>,
    /// The number in the process of its first worker.
    pub(crate) first_worker: usize,
    pub(crate) behaviour: Arc<behaviour::BehaviourState>,
    /// By worker.
    pub(crate) stats: Vec<Arc<Stats>>,
    /// By worker; empty without a log.
    pub(super) lines: Mutex<Vec<access_log::Queue>>,
}

impl Lasting {
    /// Of a server that has not started.
    pub(super) fn new(
        config: Config,
        first_worker: usize,
        are_several: bool,
        log: Option<&mut access_log::Queues>,
    ) -> Self {
        let name: &'static str = config.instance.clone().leak();
        let (label, count) = (are_several.then_some(name), config.workers.get());
        let lines = log.map(|log| (0..count).map(|_| log.add_worker(label)).collect());
        Self {
            name,
            label,
            config: Arc::new(config),
            first_worker,
            behaviour: Arc::new(behaviour::BehaviourState::new(count)),
            stats: (0..count).map(|_| Arc::default()).collect(),
            lines: Mutex::new(lines.unwrap_or_default()),
        }
    }
}

/// A server that was started. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) server: Server,
    /// Where workers are asked for their connections.
    pub(crate) workers_to_ask: Vec<mpsc::Sender<ConnectionsQuery>>,
    pub(crate) addresses: Addresses,
    pub(crate) started: Timestamp,
    /// How many of its workers have not ended.
    alive: Arc<watch::Sender<usize>>,
    /// Those of Unix domain sockets, which are removed with it.
    _files: Arc<Vec<SocketFile>>,
}

/// What reaches one worker: connections, and questions of both kinds.
type Receivers =
    (mpsc::Receiver<Arrived>, (mpsc::Receiver<ConnectionsQuery>, mpsc::Receiver<ledger::LedgerQuery>));

impl Life {
    /// Starts a server on these ports.
    pub(super) fn start(lasting: &Lasting, listeners: Listeners, common: &Common) -> io::Result<Self> {
        let Listeners { addresses, ports, files } = listeners;
        let workers = lasting.stats.len();
        let (fleet, inboxes) = Fleet::new(workers, ports.open(), common.accept_loops);
        let (workers_to_ask, questions): (_, Vec<_>) = (0..workers).map(|_| mpsc::channel(QUESTIONS)).unzip();
        let (aggregator, ledger_questions) = Aggregator::new(lasting.name, workers);
        let server = Server {
            first_worker: lasting.first_worker,
            all_workers: common.workers,
            config: Arc::clone(&lasting.config),
            shutdown: common.shutdown.part(),
            fleet: Arc::new(fleet),
            instance: lasting.name,
            behaviour: Arc::clone(&lasting.behaviour),
            aggregator: Arc::new(aggregator),
            certificates: common.certificates.clone(),
            memory: Arc::clone(&common.memory),
        };
        let life = Self {
            server,
            workers_to_ask,
            addresses,
            started: Timestamp::now(),
            alive: Arc::new(watch::Sender::new(0)),
            _files: Arc::new(files),
        };
        // All are counted before the first of them can end.
        let ends: Vec<_> = (0..workers).map(|_| common.ends.worker(&life.alive)).collect();
        let receivers = inboxes.into_iter().zip(questions.into_iter().zip(ledger_questions));
        if let Err(error) = spawn_workers(&life.server, lasting, ports, ends.into_iter().zip(receivers)) {
            // Those that have started end.
            life.server.shutdown.kill();
            return Err(error);
        }
        Ok(life)
    }

    /// Whether nothing of it is left.
    pub(crate) fn has_ended(&self) -> bool {
        *self.alive.borrow() == 0
    }

    /// Waits for that, and no longer than `patience`.
    pub(crate) async fn ended(&self, patience: Duration) {
        let mut alive = self.alive.subscribe();
        let _ = tokio::time::timeout(patience, alive.wait_for(|alive| *alive == 0)).await;
    }

    /// Walks through the phases of its drain, until it has ended.
    pub(super) async fn walk(self, delay: Duration, timeout: Duration) {
        let mut alive = self.alive.subscribe();
        tokio::select! {
            () = self.server.shutdown.run(delay, timeout) => {}
            _ = alive.wait_for(|alive| *alive == 0) => {}
        }
    }
}

/// Starts the workers of a server.
fn spawn_workers(
    server: &Server,
    lasting: &Lasting,
    mut ports: Ports,
    workers: impl Iterator<Item = (WorkerEnd, Receivers)>,
) -> io::Result<()> {
    let cpus = if server.config.pin_cpus { runtime::affinity::allowed() } else { Vec::new() };
    for (index, (end, (inbox, questions))) in workers.enumerate() {
        let number = server.first_worker + index;
        let cpu = cpus.get(number % cpus.len().max(1)).copied();
        let (server, listeners) = (server.clone(), ports.of_next_worker());
        let (stats, lines) = (Arc::clone(&lasting.stats[index]), lock(&lasting.lines).get(index).cloned());
        runtime::worker::spawn(&format!("worker-{number}"), cpu, move || {
            end.run(async move {
                let worker = Worker::new(index, server, stats, lines);
                let accepting: Vec<_> = listeners
                    .into_iter()
                    .map(|(port, listener)| accept::run(listener, port, Rc::clone(&worker)))
                    .collect();
                worker.run(accepting, inbox, questions).await
            })
        })?;
    }
    Ok(())
}
