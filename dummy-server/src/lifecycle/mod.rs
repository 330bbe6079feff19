//! All that is known of a connection except its socket: its [orders](orders), its [timeouts](patience), its
//! [counts](accounting) and its [`Peer`].
//!
//! An event that concerns several of them is passed on from here. Nothing is decided here, and nothing here reads or
//! writes. Endpoints and behaviours see none of it but the [`Orders`] and the [`Peer`].

mod accounting;
pub(crate) mod orders;
mod patience;

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
};
use crate::{
    peer::Peer,
    protocol::Protocol,
    settings::{Limits, Port},
    stats::Stats,
};

/// How a connection stood when it was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionSnapshot {
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
    /// Where it has arrived.
    pub(crate) port: Port,
    pub(crate) peer: Peer,
    pub(crate) accounting: Accounting,
    pub(crate) orders: Rc<Orders>,
    pub(crate) patience: Patience,
    /// What it is called in the list of connections.
    pub(crate) id: Cell<u64>,
    /// What has counted it last among the connections of a verified run; 0 is nothing.
    pub(crate) counted_by: Cell<u64>,
    /// What it speaks, as far as that is known.
    pub(crate) protocol: Cell<Option<Protocol>>,
    /// It was broken off by this end, whatever was in flight.
    broken_off: Cell<bool>,
    /// The last order came while requests were in flight.
    cut_short: Cell<bool>,
}

impl Lifecycle {
    /// A connection that was accepted now, with the peer's and this end's address; none for Unix sockets.
    pub(crate) fn new(
        port: Port,
        addresses: Option<(SocketAddr, SocketAddr)>,
        stats: Arc<Stats>,
    ) -> Rc<Self> {
        Rc::new(Self {
            port,
            peer: Peer::new(addresses),
            accounting: Accounting::new(stats),
            orders: Rc::default(),
            patience: Patience::new(Instant::now()),
            id: Cell::new(0),
            counted_by: Cell::new(0),
            protocol: Cell::new(None),
            broken_off: Cell::new(false),
            cut_short: Cell::new(false),
        })
    }

    /// Gives an order; a weaker one than it has changes nothing.
    pub(crate) fn give(&self, order: Order) {
        if self.orders.give(order) {
            self.cut_short.set(self.accounting.is_busy());
        }
    }

    /// The task of `cx` begins a turn: it is woken when an order is given, and looks by itself whether there is input.
    #[inline]
    pub(crate) fn begin_turn(&self, cx: &Context<'_>) {
        self.orders.register(cx);
        self.patience.listens(false);
    }

    /// Whether it was closed while there was no request, as far as that was this end's decision.
    pub(crate) fn is_closed_cleanly(&self) -> bool {
        self.orders.strongest() == Order::Close && !self.cut_short.get()
    }

    /// It is broken off by this end, whatever is in flight.
    pub(crate) fn break_off(&self) {
        self.broken_off.set(true);
    }

    /// Whether what is in flight and ends now is ended by this end.
    pub(crate) fn is_broken_off(&self) -> bool {
        self.broken_off.get() || self.orders.strongest() == Order::Close
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

    /// The connection was reset, or can't be written to.
    pub(crate) fn lost(&self) {
        if self.accounting.is_busy() {
            self.accounting.stats.clients_gone.add(1);
        }
    }

    /// The client sends nothing more.
    pub(crate) fn peer_ended(&self) {
        self.patience.peer_ended();
        self.orders.peer_ended();
    }

    /// Whether closing now loses no request that was begun. One may still wait in the socket.
    pub(crate) fn may_close(&self) -> bool {
        let settled = self.patience.had_its_time(self.accounting.requests(), Instant::now());
        let head_begun = self.patience.is_head_open() && self.accounting.bytes_received() > 0;
        settled && !self.accounting.is_busy() && !head_begun
    }

    /// Looks at the clock for this connection; `now` is the sweep's. The system is asked for the client's `presence` where
    /// only that can decide it.
    pub(crate) fn sweep(&self, now: Instant, limits: &Limits, presence: impl FnOnce() -> Presence) {
        let due =
            self.patience.sweep(now, limits, self.accounting.is_busy(), self.orders.strongest(), presence);
        if due.client_gone {
            self.accounting.stats.clients_gone.add(1);
        }
        self.give(due.order);
        if due.wake {
            self.orders.wake();
        }
    }

    /// How the connection stands.
    pub(crate) fn seen(&self) -> ConnectionSnapshot {
        ConnectionSnapshot {
            id: self.id.get(),
            protocol: self.protocol.get(),
            peer: self.peer.address(),
            age: self.patience.accepted.elapsed(),
            requests: self.accounting.requests(),
            in_flight: self.accounting.in_flight(),
            bytes_received: self.accounting.bytes_received(),
            bytes_sent: self.accounting.bytes_sent(),
        }
    }
}
