//! Counters. Each worker owns one set and is its only writer: no lock and no shared write on the request
//! path. Readers add the sets up.

use http::StatusCode;

use crate::{counter::Counter, cut::Cut, handshakes::Handshakes, named::named, protocol::Protocol};

named! {
    /// The family of an endpoint: what metrics count by.
    pub(crate) enum Endpoint {
        Echo = "echo",
        Health = "health",
        Help = "help",
        Ledger = "ledger",
        Bin = "bin",
        Chunked = "chunked",
        Upload = "upload",
        Status = "status",
        Delay = "delay",
        WebSocket = "ws",
        NoUsage = "nousage",
        Digest = "digest",
        Headers = "headers",
        Ip = "ip",
        Sse = "sse",
        Ndjson = "ndjson",
        Drip = "drip",
        Grpc = "grpc",
        /// No endpoint: the request was refused for its head.
        Rejected = "rejected",
    }
}

const STATUSES: usize = 600;
const FAMILIES: usize = Endpoint::ALL.len() * Protocol::ALL.len();

/// `N` of the same.
#[derive(Debug)]
struct Table<T, const N: usize>(Box<[T]>);

impl<T: Default, const N: usize> Default for Table<T, N> {
    fn default() -> Self {
        Self(std::iter::repeat_with(T::default).take(N).collect())
    }
}

/// Upper ends of the buckets of durations, in nanoseconds; the last bucket takes what is longer.
pub(crate) const DURATION_BOUNDS: [u64; 18] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    u64::MAX,
];

/// The same of turn lags. Timers have a resolution of a millisecond.
pub(crate) const LAG_BOUNDS: [u64; 11] = [
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
    u64::MAX,
];

/// Times, counted by how long they are.
#[derive(Debug)]
pub(crate) struct Buckets<const N: usize> {
    /// How many fell between a bound and the one before it.
    pub(crate) counts: [Counter; N],
    /// All of them together, in nanoseconds.
    pub(crate) sum_ns: Counter,
}

impl<const N: usize> Default for Buckets<N> {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| Counter::default()), sum_ns: Counter::default() }
    }
}

impl<const N: usize> Buckets<N> {
    /// Counts a time; the last of the `bounds` is that of all times.
    #[inline]
    fn observe(&self, bounds: &[u64; N], time_ns: u64) {
        // Most fall into the first bucket: a search from the front finds it immediately.
        let bucket = bounds[..N - 1].iter().position(|bound| time_ns <= *bound);
        self.counts[bucket.unwrap_or(N - 1)].add(1);
        self.sum_ns.add(time_ns);
    }
}

/// How long requests took.
pub(crate) type Durations = Buckets<{ DURATION_BOUNDS.len() }>;
/// How late a worker's own timer was.
pub(crate) type Lags = Buckets<{ LAG_BOUNDS.len() }>;

/// The counters of one worker.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// By endpoint, protocol and status.
    replies: Table<Counter, { FAMILIES * STATUSES }>,
    /// By endpoint and protocol.
    durations: Table<Durations, FAMILIES>,
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
    /// Connections closed immediately because of `--max-connections`.
    pub connections_refused: Counter,
    /// Connections given to another worker.
    pub connections_handed_over: Counter,
    /// Errors of accept, such as EMFILE.
    pub accept_errors: Counter,
    /// HTTP/2 connections ended because the client broke the protocol or met a limit, by GOAWAY's code.
    pub http2_errors: [Counter; http2::Code::KNOWN],
    /// Replies broken off on purpose, by [`Cut`].
    pub cuts: [Counter; Cut::NAMES.len()],
    /// HTTP/2 streams reset for the same reasons.
    pub http2_stream_errors: Counter,
    /// HTTP/2 streams refused because too many were open.
    pub http2_refused_streams: Counter,
    /// What came before HTTP.
    pub handshakes: Handshakes,
    /// Bytes read from sockets.
    pub bytes_received: Counter,
    /// Bytes written to sockets.
    pub bytes_sent: Counter,
    /// Lines of the access log for which there was no room.
    pub access_log_dropped: Counter,
    /// Bytes of `--memory-budget` that are held now.
    pub memory_held: Counter,
    /// Bodies, messages and replies for which there was no memory left.
    pub memory_refused: Counter,
    /// Connections whose task panicked.
    pub panics: Counter,
    /// CPU time of the worker's thread in nanoseconds, as it last read it.
    pub cpu_ns: Counter,
    /// How late its timer was.
    pub(crate) turn_lag: Lags,
    /// Connections closed because their client had gone while it was owed a reply.
    pub clients_gone: Counter,
}

