//! One exchange: the endpoint of a request is found and asked, and its reply finished. Engines call it once with a
//! request's head, and once with its reply.

mod finish;
mod flight;
mod header_flags;
mod sampled;

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use contract::{id::Id, timing::TimingWriter};
use http::StatusCode;

use self::header_flags::HeaderFlags;
pub(crate) use self::{
    finish::{Content, FieldWriter, Finished},
    flight::Flight,
};
use crate::{
    access_log::Log,
    behaviour::{self, Answering, Behaviour},
    clock::Clock,
    context::ServerContext,
    cors, endpoints,
    grpc_services::Services,
    lifecycle::Lifecycle,
    message::{
        self, Head,
        reply::{Answer, Reply},
        upload::Upload,
    },
    router::{self, BadRoute, KnownTargets, Route},
    settings::Port,
    stats::Endpoint,
};

/// How much of a target a refusal shows.
const LONGEST_SHOWN: usize = 256;

/// What the exchanges of one worker share.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) context: Rc<ServerContext>,
    /// The number of the worker.
    index: usize,
    grpc: Services,
    /// Where targets led that come again.
    routes: RefCell<KnownTargets>,
    clock: RefCell<Clock>,
    timing: RefCell<TimingWriter>,
    access_log: Option<Rc<Log>>,
    /// What requests share that ask for a behaviour.
    behaviour: Arc<behaviour::BehaviourState>,
    /// This worker's copy of what the server does by default, and which one it is.
    default_behaviour: RefCell<Option<Rc<Behaviour>>>,
    generation: Cell<u64>,
}

impl Exchange {
    pub(crate) fn new(
        context: Rc<ServerContext>,
        index: usize,
        access_log: Option<Rc<Log>>,
        behaviour: Arc<behaviour::BehaviourState>,
    ) -> Rc<Self> {
        Rc::new(Self {
            grpc: Services::new(&context.config, &context.shutdown),
            context,
            index,
            routes: RefCell::default(),
            clock: RefCell::default(),
            timing: RefCell::default(),
            access_log,
            behaviour,
            default_behaviour: RefCell::default(),
            generation: Cell::new(0),
        })
    }

    /// What the server does to every request by default.
    #[inline]
    fn default_behaviour(&self) -> Option<Rc<Behaviour>> {
        let generation = self.behaviour.generation();
        if generation == 0 {
            return None;
        }
        if self.generation.replace(generation) != generation {
            // Its own copy: no count is shared between workers.
            let default = self.behaviour.default().map(|default| Rc::new((*default).clone()));
            *self.default_behaviour.borrow_mut() = default;
        }
        self.default_behaviour.borrow().clone()
    }
}

/// Where a request is to go.
enum Way {
    /// To the gRPC services.
    Call,
    /// The question of a browser whether a page may send a request, which it may.
    Preflight,
    Endpoint(Result<Route, BadRoute>),
}

/// Finds the endpoint of a request of this connection and asks it. `received_ns` is when it was read, in nanoseconds since the Unix
/// epoch.
pub(crate) fn handle_request(
    exchange: &Exchange,
    connection: &Rc<Lifecycle>,
    head: &Head<'_>,
    upload: Upload,
    received_ns: u64,
) -> (Flight, Answer) {
    #[cfg(test)]
    crate::tests::do_harm(head.target);
    let asks_for_call = cors::is_preflight(head) && crate::grpc_services::is_asked_by_preflight(head);
    let (endpoint, way, in_query) = if is_call(connection.port, head) && !asks_for_call {
        (Endpoint::Grpc, Way::Call, false)
    } else {
        let (endpoint, route, in_query) = route(exchange, head);
        match allowed_preflight(exchange, head, endpoint) {
            Some(endpoint) => (endpoint, Way::Preflight, in_query),
            None => (endpoint, Way::Endpoint(route), in_query),
        }
    };
    let mut flags = HeaderFlags::among(head.fields.iter_from(head.pseudo));
    if in_query && flags.token.and_then(Id::read).is_none() {
        flags.token = behaviour::token_in_query(head.target);
    }
    let flight = Flight::begin(exchange, connection, head, endpoint, received_ns, &flags);
    if let Some(sighting) = &flight.sighting
        && !upload.watch(|| sighting.watch_upload(flags.upload, matches!(way, Way::Call)))
    {
        sighting.came_without_body();
    }
    let default = exchange.default_behaviour();
    if in_query || flags.behaviour || default.is_some() {
        // Health probes and questions are exempt from the default behaviour.
        let default = default.filter(|_| !is_probe(endpoint, head));
        return misbehave((exchange, connection), head, upload, way, flight, default.as_deref());
    }
    (flight, ask(exchange, head, upload, way))
}

/// The endpoint of a CORS preflight that is allowed whatever it asks for in its query.
#[inline]
fn allowed_preflight(exchange: &Exchange, head: &Head<'_>, endpoint: Endpoint) -> Option<Endpoint> {
    if !cors::is_preflight(head) {
        return None;
    }
    if crate::grpc_services::is_asked_by_preflight(head) {
        return Some(Endpoint::Grpc);
    }
    // A field of the request to come would ask for it.
    (exchange.context.config.cors || cors::names(head, "x-dummy-cors")).then_some(endpoint)
}

