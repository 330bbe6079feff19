//! All that is known of a connection but its socket: its [orders](orders), its [timeouts](patience), its
//! [counts](accounting) and its [peer].
//!
//! Each event is passed on from here to those that it concerns. Nothing is decided here, and nothing here reads or writes.

mod accounting;
pub(crate) mod orders;
mod patience;
pub(crate) mod peer;

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    task::Context,
    time::{Duration, Instant},
};

use transport::stream::Presence;

use self::{
    accounting::Accounting,
    orders::{Order, Orders},
    patience::Patience,
    peer::Peer,
};
use crate::{protocol::Protocol, settings::Limits, stats::Stats};

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

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    pub(crate) peer: Peer,
    pub(crate) accounting: Accounting,
    orders: Orders,
    patience: Patience,
    /// What it is called in the list of connections.
    pub(crate) id: Cell<u64>,
    /// What it speaks, as far as that is known.
    pub(crate) protocol: Cell<Option<Protocol>>,
    /// The last order came while requests were in flight.
    cut_short: Cell<bool>,
}

impl Lifecycle {
    /// A connection that was accepted now, with the peer's and this end's address; none for Unix sockets.
    pub(crate) fn new(addresses: Option<(SocketAddr, SocketAddr)>, stats: Arc<Stats>) -> Rc<Self> {
        Rc::new(Self {
            peer: Peer::new(addresses),
            accounting: Accounting::new(stats),
            orders: Orders::default(),
            patience: Patience::new(Instant::now()),
            id: Cell::new(0),
            protocol: Cell::new(None),
            cut_short: Cell::new(false),
        })
    }

    #[inline]
    pub(crate) fn order(&self) -> Order {
        self.orders.current()
    }

    /// Gives an order; a weaker one than it has changes nothing.
    pub(crate) fn give(&self, order: Order) {
        if self.orders.give(order) {
            self.cut_short.set(self.accounting.is_busy());
        }
    }

    pub(crate) fn wake(&self) {
        self.orders.wake();
    }

    /// Has the task of `cx` woken when an order is given.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.orders.register(cx);
    }

    /// The task of `cx` begins a turn: it is woken when an order is given, and looks by itself whether there is input.
    pub(crate) fn begin_turn(&self, cx: &Context<'_>) {
        self.register(cx);
        self.patience.listens(false);
    }

    /// Waits for an order that is at least `order`.
    pub(crate) async fn ordered(&self, order: Order) {
        self.orders.reached(order).await;
    }

    /// Whether it was closed while there was no request, as far as that was this end's decision.
    pub(crate) fn is_closed_cleanly(&self) -> bool {
        self.order() == Order::Close && !self.cut_short.get()
    }

    /// Bytes were read.
    #[inline]
    pub(crate) fn received(&self, count: usize) {
        self.accounting.received(count);
        self.patience.received(self.accounting.is_busy());
    }

    /// Bytes were written.
    #[inline]
    pub(crate) fn sent(&self, count: usize) {
        self.accounting.sent(count);
        self.patience.sent();
    }

    /// Whether the system wakes the connection's task when the client sends or ends. An engine that looks whether there
    /// is something to do does not know it before it has read until nothing was left.
    #[inline]
    pub(crate) fn listens(&self, listening: bool) {
        self.patience.listens(listening);
    }

    /// Output waits for room in the socket.
    pub(crate) fn blocked(&self) {
        self.patience.blocked();
    }

    /// Something moved that a request is made of. HTTP/2 says so itself: control frames come and go however long a
    /// stream stands still.
    #[inline]
    pub(crate) fn moved(&self) {
        self.patience.moved();
    }

    /// Whether nothing has moved for `--stall-timeout` because the client does not take or send anything; `waits` says
    /// whether it is the client that is waited for. The sweep wakes the engine when there is reason to ask.
    pub(crate) fn has_stalled(&self, waits: impl FnOnce() -> bool) -> bool {
        self.patience.has_stalled(waits)
    }

    /// A request was read.
    #[inline]
    pub(crate) fn request_begun(&self, protocol: Protocol) {
        self.protocol.set(Some(protocol));
        self.accounting.request_begun(protocol);
        self.patience.request_begun();
    }

    /// Its reply has been handed over or given up.
    #[inline]
    pub(crate) fn request_ended(&self, protocol: Protocol) {
        self.accounting.request_ended(protocol);
        self.patience.request_ended();
    }

    /// Bytes of a next request were read along with the one before.
    pub(crate) fn head_begun(&self) {
        self.patience.head_begun();
    }

    /// From here on the protocol has no heads of its own that could be slow (HTTP/2 after its preface): what is read
    /// while no request is in flight, such as PING, begins none.
    pub(crate) fn head_done(&self) {
        self.patience.head_done();
    }

    /// HTTP/2 has read as far as it can: whether a frame, or a block of several, has begun and is not whole, and
    /// whether it is the same as before.
    #[inline]
    pub(crate) fn frame_open(&self, open: bool, same: bool) {
        self.patience.frame_open(open, same);
    }

    /// The engine wants to look at the clock once in a while, or does not.
    pub(crate) fn want_sweep(&self, wanted: bool) {
        self.patience.want_sweep(wanted);
    }

    pub(crate) fn wants_sweep(&self) -> bool {
        self.patience.wants_sweep()
    }

    /// The client sends nothing more.
    pub(crate) fn peer_ended(&self) {
        self.patience.peer_ended();
    }

    /// The connection was reset, or can't be written to.
    pub(crate) fn lost(&self) {
        if self.accounting.is_busy() {
            self.accounting.stats.clients_gone.add(1);
        }
    }

    /// Whether one of the two wants to end it.
    pub(crate) fn is_ending(&self) -> bool {
        self.patience.has_peer_ended() || self.order() > Order::Serve
    }

    /// Whether closing now loses no request that was begun. One may still wait in the socket.
    pub(crate) fn may_close(&self) -> bool {
        let settled = self.patience.had_its_time(self.accounting.requests(), Instant::now());
        let head_begun = self.patience.is_head_open() && self.accounting.bytes_received() > 0;
        settled && !self.accounting.is_busy() && !head_begun
    }

    /// Looks at the clock for this connection; `now` is the sweep's. The system is asked for the client's `presence` where
    /// only that can tell.
    pub(crate) fn sweep(&self, now: Instant, limits: &Limits, presence: impl FnOnce() -> Presence) {
        let due = self.patience.sweep(now, limits, self.accounting.is_busy(), self.order(), presence);
        if due.client_gone {
            self.accounting.stats.clients_gone.add(1);
        }
        self.give(due.order);
        if due.wake {
            self.wake();
        }
    }

    /// How the connection stands.
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            id: self.id.get(),
            protocol: self.protocol.get(),
            peer: self.peer.address(),
            age: self.patience.accepted().elapsed(),
            requests: self.accounting.requests(),
            in_flight: self.accounting.in_flight(),
            bytes_received: self.accounting.bytes_received(),
            bytes_sent: self.accounting.bytes_sent(),
        }
    }
}
