//! Where the requests go, as people type it.

use std::{fmt, net::Ipv6Addr, ops::RangeInclusive};

use contract::quantity;

use super::PlanError;

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112).
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 section 3.3).
    H2c,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::H2c => "h2c",
        })
    }
}

/// A server and a path on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is spoken there.
    pub protocol: Protocol,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query, beginning with a slash.
    pub path: String,
}

const PORTS: RangeInclusive<u64> = 1..=u16::MAX as u64;

const ACCEPTED: &str = "write host:port, h2c://host:port or http://host:port, with a path if you like";

impl Target {
    /// Reads a target; `http2` turns `http://` into HTTP/2.
    ///
    /// # Errors
    /// One line that says what is accepted.
    pub fn parse(text: &str, http2: bool) -> Result<Self, PlanError> {
        let error = || PlanError(format!("invalid target '{text}': {ACCEPTED}"));
        // A path or a query may hold an address of its own.
        let scheme = text.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?', '#']));
        let (protocol, default_port, rest) = match scheme {
            None => (Protocol::H2c, None, text),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "h2c" => (Protocol::H2c, Some(80), rest),
                "http" if http2 => (Protocol::H2c, Some(80), rest),
                "http" => (Protocol::Http1, Some(80), rest),
                "https" => {
                    return Err(PlanError(format!("'{text}' needs TLS, which is not spoken: {ACCEPTED}")));
                }
                _ => return Err(error()),
            },
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        let (host, port) = split_authority(authority, default_port).ok_or_else(error)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        path.parse::<http::uri::PathAndQuery>().map_err(|_| error())?;
        Ok(Self { protocol, host, port, path })
    }

    /// Host and port, as requests carry them: port 80 is left out, IPv6 is in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.bracketed();
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http1 => "http",
            Protocol::H2c => "h2c",
        };
        write!(f, "{scheme}://{}:{}{}", self.bracketed(), self.port, self.path)
    }
}

fn split_authority(authority: &str, default_port: Option<u16>) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => u16::try_from(quantity::count_within(port, &PORTS)?).ok()?,
        None => default_port?,
    };
    let named = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    (named || authority.starts_with('[')).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, http2, shown, authority) in [
            ("localhost:8080", false, "h2c://localhost:8080/", "localhost:8080"),
            ("localhost:8080/bin/1K?x=1", false, "h2c://localhost:8080/bin/1K?x=1", "localhost:8080"),
            ("h2c://10.0.0.1/a", false, "h2c://10.0.0.1:80/a", "10.0.0.1"),
            ("http://example.org", false, "http://example.org:80/", "example.org"),
            ("http://example.org:8080/a#b", true, "h2c://example.org:8080/a", "example.org:8080"),
            ("[::1]:8080", false, "h2c://[::1]:8080/", "[::1]:8080"),
            ("http://[fe80::1]/x", false, "http://[fe80::1]:80/x", "[fe80::1]"),
            ("http://a?q", false, "http://a:80/?q", "a"),
            ("HTTP://a", false, "http://a:80/", "a"),
            ("H2C://a:1", false, "h2c://a:1/", "a:1"),
            ("a:1/go?to=http://b", false, "h2c://a:1/go?to=http://b", "a:1"),
            ("a:1?to=ftp://b", false, "h2c://a:1/?to=ftp://b", "a:1"),
            ("a:1/https://b", false, "h2c://a:1/https://b", "a:1"),
        ] {
            let target = Target::parse(text, http2).unwrap();
            assert_eq!(target.to_string(), shown);
            assert_eq!(target.authority(), authority);
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted() {
        for text in [
            "",
            "localhost",
            ":80",
            "a:0",
            "a:70000",
            "a:+80",
            "a:18446744073709551696",
            "a:b",
            "ftp://a:1",
            "https://a",
            "HTTPS://a",
            "http://",
            "::1:80",
            "[::1",
            "[x]:1",
            "a b:80",
            "http://user@a",
            "a:80/ b",
        ] {
            let error = Target::parse(text, false).unwrap_err().to_string();
            assert!(error.contains("write host:port"), "{text}: {error}");
        }
    }
}
