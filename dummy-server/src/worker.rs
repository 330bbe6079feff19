//! One worker: what its connections share, its connections, and their clock.
//!
//! Nothing here is shared between threads but the fleet's counts, the shutdown and the counters' readers.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use contract::timing::WorkerLoad;
use runtime::cpus::time_of_this_thread_ns;
use slab::Slab;
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, JoinSet},
};

use crate::{
    access_log::{Log, Queue},
    behaviour,
    budget::{Budget, Pool},
    connection::{self, Resources, SharedSocket},
    context::ServerContext,
    drain::{Phase, Shutdown},
    exchange::Exchange,
    fleet::{Arrived, Fleet},
    ledger::{self, Aggregator},
    lifecycle::{ConnectionSnapshot, Lifecycle, orders::Order},
    settings::Config,
    stats::Stats,
    tls::Certificates,
};

/// How often a closing worker looks whether its last connection has ended.
const CLOSING_TICK: Duration = Duration::from_millis(5);

/// Asks a worker for its connections, of which it shows this many at most, in no order.
#[derive(Debug)]
pub(crate) struct ConnectionsQuery {
    pub(crate) most: usize,
    pub(crate) answer: oneshot::Sender<Vec<ConnectionSnapshot>>,
}

/// What all workers of a server have.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// The number in the process of its first worker, and how many workers all servers of the process have.
    pub(crate) first_worker: usize,
    pub(crate) all_workers: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) shutdown: Shutdown,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) instance: &'static str,
    pub(crate) behaviour: Arc<behaviour::BehaviourState>,
    pub(crate) aggregator: Arc<Aggregator>,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) memory: Arc<Pool>,
}

/// A thread of the server, and what it owns.
#[derive(Debug)]
pub(crate) struct Worker {
    /// In its server.
    pub(crate) index: usize,
    pub(crate) server: Server,
    pub(crate) stats: Arc<Stats>,
    resources: Rc<Resources>,
    connections: RefCell<Slab<Rc<SharedSocket>>>,
}

/// What a connection has of its worker. It is given back when the connection's task ends, even by a panic: that ends
/// the one connection, and the worker goes on.
struct Admission {
    worker: Rc<Worker>,
    key: usize,
}

