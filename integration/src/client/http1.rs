//! HTTP/1.1 on a bare socket: what is sent is what the test wrote, what arrives is seen byte for byte.

use std::{io::Write as _, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Exchange, HOST, Link, Request, first, patiently};

/// No test needs a longer head.
const MAX_FIELDS: usize = 128;

/// A connection.
#[derive(Debug)]
pub struct Http1 {
    stream: Link,
    /// What was read and not yet used.
    buffer: BytesMut,
}

/// The head of a reply.
#[derive(Clone, Debug)]
pub struct Head {
    /// The minor version: 0 or 1.
    pub version: u8,
    /// The status.
    pub status: u16,
    /// Fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The first value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        first(&self.fields, name)
    }
}

/// A request as bytes, for tests that send something unusual.
#[derive(Debug)]
pub struct Line;

impl Line {
    /// The bytes of a well-formed request.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    #[must_use]
    pub fn of(request: &Request) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut write = || -> std::io::Result<()> {
            write!(bytes, "{} {} HTTP/1.1\r\n", request.method, request.target)?;
            if first(&request.fields, "host").is_none() {
                write!(bytes, "Host: {HOST}\r\n")?;
            }
            for (name, value) in &request.fields {
                write!(bytes, "{name}: {value}\r\n")?;
            }
            if !request.body.is_empty() && first(&request.fields, "content-length").is_none() {
                write!(bytes, "Content-Length: {}\r\n", request.body.len())?;
            }
            write!(bytes, "\r\n")
        };
        write().expect("memory takes all");
        bytes.extend_from_slice(&request.body);
        bytes
    }
}

