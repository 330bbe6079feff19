//! What both HTTP engines do alike: one request to its endpoint, and a [`Reply`] to the fields and content that
//! go on the wire.

use std::{
    borrow::Cow,
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use contract::{field, pattern, timing::Timing};
use http::StatusCode;
use http2::Name;
use wire::Fields;

use super::{
    Port,
    state::{Flight, State},
};
use crate::{
    endpoints,
    reply::{Answer, Body, Chunks, Fixed, Reply, Stream},
    router::{self, BadRoute, Endpoint, Route},
    stats::Protocol,
    upload::Upload,
    worker::Worker,
};

/// A request without its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a [u8],
    /// The target as it was on the wire, or HTTP/2's `:path`.
    pub(crate) target: &'a [u8],
    /// HTTP/2's `:scheme` and `:authority`.
    pub(crate) origin: Option<(&'a [u8], &'a [u8])>,
    /// All fields; the first `pseudo` of them are HTTP/2's pseudo-fields.
    pub(crate) fields: &'a Fields,
    pub(crate) pseudo: usize,
    pub(crate) protocol: Protocol,
    pub(crate) port: Port,
    pub(crate) state: &'a Rc<State>,
}

impl Head<'_> {
    /// Path and query, without what an absolute target has in front of them (RFC 9112 section 3.2.2).
    fn path_and_query(&self) -> &[u8] {
        if self.target.first() == Some(&b'/') {
            return self.target;
        }
        let Some(scheme) = memchr::memmem::find(self.target, b"://") else { return self.target };
        let rest = &self.target[scheme + 3..];
        match memchr::memchr2(b'/', b'?', rest) {
            Some(path) => &rest[path..],
            None => b"/",
        }
    }

    /// Names and values, without pseudo-fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().skip(self.pseudo)
    }

    /// The target with scheme and authority.
    pub(crate) fn uri(&self) -> String {
        let text = String::from_utf8_lossy;
        if let Some((scheme, authority)) = self.origin {
            return format!("{}://{}{}", text(scheme), text(authority), text(self.target));
        }
        if self.target.first() != Some(&b'/') && memchr::memmem::find(self.target, b"://").is_some() {
            return text(self.target).into_owned();
        }
        let host = self.fields.get("host").unwrap_or_default();
        let scheme = if self.state.is_tls() { "https" } else { "http" };
        format!("{scheme}://{}{}", text(host), text(self.target))
    }
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

/// A reply as it goes on the wire.
#[derive(Debug)]
pub(crate) struct Finished {
    worker: Rc<Worker>,
    reply: Reply,
    received_ns: u64,
    replied_ns: u64,
    /// What is left of the content when it is announced.
    pub(crate) length: Option<u64>,
    pub(crate) content: Content,
    /// Ends with the last byte of the reply.
    pub(crate) flight: Flight,
}

/// The content of a reply, after what its method and status forbid was taken off.
#[derive(Debug)]
pub(crate) enum Content {
    None,
    Bytes(Bytes),
    Pattern {
        range: pattern::Range,
        sized: bool,
    },
    Chunks(Chunks),
    /// And what was taken from the stream and not sent.
    Stream(Box<dyn Stream>, Bytes),
}

/// Where fields are written to.
pub(crate) trait FieldWriter {
    /// Those that come with the same values again and again: of the kind of reply, and of the server.
    fn constants(&mut self, fixed: Fixed, instance: &str);
    /// One whose value does not come again.
    fn varying(&mut self, name: &str, value: &[u8]);
    /// The same, of a name that all replies have.
    fn varying_known(&mut self, name: &Name, value: &[u8]);
}

const CONTENT_LENGTH: Name = Name::new("content-length");
const DATE: Name = Name::new("date");
const SERVER_TIMING: Name = Name::new(field::SERVER_TIMING);

/// Finds the endpoint of a request and asks it. `received_ns` is when it was read, in nanoseconds since the Unix
/// epoch.
pub(crate) fn answer(
    worker: &Rc<Worker>,
    head: &Head<'_>,
    mut upload: Upload,
    received_ns: u64,
) -> (Pending, Answer) {
    if is_call(head) {
        let pending = pending(worker, head, Endpoint::Grpc, received_ns);
        return (pending, crate::grpc::answer(worker, head, upload));
    }
    let (endpoint, route) = route(worker, head);
    let pending = pending(worker, head, endpoint, received_ns);
    let answer = match acceptable(head, route) {
        Ok(route) => endpoints::answer(worker, route, head, upload),
        Err(bad) => {
            let reply = Reply::refusal(StatusCode::BAD_REQUEST, &bad.error, bad.accepted, bad.example);
            // What CONNECT would send belongs to no request.
            if upload.is_end() || head.method == b"CONNECT" {
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

fn route(worker: &Worker, head: &Head<'_>) -> (Endpoint, Result<Route, BadRoute>) {
    let target = head.path_and_query();
    let mut known = worker.routes.borrow_mut();
    if let Some((endpoint, route)) = known.get(target) {
        return (endpoint, Ok(route));
    }
    // Most targets are short: a search that prepares itself for long ones costs more than it saves.
    let (path, query) = match target.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, &[][..]),
    };
    let (endpoint, route) = match (std::str::from_utf8(path), std::str::from_utf8(query)) {
        (Ok(path), Ok(query)) => router::route(path, query),
        _ => router::route(&String::from_utf8_lossy(path), &String::from_utf8_lossy(query)),
    };
    if let Ok(route) = route {
        known.keep(target, endpoint, route);
    }
    (endpoint, route)
}

/// A request that no endpoint gets to see: its head broke a rule or a limit.
pub(crate) fn reject(
    worker: &Rc<Worker>,
    head: &Head<'_>,
    status: u16,
    reason: &str,
    received_ns: u64,
) -> (Pending, Reply) {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let accepted = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            "a head within --max-header-bytes"
        }
        _ => "a request as RFC 9110, 9112 and 9113 have it",
    };
    let reply = Reply::refusal(status, reason, accepted, "curl http://localhost:8080/");
    (pending(worker, head, Endpoint::Rejected, received_ns), reply)
}

