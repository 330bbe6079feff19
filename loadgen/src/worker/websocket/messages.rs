//! The messages of all WebSockets of a pool, and their handshakes: what is sent, what an echo is compared with, and which
//! answers make a WebSocket.

use contract::{
    field::SEEN,
    id::{self, Ids},
    ledger::{HANDSHAKES, Seen},
};
use wire::Fields;

use crate::{
    clock::{Nanos, nanos},
    outcome::{Arrival, Cause, Failure, Head, Reply},
    plan::{Message, Plan, Request, Target, Texts, message::Sameness},
    schedule::Part,
    worker::{
        connection::{Limits, Sink},
        http2::config,
    },
};

/// Messages of templates are rendered to be compared: at most this number for each that came.
pub(super) const MOST_RENDERED: usize = 64;

/// What is read at a time, in bytes: thousands of small messages are in so much, and the time is not looked at between them.
pub(super) const MAX_READ: usize = 64 << 10;

/// The field of subprotocols (RFC 6455 section 11.3.4).
const PROTOCOL: &str = "sec-websocket-protocol";

/// By how much what comes may be longer than the longest message that is sent, in bytes.
const SLACK: usize = 64 << 10;

/// What is the same for all WebSockets of a pool.
#[derive(Debug)]
pub(crate) struct SocketMessages {
    pub(super) message: Message,
    /// The handshake.
    pub(super) request: Request,
    pub(super) texts: Texts,
    pub(super) ping_interval: Nanos,
    /// No message that comes is longer, in bytes.
    pub(super) longest: usize,
    /// The number of the next handshake, among those of all parts.
    next: u64,
    step: u64,
    /// How many WebSockets have been opened.
    opened: usize,
    /// Whether what is exchanged is kept.
    pub(super) captures: bool,
    /// What the handshake is with.
    pub(super) target: Target,
    /// What connections of HTTP/2 begin with.
    pub(super) http2: Box<http2::Config>,
    pub(super) scratch: Vec<u8>,
}

impl SocketMessages {
    /// Those of a plan, in one part of it.
    pub(crate) fn new(plan: &Plan, message: &Message, texts: Texts, part: Part) -> Self {
        Self {
            message: message.clone(),
            request: plan.request().clone(),
            texts,
            ping_interval: message.ping_interval.map_or(Nanos::MAX, nanos),
            longest: message.longest(plan.request()) + SLACK,
            next: part.index(),
            step: part.of(),
            opened: 0,
            captures: plan.captures(),
            target: plan.target().clone(),
            http2: Box::new(config(&plan.client().http2)),
            scratch: Vec::new(),
        }
    }

    /// The next handshake is of this number, and has this id in a verified run.
    pub(super) fn next_handshake(&mut self, ids: Ids) -> (Arrival, id::Text) {
        let number = self.next;
        self.next = self.next.wrapping_add(self.step);
        let arrival = Arrival::new(number, 0, 0);
        (arrival, arrival.id(Ids { load: HANDSHAKES, ..ids }))
    }

    /// One more is open; whether it is one of those of the beginning.
    pub(super) fn opened_first(&mut self, limits: &Limits) -> bool {
        self.opened = self.opened.saturating_add(1);
        self.opened <= limits.kept.saturating_mul(limits.streams)
    }

    pub(super) fn write(&self, arrival: &Arrival, ids: Ids, out: &mut Vec<u8>) {
        let values = self.texts.values(arrival, self.request.rows(), None);
        self.message.write(&self.request, &arrival.id(ids), &values, out);
    }

    /// How many messages one that came is compared with, at most.
    pub(super) fn most_compared(&self) -> usize {
        match self.message.is_numbered() {
            // They are found by their numbers.
            true => 0,
            false if self.request.has_varying_body() => MOST_RENDERED,
            // They are all the same.
            false => 1,
        }
    }

    /// The number of the message that says itself that it is of this run.
    pub(super) fn number_of(&self, content: &[u8], ids: Ids) -> Option<u64> {
        let id = self.message.id_of(content)?;
        (Ids { run: id.run, load: id.load } == ids).then_some(id.number)
    }

    /// Whether what came is this message.
    pub(super) fn compare(&mut self, arrival: &Arrival, ids: Ids, content: &[u8]) -> Sameness {
        let Self { message, request, texts, scratch, .. } = self;
        scratch.clear();
        let values = || texts.values(arrival, request.rows(), None);
        message.compare(request, || arrival.id(ids), values, content, scratch)
    }

