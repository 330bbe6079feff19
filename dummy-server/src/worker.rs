//! One worker: what its connections share, its connections, and their clock.
//!
//! Nothing here is shared between threads but the fleet's counts, the shutdown and the counters' readers.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, UNIX_EPOCH},
};

use contract::pattern::Pattern;
use http::HeaderValue;
use slab::Slab;
use tokio::sync::mpsc;
use transport::Listener;

use crate::{
    Config, Shutdown,
    accept::{self, Arrived, Fleet},
    connection::{
        self, Port,
        state::{Order, State},
    },
    drain::Phase,
    stats::Stats,
};

/// A piece of the pattern and the head before it leave together.
const ROOM_FOR_A_HEAD: usize = 16 << 10;
/// How often a closing worker looks whether its last connection has ended.
const CLOSING_TICK: Duration = Duration::from_millis(5);

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
    pub(crate) grpc: tonic::service::Routes,
    /// For texts that are written and copied at once.
    pub(crate) scratch: RefCell<Vec<u8>>,
    /// The second for which the date was written, and the date.
    date: RefCell<(u64, HeaderValue)>,
    connections: RefCell<Slab<Rc<State>>>,
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        config: Arc<Config>,
        shutdown: Shutdown,
        stats: Arc<Stats>,
        fleet: Arc<Fleet>,
        instance: &'static str,
    ) -> Rc<Self> {
        let grpc = crate::grpc::routes(&config, &shutdown);
        let pattern = Pattern::new(config.buffer_size);
        let (scratch, connections) = (RefCell::default(), RefCell::new(Slab::new()));
        let date = RefCell::new((0, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT")));
        Rc::new(Self {
            date,
            index,
            config,
            shutdown,
            stats,
            fleet,
            pattern,
            instance,
            grpc,
            scratch,
            connections,
        })
    }

    /// The value of `Date` for an instant in nanoseconds since the Unix epoch, written once a second.
    pub(crate) fn date(&self, now_ns: u64) -> HeaderValue {
        let (written, date) = &mut *self.date.borrow_mut();
        let second = now_ns / 1_000_000_000;
        if *written != second {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            if let Ok(value) = HeaderValue::from_str(&text) {
                (*written, *date) = (second, value);
            }
        }
        date.clone()
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
        let key = self.connections.borrow_mut().insert(Rc::clone(&state));
        self.stats.connections_opened.add(1);
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            connection::serve(arrived.port, Rc::clone(&worker), state).await;
            worker.connections.borrow_mut().remove(key);
            worker.stats.connections_closed.add(1);
            worker.fleet.leave(worker.index);
        });
    }

    /// Runs until the server has been drained or aborted; how many connections were cut off.
    pub(crate) async fn run(
        self: Rc<Self>,
        listeners: Vec<(Port, Listener)>,
        mut inbox: mpsc::Receiver<Arrived>,
    ) -> usize {
        for (port, listener) in listeners {
            tokio::task::spawn_local(accept::run(listener, port, Rc::clone(&self)));
        }
        let sweeper = tokio::task::spawn_local(Rc::clone(&self).sweep());
        loop {
            tokio::select! {
                Some(arrived) = inbox.recv() => self.admit(arrived),
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
                () = tokio::time::sleep(CLOSING_TICK) => {}
                () = self.shutdown.reached(Phase::Aborted) => {}
            }
        }
        sweeper.abort();
        self.connections.borrow().len()
    }

    /// Looks at the clock for all connections.
    async fn sweep(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(self.sweep_interval());
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            for (_, state) in &*self.connections.borrow() {
                state.sweep(now, &self.config.limits);
            }
        }
    }

    /// Often enough that a time limit is met within an eighth of it.
    fn sweep_interval(&self) -> Duration {
        let limits = &self.config.limits;
        let shortest = [limits.idle_timeout, limits.header_timeout, limits.max_connection_age];
        let shortest = shortest.into_iter().flatten().min().unwrap_or(Duration::from_secs(4));
        (shortest / 8).clamp(Duration::from_millis(5), Duration::from_millis(500))
    }
}
