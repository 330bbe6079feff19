//! What a worker has for one target: its pool of connections, its backlog and its limit of requests in flight. A slow
//! target holds up no other.
//!
//! This is where a dispatcher and a pool meet; neither knows the other.

use std::{num::NonZeroU64, rc::Rc, task::Context};

use super::{
    Order,
    connection::Limits,
    dispatcher::{Dispatcher, Late, Results},
    follow::Following,
    http1::Http1Connection,
    http2::Http2Connection,
    idle::{self, IdleConnections},
    lateness::Lateness,
    opening::{Beginning, Connector, OpeningPace},
    own::Only,
    pool::{ConnectionTurns, Pool},
    websocket::{OverHttp1, OverHttp2, SocketMessages},
};
use crate::{
    clock::{Clock, Nanos, nanos},
    plan::{Load, Protocol, Shape},
    recorder::{Reached, Recording},
    schedule::{ConnectionStages, Part},
};

/// The maximum number of batches that are picked up in one turn, so that a run which is far behind still sees its end.
const MAX_BATCHES: usize = 2000;

#[derive(Debug)]
pub(super) struct PerTarget {
    pool: AnyPool,
    dispatcher: Dispatcher,
    clock: Clock,
    staged: Option<Staged>,
    /// Connections beside those of the load.
    idle: Option<Box<dyn IdleConnections>>,
    /// Whether something that had come was left unread in this turn.
    is_cut_short: bool,
    /// Which bounds were reached while requests waited.
    reached: Reached,
}

/// A closed loop whose connections change.
#[derive(Debug)]
struct Staged {
    stages: ConnectionStages,
    /// The worker's part of them.
    part: Part,
    /// When the stages begin; before, the connections are those of the beginning.
    start: Nanos,
}

impl Staged {
    /// How many connections there are to be now.
    fn at(&self, now: Nanos) -> usize {
        self.part.share(self.stages.at(now.saturating_sub(self.start)) as u64) as usize
    }
}

/// A pool for each kind of connection.
#[derive(Debug)]
enum AnyPool {
    Http1(Pool<Http1Connection>),
    Http2(Pool<Http2Connection>),
    WebSocket(Pool<OverHttp1>),
    WebSocketOverHttp2(Pool<OverHttp2>),
}

/// Does the same with whichever pool it is.
macro_rules! with {
    ($any:expr, $pool:ident => $call:expr) => {
        match $any {
            AnyPool::Http1($pool) => $call,
            AnyPool::Http2($pool) => $call,
            AnyPool::WebSocket($pool) => $call,
            AnyPool::WebSocketOverHttp2($pool) => $call,
        }
    };
}