/// Ends the thread with the panic of one of its tasks.
fn go_on_unless_panicked(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let Self { worker, key } = self;
        let socket = worker.connections.borrow_mut().remove(*key);
        if std::thread::panicking() {
            worker.stats.panics.add(1);
            // What has panicked, and where, is said by the panic hook.
            let peer = socket.lifecycle.peer.address().map(|peer| peer.to_string()).unwrap_or_default();
            tracing::error!(connection = socket.lifecycle.id.get(), peer, "a connection's task has panicked");
        }
        worker.stats.connections_closed.add(1);
        worker.server.fleet.leave(worker.index);
    }
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        server: Server,
        stats: Arc<Stats>,
        access_log: Option<Queue>,
    ) -> Rc<Self> {
        let budget = Budget::new(Arc::clone(&server.memory), Arc::clone(&stats));
        let (config, shutdown) = (Arc::clone(&server.config), server.shutdown.clone());
        let aggregator = Arc::clone(&server.aggregator);
        let context = ServerContext::new(config, shutdown, server.instance, budget, aggregator);
        let behaviour = Arc::clone(&server.behaviour);
        let exchange = Exchange::new(context, index, access_log.map(Log::new), behaviour);
        let resources = Resources::new(exchange, server.certificates.clone());
        Rc::new(Self { index, server, stats, resources, connections: RefCell::default() })
    }

    fn context(&self) -> &ServerContext {
        &self.resources.exchange.context
    }

    /// Serves a connection for which this worker's seat has been taken.
    pub(crate) fn admit(self: &Rc<Self>, arrived: Arrived) {
        let Ok(stream) = arrived.socket.register() else {
            self.server.fleet.leave(self.index);
            return;
        };
        let lifecycle = Lifecycle::new(arrived.port, stream.addresses(), Arc::clone(&self.stats));
        let largest_write = self.context().buffers.largest_write();
        let socket = SharedSocket::new(stream, Rc::clone(&lifecycle), largest_write);
        if self.server.shutdown.phase() >= Phase::Closing {
            lifecycle.give(Order::Drain);
        }
        // Of its own in the whole process: workers count in steps of their number.
        let (before, workers) = (self.stats.connections_opened.get(), self.server.all_workers as u64);
        let number = self.server.first_worker + self.index;
        lifecycle.id.set(before * workers + number as u64 + 1);
        let key = self.connections.borrow_mut().insert(Rc::clone(&socket));
        self.stats.connections_opened.add(1);
        let admission = Admission { worker: Rc::clone(self), key };
        tokio::task::spawn_local(async move {
            connection::serve(Rc::clone(&admission.worker.resources), socket).await;
        });
    }

    /// Runs until the server has been drained or aborted; how many connections were cut off. What is `accepting` ends by
    /// itself when the drain wants it.
    pub(crate) async fn run(
        self: Rc<Self>,
        accepting: impl IntoIterator<Item = impl Future<Output = ()> + 'static>,
        mut inbox: mpsc::Receiver<Arrived>,
        (questions, ledger_questions): (
            mpsc::Receiver<ConnectionsQuery>,
            mpsc::Receiver<ledger::LedgerQuery>,
        ),
    ) -> usize {
        let Server { shutdown, fleet, aggregator, .. } = &self.server;
        // Unlike a connection's, a panic of one of these ends the process.
        let mut tasks = JoinSet::new();
        for accepts in accepting {
            tasks.spawn_local(accepts);
        }
        tasks.spawn_local(Rc::clone(&self).list_connections(questions));
        let ledger = Rc::clone(&self.context().ledger);
        tasks.spawn_local(async move { ledger.answer(ledger_questions).await });
        tasks.spawn_local(Rc::clone(&self).sweep());
        loop {
            tokio::select! {
                Some(arrived) = inbox.recv() => self.admit(arrived),
                Some(ended) = tasks.join_next() => go_on_unless_panicked(ended),
                () = shutdown.reached(Phase::Closing) => break,
            }
        }
        for (_, socket) in &*self.connections.borrow() {
            socket.lifecycle.give(Order::Drain);
        }
        while shutdown.phase() < Phase::Aborted {
            while let Ok(arrived) = inbox.try_recv() {
                self.admit(arrived);
            }
            let accepting = fleet.accepting.load(Ordering::Acquire) > 0;
            if !accepting && inbox.is_empty() && self.connections.borrow().is_empty() {
                break;
            }
            tokio::select! {
                Some(ended) = tasks.join_next() => go_on_unless_panicked(ended),
                () = tokio::time::sleep(CLOSING_TICK) => {}
                () = shutdown.reached(Phase::Aborted) => {}
            }
        }
        if shutdown.was_killed() {
            while let Ok(arrived) = inbox.try_recv() {
                self.admit(arrived);
            }
            for (_, socket) in &*self.connections.borrow() {
                socket.reset_on_close();
            }
        } else {
            // One that is killed leaves nothing, as a process that is.
            self.context().ledger.leave(self.index, aggregator);
        }
        self.connections.borrow().len()
    }

    /// Lists the connections for each question of the admin port.
    async fn list_connections(self: Rc<Self>, mut questions: mpsc::Receiver<ConnectionsQuery>) {
        while let Some(ConnectionsQuery { most, answer }) = questions.recv().await {
            let connections = self.connections.borrow();
            // The one that asked may have gone.
            let _ = answer
                .send(connections.iter().take(most).map(|(_, socket)| socket.lifecycle.seen()).collect());
        }
    }

    /// Looks at the clock for all connections.
    async fn sweep(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(self.sweep_interval());
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // What the thread did before does not count.
        let mut measured = Instant::now();
        self.stats.cpu_ns.set(time_of_this_thread_ns().unwrap_or_default());
        ticks.tick().await;
        loop {
            let due = ticks.tick().await.into_std();
            let now = Instant::now();
            self.measure_itself(now.saturating_duration_since(due), now - measured);
            measured = now;
            self.context().budget.wake_waiting();
            for (_, socket) in &*self.connections.borrow() {
                socket.sweep(now, &self.server.config.limits);
            }
        }
    }

    /// Notes how late the sweep was, and how much CPU time this thread has had since the one before, which is so long ago.
    fn measure_itself(&self, lag: Duration, since: Duration) {
        let turn_lag_ns = u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX);
        self.stats.timer_was_late(turn_lag_ns);
        let mut load = WorkerLoad { turn_lag_ns, cpu_permille: 0 };
        if let Some(cpu_ns) = time_of_this_thread_ns() {
            let had = cpu_ns.saturating_sub(self.stats.cpu_ns.get());
            self.stats.cpu_ns.set(cpu_ns);
            let permille = u128::from(had) * 1000 / since.as_nanos().max(1);
            load.cpu_permille = u16::try_from(permille.min(1000)).unwrap_or(1000);
        }
        self.context().load.set(load);
    }

    /// Often enough that a time limit is met within an eighth of it.
    fn sweep_interval(&self) -> Duration {
        let limits = &self.server.config.limits;
        let in_use = [limits.idle_timeout, limits.header_timeout, limits.max_connection_age];
        let given_up = [limits.stall_timeout, limits.half_close_timeout];
        let shortest = in_use.into_iter().chain(given_up).flatten().min().unwrap_or(Duration::from_secs(4));
        (shortest / 8).clamp(Duration::from_millis(5), Duration::from_millis(500))
    }
}