fn pending(worker: &Rc<Worker>, head: &Head<'_>, endpoint: Endpoint, received_ns: u64) -> Pending {
    let line = || {
        let text = |bytes| -> Cow<'_, str> { String::from_utf8_lossy(bytes) };
        format!("{} {}", text(head.method), text(head.target))
    };
    Pending {
        worker: Rc::clone(worker),
        endpoint,
        protocol: head.protocol,
        head_only: head.method == b"HEAD",
        received_ns,
        logged: (!worker.config.quiet).then(line),
        flight: Flight::begin(head.state, head.protocol == Protocol::Http2),
    }
}

/// What no endpoint answers: a method that asks for a tunnel, unless it opens a WebSocket (RFC 8441).
fn acceptable(head: &Head<'_>, route: Result<Route, BadRoute>) -> Result<Route, BadRoute> {
    let opens = matches!(route, Ok(Route::WebSocket(_))) && head.fields.contains(":protocol");
    if head.method == b"CONNECT" && !opens {
        return Err(BadRoute {
            error: "this is no proxy".to_owned(),
            accepted: "every method but CONNECT, and CONNECT with :protocol websocket for /ws",
            example: "GET /",
        });
    }
    route
}

/// Whether it is a gRPC call, on whatever port.
fn is_call(head: &Head<'_>) -> bool {
    let grpc = |head: &Head<'_>| {
        let content_type = head.fields.get("content-type").unwrap_or_default();
        content_type.starts_with(b"application/grpc") && !content_type.starts_with(b"application/grpc-web")
    };
    head.port == Port::Grpc || head.protocol == Protocol::Http2 && head.method == b"POST" && grpc(head)
}

impl Pending {
    /// The reply as it goes on the wire; it counts as given from now on.
    pub(crate) fn finish(self, reply: Reply) -> Finished {
        let replied_ns = now_ns();
        let status = reply.status;
        self.worker.stats.reply(self.endpoint, self.protocol, status);
        if let Some(logged) = self.logged {
            let micros = replied_ns.saturating_sub(self.received_ns) / 1000;
            tracing::info!(status = status.as_u16(), micros, protocol = self.protocol.name(), "{logged}");
        }
        let mut finished = Finished {
            worker: self.worker,
            reply,
            received_ns: self.received_ns,
            replied_ns,
            length: None,
            content: Content::None,
            flight: self.flight,
        };
        finished.fill(self.head_only);
        finished
    }
}

impl Finished {
    pub(crate) fn status(&self) -> u16 {
        self.reply.status.as_u16()
    }

    /// Takes off what a reply to HEAD and the statuses 204, 205 and 304 must not have (RFC 9110 sections 9.3.2,
    /// 8.6 and 15), and says how long the rest is.
    fn fill(&mut self, head_only: bool) {
        let body = std::mem::replace(&mut self.reply.body, Body::Bytes(Bytes::new()));
        match self.reply.status {
            status if status.is_informational() => return,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {
                self.reply.fixed = &[];
                return;
            }
            StatusCode::RESET_CONTENT => {
                self.reply.fixed = &[];
                self.length = Some(0);
                return;
            }
            _ => {}
        }
        self.length = match &body {
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Pattern { range, sized: true } => Some(range.left()),
            Body::Pattern { .. } | Body::Chunks(_) | Body::Stream(_) => None,
        };
        self.content = match body {
            _ if head_only => Content::None,
            Body::Bytes(bytes) if bytes.is_empty() => Content::None,
            Body::Bytes(bytes) => Content::Bytes(bytes),
            Body::Pattern { range, sized } => Content::Pattern { range, sized },
            Body::Chunks(chunks) => Content::Chunks(chunks),
            Body::Stream(stream) => Content::Stream(stream, Bytes::new()),
        };
    }

    /// Writes the fields: those of the reply, and what every reply carries.
    pub(crate) fn write_fields(&self, out: &mut impl FieldWriter) {
        out.constants(self.reply.fixed, self.worker.instance);
        for (name, value) in self.reply.fields.iter() {
            // Endpoints write names as texts.
            out.varying(std::str::from_utf8(name).unwrap_or_default(), value);
        }
        if let Some(length) = self.length {
            out.varying_known(&CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes());
        }
        let mut clock = self.worker.clock.borrow_mut();
        out.varying_known(&DATE, clock.date(self.replied_ns));
        let timing = Timing { received_ns: self.received_ns, replied_ns: self.replied_ns };
        out.varying_known(&SERVER_TIMING, self.worker.timing.borrow_mut().value(timing));
    }
}

/// The time in nanoseconds since the Unix epoch.
pub(super) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
