//! The one loop: what is due is picked up, submitted to an engine, driven, and recorded.
//!
//! Protocols are behind [`engine::Engine`], pacing in the schedule and the pacer: they meet here and nowhere
//! else. One worker is one thread; what it records is its own until the run is over.

mod backlog;
mod connect;
mod desk;
mod engine;
mod http1;
mod http2;
#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use connect::Connector;
use desk::{Desk, Source};
use engine::{Engine, Limits};

use crate::{
    clock::{Clock, Nanos, nanos},
    control::{Control, Phase},
    pacer::Pacer,
    plan::{Load, Plan, Protocol, Shape, request::Ids},
    recorder::Recorder,
    schedule::{Schedule, share},
};

/// How often timeouts, signals and progress are looked at, if no shorter timeout asks for more.
const TICK: Nanos = 10_000_000;

/// The shortest time between two looks.
const SHORTEST_TICK: Nanos = 1_000_000;

/// How often the loop goes round before the runtime has its turn.
const ROUNDS: usize = 16;

/// What a worker is told.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// The run.
    pub(crate) plan: Arc<Plan>,
    /// Where the target was found.
    pub(crate) addresses: Arc<[SocketAddr]>,
    /// The ids of the run's requests.
    pub(crate) ids: Ids,
    /// The run's clock.
    pub(crate) clock: Clock,
    /// Which worker this is, and of how many.
    pub(crate) part: (usize, usize),
    /// What ties the workers and the conductor.
    pub(crate) control: Arc<Control>,
}

/// What a worker brings home.
#[derive(Debug)]
pub(crate) struct Harvest {
    pub(crate) recorder: Recorder,
    /// The share of the run during which the worker's thread was on a CPU, from 0 to 1.
    pub(crate) busy: f64,
    /// When the worker was done.
    pub(crate) end: Nanos,
    /// When its arrivals ended.
    pub(crate) arrivals_end: Nanos,
}

/// Runs one worker to its end.
pub(crate) async fn run(order: Order) -> io::Result<Harvest> {
    let load = order.plan.load;
    let connections = share(load.connections.get() as u64, order.part) as usize;
    let connector = Connector::new(Arc::clone(&order.addresses), order.part.0);
    let (timeout, connect_timeout) = (nanos(load.timeout), nanos(load.connect_timeout));
    let limits = |connections, streams| Limits { connections, streams, timeout, connect_timeout };
    match order.plan.target.protocol {
        Protocol::Http1 => {
            let most = share(load.max_connections.get() as u64, order.part) as usize;
            let limits = limits(most.max(1), 1);
            let engine = http1::Http1::new(&order.plan.request, order.ids, connector, limits, order.clock);
            Worker::new(engine, &order)?.run(order, connections).await
        }
        Protocol::H2c => {
            let limits = limits(connections, load.streams.get());
            let engine = http2::Http2::new(&order.plan.request, order.ids, connector, limits, order.clock);
            Worker::new(engine, &order)?.run(order, connections).await
        }
    }
}

struct Worker<E> {
    engine: E,
    desk: Desk,
    pacer: Pacer,
    clock: Clock,
    control: Arc<Control>,
    index: usize,
    tick: Nanos,
    next_tick: Nanos,
    /// How long after the arrivals the rest is waited for.
    grace: Nanos,
    /// When the arrivals have ended.
    arrivals_end: Option<Nanos>,
}

impl<E: Engine> Worker<E> {
    fn new(engine: E, order: &Order) -> io::Result<Self> {
        let load = &order.plan.load;
        let tick = (nanos(load.timeout.min(load.connect_timeout)) / 10).clamp(SHORTEST_TICK, TICK);
        Ok(Self {
            engine,
            desk: Desk::new(order, max_in_flight(load, order.part)),
            pacer: Pacer::new(order.clock)?,
            clock: order.clock,
            control: Arc::clone(&order.control),
            index: order.part.0,
            tick,
            next_tick: 0,
            // Whoever was sent last is to reach its timeout, which is looked for once a tick.
            grace: nanos(load.timeout).saturating_add(3 * tick),
            arrivals_end: None,
        })
    }

