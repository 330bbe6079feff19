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

use super::{Port, flight::Flight, marks::Marks, state::State};
use crate::{
    behaviour::{self, Behaviour, Manners},
    budget::Hold,
    cors, endpoints,
    reply::{Answer, Body, Chunks, Fixed, Reply, Stream},
    router::{self, BadRoute, Endpoint, Route},
    stats::Protocol,
    upload::{Upload, UploadError},
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
        self.fields.iter_from(self.pseudo)
    }

    /// The target with scheme and authority.
    pub(crate) fn uri(&self) -> String {
        let text = String::from_utf8_lossy;
        if self.origin.is_none() && self.target.first() != Some(&b'/') && self.target != b"*" {
            return text(self.target).into_owned();
        }
        let own: (&[u8], &[u8]) = (if self.state.is_tls() { b"https" } else { b"http" }, b"");
        let (scheme, authority) = self.origin.unwrap_or(own);
        // RFC 9113 section 8.3.1: what has no :authority may have a host, as from HAProxy.
        let host = self.fields.get("host").unwrap_or_default();
        let authority = if authority.is_empty() { host } else { authority };
        // `*` is the server itself (RFC 9110 section 7.1).
        let path: &[u8] = if self.target == b"*" { b"" } else { self.target };
        format!("{}://{}{}", text(scheme), text(authority), text(path))
    }
}

/// A request that was answered or will be: what its reply's head needs.
#[derive(Debug)]
pub(crate) struct Pending {
    worker: Rc<Worker>,
    head_only: bool,
    flight: Flight,
}

/// A reply as it goes on the wire.
#[derive(Debug)]
pub(crate) struct Finished {
    worker: Rc<Worker>,
    pub(crate) status: StatusCode,
    fixed: Fixed,
    fields: Fields,
    /// What is left of the content when it is announced.
    pub(crate) length: Option<u64>,
    /// It has no content, whatever [`Finished::content`] says: there, it is only broken off.
    pub(crate) bodiless: bool,
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
    Chunks(Box<Chunks>),
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

/// A reply of more bytes than this is counted among what the server holds.
const LARGE: usize = 16 << 10;
/// How much of a target a refusal shows.
const LONGEST_SHOWN: usize = 256;

/// Where a request is to go.
enum Way {
    /// To the gRPC services.
    Call,
    /// The question of a browser whether a page may send a request, which it may.
    Preflight,
    Endpoint(Result<Route, BadRoute>),
}

/// Finds the endpoint of a request and asks it. `received_ns` is when it was read, in nanoseconds since the Unix
/// epoch.
pub(crate) fn answer(
    worker: &Rc<Worker>,
    head: &Head<'_>,
    upload: Upload,
    received_ns: u64,
) -> (Pending, Answer) {
    #[cfg(test)]
    crate::tests::do_harm(head.target);
    let asks_for_call = cors::is_preflight(head) && crate::grpc::is_asked_by_preflight(head);
    let (endpoint, way, in_query) = if is_call(head) && !asks_for_call {
        (Endpoint::Grpc, Way::Call, false)
    } else {
        let (endpoint, route, in_query) = route(worker, head);
        match allowed_preflight(worker, head, endpoint) {
            Some(endpoint) => (endpoint, Way::Preflight, in_query),
            None => (endpoint, Way::Endpoint(route), in_query),
        }
    };
    let marks = Marks::of(head);
    let pending = pending(worker, head, endpoint, received_ns, &marks);
    let default = worker.default_behaviour();
    if in_query || marks.behaviour || default.is_some() {
        // Whoever probes the server wants to know how it is.
        let default = default.filter(|_| !is_probe(endpoint, head));
        return misbehave(worker, head, upload, way, pending, default.as_deref());
    }
    (pending, ask(worker, head, upload, way))
}

/// The endpoint of a CORS preflight that is allowed whatever it asks for in its query.
#[inline]
fn allowed_preflight(worker: &Worker, head: &Head<'_>, endpoint: Endpoint) -> Option<Endpoint> {
    if !cors::is_preflight(head) {
        return None;
    }
    if crate::grpc::is_asked_by_preflight(head) {
        return Some(Endpoint::Grpc);
    }
    // A field of the request to come would ask for it.
    (worker.config.cors || cors::names(head, "x-dummy-cors")).then_some(endpoint)
}

/// Asks an endpoint of which the request, or the server's default, wants something out of the ordinary.
#[cold]
fn misbehave(
    worker: &Rc<Worker>,
    head: &Head<'_>,
    upload: Upload,
    mut way: Way,
    mut pending: Pending,
    default: Option<&Behaviour>,
) -> (Pending, Answer) {
    let answer = match Behaviour::of(head, default) {
        Ok(asked) => {
            match asked.cors {
                Some(true) if cors::is_preflight(head) => way = Way::Preflight,
                Some(false) if matches!(way, Way::Preflight) => way = Way::Endpoint(route(worker, head).1),
                _ => {}
            }
            if let Some(allows) = asked.cors {
                pending.flight.extras_mut().allowed_origin = origin(head).filter(|_| allows);
            }
            let endpoint = |upload| ask(worker, head, upload, way);
            let (manners, answer) = behaviour::answer(worker, head, upload, asked, endpoint);
            pending.flight.extras_mut().manners = Some(manners);
            answer
        }
        Err(bad) => {
            let status = StatusCode::BAD_REQUEST;
            endpoints::after(upload, Reply::refusal(status, &bad.error, bad.accepted, behaviour::EXAMPLE))
        }
    };
    (pending, answer)
}

/// Whether a request asks how the server is.
fn is_probe(endpoint: Endpoint, head: &Head<'_>) -> bool {
    matches!(endpoint, Endpoint::Health | Endpoint::Help)
        || endpoint == Endpoint::Grpc && head.target.starts_with(b"/grpc.health.")
}

fn ask(worker: &Rc<Worker>, head: &Head<'_>, mut upload: Upload, way: Way) -> Answer {
    let route = match way {
        Way::Call => {
            upload.unhurried();
            return crate::grpc::answer(worker, head, upload);
        }
        Way::Preflight => return endpoints::after(upload, cors::preflight(head)),
        Way::Endpoint(route) => route,
    };
    match acceptable(head, route) {
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
    }
}

/// The endpoint of a target, and whether its query asks for a behaviour.
fn route(worker: &Worker, head: &Head<'_>) -> (Endpoint, Result<Route, BadRoute>, bool) {
    let target = head.path_and_query();
    let mut known = worker.routes.borrow_mut();
    if let Some((endpoint, route)) = known.get(target) {
        return (endpoint, Ok(route), false);
    }
    let text = match std::str::from_utf8(target) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(target),
    };
    // Most targets are short: a search that prepares itself for long ones costs more than it saves.
    let (path, query) = match text.bytes().position(|byte| byte == b'?') {
        Some(mark) => (&text[..mark], &text[mark + 1..]),
        None => (&*text, ""),
    };
    let (endpoint, route) = router::route(path, query);
    let in_query = behaviour::in_query(query);
    if let Ok(route) = route
        && !in_query
    {
        known.keep(target, endpoint, route);
    }
    (endpoint, route, in_query)
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
        StatusCode::MISDIRECTED_REQUEST => "http and https",
        _ => "a request as RFC 9110, 9112 and 9113 define it",
    };
    let reply = Reply::refusal(status, &named(reason, head), accepted, "curl http://localhost:8080/");
    (pending(worker, head, Endpoint::Rejected, received_ns, &Marks::default()), reply)
}

