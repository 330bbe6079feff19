//! How long a client is waited for: all timeouts of one connection, as a pure state machine. It is fed with what happens
//! and with the time, and says what is due.
//!
//! There is no timer for a connection: what happens sets flags, and the worker's sweep turns flags into instants and finds
//! what has lasted too long. Nothing here knows a socket, a protocol, a task or the clock.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use transport::stream::Presence;

use super::orders::Order;
use crate::settings::Limits;

/// A connection that was accepted but has not sent a request when the drain begins gets this long to do so.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// How often within `--stall-timeout` a connection on which nothing moves is asked what it waits for. A client is
/// given up when it was the client each time: then it has had all of that time but the first part for certain.
const LOOKS_AT_A_STALL: u8 = 4;

/// What a sweep has found due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// The order that the connection is to have.
    pub(super) order: Order,
    /// The client has gone, or has closed its end too long ago.
    pub(super) client_gone: bool,
    /// The engine is to look at the connection.
    pub(super) wake: bool,
}

/// What has happened on a connection, and since when nothing has.
#[derive(Debug)]
pub(crate) struct Patience {
    pub(super) accepted: Instant,
    /// Something happened since the last sweep; the last sweep at which something had.
    active: Cell<bool>,
    active_at: Cell<Instant>,
    /// There are no more heads of which the time is limited, but frames may be.
    headless: Cell<bool>,
    /// Bytes were read since the last request began, while none was in flight.
    head_open: Cell<bool>,
    /// A frame, or a block of several, has begun to come and is not whole.
    frame_open: Cell<bool>,
    /// The sweep that first saw the open head or frame.
    head_since: Cell<Option<Instant>>,
    /// The client sends nothing more; since when nothing was sent to it, either.
    peer_ended: Cell<bool>,
    quiet_since: Cell<Option<Instant>>,
    /// All that came was read, and the reading task is woken when more comes or the client ends.
    listening: Cell<bool>,
    /// Output waits for room in the socket.
    blocked: Cell<bool>,
    /// Something moved that a request is made of, since the last sweep.
    moved: Cell<bool>,
    /// The sweep from which on nothing has moved, or at which the engine was asked why.
    still_since: Cell<Instant>,
    /// The engine is to say what it waits for; how often in a row the answer was: for the client.
    asked: Cell<bool>,
    stalls: Cell<u8>,
    /// The engine wants to look at the clock once in a while.
    wants_sweep: Cell<bool>,
}

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            accepted: now,
            active: Cell::new(false),
            active_at: Cell::new(now),
            headless: Cell::new(false),
            // The first bytes have a time limit too.
            head_open: Cell::new(true),
            frame_open: Cell::new(false),
            head_since: Cell::new(Some(now)),
            peer_ended: Cell::new(false),
            quiet_since: Cell::new(None),
            listening: Cell::new(false),
            blocked: Cell::new(false),
            moved: Cell::new(false),
            still_since: Cell::new(now),
            asked: Cell::new(false),
            stalls: Cell::new(0),
            wants_sweep: Cell::new(false),
        }
    }

    /// Bytes were read, while requests were in flight or not.
    #[inline]
    pub(super) fn received(&self, busy: bool) {
        self.active.set(true);
        if !self.headless.get() {
            self.moved.set(true);
            if !busy {
                self.head_open.set(true);
            }
        }
    }

    /// Bytes were written.
    #[inline]
    pub(super) fn sent(&self) {
        self.quiet_since.set(None);
        self.active.set(true);
        if self.blocked.replace(false) || !self.headless.get() {
            self.moved.set(true);
        }
    }

    /// Whether the system wakes the connection's task when the client sends or ends. An engine that looks whether there
    /// is something to do does not know it before it has read until nothing was left.
    #[inline]
    pub(crate) fn listens(&self, listening: bool) {
        self.listening.set(listening);
    }

    /// Output waits for room in the socket.
    pub(crate) fn blocked(&self) {
        self.blocked.set(true);
    }

    /// Something moved that a request is made of. HTTP/2 says so itself: control frames come and go however long a
    /// stream stands still.
    #[inline]
    pub(crate) fn moved(&self) {
        self.moved.set(true);
    }

    /// A request was read.
    #[inline]
    pub(super) fn request_begun(&self) {
        self.head_open.set(false);
    }

    /// A request has ended.
    #[inline]
    pub(super) fn request_ended(&self) {
        self.active.set(true);
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
    #[inline]
    pub(crate) fn frame_open(&self, open: bool, same: bool) {
        self.frame_open.set(open);
        if !same {
            self.head_since.set(None);
        }
    }

    /// The client sends nothing more.
    pub(super) fn peer_ended(&self) {
        self.peer_ended.set(true);
    }

    pub(super) fn is_head_open(&self) -> bool {
        self.head_open.get()
    }

    /// The engine wants to look at the clock once in a while, or does not.
    pub(crate) fn want_sweep(&self, wanted: bool) {
        self.wants_sweep.set(wanted);
    }

    /// Whether a connection without a request may be drained: it has had one, or the time for its first.
    pub(super) fn had_its_time(&self, requests: u64, now: Instant) -> bool {
        requests > 0 || now.saturating_duration_since(self.accepted) >= FIRST_REQUEST_GRACE
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

    /// What is due `now` for a connection that has an `order`, with requests in flight if it is `busy`. The system is
    /// asked for the client's `presence` where only that can decide it.
    pub(super) fn sweep(
        &self,
        now: Instant,
        limits: &Limits,
        busy: bool,
        order: Order,
        presence: impl FnOnce() -> Presence,
    ) -> Due {
        let touched = self.active.replace(false);
        let mut due = Due { order: self.timed_out(now, limits, touched, busy, order), ..Due::default() };
        // The system notifies a connection that listens, and thousands of conversations may be quiet.
        let told = self.listening.get() && !self.peer_ended.get();
        if busy && !touched && !told && due.order < Order::Close && self.is_gone(now, limits, presence()) {
            due.client_gone = true;
            due.order = Order::Close;
        }
        let asks = self.asks_for_a_stall(now, limits, busy);
        due.wake = asks || due.order == Order::Drain || self.wants_sweep.get();
        due
    }

    /// The order that follows from the times of idling, of a head or frame, and of the connection.
    fn timed_out(&self, now: Instant, limits: &Limits, touched: bool, busy: bool, order: Order) -> Order {
        let active = touched || busy;
        if active {
            self.active_at.set(now);
        }
        let opened = if self.headless.get() { self.frame_open.get() } else { self.head_open.get() && !busy };
        if !opened {
            self.head_since.set(None);
        } else if self.head_since.get().is_none() {
            self.head_since.set(Some(now));
        }
        let slow_head = self.head_since.get().is_some_and(|since| is_over(now, since, limits.header_timeout));
        let idle = !active && is_over(now, self.active_at.get(), limits.idle_timeout);
        if idle && self.headless.get() && order == Order::Serve {
            // HTTP/2 sends GOAWAY first; the next sweep closes.
            Order::Drain
        } else if slow_head || idle {
            Order::Close
        } else if is_over(now, self.accepted, limits.max_connection_age) {
            order.max(Order::Drain)
        } else {
            order
        }
    }

    /// Whether a client that has closed its end, and is owed something that does not come, counts as gone: the engine may
    /// have stopped reading long before.
    fn is_gone(&self, now: Instant, limits: &Limits, presence: Presence) -> bool {
        if presence == Presence::There && !self.peer_ended.get() {
            return false;
        }
        let since = self.quiet_since.get().unwrap_or(now);
        self.quiet_since.set(Some(since));
        presence == Presence::Gone || !self.blocked.get() && is_over(now, since, limits.half_close_timeout)
    }

    /// Whether the engine is to be asked what it waits for, since nothing has moved for a part of `--stall-timeout`.
    fn asks_for_a_stall(&self, now: Instant, limits: &Limits, busy: bool) -> bool {
        let Some(limit) = limits.stall_timeout else { return false };
        if self.moved.replace(false) || !busy {
            self.still_since.set(now);
            self.stalls.set(0);
            return false;
        }
        let due = is_over(now, self.still_since.get(), Some(limit / u32::from(LOOKS_AT_A_STALL)));
        if due {
            self.still_since.set(now);
            self.asked.set(true);
        }
        due
    }
}

/// Whether a time that began at `since` is over; without a `limit` it never is.
fn is_over(now: Instant, since: Instant, limit: Option<Duration>) -> bool {
    limit.is_some_and(|limit| now.saturating_duration_since(since) >= limit)
}

#[cfg(test)]
mod tests;