impl PerTarget {
    /// The worker's part of the order, for the server with this index; the first connections begin to open.
    pub(super) fn new(order: &Order, site: usize, following: Option<Rc<Following>>) -> Self {
        let Order { plan, ids, clock, part, .. } = order;
        let (load, index) = (plan.load(), site);
        let site = &plan.sites()[index];
        let protocol = site.target().protocol;
        let (max_connections, streams) = load.within(protocol);
        let staged = match &load.shape {
            Shape::Closed { stages: Some(stages) } => {
                Some(Staged { stages: stages.clone(), part: *part, start: Nanos::MAX })
            }
            _ => None,
        };
        let (connections, most) = match &staged {
            Some(staged) => (staged.at(0), staged.at(0)),
            None => (
                part.share(load.connections.get() as u64) as usize,
                (part.share(max_connections.get() as u64) as usize).max(1),
            ),
        };
        let lifetime = plan.lifetime();
        // Requests of HTTP/1.1 open others as they are needed.
        let is_kept =
            protocol == Protocol::Http2 || plan.message().is_some() || lifetime.per_second.is_some();
        let is_open = load.arrivals().is_some();
        let limits = Limits {
            connections: most,
            kept: if is_kept { connections } else { 0 },
            streams: streams.get(),
            messages: if is_open && plan.message().is_some() { load.max_in_flight.get() } else { 1 },
            timeout: nanos(load.timeout),
            connect_timeout: nanos(load.connect_timeout),
            requests: lifetime.requests.map_or(u64::MAX, NonZeroU64::get),
            age: lifetime.age.map_or(Nanos::MAX, nanos),
            piece: plan.client().http2.max_frame_size as usize,
            lag: match &load.shape {
                Shape::Open { max_lag, .. } => max_lag.map_or(Nanos::MAX, nanos),
                Shape::Closed { .. } => Nanos::MAX,
            },
            is_verified: plan.verify().is_some(),
        };
        let offer = site.tls().map(|tls| match site.target().negotiated {
            true => tls.offer_both(protocol),
            false => tls.offer(Some(protocol)),
        });
        let pace = lifetime.per_second.map(|rate| OpeningPace::new(rate, *part, clock.now()));
        let beginning = Beginning::new(site, plan.client().recv_rate, offer);
        let connector = Connector::new(order.addresses[index].clone(), beginning, *part, pace, *clock);
        let connector = if plan.message().is_some() { connector.for_messages() } else { connector };
        let texts = || plan.texts(*ids, order.epoch, part.of());
        let idle = part.share(plan.client().idle_connections as u64);
        let idle = (idle > 0).then(|| {
            let (connector, requests) = (connector.beside(), (&**plan, site, texts()));
            match (protocol, plan.message()) {
                (Protocol::Http1, None) => {
                    idle::open::<Http1Connection>(idle, requests.into(), *ids, connector, limits, *clock)
                }
                (Protocol::Http2, None) => {
                    idle::open::<Http2Connection>(idle, requests.into(), *ids, connector, limits, *clock)
                }
                (protocol, Some(message)) => {
                    let messages = SocketMessages::new(plan, message, texts(), *part);
                    match protocol {
                        Protocol::Http1 => {
                            idle::open::<OverHttp1>(idle, messages, *ids, connector, limits, *clock)
                        }
                        Protocol::Http2 => {
                            idle::open::<OverHttp2>(idle, messages, *ids, connector, limits, *clock)
                        }
                    }
                }
            }
        });
        let mut pool = match (protocol, plan.message()) {
            (Protocol::Http1, None) => {
                AnyPool::Http1(Pool::new((&**plan, site, texts()).into(), *ids, connector, limits, *clock))
            }
            (Protocol::Http2, None) => {
                AnyPool::Http2(Pool::new((&**plan, site, texts()).into(), *ids, connector, limits, *clock))
            }
            (protocol, Some(message)) => {
                let messages = SocketMessages::new(plan, message, texts(), *part);
                // In a closed loop, whichever has its echo sends the next.
                let bound = is_open.then(|| ConnectionTurns::new(connections, *part));
                match protocol {
                    Protocol::Http1 => {
                        AnyPool::WebSocket(Pool::new(messages, *ids, connector, limits, *clock).bound(bound))
                    }
                    Protocol::Http2 => AnyPool::WebSocketOverHttp2(
                        Pool::new(messages, *ids, connector, limits, *clock).bound(bound),
                    ),
                }
            }
        };
        with!(&mut pool, pool => {
            pool.follow(following.clone());
            pool.want(connections, clock.now());
        });
        let max_in_flight = (part.share(load.max_in_flight.get() as u64) as usize).max(1);
        let only = Only::of(plan, index, part.of());
        let dispatcher = Dispatcher::new(max_in_flight, plan.captures(), plan.mix(part.of()), only)
            .following(following, index);
        Self {
            pool,
            dispatcher,
            clock: *clock,
            staged,
            idle,
            is_cut_short: false,
            reached: Reached::default(),
        }
    }

    /// Goes on with opening the first connections. True: they are open or have failed.
    pub(super) fn prepare(&mut self, cx: &mut Context<'_>, now: Nanos, recording: &mut Recording) -> bool {
        let is_prepared = self.idle.as_mut().is_none_or(|idle| {
            idle.turn(cx, now, recording);
            idle.is_prepared()
        });
        let results = &mut Results { dispatcher: &mut self.dispatcher, recording };
        with!(&mut self.pool, pool => {
            pool.expire(now, results);
            pool.drive(cx, results);
            pool.is_prepared() && is_prepared
        })
    }

    /// Requests begin to be due.
    pub(super) fn start(&mut self, load: &Load, part: Part, start: Nanos) {
        if let Some(staged) = &mut self.staged {
            staged.start = start;
        }
        let counted_from = start.saturating_add(nanos(load.warmup));
        with!(&mut self.pool, pool => pool.count_from(counted_from));
        match &load.shape {
            Shape::Open { arrivals, on_overload, max_lag, coalesce } => {
                let late =
                    Late { most: max_lag.map_or(Nanos::MAX, nanos), together: coalesce.map_or(0, nanos) };
                self.dispatcher.start_open(arrivals.part(part), *on_overload, late, start);
            }
            Shape::Closed { .. } => {
                let until = load.duration.map_or(Nanos::MAX, |time| counted_from.saturating_add(nanos(time)));
                self.dispatcher.start_closed(load.total, counted_from..until, part);
            }
        }
    }

