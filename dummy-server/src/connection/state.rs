//! What the parts of a connection share: its socket, whether it is busy, and the orders it was given.
//!
//! There is no timer per connection. Reading sets a flag; the worker's sweep turns flags into instants and
//! finds those whose time is up.

use std::{
    cell::{Cell, OnceCell, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use transport::{Stream, stream::Peer};

use super::opening::Prelude;
use crate::{
    config::Limits,
    stats::{Protocol, Stats},
};

/// A connection that was accepted but has not sent a request when the drain begins gets this long to do so.
pub(crate) const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// How often within `--stall-timeout` a connection on which nothing moves is asked what it waits for. A client is
/// given up when it was the client each time: then it has had all of that time but the first part for certain.
const LOOKS_AT_A_STALL: u8 = 4;

/// What a connection was told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// End after what is in flight.
    Drain,
    /// Close now.
    Close,
}

/// How a connection stood when it was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) id: u64,
    /// None before the first request of HTTP/1 or the preface of HTTP/2.
    pub(crate) protocol: Option<Protocol>,
    /// None for Unix sockets.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) age: Duration,
    pub(crate) requests: u64,
    pub(crate) in_flight: u32,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) stream: RefCell<Stream>,
    /// Bytes in one system call at most, but for the first slice.
    pub(crate) largest_write: usize,
    pub(crate) stats: Arc<Stats>,
    /// The peer's and this end's address; none for Unix sockets.
    addresses: Option<(SocketAddr, SocketAddr)>,
    /// What it is called in the list of connections.
    pub(crate) id: Cell<u64>,
    /// What it speaks, as far as that is known.
    pub(crate) protocol: Cell<Option<Protocol>>,
    /// What came before HTTP; most connections have none of it.
    prelude: OnceCell<Box<Prelude>>,
    accepted: Instant,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
    /// Requests in flight. A WebSocket is one.
    busy: Cell<u32>,
    /// Requests so far.
    requests: Cell<u64>,
    /// The client sends nothing more; since when nothing was sent to it, either.
    peer_ended: Cell<bool>,
    quiet_since: Cell<Option<Instant>>,
    /// All that came was read, and whoever reads is woken when more comes or the client ends.
    listening: Cell<bool>,
    /// Bytes were read since the last request began, while none was in flight.
    head_open: Cell<bool>,
    /// The last order came while requests were in flight.
    cut_short: Cell<bool>,
    /// There are no more heads of which the time is limited, but frames may be.
    headless: Cell<bool>,
    /// A frame, or a block of several, has begun to come and is not whole.
    frame_open: Cell<bool>,
    /// Bytes read so far.
    read: Cell<u64>,
    /// Bytes written so far.
    written: Cell<u64>,
    /// Something happened since the last sweep.
    active: Cell<bool>,
    /// The last sweep at which something had happened.
    active_at: Cell<Instant>,
    /// The sweep that first saw the open head.
    head_since: Cell<Option<Instant>>,
    /// The engine wants to look at the clock once in a while.
    pub(crate) wants_sweep: Cell<bool>,
    /// Output waits for room in the socket.
    blocked: Cell<bool>,
    /// Something moved that a request is made of, since the last sweep.
    moved: Cell<bool>,
    /// The sweep from which on nothing has moved, or at which the engine was asked why.
    still_since: Cell<Instant>,
    /// The engine is to say what it waits for.
    asked: Cell<bool>,
    /// How often in a row the answer was: for the client.
    stalls: Cell<u8>,
}

impl State {
    pub(crate) fn new(stream: Stream, stats: Arc<Stats>, largest_write: usize) -> Rc<Self> {
        let now = Instant::now();
        Rc::new(Self {
            addresses: stream.addresses(),
            stream: RefCell::new(stream),
            largest_write,
            stats,
            id: Cell::new(0),
            protocol: Cell::new(None),
            prelude: OnceCell::new(),
            accepted: now,
            order: Cell::new(Order::Serve),
            waker: RefCell::new(None),
            busy: Cell::new(0),
            requests: Cell::new(0),
            peer_ended: Cell::new(false),
            quiet_since: Cell::new(None),
            listening: Cell::new(false),
            // The first bytes have a time limit too.
            head_open: Cell::new(true),
            cut_short: Cell::new(false),
            headless: Cell::new(false),
            frame_open: Cell::new(false),
            read: Cell::new(0),
            written: Cell::new(0),
            active: Cell::new(false),
            active_at: Cell::new(now),
            head_since: Cell::new(Some(now)),
            wants_sweep: Cell::new(false),
            blocked: Cell::new(false),
            moved: Cell::new(false),
            still_since: Cell::new(now),
            asked: Cell::new(false),
            stalls: Cell::new(0),
        })
    }

