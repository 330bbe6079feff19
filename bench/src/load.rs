//! What a client does to a server: the protocol, the body, how many at a time, how fast and for how long.
//!
//! Nothing here knows a client, a server or what is compared.

use std::time::Duration;

use contract::quantity::{self, LONGEST_TIME};

/// A protocol of the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 in clear text, by prior knowledge.
    H2c,
    /// WebSocket over HTTP/1.1: messages, which come back. Where connections lie idle, of the size of the body.
    WebSocket,
    /// HTTP/1.1 over TLS 1.3.
    Tls,
    /// HTTP/2 over TLS 1.3.
    TlsH2,
}

/// What a body is called in a path, and its size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    /// 1,024 bytes.
    K1,
    /// 1,048,576 bytes.
    M1,
}

impl Body {
    /// The path that every server serves it under.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.paths()[0]
    }

    /// All paths that every server serves it under.
    #[must_use]
    pub const fn paths(self) -> &'static [&'static str] {
        match self {
            Self::K1 => &["/bin/1K", "/bin/1024"],
            Self::M1 => &["/bin/1M"],
        }
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::K1 => 1024,
            Self::M1 => 1024 * 1024,
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        contract::pattern::ALPHABET.iter().copied().cycle().take(self.size()).collect()
    }
}

/// What the client does.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Protocol of the requests.
    pub protocol: Protocol,
    /// The requested body.
    pub body: Body,
    /// Connections.
    pub connections: u32,
    /// Requests at a time on a connection.
    pub streams: u32,
    /// Arrivals per second; none: the next request follows the last reply.
    pub rate: Option<u32>,
    /// How long, in seconds; where connections lie idle, how long they do.
    pub seconds: f64,
}

impl Load {
    /// How many requests a paced load has.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.rate.map(|rate| quantity::rounded(f64::from(rate) * self.seconds))
    }

    /// How long it lasts.
    #[must_use]
    pub fn time(&self) -> Duration {
        quantity::clamped_seconds(self.seconds, LONGEST_TIME)
    }
}