    async fn run(mut self, order: Order, connections: usize) -> io::Result<Harvest> {
        self.engine.want(connections, self.clock.now());
        tokio::task::unconstrained(poll_fn(|cx| self.prepare(cx))).await;
        let start = self.control.wait_for_start();
        self.desk.start(
            source(&order.plan.load, order.part, start),
            start,
            order.plan.load.window().map(nanos),
        );
        self.next_tick = start;
        let cpu_before = thread_cpu_time();
        tokio::task::unconstrained(poll_fn(|cx| self.turn(cx))).await;
        let end = self.clock.now();
        let busy =
            thread_cpu_time().saturating_sub(cpu_before) as f64 / end.saturating_sub(start).max(1) as f64;
        let recorder = self.desk.recorder;
        self.control.publish(self.index, &recorder);
        let arrivals_end = self.arrivals_end.unwrap_or(end);
        Ok(Harvest { recorder, busy: busy.min(1.0), end, arrivals_end })
    }

    /// Opens the first connections; ready once they are open or have failed.
    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.clock.now();
            self.engine.drive(cx, &mut self.desk);
            self.engine.expire(now, &mut self.desk);
            if self.engine.is_prepared() || self.control.phase() != Phase::Run {
                return Poll::Ready(());
            }
            if self.pacer.poll(cx, now + self.tick).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Goes round until there is nothing to do now; ready once the run is over.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            if now >= self.next_tick {
                self.look_around(now);
            }
            self.desk.pick_up(now, self.engine.slots());
            self.desk.moved = false;
            self.send(now);
            self.engine.drive(cx, &mut self.desk);
            if self.is_over(now) {
                return Poll::Ready(());
            }
            if !self.desk.moved && self.pacer.poll(cx, self.next_wake(now)).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn send(&mut self, now: Nanos) {
        while self.desk.may_send() {
            let Some(slot) = self.engine.capacity() else {
                let room = self.desk.room();
                self.engine.want(self.desk.backlog.len().min(room), now);
                return;
            };
            match self.desk.next() {
                Some(arrival) => self.engine.submit(slot, arrival, &mut self.desk),
                None => return,
            }
        }
    }

    /// What need not be looked at on every round.
    fn look_around(&mut self, now: Nanos) {
        self.next_tick = now + self.tick;
        self.engine.expire(now, &mut self.desk);
        match self.control.phase() {
            Phase::Run => {}
            Phase::Stop => self.desk.stop(),
            Phase::Abort => {
                self.desk.stop();
                self.engine.abandon(now, &mut self.desk);
            }
        }
        if self.control.wants_progress(self.index, now) {
            self.control.publish(self.index, &self.desk.recorder);
        }
    }

    fn is_over(&mut self, now: Nanos) -> bool {
        if self.desk.has_more(now) {
            return false;
        }
        let since = *self.arrivals_end.get_or_insert(now);
        if self.desk.is_idle() {
            return true;
        }
        if now < since.saturating_add(self.grace) {
            return false;
        }
        self.engine.expire(now, &mut self.desk);
        self.engine.abandon(now, &mut self.desk);
        self.desk.stop();
        true
    }

    fn next_wake(&self, now: Nanos) -> Nanos {
        let due = self.desk.next_due().unwrap_or(Nanos::MAX);
        let attempt = match self.engine.next_attempt() {
            // What lies behind was made use of, or there was no need.
            Some(at) if at > now && self.desk.backlog.len() > 0 => at,
            _ => Nanos::MAX,
        };
        due.min(attempt).min(self.next_tick)
    }
}

fn source(load: &Load, (worker, workers): (usize, usize), start: Nanos) -> Source {
    match load.shape {
        Shape::Open { rate, drop_on_overload } => Source::Open {
            schedule: Schedule::constant(rate, load.total, load.duration, (worker, workers)),
            next: 0,
            drop_on_overload,
        },
        Shape::Closed => Source::Closed {
            left: load.total.map_or(u64::MAX, |total| share(total, (worker, workers))),
            number: worker as u64,
            step: workers as u64,
            until: load.duration.map_or(Nanos::MAX, |duration| start.saturating_add(nanos(duration))),
        },
    }
}

fn max_in_flight(load: &Load, part: (usize, usize)) -> usize {
    (share(load.max_in_flight.get() as u64, part) as usize).max(1)
}

/// Nanoseconds that this thread has been on a CPU.
#[cfg(unix)]
fn thread_cpu_time() -> Nanos {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Unknown here: a worker then never counts as busy.
#[cfg(not(unix))]
fn thread_cpu_time() -> Nanos {
    0
}
