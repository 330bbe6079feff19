//! Addresses to listen on, as users type them.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
    str::FromStr,
};

/// A place to listen on, or one that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The path of a Unix domain socket.
    Unix(PathBuf),
}

impl Address {
    /// The IP address and port, if it has any.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An address as its family writes it: a socket that takes both families shows clients of IPv4 as IPv6 addresses
/// (`[::ffff:10.0.0.1]:80`). Whatever enters the program goes through here once.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => (ip, v6.port()).into(),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

/// A text that is not an address to listen on.
#[derive(Debug, thiserror::Error)]
#[error(
    "invalid address '{0}': expected ip:port (0.0.0.0:8080), [ip6]:port ([::]:8080), name:port (localhost:8080), \
     :port for all interfaces, or unix:/path"
)]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `ip:port`, `[ip6]:port`, `name:port` (the first address of the name), `:port` (all interfaces)
    /// or `unix:/path`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(error()) } else { Ok(Self::Unix(path.into())) };
        }
        // A port is digits alone, whatever the forms below would take.
        let (host, port) =
            text.rsplit_once(':').filter(|(_, port)| !port.starts_with('+')).ok_or_else(error)?;
        if host.is_empty() {
            let port = port.parse().map_err(|_| error())?;
            return Ok(Self::Tcp((Ipv6Addr::UNSPECIFIED, port).into()));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        }
        let first = text.to_socket_addrs().map_err(|_| error())?.next();
        first.map(Self::Tcp).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, shown) in [
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            ("[::1]:0", "[::1]:0"),
            (":8080", "[::]:8080"),
            ("unix:/run/dummy.sock", "unix:/run/dummy.sock"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        assert!("localhost:80".parse::<Address>().unwrap().tcp().unwrap().ip().is_loopback());
    }

    #[test]
    fn mapped_addresses_are_shown_as_ipv4_and_others_stay_as_they_are() {
        for (address, shown) in [
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("[::]:80", "[::]:80"),
            ("[::10.0.0.1]:80", "[::a00:1]:80"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
        ] {
            assert_eq!(canonical(address.parse().unwrap()).to_string(), shown);
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted() {
        for text in
            ["", ":", "8080", "1.2.3.4", "1.2.3.4:70000", "unix:", ":-1", ":+80", "localhost:+80", ":80:90"]
        {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("unix:/path"), "{text}: {error}");
        }
    }
}
