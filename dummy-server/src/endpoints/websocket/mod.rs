//! `/ws`, `/ws/*` and `/ws/close`: WebSocket echo over an HTTP/1.1 upgrade (RFC 6455) or an HTTP/2 stream (RFC 8441).

mod frames;
mod talk;

use std::{num::NonZeroU32, rc::Rc, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::StatusCode;

pub(crate) use self::talk::serve;
use crate::{
    connection::exchange::Head,
    duplex,
    reply::{Answer, Body, Fixed, Reply},
    stats::Protocol,
    upload::Upload,
    worker::Worker,
};

/// What the endpoint does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Sends each back.
    Echo,
    /// Answers the first and closes.
    EchoOnceAndClose,
}

/// What was asked for along with the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    /// Bytes in each frame of what is sent back; none: a message is one frame.
    pub(crate) fragment: Option<NonZeroU32>,
    /// How often a ping is sent, of which the first is sent at once.
    pub(crate) ping: Option<Duration>,
}

impl Options {
    /// Nothing but the mode.
    pub(crate) const fn plain(mode: Mode) -> Self {
        Self { mode, fragment: None, ping: None }
    }
}

const SWITCH: Fixed = &[("upgrade", "websocket"), ("connection", "Upgrade")];

/// Checks the opening handshake (RFC 6455 section 4.2).
pub(crate) fn answer(worker: &Rc<Worker>, head: &Head<'_>, upload: Upload, options: Options) -> Answer {
    if head.protocol == Protocol::Http2 && head.method == b"CONNECT" {
        return over_stream(worker, head, upload, options);
    }
    if head.method != b"GET" {
        let mut reply = refusal(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is opened with GET");
        reply.fields.push("allow", "GET");
        return super::after(upload, reply);
    }
    match handshake(head) {
        Ok(accept) => {
            let body = Body::Bytes(bytes::Bytes::new());
            let mut reply = Reply::new(StatusCode::SWITCHING_PROTOCOLS, SWITCH, body);
            reply.fields.push("sec-websocket-accept", accept);
            choose_subprotocol(head, &mut reply);
            reply.special().upgrade = Some(options);
            Answer::Ready(reply)
        }
        Err(what) => {
            let mut reply = refusal(StatusCode::BAD_REQUEST, what);
            reply.fields.push("sec-websocket-version", "13");
            super::after(upload, reply)
        }
    }
}

/// The handshake of RFC 8441 section 5: extended CONNECT, and no key.
fn over_stream(worker: &Rc<Worker>, head: &Head<'_>, upload: Upload, options: Options) -> Answer {
    if head.fields.get(":protocol") != Some(b"websocket") {
        return Answer::Ready(refusal(StatusCode::NOT_IMPLEMENTED, ":protocol does not say websocket"));
    }
    if head.fields.get("sec-websocket-version") != Some(b"13") {
        let mut reply = refusal(StatusCode::BAD_REQUEST, "Sec-WebSocket-Version is not 13");
        reply.fields.push("sec-websocket-version", "13");
        return Answer::Ready(reply);
    }
    let (worker, state) = (Rc::clone(worker), Rc::clone(head.state));
    let talk =
        duplex::converse(upload, |stream| async move { serve(stream, options, &worker, &state).await });
    let mut reply = Reply::new(StatusCode::OK, &[], Body::Stream(talk));
    choose_subprotocol(head, &mut reply);
    Answer::Ready(reply)
}

/// Agrees to the first subprotocol that is offered: an echo speaks them all.
fn choose_subprotocol(head: &Head<'_>, reply: &mut Reply) {
    let offered = head.fields.get("sec-websocket-protocol").unwrap_or_default();
    let first = offered.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if !first.is_empty() {
        reply.fields.push("sec-websocket-protocol", first);
    }
}

fn handshake(head: &Head<'_>) -> Result<String, &'static str> {
    if head.protocol != Protocol::Http11 {
        return Err("a WebSocket is opened over HTTP/1.1, or by extended CONNECT over HTTP/2");
    }
    if !head.fields.has_token("upgrade", "websocket") {
        return Err("Upgrade does not say websocket");
    }
    if !head.fields.has_token("connection", "upgrade") {
        return Err("Connection does not say upgrade");
    }
    if head.fields.get("sec-websocket-version") != Some(b"13") {
        return Err("Sec-WebSocket-Version is not 13");
    }
    let key = head.fields.get("sec-websocket-key").ok_or("Sec-WebSocket-Key is missing")?;
    if key.len() != 24 || !key.ends_with(b"==") {
        return Err("Sec-WebSocket-Key is not 16 bytes in base64");
    }
    Ok(accept_key(key))
}

/// What `Sec-WebSocket-Accept` says to a key (RFC 6455 section 4.2.2).
fn accept_key(key: &[u8]) -> String {
    let mut sha1 = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(sha1.finish())
}

fn refusal(status: StatusCode, error: &str) -> Reply {
    Reply::refusal(
        status,
        error,
        "GET with Connection: Upgrade, Upgrade: websocket, Sec-WebSocket-Version: 13 and Sec-WebSocket-Key",
        "websocat ws://localhost:8080/ws",
    )
}