impl Stats {
    /// A reply is broken off now.
    pub(crate) fn cut(&self, cut: Cut) {
        self.cuts[cut.index()].add(1);
    }

    /// Counts a reply.
    pub(crate) fn reply(&self, endpoint: Endpoint, protocol: Protocol, status: StatusCode) {
        self.replies(endpoint, protocol, status.as_u16()).add(1);
    }

    /// Counts how long a request took that was replied to.
    pub(crate) fn took(&self, endpoint: Endpoint, protocol: Protocol, duration_ns: u64) {
        self.durations(endpoint, protocol).observe(&DURATION_BOUNDS, duration_ns);
    }

    /// How long such requests took.
    #[must_use]
    pub(crate) fn durations(&self, endpoint: Endpoint, protocol: Protocol) -> &Durations {
        &self.durations.0[family(endpoint, protocol)]
    }

    /// The worker's timer was late by this much.
    pub(crate) fn timer_was_late(&self, lag_ns: u64) {
        self.turn_lag.observe(&LAG_BOUNDS, lag_ns);
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
    pub(crate) fn replies(&self, endpoint: Endpoint, protocol: Protocol, status: u16) -> &Counter {
        &self.replies.0[family(endpoint, protocol) * STATUSES + usize::from(status).min(STATUSES - 1)]
    }

    /// The statuses that can be counted.
    pub(crate) fn statuses() -> impl Iterator<Item = u16> {
        100..STATUSES as u16
    }
}

fn family(endpoint: Endpoint, protocol: Protocol) -> usize {
    endpoint as usize * Protocol::ALL.len() + protocol as usize
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
        assert_eq!(stats.replies(Endpoint::Bin, Protocol::Http2, 200).get(), 2);
        assert_eq!(stats.replies(Endpoint::Grpc, Protocol::Http2, 599).get(), 1);
        assert_eq!(stats.replies(Endpoint::Bin, Protocol::Http11, 200).get(), 0);
        assert_eq!(stats.replies(Endpoint::Echo, Protocol::Http10, 200).get(), 0);
    }

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let stats = Stats::default();
        let long = 60_000_000_000;
        for duration_ns in [0, 50_000, 50_001, 10_000_000_000, 10_000_000_001, long] {
            stats.took(Endpoint::Delay, Protocol::Http11, duration_ns);
        }
        let durations = stats.durations(Endpoint::Delay, Protocol::Http11);
        let counts: Vec<u64> = durations.counts.iter().map(Counter::get).collect();
        assert_eq!((counts[0], counts[1], counts[16], counts[17]), (2, 1, 1, 2));
        assert_eq!(counts.iter().sum::<u64>(), 6);
        assert_eq!(durations.sum_ns.get(), 20_000_100_002 + long);
        let others = stats.durations(Endpoint::Delay, Protocol::Http2);
        assert!(others.counts.iter().all(|count| count.get() == 0));
        assert!(DURATION_BOUNDS.is_sorted() && LAG_BOUNDS.is_sorted());
        assert_eq!((DURATION_BOUNDS.last(), LAG_BOUNDS.last()), (Some(&u64::MAX), Some(&u64::MAX)));
    }
}
