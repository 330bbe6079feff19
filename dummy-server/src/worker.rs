//! One worker: what its connections share, its connections, and their clock.
//!
//! Nothing here is shared between threads but the fleet's counts, the shutdown and the counters' readers.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, UNIX_EPOCH},
};

use contract::{pattern::Pattern, timing::TimingWriter};
use slab::Slab;
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, JoinSet},
};
use transport::Listener;
use wire::Output;

use crate::{
    Config, Shutdown,
    accept::{self, Arrived, Fleet},
    access_log::{Log, Queue},
    behaviour::{self, Behaviour},
    budget::{Budget, Pool},
    config::Limits,
    connection::{
        self, Port,
        refused::Refusals,
        state::{Order, Seen, State},
    },
    drain::Phase,
    router::Known,
    stats::Stats,
    tls::Certificates,
    turn::Turn,
};

/// A piece of the pattern and the head before it leave together.
const ROOM_FOR_A_HEAD: usize = 16 << 10;
/// How often a closing worker looks whether its last connection has ended.
const CLOSING_TICK: Duration = Duration::from_millis(5);

/// Bytes that are read in one call: what comes of them may have to wait in a connection.
pub(crate) const MOST_READ: usize = 256 << 10;
/// Room to read on behind what a state machine needs in one piece: the largest frame of HTTP/2, or the largest head of
/// HTTP/1. Without it, reading could not go on.
const ROOM_TO_READ_ON: usize = 64 << 10;
/// Bytes that a WebSocket reads at once.
const SCRATCH: usize = 64 << 10;
/// How many buffers are kept for connections to come, and how large they may be.
const SPARE_BUFFERS: usize = 64;
const LARGEST_SPARE: usize = 1 << 20;

/// The value of `Date`, written once a second.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    /// For an instant in nanoseconds since the Unix epoch.
    pub(crate) fn date(&mut self, now_ns: u64) -> &[u8] {
        let second = now_ns / 1_000_000_000;
        if self.second != second {
            self.second = second;
            self.text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        }
        self.text.as_bytes()
    }
}

/// Asks a worker for its connections, of which it shows this many at most, in no order.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) most: usize,
    pub(crate) answer: oneshot::Sender<Vec<Seen>>,
}

/// What all workers of a server have.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) config: Arc<Config>,
    pub(crate) shutdown: Shutdown,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) instance: &'static str,
    pub(crate) behaviour: Arc<behaviour::Shared>,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) memory: Arc<Pool>,
}

/// What the connections of one worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) shutdown: Shutdown,
    pub(crate) stats: Arc<Stats>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) pattern: Pattern,
    pub(crate) instance: &'static str,
    pub(crate) grpc: crate::grpc::Services,
    /// What requests and replies may hold.
    pub(crate) budget: Rc<Budget>,
    /// Of the connection that is polled.
    pub(crate) turn: Rc<Turn>,
    /// What TLS connections begin with.
    pub(crate) certificates: Option<Certificates>,
    pub(crate) timing: RefCell<TimingWriter>,
    /// Where targets led that come again.
    pub(crate) routes: RefCell<Known>,
    /// What sockets are read into; idle connections hold no memory for it.
    pub(crate) read_buffer: RefCell<Box<[u8]>>,
    /// What WebSockets are read into, from wherever they are polled.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    /// Heads of requests, which are looked at and forgotten.
    pub(crate) http1_head: RefCell<http1::request::Head>,
    pub(crate) http2_head: RefCell<http2::Head>,
    pub(crate) clock: RefCell<Clock>,
    /// What requests share that ask for a behaviour.
    pub(crate) behaviour: Arc<behaviour::Shared>,
    /// This worker's copy of what the server does by default, and which one it is.
    default_behaviour: RefCell<Option<Rc<Behaviour>>>,
    generation: Cell<u64>,
    pub(crate) access_log: Option<Rc<Log>>,
    /// What was logged of connections that did not come to HTTP.
    pub(crate) refusals: Refusals,
    /// Buffers that idle connections have given back.
    spare: RefCell<Vec<Vec<u8>>>,
    connections: RefCell<Slab<Rc<State>>>,
}

