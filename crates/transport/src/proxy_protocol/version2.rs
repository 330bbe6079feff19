//! Version 2: binary (section 2.2).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Command, Endpoint, Error, Header, HeaderVersion, MAX_HEADER, Parsed, tlv};
use crate::address::canonical;

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and transport, and the length of the rest.
const FIXED: usize = 16;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    // The first bytes may be wrong already: nothing more is awaited then.
    let version = bytes.get(12).map_or(2, |byte| byte >> 4);
    if version != 2 {
        return Err(Error::Malformed("neither version 1 nor 2"));
    }
    let command = match bytes.get(12).map_or(0, |byte| byte & 0xf) {
        0 => Command::Local,
        1 => Command::Proxy,
        _ => return Err(Error::Malformed("neither LOCAL nor PROXY")),
    };
    let Some(fixed) = bytes.get(..FIXED) else { return Ok(Parsed::Incomplete) };
    // What a proxy says of its own connection must be discarded, whatever it is (section 2.2).
    let family = match command {
        Command::Proxy => Some(Family::of(fixed[13])?),
        Command::Local => None,
    };
    let length = FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > MAX_HEADER {
        return Err(Error::TooLong);
    }
    let Some(header) = bytes.get(..length) else { return Ok(Parsed::Incomplete) };
    let (endpoints, tlvs) = match family {
        Some(family) => {
            let (endpoints, rest) = endpoints(family, &header[FIXED..])?;
            let tlvs = tlv::list(rest)?;
            tlv::verify(header, length - rest.len())?;
            (endpoints, tlvs)
        }
        None => (None, Vec::new()),
    };
    Ok(Parsed::Header(Box::new(Header { version: HeaderVersion::V2, command, endpoints, tlvs }), length))
}

/// What addresses are written as.
#[derive(Clone, Copy)]
enum Family {
    Unknown,
    Ipv4,
    Ipv6,
    Unix,
}

impl Family {
    /// The upper half of the byte; the lower half is the transport: none, stream or datagram.
    fn of(byte: u8) -> Result<Self, Error> {
        match (byte >> 4, byte & 0xf) {
            (_, 3..) => Err(Error::Unsupported("transport", byte & 0xf)),
            (0, _) => Ok(Self::Unknown),
            (1, _) => Ok(Self::Ipv4),
            (2, _) => Ok(Self::Ipv6),
            (3, _) => Ok(Self::Unix),
            (family, _) => Err(Error::Unsupported("address family", family)),
        }
    }

    /// Bytes of both addresses, and of the ports if there are any.
    const fn length(self) -> usize {
        match self {
            Self::Unknown => 0,
            Self::Ipv4 => 12,
            Self::Ipv6 => 36,
            Self::Unix => 216,
        }
    }
}

type Endpoints = Option<(Endpoint, Endpoint)>;

/// The addresses, and what follows them.
fn endpoints(family: Family, block: &[u8]) -> Result<(Endpoints, &[u8]), Error> {
    let short = Error::Malformed("no room for its addresses");
    let (block, rest) = block.split_at_checked(family.length()).ok_or(short)?;
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    let ipv4 =
        |at: usize| <[u8; 4]>::try_from(&block[at..at + 4]).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
    let ipv6 =
        |at: usize| <[u8; 16]>::try_from(&block[at..at + 16]).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from);
    let ip = |address: SocketAddr| Endpoint::Ip(canonical(address));
    let endpoints = match family {
        Family::Unknown => None,
        Family::Ipv4 => Some((ip((ipv4(0), port(8)).into()), ip((ipv4(4), port(10)).into()))),
        Family::Ipv6 => Some((ip((ipv6(0), port(32)).into()), ip((ipv6(16), port(34)).into()))),
        Family::Unix => Some((path(&block[..108]), path(&block[108..]))),
    };
    Ok((endpoints, rest))
}

/// A path ends with its first zero byte, or the field does. One that begins with a zero is abstract (unix(7)).
fn path(field: &[u8]) -> Endpoint {
    let (mark, name) = match field.split_first() {
        Some((0, name)) if name.first().is_some_and(|byte| *byte != 0) => ("@", name),
        _ => ("", field),
    };
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Endpoint::Unix(format!("{mark}{}", String::from_utf8_lossy(&name[..end])).into())
}
