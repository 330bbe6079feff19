//! What one connection has done so far, counted for itself and for its worker.

use std::{cell::Cell, sync::Arc};

use crate::{protocol::Protocol, stats::Stats};

/// The counts of one connection.
#[derive(Debug)]
pub(crate) struct Accounting {
    pub(crate) stats: Arc<Stats>,
    /// Requests in flight. A WebSocket is one.
    in_flight: Cell<u32>,
    /// Requests so far, those in flight among them.
    requests: Cell<u64>,
    /// Bytes so far.
    received: Cell<u64>,
    sent: Cell<u64>,
}

impl Accounting {
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        Self {
            stats,
            in_flight: Cell::default(),
            requests: Cell::default(),
            received: Cell::default(),
            sent: Cell::default(),
        }
    }

    #[inline]
    pub(super) fn received(&self, bytes: usize) {
        self.stats.bytes_received.add(bytes as u64);
        self.received.set(self.received.get() + bytes as u64);
    }

    #[inline]
    pub(super) fn sent(&self, bytes: usize) {
        self.stats.bytes_sent.add(bytes as u64);
        self.sent.set(self.sent.get() + bytes as u64);
    }

    #[inline]
    pub(super) fn request_begun(&self, protocol: Protocol) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.requests.set(self.requests.get() + 1);
        self.stats.requests_begun.add(1);
        if protocol == Protocol::Http2 {
            self.stats.streams_opened.add(1);
        }
    }

    #[inline]
    pub(super) fn request_ended(&self, protocol: Protocol) {
        self.in_flight.set(self.in_flight.get() - 1);
        self.stats.requests_ended.add(1);
        if protocol == Protocol::Http2 {
            self.stats.streams_closed.add(1);
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.get() > 0
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.get()
    }

    pub(crate) fn bytes_received(&self) -> u64 {
        self.received.get()
    }

    pub(crate) fn bytes_sent(&self) -> u64 {
        self.sent.get()
    }
}