/// What a connection has of its worker. It is given back when the connection's task ends, be it by a panic: that ends
/// the one connection, and the worker goes on.
struct Admission {
    worker: Rc<Worker>,
    key: usize,
    state: Rc<State>,
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
        let Self { worker, key, state } = self;
        if std::thread::panicking() {
            worker.stats.panics.add(1);
            // What has panicked, and where, is said by the panic hook.
            let peer = state.peer().map(|peer| peer.to_string()).unwrap_or_default();
            tracing::error!(connection = state.id.get(), peer, "a connection's task has panicked");
        }
        worker.connections.borrow_mut().remove(*key);
        worker.stats.connections_closed.add(1);
        worker.fleet.leave(worker.index);
    }
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        server: Server,
        stats: Arc<Stats>,
        access_log: Option<Queue>,
    ) -> Rc<Self> {
        let Server { config, shutdown, fleet, instance, behaviour, certificates, memory } = server;
        let grpc = crate::grpc::Services::new(&config, &shutdown);
        let pattern = Pattern::new(config.buffer_size);
        let connections = RefCell::new(Slab::new());
        let budget = Budget::new(memory, Arc::clone(&stats));
        let in_one_piece = config.http2.max_frame_size.max(config.limits.max_header_bytes) as usize;
        let read_buffer = MOST_READ.max(in_one_piece + ROOM_TO_READ_ON);
        Rc::new(Self {
            read_buffer: RefCell::new(vec![0; read_buffer].into_boxed_slice()),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            access_log: access_log.map(Log::new),
            refusals: Refusals::default(),
            http1_head: RefCell::default(),
            http2_head: RefCell::default(),
            clock: RefCell::default(),
            behaviour,
            default_behaviour: RefCell::default(),
            generation: Cell::new(0),
            spare: RefCell::default(),
            index,
            config,
            shutdown,
            stats,
            fleet,
            pattern,
            instance,
            grpc,
            budget,
            turn: Rc::default(),
            certificates,
            timing: RefCell::default(),
            routes: RefCell::default(),
            connections,
        })
    }

    /// What the server does to every request by default.
    #[inline]
    pub(crate) fn default_behaviour(&self) -> Option<Rc<Behaviour>> {
        let generation = self.behaviour.generation();
        if generation == 0 {
            return None;
        }
        if self.generation.replace(generation) != generation {
            // A copy of its own: no count is shared between workers.
            let default = self.behaviour.default().map(|default| Rc::new((*default).clone()));
            *self.default_behaviour.borrow_mut() = default;
        }
        self.default_behaviour.borrow().clone()
    }

    /// Gives an output that has no buffer one that another has given back.
    pub(crate) fn lend(&self, output: &mut Output) {
        if output.is_empty() && output.buffer().capacity() == 0 {
            let spare = self.spare.borrow_mut().pop();
            output.exchange_buffer(spare.unwrap_or_default());
        }
    }

    /// Takes the buffer of an output that is empty.
    pub(crate) fn take_back(&self, output: &mut Output) {
        if output.is_empty() && output.buffer().capacity() > 0 {
            let buffer = output.exchange_buffer(Vec::new());
            let mut spare = self.spare.borrow_mut();
            if spare.len() < SPARE_BUFFERS && buffer.capacity() <= LARGEST_SPARE {
                spare.push(buffer);
            }
        }
    }

    /// Serves a connection for which this worker's seat has been taken.
    pub(crate) fn admit(self: &Rc<Self>, arrived: Arrived) {
        let Ok(stream) = arrived.socket.register() else {
            self.fleet.leave(self.index);
            return;
        };
        let state = State::new(stream, Arc::clone(&self.stats), self.config.buffer_size + ROOM_FOR_A_HEAD);
        if self.shutdown.phase() >= Phase::Closing {
            state.give(Order::Drain);
        }
        // Of its own in the whole process: workers count in steps of their number.
        let (before, workers) = (self.stats.connections_opened.get(), self.config.workers.get() as u64);
        state.id.set(before * workers + self.index as u64 + 1);
        let key = self.connections.borrow_mut().insert(Rc::clone(&state));
        self.stats.connections_opened.add(1);
        let admission = Admission { worker: Rc::clone(self), key, state: Rc::clone(&state) };
        tokio::task::spawn_local(async move {
            connection::serve(arrived.port, Rc::clone(&admission.worker), state).await;
        });
    }

    /// Runs until the server has been drained or aborted; how many connections were cut off.
    pub(crate) async fn run(
        self: Rc<Self>,
        listeners: Vec<(Port, Listener)>,
        mut inbox: mpsc::Receiver<Arrived>,
        questions: mpsc::Receiver<Question>,
    ) -> usize {
        // Unlike a connection's, a panic of one of these ends the process.
        let mut tasks = JoinSet::new();
        for (port, listener) in listeners {
            tasks.spawn_local(accept::run(listener, port, Rc::clone(&self)));
        }
        tasks.spawn_local(Rc::clone(&self).answer(questions));
        tasks.spawn_local(Rc::clone(&self).sweep());
        loop {
            tokio::select! {
                Some(arrived) = inbox.recv() => self.admit(arrived),
                Some(ended) = tasks.join_next() => go_on_unless_panicked(ended),
                () = self.shutdown.reached(Phase::Closing) => break,
            }
        }
        for (_, state) in &*self.connections.borrow() {
            state.give(Order::Drain);
        }
        while self.shutdown.phase() < Phase::Aborted {
            while let Ok(arrived) = inbox.try_recv() {
                self.admit(arrived);
            }
            let accepting = self.fleet.accepting.load(Ordering::Acquire) > 0;
            if !accepting && inbox.is_empty() && self.connections.borrow().is_empty() {
                break;
            }
            tokio::select! {
                Some(ended) = tasks.join_next() => go_on_unless_panicked(ended),
                () = tokio::time::sleep(CLOSING_TICK) => {}
                () = self.shutdown.reached(Phase::Aborted) => {}
            }
        }
        self.connections.borrow().len()
    }

    /// Shows connections to who asks.
    async fn answer(self: Rc<Self>, mut questions: mpsc::Receiver<Question>) {
        while let Some(Question { most, answer }) = questions.recv().await {
            let connections = self.connections.borrow();
            // Who asked may have gone.
            let _ = answer.send(connections.iter().take(most).map(|(_, state)| state.seen()).collect());
        }
    }

    /// Looks at the clock for all connections.
    async fn sweep(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(self.sweep_interval());
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            self.budget.wake_waiting();
            for (_, state) in &*self.connections.borrow() {
                state.sweep(now, &self.config.limits);
            }
        }
    }

    /// Often enough that a time limit is met within an eighth of it.
    fn sweep_interval(&self) -> Duration {
        let limits = &self.config.limits;
        let Limits { idle_timeout, header_timeout, max_connection_age, .. } = *limits;
        let Limits { stall_timeout, half_close_timeout, .. } = *limits;
        let shortest = [idle_timeout, header_timeout, max_connection_age, stall_timeout, half_close_timeout];
        let shortest = shortest.into_iter().flatten().min().unwrap_or(Duration::from_secs(4));
        (shortest / 8).clamp(Duration::from_millis(5), Duration::from_millis(500))
    }
}
