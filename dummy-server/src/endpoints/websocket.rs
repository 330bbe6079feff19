//! `/ws`, `/ws/*` and `/ws/close`: WebSocket echo over an HTTP/1.1 upgrade (RFC 6455) or an HTTP/2 stream (RFC 8441).

use std::rc::Rc;

use futures_util::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Error, Message, Utf8Bytes,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    connection::{
        exchange::Head,
        state::{Order, State},
    },
    duplex,
    reply::{Answer, Body, Fixed, Reply},
    stats::Protocol,
    upload::Upload,
};

/// Largest message, in one frame or in many.
pub(crate) const MAX_MESSAGE: usize = 16 << 20;
/// How long a peer may take to answer a close frame.
const CLOSE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// What the endpoint does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Sends each back.
    Echo,
    /// Answers the first and closes.
    EchoOnceAndClose,
}

const SWITCH: Fixed = &[("upgrade", "websocket"), ("connection", "Upgrade")];

/// Checks the opening handshake (RFC 6455 section 4.2).
pub(crate) fn answer(head: &Head<'_>, upload: Upload, mode: Mode) -> Answer {
    if head.protocol == Protocol::Http2 && head.method == b"CONNECT" {
        return over_stream(head, upload, mode);
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
            reply.special().upgrade = Some(mode);
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
fn over_stream(head: &Head<'_>, upload: Upload, mode: Mode) -> Answer {
    if head.fields.get(":protocol") != Some(b"websocket") {
        return Answer::Ready(refusal(StatusCode::NOT_IMPLEMENTED, ":protocol does not say websocket"));
    }
    if head.fields.get("sec-websocket-version") != Some(b"13") {
        let mut reply = refusal(StatusCode::BAD_REQUEST, "Sec-WebSocket-Version is not 13");
        reply.fields.push("sec-websocket-version", "13");
        return Answer::Ready(reply);
    }
    let state = Rc::clone(head.state);
    let talk = duplex::converse(upload, |stream| async move { serve(stream, mode, &state).await });
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
    Ok(derive_accept_key(key))
}

fn refusal(status: StatusCode, error: &str) -> Reply {
    Reply::refusal(
        status,
        error,
        "GET with Connection: Upgrade, Upgrade: websocket, Sec-WebSocket-Version: 13 and Sec-WebSocket-Key",
        "websocat ws://localhost:8080/ws",
    )
}

/// Serves an open WebSocket to its end.
pub(crate) async fn serve<S>(stream: S, mode: Mode, state: &State)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let Some(close) = exchange(&mut socket, mode, state).await else { return };
    if socket.close(Some(close)).await.is_ok() {
        let _ = tokio::time::timeout(CLOSE_PATIENCE, finish(socket, state)).await;
    }
}

/// Echoes until this end has a reason to close; none when the peer closed or is gone.
async fn exchange<S>(socket: &mut WebSocketStream<S>, mode: Mode, state: &State) -> Option<CloseFrame>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let message = tokio::select! {
            biased;
            message = socket.next() => message?,
            () = state.ordered(Order::Drain) => return Some(frame(CloseCode::Away, "server is draining")),
        };
        let message = match message {
            Ok(message) => message,
            Err(error) => return reason(&error),
        };
        let sent = match (mode, message) {
            (Mode::Echo, message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).await,
            (Mode::EchoOnceAndClose, message @ (Message::Text(_) | Message::Binary(_))) => {
                socket.send(received(message)).await.ok()?;
                return Some(frame(CloseCode::Normal, "server done"));
            }
            // The library answers a ping or a close when it is flushed.
            _ => socket.flush().await,
        };
        if sent.is_err() {
            return None;
        }
    }
}

fn received(message: Message) -> Message {
    const SAID: &str = "Server received: ";
    match message {
        Message::Text(text) => Message::text(format!("{SAID}{text}")),
        other => Message::binary([SAID.as_bytes(), &other.into_data()].concat()),
    }
}

/// How a connection whose input was bad is closed (RFC 6455 section 7.4.1).
fn reason(error: &Error) -> Option<CloseFrame> {
    match error {
        Error::Capacity(_) => Some(frame(CloseCode::Size, "message is larger than 16 MiB")),
        Error::Utf8(_) => Some(frame(CloseCode::Invalid, "text is not UTF-8")),
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(frame(CloseCode::Protocol, "protocol error")),
        _ => None,
    }
}

fn frame(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame { code, reason: Utf8Bytes::from_static(reason) }
}

/// Makes sure that the close frame arrives: input that nobody will read is thrown away until the peer ends,
/// or else the kernel would reset the connection.
async fn finish<S>(mut socket: WebSocketStream<S>, state: &State)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = socket.get_mut();
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = vec![0; 16 << 10];
    loop {
        tokio::select! {
            read = stream.read(&mut rest) => if !matches!(read, Ok(1..)) { return },
            () = state.ordered(Order::Close) => return,
        }
    }
}
