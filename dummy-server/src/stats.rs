//! Counters. Each worker owns one set and is its only writer: no lock and no shared write on the request
//! path. Readers add the sets up.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use crate::{openings::Openings, router::Endpoint};

/// The version of HTTP that carried a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http10,
    Http11,
    Http2,
}

impl Protocol {
    /// All of them, in the order of their discriminants.
    pub(crate) const ALL: [Self; 3] = [Self::Http10, Self::Http11, Self::Http2];

    /// The name as on the wire (RFC 9110 section 2.5).
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// A number that one thread raises and others read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Only the owning worker may: this is no atomic addition.
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// The number, perhaps a moment old.
    #[must_use]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

const STATUSES: usize = 600;
/// The codes of RFC 9113 section 7.
pub(crate) const HTTP2_CODES: usize = 14;

/// The counters of one worker.
#[derive(Debug)]
pub(crate) struct Stats {
    /// By endpoint, protocol and status.
    replies: Box<[Counter]>,
    /// Requests whose head was read.
    pub requests_begun: Counter,
    /// Requests whose reply has been handed to the socket, or was given up.
    pub requests_ended: Counter,
    /// HTTP/2 streams opened.
    pub streams_opened: Counter,
    /// HTTP/2 streams that have ended.
    pub streams_closed: Counter,
    /// Connections served.
    pub connections_opened: Counter,
    /// Connections that have ended.
    pub connections_closed: Counter,
    /// Connections closed at once because of `--max-connections`.
    pub connections_refused: Counter,
    /// Connections given to another worker.
    pub connections_handed_over: Counter,
    /// Errors of accept, such as EMFILE.
    pub accept_errors: Counter,
    /// HTTP/2 connections ended because the client broke the protocol or met a limit, by GOAWAY's code.
    pub http2_errors: [Counter; HTTP2_CODES],
    /// HTTP/2 streams reset for the same reasons.
    pub http2_stream_errors: Counter,
    /// HTTP/2 streams refused because too many were open.
    pub http2_refused_streams: Counter,
    /// What came before HTTP.
    pub openings: Openings,
    /// Bytes read from sockets.
    pub bytes_received: Counter,
    /// Bytes written to sockets.
    pub bytes_sent: Counter,
}

impl Default for Stats {
    fn default() -> Self {
        let cells = Endpoint::ALL.len() * Protocol::ALL.len() * STATUSES;
        Self {
            replies: std::iter::repeat_with(Counter::default).take(cells).collect(),
            requests_begun: Counter::default(),
            requests_ended: Counter::default(),
            streams_opened: Counter::default(),
            streams_closed: Counter::default(),
            connections_opened: Counter::default(),
            connections_closed: Counter::default(),
            connections_refused: Counter::default(),
            connections_handed_over: Counter::default(),
            accept_errors: Counter::default(),
            http2_errors: Default::default(),
            http2_stream_errors: Counter::default(),
            http2_refused_streams: Counter::default(),
            openings: Openings::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
        }
    }
}

impl Stats {
    /// Counts a reply.
    pub(crate) fn reply(&self, endpoint: Endpoint, protocol: Protocol, status: StatusCode) {
        self.replies[cell(endpoint, protocol, usize::from(status.as_u16()))].add(1);
    }

    /// Counts what an HTTP/2 connection has met of the rules' limits.
    pub(crate) fn http2_ended(&self, error: Option<http2::Code>, counters: http2::Counters) {
        if let Some(counter) = error.and_then(|code| self.http2_errors.get(code.0 as usize)) {
            counter.add(1);
        }
        self.http2_stream_errors.add(counters.stream_errors);
        self.http2_refused_streams.add(counters.refused);
    }

    /// How many such replies there were.
    #[must_use]
    pub(crate) fn replies(&self, endpoint: Endpoint, protocol: Protocol, status: u16) -> u64 {
        self.replies[cell(endpoint, protocol, usize::from(status))].get()
    }

    /// The statuses that can be counted.
    pub(crate) fn statuses() -> impl Iterator<Item = u16> {
        100..STATUSES as u16
    }
}

fn cell(endpoint: Endpoint, protocol: Protocol, status: usize) -> usize {
    (endpoint as usize * Protocol::ALL.len() + protocol as usize) * STATUSES + status.min(STATUSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_kept_apart() {
        let stats = Stats::default();
        stats.reply(Endpoint::Bin, Protocol::Http2, StatusCode::OK);
        stats.reply(Endpoint::Bin, Protocol::Http2, StatusCode::OK);
        stats.reply(Endpoint::Grpc, Protocol::Http2, StatusCode::from_u16(599).unwrap());
        assert_eq!(stats.replies(Endpoint::Bin, Protocol::Http2, 200), 2);
        assert_eq!(stats.replies(Endpoint::Grpc, Protocol::Http2, 599), 1);
        assert_eq!(stats.replies(Endpoint::Bin, Protocol::Http11, 200), 0);
        assert_eq!(stats.replies(Endpoint::Echo, Protocol::Http10, 200), 0);
    }
}
