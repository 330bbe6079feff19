//! What a worker has for one target: its pool of connections, its backlog and its limit of requests in flight. A slow
//! target holds up no other.
//!
//! This is where a dispatcher and a pool meet; neither knows the other.

use std::{sync::Arc, task::Context};

use super::{
    Order,
    connection::Limits,
    dispatcher::{Dispatcher, Results},
    http1::Http1,
    http2::Http2,
    opening::Connector,
    pool::Pool,
};
use crate::{
    clock::{Nanos, nanos},
    plan::{Load, Protocol, Shape},
    recorder::Recording,
    schedule::Part,
};

#[derive(Debug)]
pub(super) struct PerTarget {
    pool: AnyPool,
    dispatcher: Dispatcher,
}

/// A pool for each kind of connection.
#[derive(Debug)]
enum AnyPool {
    Http1(Pool<Http1>),
    Http2(Pool<Http2>),
}

/// Does the same with whichever pool it is.
macro_rules! with {
    ($any:expr, $pool:ident => $call:expr) => {
        match $any {
            AnyPool::Http1($pool) => $call,
            AnyPool::Http2($pool) => $call,
        }
    };
}

impl PerTarget {
    /// The worker's part of the order; the first connections begin to open.
    pub(super) fn new(order: &Order) -> Self {
        let Order { plan, ids, clock, part, .. } = order;
        let load = plan.load();
        let connections = part.share(load.connections.get() as u64) as usize;
        let most = part.share(load.max_connections.get() as u64) as usize;
        let limits = Limits {
            connections: most.max(1),
            kept: if plan.target().protocol == Protocol::H2c { connections } else { 0 },
            streams: load.streams.get(),
            timeout: nanos(load.timeout),
            connect_timeout: nanos(load.connect_timeout),
        };
        let connector = Connector::new(Arc::clone(&order.addresses), part.index() as usize);
        let mut pool = match plan.target().protocol {
            Protocol::Http1 => {
                AnyPool::Http1(Pool::new(plan.request().into(), *ids, connector, limits, *clock))
            }
            Protocol::H2c => {
                AnyPool::Http2(Pool::new(plan.request().into(), *ids, connector, limits, *clock))
            }
        };
        with!(&mut pool, pool => pool.want(connections, clock.now()));
        let max_in_flight = (part.share(load.max_in_flight.get() as u64) as usize).max(1);
        Self { pool, dispatcher: Dispatcher::new(max_in_flight, plan.captures()) }
    }

    /// Goes on with opening the first connections. True: they are open or have failed.
    pub(super) fn prepare(&mut self, cx: &mut Context<'_>, now: Nanos, recording: &mut Recording) -> bool {
        let results = &mut Results { dispatcher: &mut self.dispatcher, recording };
        with!(&mut self.pool, pool => {
            pool.expire(now, results);
            pool.drive(cx, results);
            pool.is_prepared()
        })
    }

    /// Requests begin to be due.
    pub(super) fn start(&mut self, load: &Load, part: Part, start: Nanos) {
        match &load.shape {
            Shape::Open { arrivals, on_overload } => {
                self.dispatcher.start_open(arrivals.part(part), *on_overload, start);
            }
            Shape::Closed => {
                let until = load.duration.map_or(Nanos::MAX, |time| start.saturating_add(nanos(time)));
                self.dispatcher.start_closed(load.total, until, part, start);
            }
        }
    }

    /// Picks up what is due, sends it, drives the connections, and ends what took too long: by the time up to which all that
    /// came has been `seen`, or else replies that came while this process was held up would be timeouts. True: there may
    /// be more to do immediately.
    pub(super) fn turn(
        &mut self,
        cx: &mut Context<'_>,
        now: Nanos,
        seen: Nanos,
        recording: &mut Recording,
    ) -> bool {
        let Self { pool, dispatcher } = self;
        with!(pool, pool => {
            dispatcher.pick_up(now, pool.slots(), recording);
            dispatcher.send(|arrival| pool.submit(arrival, now));
            if dispatcher.waiting() > 0 {
                pool.want(dispatcher.waiting().min(dispatcher.room()), now);
            }
            pool.drive(cx, &mut Results { dispatcher, recording });
            pool.expire(seen, &mut Results { dispatcher, recording });
        });
        dispatcher.take_moved()
    }

    /// Opens connections that are missing.
    pub(super) fn replenish(&mut self, now: Nanos) {
        with!(&mut self.pool, pool => pool.replenish(now));
    }

    /// Nothing more becomes due, and what waits is not sent.
    pub(super) fn stop(&mut self, recording: &mut Recording) {
        self.dispatcher.stop(recording);
    }

    /// What has taken too long by `seen` has timed out; all else is given up.
    pub(super) fn abandon(&mut self, now: Nanos, seen: Nanos, recording: &mut Recording) {
        let results = &mut Results { dispatcher: &mut self.dispatcher, recording };
        with!(&mut self.pool, pool => {
            pool.expire(seen, results);
            pool.abandon(now, results);
        });
        self.dispatcher.stop(recording);
    }

    /// Whether requests will still become due.
    pub(super) fn has_more(&self, now: Nanos) -> bool {
        self.dispatcher.has_more(now)
    }

    /// Whether nothing waits and nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.dispatcher.is_idle()
    }

    /// When it has to be looked at again at the latest.
    pub(super) fn next_wake(&self, now: Nanos) -> Nanos {
        let waiting = self.dispatcher.waiting() > 0;
        let pool = with!(&self.pool, pool => pool.next_wake(now, waiting));
        self.dispatcher.next_due(now).map_or(pool, |due| due.min(pool))
    }
}
