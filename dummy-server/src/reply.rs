//! The seam between endpoints and protocol engines: [`Reply`] is data that an engine executes.
//!
//! Nothing here writes to a socket or knows which protocol carries it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use contract::pattern;
use http::StatusCode;
use wire::Fields;

/// Fields that are the same in every reply of a kind; names in lower case.
pub(crate) type Fixed = &'static [(&'static str, &'static str)];

/// JSON.
pub(crate) const JSON: Fixed = &[("content-type", "application/json")];
/// Text.
pub(crate) const TEXT: Fixed = &[("content-type", "text/plain; charset=utf-8")];

/// Text of no announced charset.
pub(crate) const TEXT_BARE: Fixed = &[("content-type", "text/plain")];

/// A final reply.
#[derive(Debug)]
pub(crate) struct Reply {
    /// 200 to 599, or 101.
    pub status: StatusCode,
    /// Fields that come first.
    pub fixed: Fixed,
    /// Fields of this reply, in their order; the engine adds the framing and what every reply carries.
    pub fields: Fields,
    /// The content.
    pub body: Body,
}

/// The content of a reply.
#[derive(Debug)]
pub(crate) enum Body {
    /// These bytes.
    Bytes(Bytes),
    /// A range of the payload pattern; `sized` says whether its length is announced.
    Pattern {
        /// Which bytes.
        range: pattern::Range,
        /// With `Content-Length`, or else chunked.
        sized: bool,
    },
    /// Chunks of the pattern, each on the wire by itself.
    Chunks(Chunks),
    /// Whatever comes.
    Stream(Box<dyn Stream>),
}

/// Content that comes about while it is sent. It is polled by the engine when there is room for it.
pub(crate) trait Stream: fmt::Debug {
    /// The next part; none at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>>;
}

/// A part of a [`Stream`].
#[derive(Debug)]
pub(crate) enum Part {
    /// Content.
    Data(Bytes),
    /// Trailers, which end it.
    Trailers(Fields),
}

/// Chunks of the payload pattern, in time.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// All bytes of all chunks.
    pub range: pattern::Range,
    /// Bytes in each.
    pub size: u64,
    /// Waited between two of them.
    pub delay: Duration,
}

impl Chunks {
    /// The next chunk; none when all have been taken.
    pub(crate) fn next(&mut self) -> Option<pattern::Range> {
        (self.range.left() > 0).then(|| self.range.split_to(self.size))
    }
}

impl Reply {
    pub(crate) fn new(status: StatusCode, fixed: Fixed, body: Body) -> Self {
        Self { status, fixed, fields: Fields::new(), body }
    }

    /// JSON on one line.
    pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Self {
        // Writing to a Vec fails only for maps with keys that are no strings, which no endpoint has.
        let mut text = serde_json::to_vec(value).unwrap_or_default();
        text.push(b'\n');
        Self::new(status, JSON, Body::Bytes(text.into()))
    }

    /// A request that can't be done: what was wrong, what is accepted, an example.
    pub(crate) fn refusal(status: StatusCode, error: &str, accepted: &str, example: &str) -> Self {
        let value = serde_json::json!({ "error": error, "accepted": accepted, "example": example });
        Self::json(status, &value)
    }
}

/// A reply that is awaited.
pub(crate) type Awaited = Pin<Box<dyn Future<Output = Reply>>>;

/// What an endpoint answers with.
pub(crate) enum Answer {
    /// At once, inline.
    Ready(Reply),
    /// After waiting: for time or for the request's body.
    Waiting(Awaited),
    /// The connection (or stream) becomes a WebSocket after this reply.
    WebSocket(Reply, crate::endpoints::websocket::Mode),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(reply) => f.debug_tuple("Ready").field(reply).finish(),
            Self::Waiting(_) => f.write_str("Waiting"),
            Self::WebSocket(reply, mode) => f.debug_tuple("WebSocket").field(reply).field(mode).finish(),
        }
    }
}
