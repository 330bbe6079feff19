//! Version 2: binary (section 2.2).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Command, Endpoint, Error, Header, MAX_HEADER, Parsed, Version, tlv};

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
    let length = FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > MAX_HEADER {
        return Err(Error::TooLong);
    }
    let Some(header) = bytes.get(..length) else { return Ok(Parsed::Incomplete) };
    let (endpoints, rest) = endpoints(fixed[13], &header[FIXED..])?;
    let tlvs = tlv::list(rest)?;
    tlv::verify(header, length - rest.len())?;
    // What a proxy says of a connection of its own is to be thrown away.
    let endpoints = endpoints.filter(|_| command == Command::Proxy);
    Ok(Parsed::Header(Box::new(Header { version: Version::V2, command, endpoints, tlvs }), length))
}

type Endpoints = Option<(Endpoint, Endpoint)>;

/// The addresses, and what follows them.
fn endpoints(family_and_transport: u8, block: &[u8]) -> Result<(Endpoints, &[u8]), Error> {
    let short = Error::Malformed("no room for its addresses");
    if family_and_transport & 0xf > 2 {
        return Err(Error::Malformed("a transport that is neither stream nor datagram"));
    }
    let length = match family_and_transport >> 4 {
        0 => 0,
        1 => 12,
        2 => 36,
        3 => 216,
        _ => return Err(Error::Malformed("an address family that is none")),
    };
    let (block, rest) = block.split_at_checked(length).ok_or(short)?;
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    let ipv4 =
        |at: usize| <[u8; 4]>::try_from(&block[at..at + 4]).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
    let ipv6 =
        |at: usize| <[u8; 16]>::try_from(&block[at..at + 16]).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from);
    let ip = |address: SocketAddr| Endpoint::Ip(address);
    let endpoints = match length {
        12 => Some((ip((ipv4(0), port(8)).into()), ip((ipv4(4), port(10)).into()))),
        36 => Some((ip((ipv6(0), port(32)).into()), ip((ipv6(16), port(34)).into()))),
        216 => Some((path(&block[..108]), path(&block[108..]))),
        _ => None,
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
