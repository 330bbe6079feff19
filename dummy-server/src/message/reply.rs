//! The seam between endpoints and protocol engines: [`Reply`] is data that an engine executes.
//!
//! Nothing here writes to a socket or knows which protocol carries it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use contract::pattern;
use http::StatusCode;
use wire::Fields;

use super::{
    timetable::Timetable,
    upload::{Upload, UploadError},
    websocket::Options,
};
use crate::{
    budget::{Budget, Hold},
    cut::Cut,
};

/// Fields that are the same in every reply of a kind; names in lower case.
pub(crate) type Fixed = &'static [(&'static str, &'static str)];

/// JSON.
pub(crate) const JSON: Fixed = &[("content-type", "application/json")];
/// Text.
pub(crate) const TEXT: Fixed = &[("content-type", "text/plain; charset=utf-8")];

/// Text of no announced charset.
pub(crate) const TEXT_BARE: Fixed = &[("content-type", "text/plain")];

/// A reply of more bytes than this is counted among what the server holds.
const LARGE: usize = 16 << 10;

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
    /// What few replies have.
    pub special: Option<Box<Special>>,
}

/// What few replies have.
#[derive(Debug, Default)]
pub(crate) struct Special {
    /// The announced length of a [`Body::Stream`], whatever comes of it.
    pub length: Option<u64>,
    /// The connection becomes a WebSocket after this reply.
    pub upgrade: Option<Options>,
    /// There is no reply: this happens in its place.
    pub cut: Option<Cut>,
    /// The connection ends after this reply.
    pub close: bool,
    /// For large content, until it is sent.
    pub hold: Option<Hold>,
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
    Chunks(Box<Chunks>),
    /// Whatever comes.
    Stream(Box<dyn Stream>),
}

/// Content that comes about while it is sent. It is polled by the engine when there is room for it.
pub(crate) trait Stream {
    /// The next part; none at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>>;

    /// Whether the next part is content for certain: then it is not made before there is room for it.
    fn needs_room(&self) -> bool {
        false
    }

    /// Whether it is wanted even where a reply has no content: it does not end well.
    fn is_broken(&self) -> bool {
        false
    }

    /// Whether nothing follows the content that it has given.
    fn is_over(&self) -> bool {
        false
    }
}

impl fmt::Debug for dyn Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// A part of a [`Stream`].
#[derive(Debug)]
pub(crate) enum Part {
    /// Content: of the chunk that was begun, or else a chunk of its own.
    Data(Bytes),
    /// A number of bytes of content, which follow as there is room, are one chunk. Where there are no chunks it means
    /// nothing.
    Chunk(u64),
    /// What comes next is made when the kernel has taken all that came before.
    Flush,
    /// Trailers, which end it.
    Trailers(Fields),
    /// It is broken off, which ends it.
    Cut(Cut),
    /// Trailers that are the same in every reply of a kind.
    Constant(Fixed),
}

/// Content that is there whole, and what ends it.
pub(crate) struct Whole {
    content: Option<Bytes>,
    end: Option<Part>,
    /// Until it is sent.
    _hold: Option<Hold>,
}

impl Whole {
    pub(crate) fn body(content: Bytes, end: Part, hold: Option<Hold>) -> Body {
        Body::Stream(Box::new(Self { content: Some(content), end: Some(end), _hold: hold }))
    }
}

impl Stream for Whole {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Part>> {
        Poll::Ready(self.content.take().map(Part::Data).or_else(|| self.end.take()))
    }
}

/// Chunks of the payload pattern, in time.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// All bytes of all chunks.
    pub range: pattern::Range,
    /// Bytes in each.
    size: u64,
    /// From when one of them is due until the next one is.
    delay: Duration,
    /// When the next one is due.
    timetable: Timetable,
    /// What is left of the chunk that was begun.
    current: u64,
    /// A chunk is complete, and is to be on the wire before the next one.
    flushes: bool,
}

impl Chunks {
    pub(crate) fn new(range: pattern::Range, size: u64, delay: Duration) -> Self {
        Self { range, size, delay, timetable: Timetable::default(), current: 0, flushes: false }
    }

    /// What is left of the chunk that comes next.
    pub(crate) fn chunk(&self) -> u64 {
        if self.current > 0 { self.current } else { self.size.min(self.range.left()) }
    }