/// Asks an endpoint of which the request, or the server's default, wants something out of the ordinary.
#[cold]
fn misbehave(
    (exchange, connection): (&Exchange, &Lifecycle),
    head: &Head<'_>,
    upload: Upload,
    mut way: Way,
    mut flight: Flight,
    default: Option<&Behaviour>,
) -> (Flight, Answer) {
    let answer = match Behaviour::of(head, default) {
        Ok(asked) => {
            match asked.cors {
                Some(true) if cors::is_preflight(head) => way = Way::Preflight,
                Some(false) if matches!(way, Way::Preflight) => way = Way::Endpoint(route(exchange, head).1),
                _ => {}
            }
            if let Some(allows) = asked.cors {
                flight.extras_mut().allowed_origin = origin(head).filter(|_| allows);
            }
            let answering = Answering {
                shared: &exchange.behaviour,
                worker: exchange.index,
                stats: &connection.accounting.stats,
                // It has been counted already.
                number: connection.accounting.requests(),
            };
            let endpoint = |upload| ask(exchange, head, upload, way);
            let (directives, answer) =
                behaviour::wrap_endpoint(&exchange.context, answering, head, upload, asked, endpoint);
            flight.extras_mut().directives = Some(Box::new(directives));
            answer
        }
        Err(bad) => {
            let status = StatusCode::BAD_REQUEST;
            message::after(upload, Reply::refusal(status, &bad.error, bad.accepted, behaviour::EXAMPLE))
        }
    };
    (flight, answer)
}

/// Whether a request is a health probe, or asks for the help or the ledger.
fn is_probe(endpoint: Endpoint, head: &Head<'_>) -> bool {
    matches!(endpoint, Endpoint::Health | Endpoint::Help | Endpoint::Ledger)
        || endpoint == Endpoint::Grpc && head.target.starts_with(b"/grpc.health.")
}

fn ask(exchange: &Exchange, head: &Head<'_>, upload: Upload, way: Way) -> Answer {
    let route = match way {
        Way::Call => {
            upload.unhurried();
            return crate::grpc_services::dispatch_call(&exchange.grpc, &exchange.context, head, upload);
        }
        Way::Preflight => return message::after(upload, cors::preflight(head)),
        Way::Endpoint(route) => route,
    };
    match acceptable(head, route) {
        Ok(route) => endpoints::dispatch(&exchange.context, route, head, upload),
        Err(bad) => {
            let reply = Reply::refusal(StatusCode::BAD_REQUEST, &bad.error, bad.accepted, bad.example);
            // What CONNECT would send belongs to no request.
            if head.method == b"CONNECT" { Answer::Ready(reply) } else { message::after(upload, reply) }
        }
    }
}

/// The endpoint of a target, and whether its query asks for a behaviour.
fn route(exchange: &Exchange, head: &Head<'_>) -> (Endpoint, Result<Route, BadRoute>, bool) {
    let target = head.path_and_query();
    let mut known = exchange.routes.borrow_mut();
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
    exchange: &Exchange,
    connection: &Rc<Lifecycle>,
    head: &Head<'_>,
    status: u16,
    reason: &str,
    received_ns: u64,
) -> (Flight, Reply) {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let accepted = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            "a head within --max-header-bytes, over HTTP/1 of at most 1,000 fields"
        }
        StatusCode::MISDIRECTED_REQUEST => "http and https",
        _ => "a request as RFC 9110, 9112 and 9113 define it",
    };
    let reply = Reply::refusal(status, &named(reason, head), accepted, "curl http://localhost:8080/");
    (rejected(exchange, connection, head, received_ns), reply)
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

/// A request that no endpoint gets to see. Dropped, it got no reply.
pub(crate) fn rejected(
    exchange: &Exchange,
    connection: &Rc<Lifecycle>,
    head: &Head<'_>,
    received_ns: u64,
) -> Flight {
    Flight::begin(exchange, connection, head, Endpoint::Rejected, received_ns, &HeaderFlags::default())
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
            error: "this server is not a proxy".to_owned(),
            accepted: "every method but CONNECT, and CONNECT with :protocol websocket for /ws",
            example: "GET /",
        });
    }
    route
}

/// Whether it is a gRPC call, on whatever port. On the port for calls everything counts as one, and is refused if it is not,
/// except the question what was seen of a verified run: a client that has sent calls there knows no other port.
fn is_call(port: Port, head: &Head<'_>) -> bool {
    let grpc = |content_type| crate::grpc_services::is_call(content_type, head.protocol);
    let asks_for_ledger = || head.method == b"GET" && head.path_and_query().starts_with(b"/ledger?");
    port == Port::Grpc && !asks_for_ledger()
        || head.method == b"POST" && head.fields.get("content-type").is_some_and(grpc)
}
