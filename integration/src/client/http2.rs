//! HTTP/2 by prior knowledge, or by ALPN where there is TLS, through the h2 crate.

use std::{future::poll_fn, io::ErrorKind, net::SocketAddr};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use http::HeaderMap;
use tokio::task::JoinHandle;

use super::{Exchange, HOST, Link, Request, patiently};

/// A connection.
#[derive(Debug)]
pub struct Http2 {
    send: SendRequest<Bytes>,
    /// Ends when the connection does, and says how.
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    /// Connects, and waits for no settings.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &client::Builder::new()).await
    }

    /// Connects with settings of the test's own.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect_with(address: SocketAddr, builder: &client::Builder) -> Self {
        Self::on(Link::connect(address, "h2").await, builder).await.expect("the preface is sent")
    }

    /// Speaks on a socket that is connected already.
    ///
    /// # Errors
    /// When the peer closes it immediately.
    pub async fn on(stream: impl Into<Link>, builder: &client::Builder) -> Result<Self> {
        let (send, connection) = builder.handshake(stream.into()).await?;
        Ok(Self { send, connection: tokio::spawn(connection) })
    }

    /// Sends a request head and gives the reply's future and the sink of the body.
    ///
    /// # Errors
    /// When the connection takes no further request.
    pub async fn open(
        &mut self,
        request: &Request,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>)> {
        let mut builder = http::Request::builder()
            .method(request.method.as_str())
            .uri(format!("http://{HOST}{}", request.target));
        for (name, value) in &request.fields {
            builder = builder.header(name, value);
        }
        if !request.body.is_empty() {
            builder = builder.header("content-length", request.body.len());
        }
        let mut send = self.send.clone().ready().await.context("ready")?;
        Ok(send.send_request(builder.body(())?, ends)?)
    }

    /// Sends a request and reads the whole reply.
    pub(super) async fn exchange(&mut self, request: &Request) -> Result<Exchange> {
        let (response, mut body) = self.open(request, request.body.is_empty()).await?;
        if !request.body.is_empty() {
            // The crate keeps what the window does not take yet.
            body.send_data(Bytes::from(request.body.clone()), true)?;
        }
        read(response).await
    }

    /// Reads a whole reply.
    ///
    /// # Errors
    /// When the stream or the connection ends before.
    pub async fn read(response: ResponseFuture) -> Result<Exchange> {
        read(response).await
    }

    /// Waits for the end of the connection.
    ///
    /// # Errors
    /// The error that it ended with, unless it was closed cleanly.
    ///
    /// # Panics
    /// When the connection's task did.
    pub async fn ended(self) -> Result<(), h2::Error> {
        let Self { send, connection } = self;
        let ended = patiently("the end of the connection", connection).await;
        drop(send);
        match ended.expect("the connection's task ends") {
            // After the peer's GOAWAY, TLS has its own end, for which a peer need not wait.
            Err(error) if error.get_io().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) => Ok(()),
            ended => ended,
        }
    }

    /// Whether the peer has taken the connection down, or announced that.
    pub async fn is_refused(&mut self) -> bool {
        self.send.clone().ready().await.is_err()
    }
}

/// Reads a whole reply.
pub(super) async fn read(response: ResponseFuture) -> Result<Exchange> {
    let (head, mut body) = response.await.context("reply")?.into_parts();
    let mut exchange =
        Exchange { status: head.status.as_u16(), fields: pairs(&head.headers)?, ..Exchange::default() };
    while let Some(piece) = next_piece(&mut body).await? {
        exchange.pieces.push(piece.len());
        exchange.body.extend_from_slice(&piece);
    }
    if let Some(trailers) = body.trailers().await.context("trailers")? {
        exchange.trailers = pairs(&trailers)?;
    }
    // An empty frame that only ends the stream carries nothing.
    exchange.pieces.retain(|len| *len > 0);
    Ok(exchange)
}

/// The next part of a body, its window returned.
pub(super) async fn next_piece(body: &mut RecvStream) -> Result<Option<Bytes>> {
    let Some(piece) = body.data().await else { return Ok(None) };
    let piece = piece.context("body")?;
    body.flow_control().release_capacity(piece.len())?;
    Ok(Some(piece))
}

/// Sends a part of a body as fast as there is window for it; nothing piles up meanwhile.
///
/// # Errors
/// When the stream or the connection ends before.
pub async fn pour(body: &mut SendStream<Bytes>, mut part: Bytes) -> Result<()> {
    while !part.is_empty() {
        body.reserve_capacity(part.len());
        let room = poll_fn(|cx| body.poll_capacity(cx)).await.context("the stream has ended")??;
        body.send_data(part.split_to(room.min(part.len())), false)?;
    }
    Ok(())
}

pub(super) fn pairs(fields: &HeaderMap) -> Result<Vec<(String, String)>> {
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Ok((name.as_str().to_owned(), String::from_utf8(value.as_bytes().to_vec())?))
    };
    fields.iter().map(pair).collect()
}
