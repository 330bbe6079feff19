//! A server that records when each request arrives.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::{Buf as _, Bytes, BytesMut};
use h2::server;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Peer;
use crate::client::Protocol;

/// A server that answers each request with an empty 200 and records when it came.
#[derive(Debug)]
pub struct Record {
    /// The server.
    pub peer: Peer,
    arrivals: Arrivals,
}

type Arrivals = Arc<Mutex<Vec<Instant>>>;

impl Record {
    /// Starts it.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[must_use]
    pub fn start(protocol: Protocol) -> Self {
        let arrivals = Arrivals::default();
        let kept = Arc::clone(&arrivals);
        let peer = Peer::with(move || {
            async move |stream| match protocol {
                Protocol::Http1 => http1(stream, &kept).await,
                Protocol::Http2 => http2(stream, &kept).await,
            }
        });
        Self { peer, arrivals }
    }

    /// When requests came, in order.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Instant> {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        arrivals.sort_unstable();
        arrivals
    }
}

fn note(arrivals: &Arrivals) {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
}

async fn http1(mut stream: TcpStream, arrivals: &Arrivals) {
    let mut buffer = BytesMut::new();
    while matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
        while let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            note(arrivals);
            buffer.advance(end + 4);
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
                return;
            }
        }
    }
}

async fn http2(stream: TcpStream, arrivals: &Arrivals) {
    let handshake = server::Builder::new().max_concurrent_streams(1000).handshake::<_, Bytes>(stream);
    let Ok(mut connection) = handshake.await else { return };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        note(arrivals);
        // The client may have given up this stream.
        let _ = respond.send_response(http::Response::new(()), true);
    }
}
