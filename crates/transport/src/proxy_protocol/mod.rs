//! The PROXY protocol, versions 1 and 2, as the receiver sees it, bytes in, a header out, and as a sender writes it on its own connection. The document is HAProxy's
//! `doc/proxy-protocol.txt`; its sections are named below.
//!
//! It knows no socket and no clock, and does not say whether a header can be trusted.

mod tlv;
mod version1;
mod version2;
mod write;

use std::{fmt, net::SocketAddr};

pub use tlv::{Ssl, Tlv, Value};
pub use write::header;

/// Bytes of the longest header that is read. Version 2 could have 65,551; what proxies send is far shorter, except for
/// client certificates in it.
pub const MAX_HEADER: usize = 16 << 10;

/// What the bytes so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed to decide.
    Incomplete,
    /// No header: they begin with something else.
    Absent,
    /// A header, and how many bytes it is long.
    Header(Box<Header>, usize),
}

/// Which version a header is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderVersion {
    /// A line of text (section 2.1).
    V1,
    /// Binary (section 2.2).
    V2,
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The proxy's own, such as a health check: its addresses are the connection's own.
    Local,
    /// On behalf of a client.
    Proxy,
}

/// An end of the connection that was proxied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An IP address, in its [canonical](crate::address::canonical) form, and a port.
    Ip(SocketAddr),
    /// The path of a Unix socket.
    Unix(Box<str>),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How it is written.
    pub version: HeaderVersion,
    /// Whose connection it is.
    pub command: Command,
    /// The client's and the proxy's end; none when they are unknown, and for [`Command::Local`].
    pub endpoints: Option<(Endpoint, Endpoint)>,
    /// What else the proxy says, in order; nothing for [`Command::Local`].
    pub tlvs: Vec<Tlv>,
}

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It breaks the rules.
    #[error("malformed PROXY header: {0}")]
    Malformed(&'static str),
    /// It speaks on behalf of a client whose addresses are of an unknown kind: the part of that kind, and its value.
    #[error("PROXY header with an unknown {0}: {1}; known are IPv4, IPv6 and Unix, over stream or datagram")]
    Unsupported(&'static str, u8),
    /// It is longer than is read.
    #[error("a PROXY header of more than {MAX_HEADER} bytes, or a line of more than {}", version1::MAX_LINE)]
    TooLong,
    /// Its bytes are not those that were sent (`PP2_TYPE_CRC32C`, section 2.2.3).
    #[error("the CRC-32C of the PROXY header does not match")]
    Checksum,
}

/// Looks at the first bytes of a connection.
///
/// # Errors
/// They begin like a header and are none.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    if begins_like(bytes, version2::SIGNATURE) {
        return version2::parse(bytes);
    }
    if begins_like(bytes, version1::PREFIX) {
        return version1::parse(bytes);
    }
    Ok(Parsed::Absent)
}

/// As far as there are bytes.
fn begins_like(bytes: &[u8], start: &[u8]) -> bool {
    let compared = bytes.len().min(start.len());
    bytes[..compared] == start[..compared]
}

#[cfg(test)]
mod tests;
