//! `/ws`, `/ws/*` and `/ws/close`: WebSocket echo over an HTTP/1.1 upgrade (RFC 6455).

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
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
        wire::Wire,
    },
    reply::{Answer, Body, Reply, Upload},
    stats::Protocol,
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

/// Checks the opening handshake (RFC 6455 section 4.2).
pub(crate) fn answer(head: &Head, upload: Upload, mode: Mode) -> Answer {
    if head.method != Method::GET {
        let mut reply = refusal(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is opened with GET");
        reply.fields.insert(header::ALLOW, HeaderValue::from_static("GET"));
        return super::after(upload, reply);
    }
    match handshake(head) {
        Ok(accept) => Answer::WebSocket(switch(&accept), mode),
        Err(what) => {
            let mut reply = refusal(StatusCode::BAD_REQUEST, what);
            reply.fields.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            super::after(upload, reply)
        }
    }
}

fn handshake(head: &Head) -> Result<String, &'static str> {
    if head.protocol != Protocol::Http11 {
        return Err("a WebSocket is opened over HTTP/1.1");
    }
    if !has_token(&head.fields, &header::UPGRADE, "websocket") {
        return Err("Upgrade does not say websocket");
    }
    if !has_token(&head.fields, &header::CONNECTION, "upgrade") {
        return Err("Connection does not say upgrade");
    }
    if head.fields.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err("Sec-WebSocket-Version is not 13");
    }
    let key = head.fields.get(header::SEC_WEBSOCKET_KEY).ok_or("Sec-WebSocket-Key is missing")?;
    if key.len() != 24 || !key.as_bytes().ends_with(b"==") {
        return Err("Sec-WebSocket-Key is not 16 bytes in base64");
    }
    Ok(derive_accept_key(key.as_bytes()))
}

fn has_token(fields: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let values = fields.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}

fn switch(accept: &str) -> Reply {
    let mut fields = HeaderMap::with_capacity(8);
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        fields.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    Reply { status: StatusCode::SWITCHING_PROTOCOLS, fields, body: Body::Bytes(bytes::Bytes::new()) }
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
pub(crate) async fn serve(wire: Wire, mode: Mode, state: &State) {
    let config = WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let mut socket = WebSocketStream::from_raw_socket(wire, Role::Server, Some(config)).await;
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
async fn finish(mut socket: WebSocketStream<Wire>, state: &State) {
    let wire = socket.get_mut();
    if wire.shutdown().await.is_err() {
        return;
    }
    let mut rest = vec![0; 16 << 10];
    loop {
        tokio::select! {
            read = wire.read(&mut rest) => if !matches!(read, Ok(1..)) { return },
            () = state.ordered(Order::Close) => return,
        }
    }
}