impl Http1 {
    /// Connects.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::on(Link::connect(address, "http/1.1").await)
    }

    /// Speaks on a socket that is connected already.
    #[must_use]
    pub fn on(stream: impl Into<Link>) -> Self {
        Self { stream: stream.into(), buffer: BytesMut::new() }
    }

    /// The address of this end, as the server sees it.
    ///
    /// # Panics
    /// When the socket has none.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.stream.socket().local_addr().expect("a connected socket has an address")
    }

    /// Ends the connection with a reset, without a word (RFC 9293 section 3.10.7).
    ///
    /// # Panics
    /// When the socket is gone.
    pub fn reset(self) {
        SockRef::from(self.stream.socket())
            .set_linger(Some(Duration::ZERO))
            .expect("a socket takes SO_LINGER");
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// When the peer does not take them.
    pub async fn send(&mut self, bytes: &[u8]) {
        let sent = patiently("send", self.try_send(bytes)).await;
        sent.unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the peer does not take them.
    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Ends the sending side.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn finish_sending(&mut self) {
        self.stream.shutdown().await.expect("the sending side ends");
    }

    /// Sends a request and reads the whole reply; interim replies are passed over.
    pub(super) async fn exchange(&mut self, request: &Request) -> Result<Exchange> {
        self.try_send(&Line::of(request)).await.context("send")?;
        self.reply(&request.method).await
    }

    /// Reads the whole reply to a request with this method; interim replies are passed over.
    ///
    /// # Errors
    /// When the connection ends early or what arrives is malformed.
    pub async fn reply(&mut self, method: &str) -> Result<Exchange> {
        let mut head = self.head().await?;
        while head.status < 200 && head.status != 101 {
            head = self.head().await?;
        }
        let mut exchange = Exchange { status: head.status, fields: head.fields, ..Exchange::default() };
        let bodiless = method == "HEAD" || matches!(exchange.status, 101 | 204 | 304);
        if !bodiless {
            self.body(&mut exchange).await?;
        }
        Ok(exchange)
    }

    /// Reads one head, interim or final.
    ///
    /// # Errors
    /// When the connection ends early or what arrives is malformed.
    pub async fn head(&mut self) -> Result<Head> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut response = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(len) = response.parse(&self.buffer)? {
                let head = Head {
                    version: response.version.unwrap_or_default(),
                    status: response.code.unwrap_or_default(),
                    fields: pairs(response.headers)?,
                };
                let _ = self.buffer.split_to(len);
                return Ok(head);
            }
            self.read_more("in a head").await?;
        }
    }

    async fn body(&mut self, exchange: &mut Exchange) -> Result<()> {
        let coding = exchange.field("transfer-encoding").map(str::to_ascii_lowercase);
        let length = exchange.field("content-length").map(str::to_owned);
        match (coding.as_deref(), length) {
            (Some("chunked"), None) => self.chunks(exchange).await,
            (Some(coding), length) => bail!("transfer coding {coding} and content-length {length:?}"),
            (None, Some(length)) => {
                exchange.body = self.exactly(length.parse().context("content-length")?).await?.to_vec();
                Ok(())
            }
            (None, None) => {
                exchange.body = self.to_end().await?;
                Ok(())
            }
        }
    }

    async fn chunks(&mut self, exchange: &mut Exchange) -> Result<()> {
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(&line, 16).with_context(|| format!("chunk size {line:?}"))?;
            if size == 0 {
                break;
            }
            exchange.body.extend_from_slice(&self.exactly(size).await?);
            exchange.pieces.push(size);
            let end = self.line().await?;
            ensure!(end.is_empty(), "a chunk of {size} is followed by {end:?}");
        }
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(());
            }
            let (name, value) = line.split_once(':').context("a trailer has a colon")?;
            exchange.trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads one chunk's size line, its bytes and its end, for tests of what is on the wire by itself.
    ///
    /// # Errors
    /// When the connection ends early or what arrives is malformed.
    pub async fn chunk(&mut self) -> Result<Vec<u8>> {
        let size = usize::from_str_radix(&self.line().await?, 16)?;
        let bytes = self.exactly(size).await?.to_vec();
        ensure!(self.line().await?.is_empty(), "a chunk ends with a line end");
        Ok(bytes)
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.split_to(end + 2);
                return Ok(String::from_utf8(line[..end].to_vec())?);
            }
            self.read_more("in a line").await?;
        }
    }

    /// Reads exactly this many bytes.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn exactly(&mut self, count: usize) -> Result<BytesMut> {
        while self.buffer.len() < count {
            self.read_more("in a body").await?;
        }
        Ok(self.buffer.split_to(count))
    }

    /// Reads until the peer closes.
    ///
    /// # Errors
    /// When the connection is reset.
    pub async fn to_end(&mut self) -> Result<Vec<u8>> {
        while self.stream.read_buf(&mut self.buffer).await? > 0 {}
        Ok(self.buffer.split().to_vec())
    }

    /// Reads until the peer closes or resets, and gives what had arrived until then.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        while self.stream.read_buf(&mut self.buffer).await.is_ok_and(|read| read > 0) {}
        self.buffer.split().to_vec()
    }

    /// Reads until something arrives; `false` when the peer has closed instead.
    ///
    /// # Errors
    /// When the connection is reset.
    pub async fn arrives(&mut self) -> Result<bool> {
        Ok(!self.buffer.is_empty() || self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// How many bytes have arrived and were not used.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The socket, when nothing that was read is left over.
    ///
    /// # Panics
    /// When something is left over.
    #[must_use]
    pub fn into_stream(self) -> Link {
        assert!(self.buffer.is_empty(), "{:?} is left over", self.buffer);
        self.stream
    }

    async fn read_more(&mut self, place: &str) -> Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await.with_context(|| format!("read {place}"))?;
        ensure!(read > 0, "closed {place}, after {:?}", String::from_utf8_lossy(&self.buffer));
        Ok(())
    }
}

fn pairs(fields: &[httparse::Header<'_>]) -> Result<Vec<(String, String)>> {
    let pair = |field: &httparse::Header<'_>| {
        Ok((field.name.to_ascii_lowercase(), String::from_utf8(field.value.to_vec())?))
    };
    fields.iter().map(pair).collect()
}