    /// Picks up what is due, sends it, drives the connections, and ends what took too long: by the time up to which all that
    /// came has been seen, or else replies that came while this process was held up would be timeouts. True: there may
    /// be more to do immediately.
    pub(super) fn turn(
        &mut self,
        cx: &mut Context<'_>,
        now: Nanos,
        lateness: &Lateness,
        recording: &mut Recording,
    ) -> bool {
        let Self { pool, dispatcher, clock, is_cut_short, idle, reached, staged: _ } = self;
        dispatcher.take_over();
        with!(pool, pool => {
            let mut picked = now;
            // In batches, since what is sent first delays what is picked up after it.
            for _ in 0..MAX_BATCHES {
                let is_more = dispatcher.pick_up(picked, pool.slots(), recording);
                dispatcher.send(picked, recording, |arrival| pool.submit(arrival, picked));
                if !is_more {
                    break;
                }
                picked = clock.now();
            }
            if dispatcher.waiting() > 0 {
                let room = dispatcher.room();
                let connections = room > 0 && pool.is_full();
                let pace = room > 0 && !connections && pool.is_paced();
                reached.merge(Reached { in_flight: room == 0, connections, pace });
                pool.want(dispatcher.waiting().min(room), picked);
            }
            pool.want_bound(picked);
            pool.drive(cx, &mut Results { dispatcher, recording });
            *is_cut_short |= pool.was_cut_short();
            pool.expire(lateness.seen(*is_cut_short), &mut Results { dispatcher, recording });
        });
        if let Some(idle) = idle {
            *is_cut_short |= idle.turn(cx, lateness.seen(*is_cut_short), recording);
        }
        dispatcher.take_moved()
    }

    /// Whether something that had come was left unread since the last call.
    pub(super) fn take_cut_short(&mut self) -> bool {
        std::mem::take(&mut self.is_cut_short)
    }

    /// Opens connections that are missing, closes those that are too many, and drops what has waited for too long.
    pub(super) fn look_after(&mut self, now: Nanos, recording: &mut Recording) {
        if let Some(staged) = &self.staged {
            let connections = staged.at(now);
            let results = &mut Results { dispatcher: &mut self.dispatcher, recording };
            with!(&mut self.pool, pool => pool.resize(connections, now, results));
        }
        self.dispatcher.drop_late(now, recording);
        with!(&mut self.pool, pool => pool.replenish(now));
        if let Some(idle) = &mut self.idle {
            idle.look_after(now);
        }
    }

    /// Nothing more becomes due, and what waits is not sent.
    pub(super) fn stop(&mut self, now: Nanos, recording: &mut Recording) {
        self.dispatcher.stop(now, recording);
    }

    /// What has taken too long, by all that was seen, has timed out; all else is given up.
    pub(super) fn abandon(&mut self, now: Nanos, lateness: &Lateness, recording: &mut Recording) {
        if self.waiting() > 0
            && let Some(why) = with!(&mut self.pool, pool => pool.unopened())
        {
            recording.records().unopened(why);
        }
        self.dispatcher.take_over();
        self.dispatcher.drop_late(now, recording);
        let results = &mut Results { dispatcher: &mut self.dispatcher, recording };
        with!(&mut self.pool, pool => {
            pool.expire(lateness.seen(true), results);
            pool.abandon(now, results);
        });
        if let Some(mut idle) = self.idle.take() {
            idle.end(now, recording);
        }
        self.dispatcher.abandon(now, recording);
        // Those of a WebSocket wait for the one that they are for, however many there are.
        self.reached.connections |= with!(&self.pool, pool => pool.is_bound());
        recording.records().reached.get_or_insert_default().merge(self.reached);
    }

    /// The number that is picked up next in a closed loop, if there is one.
    pub(super) fn next_number(&self, now: Nanos) -> Option<u64> {
        self.dispatcher.next_number(now)
    }

    /// Numbers beyond this one are left for later.
    pub(super) fn go_up_to(&mut self, number: u64, now: Nanos) {
        self.dispatcher.go_up_to(number, now);
    }

    /// Requests that are due and wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.dispatcher.waiting() + with!(&self.pool, pool => pool.waiting())
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
        let pool = self.idle.as_ref().map_or(pool, |idle| idle.next_wake(now).min(pool));
        self.dispatcher.next_due(now).map_or(pool, |due| due.min(pool))
    }
}