    /// Keeps what came before HTTP; told once.
    pub(super) fn begin_with(&self, prelude: Prelude) {
        let _ = self.prelude.set(Box::new(prelude));
    }

    /// The client's and this side's address: as a PROXY header tells them, else those of the socket. Never from a
    /// field, which anybody can send.
    pub(crate) fn ends(&self) -> Option<(String, String)> {
        let told = self.prelude().and_then(|prelude| prelude.proxied.as_ref()?.endpoints.as_ref());
        match told {
            Some((source, destination)) => Some((source.to_string(), destination.to_string())),
            None => self.addresses.map(|(peer, local)| (peer.to_string(), local.to_string())),
        }
    }

    /// The client's address, if it is one of the internet; see [`State::ends`].
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self.prelude() {
            None => self.addresses.map(|(peer, _)| peer),
            Some(_) => self.ends()?.0.parse().ok(),
        }
    }

    /// Whether what is read and written is inside TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.prelude().is_some_and(|prelude| prelude.tls.is_some())
    }

    /// What came before HTTP, if something did.
    pub(crate) fn prelude(&self) -> Option<&Prelude> {
        self.prelude.get().map(|prelude| &**prelude)
    }

    pub(crate) fn order(&self) -> Order {
        self.order.get()
    }

    /// Whether it was closed while there was no request, as far as that was this end's decision.
    pub(crate) fn ends_in_peace(&self) -> bool {
        self.order.get() == Order::Close && !self.cut_short.get()
    }

    /// Gives an order; a weaker one than it has changes nothing.
    pub(crate) fn give(&self, order: Order) {
        if order > self.order.get() {
            self.cut_short.set(self.busy.get() > 0);
            self.order.set(order);
            self.wake();
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Has the task of `cx` woken when an order is given.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    /// Waits for an order that is at least `order`.
    pub(crate) async fn ordered(&self, order: Order) {
        std::future::poll_fn(|cx| {
            self.register(cx);
            if self.order() >= order { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Bytes were read.
    pub(crate) fn received(&self, count: usize) {
        self.stats.bytes_received.add(count as u64);
        self.read.set(self.read.get() + count as u64);
        self.active.set(true);
        if !self.headless.get() {
            self.moved.set(true);
        }
        if self.busy.get() == 0 && !self.headless.get() {
            self.head_open.set(true);
        }
    }

    /// Bytes were written.
    pub(crate) fn sent(&self, count: usize) {
        self.stats.bytes_sent.add(count as u64);
        self.written.set(self.written.get() + count as u64);
        self.quiet_since.set(None);
        self.active.set(true);
        if self.blocked.replace(false) || !self.headless.get() {
            self.moved.set(true);
        }
    }

    /// Whether the system wakes the connection's task when the client sends or ends. An engine that looks whether there
    /// is something to do does not know it before it has read until nothing was left.
    pub(super) fn listens(&self, listening: bool) {
        self.listening.set(listening);
    }

    /// Output waits for room in the socket.
    pub(super) fn blocked(&self) {
        self.blocked.set(true);
    }

    /// Something moved that a request is made of. HTTP/2 says so itself: control frames come and go however long a
    /// stream stands still.
    pub(super) fn moved(&self) {
        self.moved.set(true);
    }

    /// Whether nothing has moved for `--stall-timeout` because the client does not take or send anything; `waits` says
    /// whether it is the client that is waited for. The sweep wakes the engine when there is reason to ask.
    pub(crate) fn has_stalled(&self, waits: impl FnOnce() -> bool) -> bool {
        if !self.asked.replace(false) {
            return false;
        }
        self.stalls.set(if waits() { self.stalls.get() + 1 } else { 0 });
        self.stalls.get() >= LOOKS_AT_A_STALL
    }

    /// A request was read.
    pub(super) fn request_begun(&self, protocol: Protocol) {
        self.busy.set(self.busy.get() + 1);
        self.requests.set(self.requests.get() + 1);
        self.protocol.set(Some(protocol));
        self.head_open.set(false);
        self.stats.requests_begun.add(1);
        if protocol == Protocol::Http2 {
            self.stats.streams_opened.add(1);
        }
    }

    /// Its reply has been handed over or given up.
    pub(super) fn request_ended(&self, protocol: Protocol) {
        self.busy.set(self.busy.get() - 1);
        self.active.set(true);
        self.stats.requests_ended.add(1);
        if protocol == Protocol::Http2 {
            self.stats.streams_closed.add(1);
        }
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.get()
    }

    /// How the connection stands.
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            id: self.id.get(),
            protocol: self.protocol.get(),
            peer: self.peer(),
            age: self.accepted.elapsed(),
            requests: self.requests.get(),
            in_flight: self.busy.get(),
            bytes_received: self.read.get(),
            bytes_sent: self.written.get(),
        }
    }

    /// Bytes of a next request were read along with the one before.
    pub(crate) fn head_begun(&self) {
        self.head_open.set(true);
    }

    /// From here on the protocol has no heads of its own that could be slow (HTTP/2 after its preface): what is read
    /// while no request is in flight, such as PING, begins none.
    pub(crate) fn head_done(&self) {
        self.headless.set(true);
        self.head_open.set(false);
        self.head_since.set(None);
    }

    /// HTTP/2 has read as far as it can: whether a frame, or a block of several, has begun and is not whole, and
    /// whether it is the same as before.
    pub(super) fn frame_open(&self, open: bool, same: bool) {
        self.frame_open.set(open);
        if !same {
            self.head_since.set(None);
        }
    }

    /// Whether closing now loses nothing: no request was begun and none waits in the socket.
    pub(crate) fn may_close(&self) -> bool {
        let settled = self.requests.get() > 0 || self.accepted.elapsed() >= FIRST_REQUEST_GRACE;
        let head_begun = self.head_open.get() && self.read.get() > 0;
        settled && self.busy.get() == 0 && !head_begun && !self.stream.borrow().has_input()
    }

    /// Requests so far, those in flight among them.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// The client sends nothing more.
    pub(crate) fn peer_ended(&self) {
        self.peer_ended.set(true);
    }

    /// The connection was reset, or can't be written to.
    pub(super) fn lost(&self) {
        if self.busy.get() > 0 {
            self.stats.clients_gone.add(1);
        }
    }

    /// Whether one of the two wants to end it.
    pub(crate) fn is_ending(&self) -> bool {
        self.peer_ended.get() || self.order.get() > Order::Serve
    }

    /// Looks at the clock for this connection; `now` is the sweep's.
    pub(crate) fn sweep(&self, now: Instant, limits: &Limits) {
        let touched = self.active.replace(false);
        let active = touched || self.busy.get() > 0;
        if active {
            self.active_at.set(now);
        }
        let opened = if self.headless.get() {
            self.frame_open.get()
        } else {
            self.head_open.get() && self.busy.get() == 0
        };
        if !opened {
            self.head_since.set(None);
        } else if self.head_since.get().is_none() {
            self.head_since.set(Some(now));
        }
        let over = |since: Instant, limit: Option<Duration>| {
            limit.is_some_and(|limit| now.saturating_duration_since(since) >= limit)
        };
        let slow_head = self.head_since.get().is_some_and(|since| over(since, limits.header_timeout));
        let idle = !active && over(self.active_at.get(), limits.idle_timeout);
        if idle && self.headless.get() && self.order() == Order::Serve {
            // HTTP/2 says goodbye first; the next sweep closes.
            self.give(Order::Drain);
        } else if slow_head || idle {
            self.give(Order::Close);
        } else if over(self.accepted, limits.max_connection_age) {
            self.give(Order::Drain);
        }
        // Who listens is told by the system, and thousands of conversations may be quiet.
        let told = self.listening.get() && !self.peer_ended.get();
        if !touched && self.busy.get() > 0 && !told {
            self.look_at_half_close(now, limits);
        }
        self.look_at_stall(now, limits);
        if self.order() == Order::Drain || self.wants_sweep.get() {
            self.wake();
        }
    }

    /// Closes a connection on which nothing moves, and whose client has closed its end: it is owed something that does
    /// not come, and may have gone. The engine may have stopped reading long before that, so the system is asked.
    fn look_at_half_close(&self, now: Instant, limits: &Limits) {
        let peer = self.stream.borrow().peer();
        if self.order() == Order::Close || peer == Peer::There && !self.peer_ended.get() {
            return;
        }
        let since = self.quiet_since.get().unwrap_or(now);
        self.quiet_since.set(Some(since));
        let quiet = !self.blocked.get()
            && limits.half_close_timeout.is_some_and(|limit| now.saturating_duration_since(since) >= limit);
        if peer == Peer::Gone || quiet {
            self.stats.clients_gone.add(1);
            self.give(Order::Close);
        }
    }

    fn look_at_stall(&self, now: Instant, limits: &Limits) {
        let Some(limit) = limits.stall_timeout else { return };
        if self.moved.replace(false) || self.busy.get() == 0 {
            self.still_since.set(now);
            self.stalls.set(0);
        } else if now.saturating_duration_since(self.still_since.get()) >= limit / u32::from(LOOKS_AT_A_STALL)
        {
            self.still_since.set(now);
            self.asked.set(true);
            self.wake();
        }
    }
}
