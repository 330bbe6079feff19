//! WebSocket through tungstenite, over an upgraded connection or a stream of the h2 crate, with a way to send frames
//! that it would not build.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{RecvStream, SendStream, client, ext};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::protocol::{
        Role,
        frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

use super::{
    HOST, Link, Protocol,
    http2::{next_piece, pour},
    patiently,
};

/// The messages of the library.
pub use tokio_tungstenite::tungstenite::Message as WebSocket;

/// What carries the frames.
pub trait Carrier: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug> Carrier for T {}

/// A connection of which the handshake is done.
pub type Socket = WebSocketStream<Box<dyn Carrier>>;

/// Connects and shakes hands over HTTP/1.1.
///
/// # Panics
/// When either fails.
pub async fn websocket(address: SocketAddr, path: &str) -> WebSocketStream<Link> {
    upgrade(Link::connect(address, "http/1.1").await, path).await
}

/// Connects and shakes hands.
///
/// # Panics
/// When either fails.
pub async fn websocket_over(protocol: Protocol, address: SocketAddr, path: &str) -> Socket {
    let stream = Link::connect(address, protocol.alpn()).await;
    match protocol {
        Protocol::Http1 => upgrade(Box::new(stream) as Box<dyn Carrier>, path).await,
        Protocol::Http2 => {
            let carrier: Box<dyn Carrier> =
                Box::new(patiently("extended CONNECT", extended_connect(stream, path)).await);
            WebSocketStream::from_raw_socket(carrier, Role::Client, None).await
        }
    }
}

async fn upgrade<S: Carrier>(stream: S, path: &str) -> WebSocketStream<S> {
    let url = format!("ws://{HOST}{path}");
    let (socket, response) =
        patiently("handshake", client_async(url, stream)).await.expect("the handshake succeeds");
    assert_eq!(response.status(), 101);
    socket
}

/// RFC 8441 section 5.
async fn extended_connect(stream: Link, path: &str) -> DuplexStream {
    let (mut send, mut connection) = client::handshake(stream).await.expect("the preface is sent");
    // The server's SETTINGS have to come first.
    while !send.is_extended_connect_protocol_enabled() {
        tokio::select! {
            _ = &mut connection => panic!("the connection ended before SETTINGS allowed extended CONNECT"),
            () = tokio::task::yield_now() => {}
        }
    }
    tokio::spawn(connection);
    let request = http::Request::connect(format!("http://{HOST}{path}"))
        .extension(ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(())
        .expect("a request");
    let (response, outgoing) = send.send_request(request, false).expect("a stream");
    let response = response.await.expect("a reply");
    assert_eq!(response.status(), 200);
    let (near, far) = tokio::io::duplex(64 << 10);
    let (reader, writer) = tokio::io::split(far);
    tokio::spawn(forward(reader, outgoing));
    tokio::spawn(backward(response.into_body(), writer));
    near
}

async fn forward(mut from: impl AsyncRead + Unpin, mut to: SendStream<Bytes>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if pour(&mut to, Bytes::copy_from_slice(&buffer[..count])).await.is_err() {
            return;
        }
    }
    // The stream may be over already.
    let _ = to.send_data(Bytes::new(), true);
}

async fn backward(mut from: RecvStream, mut to: impl AsyncWrite + Unpin) {
    while let Ok(Some(part)) = next_piece(&mut from).await {
        if to.write_all(&part).await.is_err() {
            return;
        }
    }
    // The reader is notified of the end, unless it has gone.
    let _ = to.shutdown().await;
}

/// One text frame with any bytes, which may be a fragment or no text at all.
#[must_use]
pub fn raw_frame(first: bool, last: bool, bytes: &[u8]) -> WebSocket {
    let opcode = if first { Data::Text } else { Data::Continue };
    WebSocket::Frame(Frame::message(bytes.to_vec(), OpCode::Data(opcode), last))
}
