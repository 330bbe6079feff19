//! `/ws`, `/ws/*` and `/ws/close`: WebSocket echo over an HTTP/1.1 upgrade (RFC 6455) or an HTTP/2 stream (RFC 8441).

mod talk;

use std::rc::Rc;

use http::StatusCode;
use websocket::handshake::{self, VERSION};

pub(crate) use self::talk::{Carrier, serve};
use crate::{
    context::ServerContext,
    message::{
        Head, duplex,
        reply::{Answer, Body, Fixed, Reply},
        upload::Upload,
        websocket::Options,
    },
    protocol::Protocol,
};

const KEY: &str = "Sec-WebSocket-Key";
const ACCEPT: &str = "sec-websocket-accept";
const SWITCH: Fixed = &[("upgrade", "websocket"), ("connection", "Upgrade")];

/// Checks the opening handshake (RFC 6455 section 4.2).
pub(crate) fn handle(
    context: &Rc<ServerContext>,
    head: &Head<'_>,
    upload: Upload,
    options: Options,
) -> Answer {
    if head.protocol == Protocol::Http2 && head.method == b"CONNECT" {
        return over_stream(context, head, upload, options);
    }
    if head.method != b"GET" {
        let mut reply = refusal(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is opened with GET");
        reply.fields.push("allow", "GET");
        return crate::message::after(upload, reply);
    }
    match check_upgrade(head, &upload) {
        Ok(accept) => {
            let body = Body::Bytes(bytes::Bytes::new());
            let mut reply = Reply::new(StatusCode::SWITCHING_PROTOCOLS, SWITCH, body);
            reply.fields.push(ACCEPT, accept);
            choose_subprotocol(head, &mut reply);
            reply.special().upgrade = Some(options);
            Answer::Ready(reply)
        }
        Err(what) => crate::message::after(upload, bad_request(&what)),
    }
}

/// The handshake of RFC 8441 section 5: extended CONNECT, which needs no key. A proxy whose client has sent one over
/// HTTP/1.1 hands it on and waits for the answer to it, as Envoy does.
fn over_stream(context: &Rc<ServerContext>, head: &Head<'_>, upload: Upload, options: Options) -> Answer {
    if head.fields.get(":protocol") != Some(b"websocket") {
        return Answer::Ready(refusal(StatusCode::NOT_IMPLEMENTED, ":protocol does not say websocket"));
    }
    let accept =
        match version(head).and_then(|()| only(head, KEY)).and_then(|key| key.map(accept).transpose()) {
            Ok(accept) => accept,
            Err(what) => return Answer::Ready(bad_request(&what)),
        };
    let (context, orders, budget) = (Rc::clone(context), Rc::clone(head.orders), Rc::clone(&context.budget));
    let talk =
        duplex::converse(
            upload,
            &budget,
            |stream| async move { serve(stream, options, &context, &orders).await },
        );
    let mut reply = Reply::new(StatusCode::OK, &[], Body::Stream(talk));
    if let Some(accept) = accept {
        reply.fields.push(ACCEPT, accept);
    }
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

/// Checks the handshake of HTTP/1.1: the answer to its key.
fn check_upgrade(head: &Head<'_>, upload: &Upload) -> Result<String, String> {
    if head.protocol != Protocol::Http11 {
        return Err("a WebSocket is opened over HTTP/1.1, or by extended CONNECT over HTTP/2".to_owned());
    }
    if !head.fields.has_token("upgrade", "websocket") {
        return Err("Upgrade does not say websocket".to_owned());
    }
    if !head.fields.has_token("connection", "upgrade") {
        return Err("Connection does not say upgrade".to_owned());
    }
    version(head)?;
    let key = only(head, KEY)?.ok_or("Sec-WebSocket-Key is missing")?;
    let accept = accept(key)?;
    // Whatever follows the head is meant for the socket: a body could not be distinguished from it.
    if !upload.is_end() {
        return Err("a request that opens a WebSocket has no body".to_owned());
    }
    Ok(accept)
}

fn version(head: &Head<'_>) -> Result<(), String> {
    match only(head, "Sec-WebSocket-Version")? {
        Some(version) if version == VERSION.as_bytes() => Ok(()),
        _ => Err("Sec-WebSocket-Version is not 13".to_owned()),
    }
}

/// The value of a field that may not come twice (RFC 6455 section 11.3).
fn only<'h>(head: &'h Head<'_>, name: &'static str) -> Result<Option<&'h [u8]>, String> {
    let mut values = head.fields.get_all(name);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(format!("more than one {name}")),
        (value, None) => Ok(value),
    }
}

/// The answer to a key.
fn accept(key: &[u8]) -> Result<String, String> {
    handshake::accept(key).ok_or_else(|| "Sec-WebSocket-Key is not 16 bytes in base64".to_owned())
}

fn bad_request(what: &str) -> Reply {
    let mut reply = refusal(StatusCode::BAD_REQUEST, what);
    reply.fields.push("sec-websocket-version", VERSION);
    reply
}

fn refusal(status: StatusCode, error: &str) -> Reply {
    Reply::refusal(
        status,
        error,
        "GET without a body, with Connection: Upgrade, Upgrade: websocket, Sec-WebSocket-Version: 13 and one \
         Sec-WebSocket-Key",
        "websocat ws://localhost:8080/ws",
    )
}