/// A reason with the request that it is about: what the server has seen of it is what a proxy has made of it.
fn named(reason: &str, head: &Head<'_>) -> String {
    if head.target.is_empty() {
        return reason.to_owned();
    }
    let shown = &head.target[..head.target.len().min(LONGEST_SHOWN)];
    let more = if shown.len() < head.target.len() { "..." } else { "" };
    format!("{reason}: '{} {}{more}'", head.method.escape_ascii(), shown.escape_ascii())
}

/// A request that gets no reply, and no endpoint to see it: its head broke a rule, and its stream has ended.
pub(crate) fn give_up(worker: &Rc<Worker>, head: &Head<'_>, received_ns: u64) {
    drop(pending(worker, head, Endpoint::Rejected, received_ns, &Marks::default()));
}

fn pending(
    worker: &Rc<Worker>,
    head: &Head<'_>,
    endpoint: Endpoint,
    received_ns: u64,
    marks: &Marks<'_>,
) -> Pending {
    let log = worker.access_log.as_ref();
    let line = log.and_then(|log| log.begin(head, marks.trace(), received_ns));
    let mut flight = Flight::begin(head.state, endpoint, head.protocol, received_ns, line);
    if let Some(traceparent) = marks.traceparent {
        flight.extras_mut().traceparent = Some(traceparent.into());
    }
    if worker.config.cors {
        flight.extras_mut().allowed_origin = origin(head);
    }
    Pending { worker: Rc::clone(worker), head_only: head.method == b"HEAD", flight }
}

