//! Headers as the sender of a connection writes them.

use std::net::{IpAddr, SocketAddr};

use super::{HeaderVersion, version1, version2};

/// The header of a connection from `source` to `destination`; without them, or when they are of two families, one that says
/// that nothing is known of the client.
#[must_use]
pub fn header(version: HeaderVersion, addresses: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let addresses = addresses.filter(|(source, destination)| source.is_ipv4() == destination.is_ipv4());
    match version {
        HeaderVersion::V1 => match addresses {
            Some((source, destination)) => {
                let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
                let line =
                    format!("{} {} {} {}", source.ip(), destination.ip(), source.port(), destination.port());
                [version1::PREFIX, format!("{family} {line}\r\n").as_bytes()].concat()
            }
            None => [version1::PREFIX, b"UNKNOWN\r\n"].concat(),
        },
        HeaderVersion::V2 => {
            let mut rest = Vec::new();
            let family = match addresses {
                Some((source, destination)) => {
                    for ip in [source.ip(), destination.ip()] {
                        match ip {
                            IpAddr::V4(ip) => rest.extend_from_slice(&ip.octets()),
                            IpAddr::V6(ip) => rest.extend_from_slice(&ip.octets()),
                        }
                    }
                    for port in [source.port(), destination.port()] {
                        rest.extend_from_slice(&port.to_be_bytes());
                    }
                    // Over a stream.
                    if source.is_ipv4() { 0x11 } else { 0x21 }
                }
                None => 0,
            };
            // Version 2, PROXY. No more than 36 bytes follow.
            let fixed = [0x21, family, 0, rest.len() as u8];
            [version2::SIGNATURE, &fixed, &rest].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let v4 = ("127.0.0.2:40000".parse().unwrap(), "127.0.0.1:80".parse().unwrap());
        let v6: (SocketAddr, SocketAddr) =
            ("[2001:db8::1]:65535".parse().unwrap(), "[::1]:1".parse().unwrap());
        for version in [HeaderVersion::V1, HeaderVersion::V2] {
            for addresses in [Some(v4), Some(v6), None, Some((v4.0, v6.1))] {
                let bytes = header(version, addresses);
                let Parsed::Header(read, length) = parse(&bytes).unwrap() else { panic!("{bytes:?}") };
                assert_eq!((length, read.version, read.command), (bytes.len(), version, Command::Proxy));
                let known = addresses.filter(|(a, b)| a.is_ipv4() == b.is_ipv4());
                let known = known.map(|(a, b)| (Endpoint::Ip(a), Endpoint::Ip(b)));
                assert_eq!(read.endpoints, known, "{version:?} {addresses:?}");
            }
        }
    }
}
