//! A client with control of what is sent and when: one connection, one request after the other, every wait with an end.
//!
//! It measures nothing and retries nothing.

mod ask;
mod crowd;
mod http1;
mod http2;
mod wire;

use std::fmt;

use tokio::time::Instant;

pub(super) use self::ask::{Ask, AskedBody, Fields, Framing, get};
pub(super) use self::crowd::Crowd;
use self::{http1::Http1Client, http2::Http2Client, wire::Wire};
use super::gate::Gate;
use crate::plan::Protocol;

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Interim(u16, Fields),
    Head(u16, Fields),
    Data(Vec<u8>),
    Trailers(Fields),
    End,
    /// Nothing more comes.
    Cut(Cut),
}

/// Why nothing more comes, or nothing more can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Closed,
    Reset,
    /// RST_STREAM with this code.
    StreamReset(::http2::Code),
    /// The request was not processed.
    Unprocessed,
    /// GOAWAY with this code, and the end of the connection.
    GoneAway(::http2::Code),
    Malformed(String),
    /// Another protocol was agreed on, or the preface of this one was refused.
    NotSpoken(&'static str),
    /// The connection could not be made or used.
    Failed(String),
    TimedOut,
    /// More than a probe reads.
    TooMuch,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed"),
            Self::Reset => f.write_str("the connection was reset"),
            Self::StreamReset(code) => write!(f, "RST_STREAM with {code}"),
            Self::Unprocessed => f.write_str("GOAWAY, below this stream"),
            Self::GoneAway(code) => write!(f, "GOAWAY with {code}, and the end of the connection"),
            Self::Malformed(why) => write!(f, "malformed: {why}"),
            Self::NotSpoken(why) => f.write_str(why),
            Self::Failed(why) => f.write_str(why),
            Self::TimedOut => f.write_str("nothing more, for as long as was waited"),
            Self::TooMuch => f.write_str("more than a probe reads"),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(super) enum Session {
    Http1(Box<Http1Client>),
    Http2(Box<Http2Client>),
}

impl Session {
    pub(super) async fn connect(gate: &Gate, protocol: Protocol, until: Instant) -> Result<Self, Cut> {
        let wire = Wire::connect(gate, protocol, until).await?;
        Ok(match protocol {
            Protocol::Http1 => Self::Http1(Box::new(Http1Client::new(wire))),
            Protocol::Http2 => {
                let begun = Http2Client::begin(wire, until).await.map_err(|cut| match cut {
                    // What was agreed on by ALPN should be spoken.
                    Cut::Malformed(_) | Cut::Closed | Cut::Reset if !gate.site.target().tls => {
                        Cut::NotSpoken("its preface was refused")
                    }
                    cut => cut,
                });
                Self::Http2(Box::new(begun?))
            }
        })
    }

    /// Sends the head of a request.
    pub(super) async fn open(&mut self, ask: &Ask, until: Instant) -> Result<(), Cut> {
        match self {
            Self::Http1(http1) => http1.open(ask, until).await,
            Self::Http2(http2) => http2.open(ask, until).await,
        }
    }

    /// Sends a part of its content.
    pub(super) async fn send(&mut self, part: &[u8], end: bool, until: Instant) -> Result<(), Cut> {
        match self {
            Self::Http1(http1) => http1.send(part, end, until).await,
            Self::Http2(http2) => http2.send(part, end, until).await,
        }
    }

    /// Ends the content with a trailer.
    pub(super) async fn end_with(&mut self, name: &str, value: &str, until: Instant) -> Result<(), Cut> {
        match self {
            Self::Http1(http1) => http1.end_with(name, value, until).await,
            Self::Http2(http2) => http2.end_with(name, value, until).await,
        }
    }

    /// Sends bytes as they are, over HTTP/1 alone.
    pub(super) async fn raw(&mut self, bytes: &[u8], until: Instant) -> Result<(), Cut> {
        match self {
            Self::Http1(http1) => http1.raw(bytes, until).await,
            Self::Http2(_) => Err(Cut::Failed("HTTP/2 has no text".to_owned())),
        }
    }

    /// Ends the client's direction, over HTTP/1 alone.
    pub(super) async fn end_sending(&mut self, until: Instant) -> Result<(), Cut> {
        match self {
            Self::Http1(http1) => http1.end_sending(until).await,
            Self::Http2(_) => Ok(()),
        }
    }

    /// Sends a request on many streams, over HTTP/2 alone.
    pub(super) async fn crowd(&mut self, ask: &Ask, most: usize, until: Instant) -> Result<Crowd, Cut> {
        match self {
            Self::Http1(_) => Err(Cut::Failed("HTTP/1 has no streams".to_owned())),
            Self::Http2(http2) => http2.crowd(ask, most, until).await,
        }
    }

    /// How many bytes have come that belong to no reply: HTTP/2 has them belong to a stream.
    pub(super) async fn extra(&mut self, until: Instant) -> usize {
        match self {
            Self::Http1(http1) => http1.extra(until).await,
            Self::Http2(_) => 0,
        }
    }

    /// Whether the connection ends, over HTTP/1 alone.
    pub(super) async fn ends(&mut self, until: Instant) -> bool {
        match self {
            Self::Http1(http1) => http1.ends(until).await,
            Self::Http2(_) => false,
        }
    }

    /// The next thing that comes.
    pub(super) async fn hear(&mut self, until: Instant) -> Heard {
        match self {
            Self::Http1(http1) => http1.hear(until).await,
            Self::Http2(http2) => http2.hear(until).await,
        }
    }

    /// Gives the request up: RST over TCP, or RST_STREAM with CANCEL.
    pub(super) async fn give_up(self, until: Instant) {
        match self {
            Self::Http1(http1) => http1.give_up(),
            Self::Http2(mut http2) => http2.give_up(until).await,
        }
    }

    /// Whether another request may follow.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Http1(http1) => http1.is_open(),
            Self::Http2(http2) => http2.is_open(),
        }
    }

    /// Whether it takes WebSockets.
    pub(super) fn takes_websockets(&self) -> bool {
        match self {
            Self::Http1(_) => true,
            Self::Http2(http2) => http2.takes_websockets(),
        }
    }
}
