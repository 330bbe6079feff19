//! Version 1: one line of text (section 2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Command, Endpoint, Error, Header, HeaderVersion, Parsed};
use crate::address::canonical;

pub(super) const PREFIX: &[u8] = b"PROXY ";
/// The longest line there can be, with its end.
pub(super) const MAX_LINE: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    let seen = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = seen.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < MAX_LINE { Ok(Parsed::Incomplete) } else { Err(Error::TooLong) };
    };
    let line = std::str::from_utf8(&bytes[PREFIX.len()..end]).map_err(|_| Error::Malformed("not ASCII"))?;
    let (family, rest) = line.split_once(' ').unwrap_or((line, ""));
    let endpoints = match family {
        // Whatever follows must be ignored.
        "UNKNOWN" => None,
        "TCP4" => Some(endpoints::<Ipv4Addr>(rest)?),
        "TCP6" => Some(endpoints::<Ipv6Addr>(rest)?),
        _ => return Err(Error::Malformed("neither TCP4 nor TCP6 nor UNKNOWN")),
    };
    let header = Header { version: HeaderVersion::V1, command: Command::Proxy, endpoints, tlvs: Vec::new() };
    Ok(Parsed::Header(Box::new(header), end + 2))
}

/// Source and destination address, source and destination port, with one space between.
fn endpoints<A: std::str::FromStr + Into<IpAddr>>(text: &str) -> Result<(Endpoint, Endpoint), Error> {
    let words: Vec<&str> = text.split(' ').collect();
    let &[source, destination, source_port, destination_port] = words.as_slice() else {
        return Err(Error::Malformed("not two addresses and two ports"));
    };
    Ok((endpoint::<A>(source, source_port)?, endpoint::<A>(destination, destination_port)?))
}

fn endpoint<A: std::str::FromStr + Into<IpAddr>>(address: &str, port: &str) -> Result<Endpoint, Error> {
    let address: A = address.parse().map_err(|_| Error::Malformed("not an address of its family"))?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let zeros = port.len() > 1 && port.starts_with('0');
    let port = if digits && !zeros { port.parse().ok() } else { None };
    let port = port.ok_or(Error::Malformed("not a port"))?;
    Ok(Endpoint::Ip(canonical(SocketAddr::new(address.into(), port))))
}
