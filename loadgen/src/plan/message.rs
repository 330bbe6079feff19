//! The messages that are sent on WebSockets: what is wanted of them, the checks that they have to pass, and what each of
//! them says.
//!
//! Nothing here knows a frame, a connection or an echo.

use std::{ops::RangeInclusive, time::Duration};

use bytes::Bytes;
use command_line::Refusal;
use contract::{
    id,
    ledger::MESSAGE_TOKEN,
    pattern::byte_at,
    quantity::{self, LONGEST_TIME},
};
use http::Method;

use super::{
    PlanError, Protocol, Request, Target,
    accepted::{self, refused, refused_because},
    template::Values,
};

/// How long a message is unless that is said, in bytes.
pub const DEFAULT_SIZE: u64 = 64;

/// Sizes that are accepted, in bytes: what numbers a message has room in it.
pub const SIZES: RangeInclusive<u64> = 32..=16 << 20;

/// The bytes that the token of a verified message takes.
const VERIFIED_NUMBER: usize = MESSAGE_TOKEN.len() + id::LENGTH;

/// The shortest time between two pings.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Fields of the opening handshake that loadgen sets (RFC 6455 section 4.1), or that announce what it does not speak.
const HANDSHAKE: [&str; 5] =
    ["connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"];

/// What is wanted, before it is checked.
#[derive(Clone, Debug, Default)]
pub(super) struct MessageOptions {
    pub(super) size: Option<u64>,
    pub(super) binary: bool,
    pub(super) ping_interval: Option<Duration>,
}

impl MessageOptions {
    /// Options about messages are a mistake where none are sent.
    pub(super) fn refuse(&self, target: &Target) -> Result<(), PlanError> {
        let option = [
            (self.size.is_some(), "message-size"),
            (self.binary, "binary"),
            (self.ping_interval.is_some(), "ping-interval"),
        ];
        let Some((_, option)) = option.iter().find(|(is_given, _)| *is_given) else { return Ok(()) };
        let shown = format!("--{option} with the target {target}");
        let accepted = "it with a ws:// or wss:// target alone";
        Err(PlanError(Refusal::new(shown, accepted, format!("ws://{}/ws", target.authority()))))
    }
}

/// What happened to a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sameness {
    /// It is the same.
    Same,
    /// It has the id, and is another.
    SameId,
    /// It is another.
    Other,
}

/// What is sent on WebSockets.
#[derive(Clone, Debug)]
pub struct Message {
    /// Whether messages are text, or else binary (RFC 6455 section 5.6).
    pub text: bool,
    /// How long each connection waits before it sends a ping, and then another one.
    pub ping_interval: Option<Duration>,
    /// What stands before the id, where messages are numbered.
    prefix: &'static [u8],
    /// What follows the id, where messages are numbered; none: they are the request's body.
    tail: Option<Bytes>,
}

