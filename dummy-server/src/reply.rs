//! The seams between endpoints and protocol engines: [`Reply`] is data that an engine executes, [`Upload`]
//! is the request body, pulled, and pulling returns flow-control window.
//!
//! Nothing here writes to a socket or knows which protocol carries it, but for the two sources of a body.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::{Buf as _, Bytes};
use contract::pattern;
use futures_util::future::poll_fn;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Body as _;

/// Most replies have no more: a larger map costs time.
const USUAL_FIELDS: usize = 6;

/// A final reply.
#[derive(Debug)]
pub(crate) struct Reply {
    /// 200 to 599.
    pub status: StatusCode,
    /// Fields in the order in which they are sent; the engine adds the framing and what every reply carries.
    pub fields: HeaderMap,
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
    /// A reply of the given content type.
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: Body) -> Self {
        let mut fields = HeaderMap::with_capacity(USUAL_FIELDS);
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { status, fields, body }
    }

    /// JSON on one line.
    pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Self {
        // Writing to a Vec fails only for maps with keys that are no strings, which no endpoint has.
        let mut text = serde_json::to_vec(value).unwrap_or_default();
        text.push(b'\n');
        Self::new(status, "application/json", Body::Bytes(text.into()))
    }

    /// A request that can't be done: what was wrong, what is accepted, an example.
    pub(crate) fn refusal(status: StatusCode, error: &str, accepted: &str, example: &str) -> Self {
        let value = serde_json::json!({ "error": error, "accepted": accepted, "example": example });
        Self::json(status, &value)
    }
}

/// What an endpoint answers with.
pub(crate) enum Answer {
    /// At once, inline.
    Ready(Reply),
    /// After waiting: for time or for the request's body.
    Waiting(Pin<Box<dyn Future<Output = Reply>>>),
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

/// The body of a request.
#[derive(Debug)]
pub(crate) struct Upload {
    source: Source,
    /// Received and not pulled yet.
    ready: Bytes,
}

#[derive(Debug)]
enum Source {
    Http1(hyper::body::Incoming),
    Http2(h2::RecvStream),
}

/// A body that broke off.
#[derive(Debug, thiserror::Error)]
#[error("the request body broke off: {0}")]
pub(crate) struct UploadError(Box<dyn std::error::Error + Send + Sync>);

impl Upload {
    pub(crate) fn http1(body: hyper::body::Incoming) -> Self {
        Self { source: Source::Http1(body), ready: Bytes::new() }
    }

    pub(crate) fn http2(body: h2::RecvStream) -> Self {
        Self { source: Source::Http2(body), ready: Bytes::new() }
    }

    /// Whether nothing more comes.
    #[must_use]
    pub(crate) fn is_end(&self) -> bool {
        self.ready.is_empty()
            && match &self.source {
                Source::Http1(body) => body.is_end_stream(),
                Source::Http2(body) => body.is_end_stream(),
            }
    }

    /// The next part of the body, at most `most` bytes of it; none at its end. HTTP/2 window is returned for
    /// what is pulled and for nothing else.
    ///
    /// # Errors
    /// The body broke off.
    pub(crate) async fn pull(&mut self, most: usize) -> Option<Result<Bytes, UploadError>> {
        while self.ready.is_empty() {
            match self.receive().await? {
                Ok(part) => self.ready = part,
                Err(error) => return Some(Err(error)),
            }
        }
        let part = self.ready.split_to(most.min(self.ready.len()));
        if let Source::Http2(body) = &mut self.source {
            // Fails only when the stream is gone, which the next pull tells.
            let _ = body.flow_control().release_capacity(part.len());
        }
        Some(Ok(part))
    }

    async fn receive(&mut self) -> Option<Result<Bytes, UploadError>> {
        match &mut self.source {
            Source::Http1(body) => loop {
                let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
                match frame.map(hyper::body::Frame::into_data) {
                    Ok(Ok(data)) => return Some(Ok(data)),
                    Ok(Err(_trailers)) => {}
                    Err(error) => return Some(Err(UploadError(error.into()))),
                }
            },
            Source::Http2(body) => {
                let data = poll_fn(|cx| body.poll_data(cx)).await?;
                Some(data.map_err(|error| UploadError(error.into())))
            }
        }
    }

    /// Reads to the end and throws away; how many bytes there were.
    ///
    /// # Errors
    /// The body broke off, after so many bytes.
    pub(crate) async fn discard(&mut self) -> Result<u64, (u64, UploadError)> {
        let mut total = 0;
        while let Some(part) = self.pull(usize::MAX).await {
            total += part.map_err(|error| (total, error))?.remaining() as u64;
        }
        Ok(total)
    }
}
