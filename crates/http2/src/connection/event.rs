//! What a connection reports: events and counters.

use crate::{error::Code, streams::Key};

/// What has happened. Heads and trailers are in the [`crate::Head`] that was passed along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// Server: a request; `end`: without content.
    Request {
        /// The new stream.
        stream: Key,
        /// Whether neither content nor trailers follow.
        end: bool,
    },
    /// Server: a request that broke a rule, of which the head has what it said. Its stream was reset and has ended.
    Malformed {
        /// The stream's identifier.
        stream: u32,
        /// The rule.
        reason: &'static str,
    },
    /// Client: an informational response (1xx).
    Informational {
        /// The stream.
        stream: Key,
    },
    /// Client: the final response.
    Response {
        /// The stream.
        stream: Key,
        /// Whether neither content nor trailers follow.
        end: bool,
    },
    /// Content. Its bytes are to be given back with [`Connection::release`](crate::Connection::release).
    Data {
        /// The stream.
        stream: Key,
        /// As it lies in the input; may be empty.
        data: &'i [u8],
        /// Whether nothing follows.
        end: bool,
    },
    /// Trailers, which end what the peer sends.
    Trailers {
        /// The stream.
        stream: Key,
    },
    /// The stream has ended.
    Reset {
        /// The stream.
        stream: Key,
        /// Why.
        code: Code,
        /// Or else by this end, because the peer broke a rule.
        by_peer: bool,
    },
    /// Client: the peer has not processed the stream's request, which has ended and may be retried (RFC 9113
    /// section 8.7).
    Unprocessed {
        /// The stream.
        stream: Key,
    },
    /// The peer takes no more streams.
    GoAway {
        /// The last stream that it may have processed.
        last: u32,
        /// Why.
        code: Code,
        /// What it says about that.
        debug: &'i [u8],
    },
    /// The peer's SETTINGS have changed.
    Settings,
    /// A PING of [`Connection::ping`](crate::Connection::ping) was answered.
    Pong([u8; 8]),
}

/// What was met of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Streams that the peer reset.
    pub resets_received: u64,
    /// Streams that were reset here because the peer broke a rule on them.
    pub stream_errors: u64,
    /// Streams refused because too many were open.
    pub refused: u64,
}
