//! What both HTTP engines do alike: one request to its endpoint, and a [`Reply`] to a response head with
//! what every reply carries.

use std::{
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::{Buf, Bytes};
use contract::{field, pattern, timing::Timing};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header};

use super::state::{Flight, State};
use crate::{
    endpoints,
    reply::{Answer, Body, Chunks, Reply, Upload},
    router::{self, BadRoute, Endpoint},
    stats::Protocol,
    worker::Worker,
};

const SERVER_TIMING: HeaderName = HeaderName::from_static(field::SERVER_TIMING);
const INSTANCE: HeaderName = HeaderName::from_static(field::INSTANCE);

/// A request without its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) fields: HeaderMap,
    pub(crate) protocol: Protocol,
    pub(crate) state: Rc<State>,
}

/// A request that was answered or will be: what its reply's head needs.
#[derive(Debug)]
pub(crate) struct Pending {
    worker: Rc<Worker>,
    endpoint: Endpoint,
    protocol: Protocol,
    head_only: bool,
    received_ns: u64,
    /// What the request log says, when there is one.
    logged: Option<String>,
    flight: Flight,
}

/// A piece of a response body. It carries the request's flight, which so ends when the engine has no more
/// use for the last piece.
#[derive(Debug)]
pub(crate) struct Piece {
    data: Data,
    _flight: Option<Flight>,
}

#[derive(Debug)]
enum Data {
    Bytes(Bytes),
    Pattern(pattern::Range),
}

/// The content of a response, after what its method and status forbid was taken off.
#[derive(Debug)]
pub(crate) enum Content {
    None,
    Bytes(Bytes),
    Pattern { range: pattern::Range, sized: bool },
    Chunks(Chunks),
}

/// Finds the endpoint of a request and asks it.
pub(crate) fn answer(worker: &Rc<Worker>, head: &Head, mut upload: Upload) -> (Pending, Answer) {
    let received_ns = now_ns();
    let flight = Flight::begin(&head.state, head.protocol == Protocol::Http2);
    let (endpoint, route) = router::route(head.uri.path(), head.uri.query().unwrap_or_default());
    let pending = Pending {
        worker: Rc::clone(worker),
        endpoint,
        protocol: head.protocol,
        head_only: head.method == Method::HEAD,
        received_ns,
        logged: (!worker.config.quiet).then(|| format!("{} {}", head.method, head.uri)),
        flight,
    };
    let answer = match acceptable(head).and(route) {
        Ok(route) => endpoints::answer(worker, route, head, upload),
        Err(bad) => {
            let reply = Reply::refusal(StatusCode::BAD_REQUEST, &bad.error, bad.accepted, bad.example);
            if upload.is_end() {
                Answer::Ready(reply)
            } else {
                Answer::Waiting(Box::pin(async move {
                    let _ = upload.discard().await;
                    reply
                }))
            }
        }
    };
    (pending, answer)
}

/// What no endpoint answers: a method that asks for a tunnel, and HTTP/1.1 without Host (RFC 9112 section 3.2).
fn acceptable(head: &Head) -> Result<(), BadRoute> {
    let bad = |error: &str, accepted, example| BadRoute { error: error.to_owned(), accepted, example };
    if head.method == Method::CONNECT {
        return Err(bad("this is no proxy", "every method but CONNECT", "GET /"));
    }
    if head.protocol == Protocol::Http11 && !head.fields.contains_key(header::HOST) {
        return Err(bad("the Host field is missing", "HTTP/1.1 with Host", "Host: localhost:8080"));
    }
    Ok(())
}

impl Pending {
    /// The head and content of the response.
    pub(crate) fn finish(self, reply: Reply) -> (Response<()>, Content, Flight) {
        let Reply { status, fields, body } = reply;
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        let headers = response.headers_mut();
        let content = content(status, self.head_only, headers, body);
        let replied_ns = sign(&self.worker, self.received_ns, self.protocol, headers);
        if self.protocol == Protocol::Http2 {
            // hyper does this for HTTP/1 (RFC 9110 section 6.6.1).
            headers.insert(header::DATE, self.worker.date(replied_ns));
        }
        self.worker.stats.reply(self.endpoint, self.protocol, status);
        if let Some(logged) = self.logged {
            let micros = replied_ns.saturating_sub(self.received_ns) / 1000;
            tracing::info!(status = status.as_u16(), micros, protocol = self.protocol.name(), "{logged}");
        }
        (response, content, self.flight)
    }
}

/// Adds what every reply carries; when that was, in nanoseconds since the Unix epoch.
pub(super) fn sign(worker: &Worker, received_ns: u64, protocol: Protocol, headers: &mut HeaderMap) -> u64 {
    let replied_ns = now_ns();
    let mut text = worker.scratch.borrow_mut();
    text.clear();
    Timing { received_ns, replied_ns }.write(&mut text);
    let mut timing = value(&text);
    // The h2 crate would put every one of these into the HPACK table and compare the next with all of them.
    // Its only way around is the never-indexed literal.
    timing.set_sensitive(protocol == Protocol::Http2);
    headers.insert(SERVER_TIMING, timing);
    headers.insert(INSTANCE, HeaderValue::from_static(worker.instance));
    replied_ns
}

/// Takes off what a reply to HEAD and the statuses 204, 205 and 304 must not have (RFC 9110 sections 9.3.2,
/// 8.6 and 15), and says how long the rest is.
fn content(status: StatusCode, head_only: bool, headers: &mut HeaderMap, body: Body) -> Content {
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || status.is_informational() {
        headers.remove(header::CONTENT_TYPE);
        return Content::None;
    }
    if status == StatusCode::RESET_CONTENT {
        headers.remove(header::CONTENT_TYPE);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        return Content::None;
    }
    match &body {
        Body::Bytes(bytes) => {
            headers.insert(header::CONTENT_LENGTH, length(bytes.len() as u64));
        }
        Body::Pattern { range, sized: true } => {
            headers.insert(header::CONTENT_LENGTH, length(range.left()));
        }
        Body::Pattern { .. } | Body::Chunks(_) => {}
    }
    match body {
        _ if head_only => Content::None,
        Body::Bytes(bytes) if bytes.is_empty() => Content::None,
        Body::Bytes(bytes) => Content::Bytes(bytes),
        Body::Pattern { range, sized } => Content::Pattern { range, sized },
        Body::Chunks(chunks) => Content::Chunks(chunks),
    }
}

/// A value that is copied once: the conversions of the http crate from numbers and vectors allocate twice.
fn value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn length(bytes: u64) -> HeaderValue {
    value(itoa::Buffer::new().format(bytes).as_bytes())
}

/// The time in nanoseconds since the Unix epoch.
pub(super) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Piece {
    pub(crate) fn bytes(bytes: Bytes, flight: Option<Flight>) -> Self {
        Self { data: Data::Bytes(bytes), _flight: flight }
    }

    pub(crate) fn pattern(range: pattern::Range, flight: Option<Flight>) -> Self {
        Self { data: Data::Pattern(range), _flight: flight }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        match &self.data {
            Data::Bytes(bytes) => bytes.remaining(),
            Data::Pattern(range) => range.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match &self.data {
            Data::Bytes(bytes) => bytes.chunk(),
            Data::Pattern(range) => range.chunk(),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        match &self.data {
            Data::Bytes(bytes) => bytes.chunks_vectored(slices),
            Data::Pattern(range) => range.chunks_vectored(slices),
        }
    }

    fn advance(&mut self, count: usize) {
        match &mut self.data {
            Data::Bytes(bytes) => bytes.advance(count),
            Data::Pattern(range) => range.advance(count),
        }
    }
}
