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
use transport::{Listener, listen::SocketFile};

use super::{Alive, Common};
use crate::{
    accept, access_log, behaviour,
    drain::Shutdown,
    ended::WorkerEnd,
    fleet::{Arrived, Fleet},
    ledger::{self, Aggregator},
    listener::{Addresses, Listeners},
    settings::{Config, Port},
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
        let count = config.workers.get();
        let lines = log.map(|log| (0..count).map(|_| log.add_worker(are_several.then_some(name))).collect());
        Self {
            name,
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
    pub(crate) shutdown: Shutdown,
    pub(crate) fleet: Arc<Fleet>,
    /// Where workers are asked for their connections.
    pub(crate) workers_to_ask: Vec<mpsc::Sender<ConnectionsQuery>>,
    /// And for what they have seen of verified runs.
    pub(crate) aggregator: Arc<Aggregator>,
    pub(crate) addresses: Addresses,
    pub(crate) started: Timestamp,
    alive: Alive,
    /// Those of Unix domain sockets, which are removed with it.
    _files: Arc<Vec<SocketFile>>,
}

/// What one worker is started with, and nobody else has.
struct Seat {
    inbox: mpsc::Receiver<Arrived>,
    stats: Arc<Stats>,
    questions: mpsc::Receiver<ConnectionsQuery>,
    ledger_questions: mpsc::Receiver<ledger::LedgerQuery>,
    lines: Option<access_log::Queue>,
    listeners: Vec<(Port, Listener)>,
}

impl Life {
    /// Starts a server on these ports.
    pub(super) fn start(lasting: &Lasting, listeners: Listeners, common: &Common) -> io::Result<Self> {
        let Listeners { addresses, mut ports, files } = listeners;
        let mut fleet = Fleet::new(ports.open(), common.accept_loops);
        let (mut seats, mut workers_to_ask) = (Vec::new(), Vec::new());
        let lines = lock(&lasting.lines).clone();
        let (aggregator, ledger_questions) = Aggregator::new(lasting.name, lasting.stats.len());
        let aggregator = Arc::new(aggregator);
        for ((index, stats), ledger_questions) in lasting.stats.iter().enumerate().zip(ledger_questions) {
            let (sender, questions) = mpsc::channel(QUESTIONS);
            workers_to_ask.push(sender);
            seats.push(Seat {
                inbox: fleet.add_worker(),
                stats: Arc::clone(stats),
                questions,
                ledger_questions,
                lines: lines.get(index).cloned(),
                listeners: ports.of_next_worker(),
            });
        }
        let fleet = Arc::new(fleet);
        let server = Server {
            first_worker: lasting.first_worker,
            all_workers: common.workers,
            config: Arc::clone(&lasting.config),
            shutdown: common.shutdown.part(),
            fleet: Arc::clone(&fleet),
            instance: lasting.name,
            behaviour: Arc::clone(&lasting.behaviour),
            aggregator: Arc::clone(&aggregator),
            certificates: common.certificates.clone(),
            memory: Arc::clone(&common.memory),
        };
        let alive = Arc::new(watch::Sender::new(0));
        let life = Self {
            shutdown: server.shutdown.clone(),
            fleet,
            workers_to_ask,
            aggregator,
            addresses,
            started: Timestamp::now(),
            alive: Arc::clone(&alive),
            _files: Arc::new(files),
        };
        let ends = seats.iter().map(|_| common.ends.worker(&alive)).collect();
        if let Err(error) = spawn_workers(&server, seats, ends) {
            // Those that have started end.
            life.shutdown.kill();
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
            () = self.shutdown.run(delay, timeout) => {}
            _ = alive.wait_for(|alive| *alive == 0) => {}
        }
    }
}

/// Starts a worker in each seat.
fn spawn_workers(server: &Server, seats: Vec<Seat>, ends: Vec<WorkerEnd>) -> io::Result<()> {
    let cpus = if server.config.pin_cpus { runtime::affinity::allowed() } else { Vec::new() };
    for (index, (seat, end)) in seats.into_iter().zip(ends).enumerate() {
        let number = server.first_worker + index;
        let cpu = cpus.get(number % cpus.len().max(1)).copied();
        let server = server.clone();
        let Seat { inbox, stats, questions, ledger_questions, lines, listeners } = seat;
        runtime::worker::spawn(&format!("worker-{number}"), cpu, move || {
            end.run(async move {
                let worker = Worker::new(index, server, stats, lines);
                let accepting: Vec<_> = listeners
                    .into_iter()
                    .map(|(port, listener)| accept::run(listener, port, Rc::clone(&worker)))
                    .collect();
                worker.run(accepting, inbox, (questions, ledger_questions)).await
            })
        })?;
    }
    Ok(())
}