/// The origin of the page that sent a request, if it was one.
fn origin(head: &Head<'_>) -> Option<Box<[u8]>> {
    head.fields.get("origin").map(Box::from)
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
    let grpc = |content_type| crate::grpc::is_call(content_type, head.protocol);
    head.port == Port::Grpc || head.method == b"POST" && head.fields.get("content-type").is_some_and(grpc)
}

impl Pending {
    /// What is to be done before there is a reply.
    pub(crate) fn manners(&self) -> Option<&Manners> {
        self.flight.extras()?.manners.as_ref()
    }

    /// The reply as it goes on the wire; it counts as given from now on.
    ///
    /// What a reply to HEAD and the statuses 204, 205 and 304 must not have is taken off (RFC 9110 sections 9.3.2, 8.6
    /// and 15).
    #[inline]
    pub(crate) fn finish(self, mut reply: Reply) -> Finished {
        let Self { worker, head_only, mut flight } = self;
        hold_large(&worker, &mut reply);
        let Reply { status, mut fixed, mut fields, body, mut special } = reply;
        if let Some(hold) = special.as_mut().and_then(|special| special.hold.take()) {
            flight.extras_mut().hold = Some(hold);
        }
        flight.replied(status, now_ns());
        if let Some(extras) = flight.extras() {
            if let Some(traceparent) = &extras.traceparent {
                fields.push("traceparent", traceparent);
            }
            if let Some(origin) = &extras.allowed_origin {
                cors::allow(&mut fields, origin, cors::EXPOSED);
            }
        }
        let mut length = match &body {
            _ if status.is_informational() => None,
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Pattern { range, sized: true } => Some(range.left()),
            Body::Stream(_) => special.and_then(|special| special.length),
            Body::Pattern { .. } | Body::Chunks(_) => None,
        };
        let none = match status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Some(None),
            StatusCode::RESET_CONTENT => Some(Some(0)),
            _ => None,
        };
        if let Some(none) = none {
            (fixed, length) = (&[], none);
        }
        let bodiless = head_only || none.is_some();
        let content = match body {
            _ if status.is_informational() => Content::None,
            Body::Stream(stream) if !bodiless || stream.is_broken() => Content::Stream(stream, Bytes::new()),
            _ if bodiless => Content::None,
            Body::Bytes(bytes) if bytes.is_empty() => Content::None,
            Body::Bytes(bytes) => Content::Bytes(bytes),
            Body::Pattern { range, sized } => Content::Pattern { range, sized },
            Body::Chunks(chunks) => Content::Chunks(chunks),
            Body::Stream(_) => Content::None,
        };
        Finished { worker, status, fixed, fields, length, bodiless, content, flight }
    }
}

/// Counts a reply among what the server holds if it is large. If there is no memory to keep it until it is sent, it
/// becomes a refusal that says so.
#[inline]
pub(crate) fn hold_large(worker: &Worker, reply: &mut Reply) {
    if let Body::Bytes(bytes) = &reply.body
        && bytes.len() > LARGE
    {
        hold(worker, bytes.len(), reply);
    }
}

#[cold]
fn hold(worker: &Worker, bytes: usize, reply: &mut Reply) {
    let hold = reply.special().hold.get_or_insert_with(|| Hold::new(&worker.budget));
    if !hold.set(bytes) {
        let error = UploadError::TOO_MUCH;
        *reply = Reply::refusal(error.status, error.reason(), error.accepted, "GET /bin/1M");
    }
}

impl Content {
    /// Whether all of it can be sent at once where there is room for so many bytes.
    pub(super) fn fits(&self, room: usize) -> bool {
        match self {
            Self::None => true,
            Self::Bytes(bytes) => bytes.len() <= room,
            Self::Pattern { range, .. } => range.left() <= room as u64,
            Self::Chunks(_) | Self::Stream(..) => false,
        }
    }
}

impl Finished {
    /// Writes the fields: those of the reply, and what every reply carries.
    pub(crate) fn write_fields(&self, out: &mut impl FieldWriter) {
        out.constants(self.fixed, self.worker.instance);
        for (name, value) in self.fields.iter() {
            // Endpoints write names as texts.
            out.varying(std::str::from_utf8(name).unwrap_or_default(), value);
        }
        if let Some(length) = self.length {
            out.varying_known(&CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes());
        }
        let mut clock = self.worker.clock.borrow_mut();
        let (received_ns, replied_ns) = (self.flight.received_ns(), self.flight.replied_ns());
        out.varying_known(&DATE, clock.date(replied_ns));
        let timing = Timing { received_ns, replied_ns };
        out.varying_known(&SERVER_TIMING, self.worker.timing.borrow_mut().value(timing));
    }
}

/// The time in nanoseconds since the Unix epoch.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
