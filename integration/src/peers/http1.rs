//! Servers that break HTTP/1.1, each in one way.

use std::time::Duration;

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Peer;

/// How a server breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHttp1 {
    /// Accepts and closes.
    ClosesAtOnce,
    /// Accepts and resets.
    ResetsAtOnce,
    /// Reads a request and closes.
    ClosesOnRequest,
    /// Closes within the head.
    HalfHead,
    /// Closes within the body.
    HalfBody,
    /// Closes within a chunk.
    HalfChunk,
    /// Answers with something that is not HTTP.
    Garbage,
    /// Sends a head without an end.
    EndlessHead,
    /// Declares a length that is not a number.
    BadLength,
    /// Sends a chunk size that is not a number.
    BadChunkSize,
    /// Reads requests and never answers.
    NeverAnswers,
}

impl BadHttp1 {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ClosesAtOnce,
        Self::ResetsAtOnce,
        Self::ClosesOnRequest,
        Self::HalfHead,
        Self::HalfBody,
        Self::HalfChunk,
        Self::Garbage,
        Self::EndlessHead,
        Self::BadLength,
        Self::BadChunkSize,
        Self::NeverAnswers,
    ];
}

/// A server that breaks the protocol.
#[must_use]
pub fn bad_http1(how: BadHttp1) -> Peer {
    Peer::start(async move |stream| serve(stream, how).await)
}

async fn serve(mut stream: TcpStream, how: BadHttp1) {
    match how {
        BadHttp1::ClosesAtOnce => return,
        BadHttp1::ResetsAtOnce => {
            // Closing with a linger of zero sends RST instead of FIN.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            return;
        }
        _ => {}
    }
    if !reads_head(&mut stream).await {
        return;
    }
    let reply: &[u8] = match how {
        BadHttp1::HalfHead => b"HTTP/1.1 200 OK\r\ncontent-le",
        BadHttp1::HalfBody => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this",
        BadHttp1::HalfChunk => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40\r\nonly this",
        BadHttp1::Garbage => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        BadHttp1::BadLength => b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        BadHttp1::BadChunkSize => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nmany\r\n\r\n",
        BadHttp1::EndlessHead => return endless_head(&mut stream).await,
        BadHttp1::NeverAnswers => return read_all(&mut stream).await,
        BadHttp1::ClosesAtOnce | BadHttp1::ResetsAtOnce | BadHttp1::ClosesOnRequest => b"",
    };
    // The client may have had enough already.
    let _ = stream.write_all(reply).await;
}

async fn reads_head(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return false;
        }
    }
    true
}

async fn endless_head(stream: &mut TcpStream) {
    let field = b"x-again: and again and again\r\n".repeat(1000);
    let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
    while sent.is_ok() {
        sent = stream.write_all(&field).await;
    }
}

async fn read_all(stream: &mut TcpStream) {
    let mut bytes = [0; 4096];
    while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
}
