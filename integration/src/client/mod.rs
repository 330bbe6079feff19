//! A client that shows everything: one [`Exchange`] for both protocols, so that a test body runs over each.
//!
//! It is written for clearness and not for speed, and checks the framing of every reply: a byte too many or
//! too few fails the exchange that follows on the same connection.

pub mod frames;
mod grpc;
mod http1;
mod http2;
pub mod link;
mod websocket;

use std::{fmt, future::Future, net::SocketAddr};

use anyhow::Result;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

pub use self::{
    grpc::{Call, End, GrpcClient, Status, framed, gzip},
    http1::{Head, Http1, Line},
    http2::{Http2, pour},
    link::Link,
    websocket::{Socket, WebSocket, raw_frame, websocket, websocket_over},
};
use crate::PATIENCE;

/// The host that requests name, where a test does not: one that the admin port answers to.
pub const HOST: &str = "localhost";

/// What an exchange is carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge.
    Http2,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    /// Its name in ALPN.
    #[must_use]
    pub fn alpn(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        })
    }
}

/// A request to send.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `HEAD` and so on.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Fields in order; the host is added.
    pub fields: Vec<(String, String)>,
    /// The body; a length is declared for one that is not empty.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without fields or body.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), fields: Vec::new(), body: Vec::new() }
    }

    /// `GET` of a path.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST` of a body.
    #[must_use]
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", target) }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A whole reply.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// The final status.
    pub status: u16,
    /// Fields in the order received, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body, without its coding.
    pub body: Vec<u8>,
    /// The sizes of the chunks (HTTP/1.1 chunked coding) or of the DATA frames that carried it.
    pub pieces: Vec<usize>,
    /// Trailer fields.
    pub trailers: Vec<(String, String)>,
}

impl Exchange {
    /// The first value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        first(&self.fields, name)
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }
}

/// A connection of either protocol.
#[derive(Debug)]
pub enum Client {
    /// Of HTTP/1.1.
    Http1(Http1),
    /// Of HTTP/2.
    Http2(Http2),
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect(protocol: Protocol, address: SocketAddr) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(Http1::connect(address).await),
            Protocol::Http2 => Self::Http2(Http2::connect(address).await),
        }
    }

    /// Speaks on a socket that is connected already.
    ///
    /// # Errors
    /// When the peer closes it immediately.
    pub async fn on(protocol: Protocol, stream: TcpStream) -> Result<Self> {
        Ok(match protocol {
            Protocol::Http1 => Self::Http1(Http1::on(Link::on(stream, protocol.alpn()).await?)),
            Protocol::Http2 => {
                let link = Link::on(stream, protocol.alpn()).await?;
                Self::Http2(Http2::on(link, &h2::client::Builder::new()).await?)
            }
        })
    }

    /// Sends a request and reads the whole reply.
    ///
    /// # Panics
    /// When there is no whole and well-formed reply within the patience of the harness.
    pub async fn exchange(&mut self, request: Request) -> Exchange {
        let what = format!("{} {}", request.method, request.target);
        self.try_exchange(&request).await.unwrap_or_else(|error| panic!("{what}: {error:#}"))
    }

    /// The same, for tests in which a connection may end.
    ///
    /// # Errors
    /// When there is no whole and well-formed reply.
    ///
    /// # Panics
    /// When nothing comes within the patience of the harness.
    pub async fn try_exchange(&mut self, request: &Request) -> Result<Exchange> {
        patiently(&request.target, async {
            match self {
                Self::Http1(client) => client.exchange(request).await,
                Self::Http2(client) => client.exchange(request).await,
            }
        })
        .await
    }

    /// `GET` of a path.
    ///
    /// # Panics
    /// As [`Client::exchange`].
    pub async fn get(&mut self, target: &str) -> Exchange {
        self.exchange(Request::get(target)).await
    }
}

/// One exchange on its own connection.
///
/// # Panics
/// As [`Client::exchange`].
pub async fn fetch(protocol: Protocol, address: SocketAddr, request: Request) -> Exchange {
    Client::connect(protocol, address).await.exchange(request).await
}

/// Awaits something that normally takes milliseconds.
///
/// # Panics
/// When it takes longer than the patience of the harness; the message says what it was.
pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing within {} s", PATIENCE.as_secs()),
    }
}

fn first<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