impl Message {
    /// For a target with WebSockets; what `request` has as its body is the message, and the rest of it the opening handshake.
    /// In a `verified` run, it begins with a token.
    pub(super) fn new(
        target: &Target,
        wanted: &MessageOptions,
        request: &mut Request,
        verified: bool,
    ) -> Result<Self, PlanError> {
        if request.method != Method::GET && !(request.has_body && request.method == Method::POST) {
            let why = "a WebSocket is opened with GET, or CONNECT over HTTP/2";
            return Err(refused_because(&accepted::METHOD, &request.method, why));
        }
        request.method = Method::GET;
        // What it is called where nothing else is said.
        if request.name.strip_prefix("POST ").is_some_and(|path| path == request.path()) {
            request.name = format!("GET {}", request.path());
        }
        if let Some(name) = HANDSHAKE.iter().find(|name| request.fields.contains(name)) {
            let why = "the handshake of a WebSocket has it as needed, without extensions";
            return Err(refused_because(&accepted::HEADER, name, why));
        }
        // It would be that of a message, of which there are many on a connection.
        let id_field = request.id_field.take();
        if let Some(name) = id_field.filter(|_| verified) {
            // That of a handshake: its answer says which server it is.
            request.push_id(name.as_str());
        }
        if target.protocol == Protocol::Http1 {
            request.push_field("connection", "Upgrade");
            request.push_field("upgrade", "websocket");
        }
        request.push_field("sec-websocket-version", websocket::handshake::VERSION);
        if let Some(interval) =
            wanted.ping_interval.filter(|time| !(SHORTEST_INTERVAL..=LONGEST_TIME).contains(time))
        {
            return Err(refused(&accepted::PING_INTERVAL, quantity::canonical(interval)));
        }
        let given = std::mem::take(&mut request.has_body);
        if given && wanted.size.is_some() {
            let shown = "--message-size and --body exclude each other";
            return Err(PlanError(Refusal::new(shown, "one of them", "--message-size=1K")));
        }
        let size = wanted.size.unwrap_or(DEFAULT_SIZE);
        if !SIZES.contains(&size) {
            return Err(refused(&accepted::MESSAGE_SIZE, quantity::canonical_size(size)));
        }
        if request.body.len() as u64 > *SIZES.end() {
            let size = format!("{} bytes", request.body.len());
            return Err(refused_because(&accepted::BODY_FILE, size, "a message has at most 16M"));
        }
        let is_text = std::str::from_utf8(&request.body).is_ok();
        let prefix: &[u8] = if verified { MESSAGE_TOKEN } else { &[] };
        if verified && size < VERIFIED_NUMBER as u64 {
            let accepted = format!("{VERIFIED_NUMBER} to 16M with --verify: a message begins with its token");
            let example = "--message-size=64";
            let size = quantity::canonical_size(size);
            return Err(PlanError(Refusal::of_value("message-size", size, accepted, example)));
        }
        let tail = (!given).then(|| ((prefix.len() + id::LENGTH) as u64..size).map(byte_at).collect());
        Ok(Self { text: is_text && !wanted.binary, ping_interval: wanted.ping_interval, prefix, tail })
    }

    /// Appends the message that `values` are of, with its id where messages are numbered.
    pub(crate) fn write(&self, request: &Request, id: &id::Text, values: &Values<'_>, out: &mut Vec<u8>) {
        match &self.tail {
            Some(tail) => {
                out.extend_from_slice(self.prefix);
                out.extend_from_slice(id);
                out.extend_from_slice(tail);
            }
            None => request.write_body(values, out),
        }
    }

    /// Whether what came is the message of this id and these values; `scratch` is for what has to be written to be compared.
    pub(crate) fn compare<'v>(
        &self,
        request: &Request,
        id: impl FnOnce() -> id::Text,
        values: impl FnOnce() -> Values<'v>,
        content: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Sameness {
        let is_same = match &self.tail {
            Some(tail) => {
                let Some(rest) = content.strip_prefix(self.prefix) else { return Sameness::Other };
                let Some(rest) = rest.strip_prefix(&id()[..]) else { return Sameness::Other };
                if rest != tail {
                    return Sameness::SameId;
                }
                true
            }
            None if request.has_varying_body() => {
                request.write_body(&values(), scratch);
                content == scratch
            }
            None => content == request.body,
        };
        if is_same { Sameness::Same } else { Sameness::Other }
    }

    /// How long a message may be, in bytes.
    pub(crate) fn longest(&self, request: &Request) -> usize {
        match &self.tail {
            Some(tail) => self.prefix.len() + id::LENGTH + tail.len(),
            None if request.has_varying_body() => *SIZES.end() as usize,
            None => request.body.len(),
        }
    }

    /// Whether it begins with the token of a verified run.
    pub(crate) fn is_verified(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// The id of one that itself says which it is.
    pub(crate) fn id_of(&self, content: &[u8]) -> Option<id::Id> {
        id::Id::read(content.strip_prefix(self.prefix)?.get(..id::LENGTH)?)
    }

    /// Whether the message itself says which it is.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.tail.is_some()
    }
}
