//! WebSocket through tungstenite, with a way to send frames that it would not build.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use super::patiently;

/// The messages of the library.
pub use tokio_tungstenite::tungstenite::Message as WebSocket;

/// A connection of which the handshake is done.
pub type Socket = WebSocketStream<TcpStream>;

/// Connects and shakes hands.
///
/// # Panics
/// When either fails.
pub async fn websocket(address: SocketAddr, path: &str) -> Socket {
    let stream = patiently("connect", TcpStream::connect(address)).await.expect("connected");
    let url = format!("ws://dummy.test{path}");
    let (socket, response) =
        patiently("handshake", client_async(url, stream)).await.expect("the handshake succeeds");
    assert_eq!(response.status(), 101);
    socket
}

/// One text frame with any bytes, which may be a fragment or no text at all.
#[must_use]
pub fn raw_frame(first: bool, last: bool, bytes: &[u8]) -> WebSocket {
    let opcode = if first { Data::Text } else { Data::Continue };
    WebSocket::Frame(Frame::message(bytes.to_vec(), OpCode::Data(opcode), last))
}