    /// A piece of the next chunk, of at most `most` bytes; empty at the end.
    pub(crate) fn poll_piece(&mut self, most: u64, cx: &mut Context<'_>) -> Poll<Bytes> {
        ready!(self.timetable.poll(cx));
        self.timetable.begin();
        self.current = self.chunk();
        let piece = self.range.piece(most.min(self.current));
        self.current -= piece.len() as u64;
        if self.current == 0 && self.range.left() > 0 {
            self.timetable.advance(self.delay);
            self.flushes = true;
        }
        Poll::Ready(Bytes::from_static(piece))
    }
}

impl Stream for Chunks {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        if std::mem::take(&mut self.flushes) {
            return Poll::Ready(Some(Part::Flush));
        }
        if self.current == 0 && self.range.left() > 0 {
            ready!(self.timetable.poll(cx));
            self.current = self.chunk();
            return Poll::Ready(Some(Part::Chunk(self.current)));
        }
        let piece = ready!(self.poll_piece(u64::MAX, cx));
        Poll::Ready((!piece.is_empty()).then_some(Part::Data(piece)))
    }

    fn needs_room(&self) -> bool {
        self.current > 0
    }

    fn is_over(&self) -> bool {
        self.range.left() == 0
    }
}

impl Reply {
    pub(crate) fn new(status: StatusCode, fixed: Fixed, body: Body) -> Self {
        Self { status, fixed, fields: Fields::new(), body, special: None }
    }

    /// No reply at all.
    pub(crate) fn cut(cut: Cut) -> Self {
        let mut reply = Self::new(StatusCode::INTERNAL_SERVER_ERROR, &[], Body::Bytes(Bytes::new()));
        reply.special().cut = Some(cut);
        reply
    }

    /// What few replies have, to be changed.
    pub(crate) fn special(&mut self) -> &mut Special {
        self.special.get_or_insert_default()
    }

    /// JSON on one line.
    pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Self {
        // Writing to a Vec fails only for maps with keys that are not strings, which no endpoint has.
        let mut text = serde_json::to_vec(value).unwrap_or_default();
        text.push(b'\n');
        Self::new(status, JSON, Body::Bytes(text.into()))
    }

    /// A request that can't be done: what was wrong, what is accepted, an example.
    pub(crate) fn refusal(status: StatusCode, error: &str, accepted: &str, example: &str) -> Self {
        let value = serde_json::json!({ "error": error, "accepted": accepted, "example": example });
        Self::json(status, &value)
    }

    /// Counts it among what the server holds if it is large. If there is no memory to keep it until it is sent, it
    /// becomes a refusal that says so.
    #[inline]
    pub(crate) fn hold_large(&mut self, budget: &Rc<Budget>) {
        if let Body::Bytes(bytes) = &self.body
            && bytes.len() > LARGE
        {
            self.hold(budget, bytes.len());
        }
    }

    #[cold]
    fn hold(&mut self, budget: &Rc<Budget>, bytes: usize) {
        let hold = self.special().hold.get_or_insert_with(|| Hold::new(budget));
        if !hold.set(bytes) {
            let error = UploadError::TOO_MUCH;
            *self = Self::refusal(error.status, error.reason(), error.accepted, "GET /bin/1M");
        }
    }
}

/// A reply that is awaited.
pub(crate) type Awaited = Pin<Box<dyn Future<Output = Reply>>>;

/// What an endpoint answers with.
pub(crate) enum Answer {
    /// Immediately, inline.
    Ready(Reply),
    /// After waiting: for time or for the request's body.
    Waiting(Awaited),
}

impl Answer {
    /// The reply, when it is there.
    pub(crate) async fn reply(self) -> Reply {
        match self {
            Self::Ready(reply) => reply,
            Self::Waiting(reply) => reply.await,
        }
    }
}

/// Replies after the request's body, which the endpoint has no use for. An HTTP/1.1 connection could not be
/// used again otherwise.
#[inline]
pub(crate) fn after(mut upload: Upload, reply: Reply) -> Answer {
    if upload.is_end() {
        return Answer::Ready(reply);
    }
    reading(async move { upload.discard().await.map(|_| reply) })
}

/// Replies when the request's body was read, which may break off after a number of bytes.
pub(crate) fn reading(reply: impl Future<Output = Result<Reply, (u64, UploadError)>> + 'static) -> Answer {
    Answer::Waiting(Box::pin(async move {
        reply.await.unwrap_or_else(|(received, error)| broken(received, &error))
    }))
}

/// A body that broke off after this number of bytes.
fn broken(received: u64, error: &UploadError) -> Reply {
    let value = serde_json::json!({
        "error": error.to_string(),
        "accepted": error.accepted,
        "example": "curl --data-binary @file",
        "bytes_received": received,
    });
    Reply::json(error.status, &value)
}