    /// How long a message is that was sent, and where what came differs from it first.
    pub(super) fn first_difference(
        &mut self,
        arrival: &Arrival,
        ids: Ids,
        content: &[u8],
    ) -> (usize, Option<usize>) {
        let mut sent = std::mem::take(&mut self.scratch);
        sent.clear();
        self.write(arrival, ids, &mut sent);
        let first = sent.iter().zip(content).position(|(one, other)| one != other);
        let length = sent.len();
        self.scratch = sent;
        (length, first)
    }

    /// How long the message of a wrong echo is, and where that differs first, if it does not only end before. What has the same
    /// bytes is of the other kind, text or binary: nothing of it is as it was sent.
    pub(super) fn damage(&mut self, arrival: &Arrival, ids: Ids, content: &[u8]) -> (usize, Option<usize>) {
        let (length, first) = self.first_difference(arrival, ids, content);
        (length, first.or((length == content.len()).then_some(0)))
    }

    /// In what an echo differs from its message, for people.
    pub(super) fn difference(&mut self, arrival: &Arrival, ids: Ids, text: bool, content: &[u8]) -> String {
        let (length, first) = self.first_difference(arrival, ids, content);
        let is_prefix = first.is_none() && length != content.len();
        let first = first.or(is_prefix.then_some(length.min(content.len())));
        let from = first.map_or_else(String::new, |first| format!(", which differ from byte {first} on"));
        let kind = if text == self.message.text {
            ""
        } else if text {
            " of binary"
        } else {
            " of text"
        };
        format!("; sent were {length} bytes{kind}{from}")
    }
}

/// What a handshake has come to.
#[derive(Debug, Default)]
pub(crate) struct Handshaken {
    /// The instance that answered it.
    instance: Option<u16>,
    /// The head of the answer, if it is to be shown.
    head: Option<Box<KeptHead>>,
    /// Which start of a server it is, in a verified run.
    epoch: Option<u32>,
}

#[derive(Debug)]
enum KeptHead {
    Http1(http1::response::ResponseHead),
    Http2(http2::Head),
}

impl Handshaken {
    pub(super) fn new(head: &Head<'_>, captures: bool, sink: &mut impl Sink) -> Self {
        let instance = head.fields().get(contract::field::INSTANCE).map(|name| sink.instance(name));
        let kept = || match head {
            Head::Http1(head) => KeptHead::Http1((*head).clone()),
            Head::Http2(head) => KeptHead::Http2((*head).clone()),
        };
        let seen = head.fields().get(SEEN).and_then(Seen::read);
        let epoch = seen.map(|seen| seen.epoch);
        Self { instance, head: captures.then(|| Box::new(kept())), epoch }
    }

    /// Which start of a server it is, if it has said so.
    pub(super) fn epoch(&self) -> Option<u32> {
        self.epoch
    }

    /// A message has been answered on it, which has no head of its own.
    pub(super) fn answered(&self, reply: &mut Reply) {
        if let Some(head) = self.head.as_deref() {
            match head {
                KeptHead::Http1(head) => reply.head(&Head::Http1(head), |_| 0),
                KeptHead::Http2(head) => reply.head(&Head::Http2(head), |_| 0),
            }
            reply.status = 0;
        }
        reply.instance = self.instance;
    }
}

/// The server has answered the handshake so.
pub(super) fn refused(head: &Head<'_>) -> Failure {
    let status = head.status();
    let shown =
        http::StatusCode::from_u16(status).map_or_else(|_| status.to_string(), |status| status.to_string());
    let text = format!("the server answered the handshake of a WebSocket with {shown}");
    Failure::new(Cause::NoWebSocket, text).with_answer(status, head.text())
}

/// The server's answer to the handshake makes no WebSocket.
pub(super) fn invalid(why: &str) -> Failure {
    let message = format!("the answer to the handshake of a WebSocket is invalid: {why}");
    Failure::new(Cause::Protocol, message)
}

/// Whether the server has chosen only what it was offered (RFC 6455 section 4.1), whatever carries the handshake.
pub(super) fn check_answer(answer: &Fields, request: &Request) -> Result<(), &'static str> {
    if answer.contains("sec-websocket-extensions") {
        return Err("it names an extension, and none was offered");
    }
    let requested = request.fields.get_all(PROTOCOL);
    let mut requested = requested.into_iter().flat_map(|value| value.split(|byte| *byte == b','));
    let Some(chosen) = answer.get(PROTOCOL).map(<[u8]>::trim_ascii) else { return Ok(()) };
    if !request.varies(PROTOCOL) && !requested.any(|one| one.trim_ascii() == chosen) {
        return Err("it names a subprotocol that was not requested (Sec-WebSocket-Protocol)");
    }
    Ok(())
}
