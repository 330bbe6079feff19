//! Where a server posts what it has seen of verified runs when it ends.

use std::fmt;

/// The URL of a loadgen that listens for ledgers: plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushUrl {
    host: String,
    port: u16,
    pub(crate) path: String,
}

impl PushUrl {
    /// The longest that is accepted, in bytes.
    const MAX: usize = 2048;

    /// Reads `http://host:port`, with a path if there is one.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://").filter(|_| text.len() <= Self::MAX)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = authority.rsplit_once(':')?;
        let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(literal) => literal.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.len() <= 253 && host.bytes().all(is_plain),
        };
        let is_path = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let path = if path.is_empty() { "/" } else { path };
        (is_host && is_path && port != 0).then(|| Self { host: host.to_owned(), port, path: path.to_owned() })
    }

    /// Host and port, as the field `host` has them.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What is looked up, and the port.
    pub(crate) fn address(&self) -> (&str, u16) {
        (self.host.trim_matches(['[', ']']), self.port)
    }
}

impl fmt::Display for PushUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_plain_http_with_a_port_are_read_and_others_are_not() {
        for text in
            ["http://loadgen:9092/", "http://127.0.0.1:1/a?b=c", "http://[::1]:65535/", "http://a-b.c_d:9/"]
        {
            assert_eq!(PushUrl::read(text).unwrap().to_string(), text);
        }
        assert_eq!(PushUrl::read("http://a:1").unwrap().to_string(), "http://a:1/");
        assert_eq!(PushUrl::read("http://[::1]:2").unwrap().address(), ("::1", 2));
        let (long, host) = ("x".repeat(PushUrl::MAX), "x".repeat(254));
        for text in [
            "",
            "a:1",
            "https://a:1",
            "http://a",
            "http://a:",
            "http://:1",
            "http://a:0",
            "http://a:65536",
            "http://a:+1",
            "http://a:1?b",
            "http://user@a:1",
            "http://a:1/ b",
            "http://a:1/#b",
            "http://[::g]:1",
            "http://a:1/\r\nx: y",
            &format!("http://{host}:1"),
            &format!("http://a:1/{long}"),
        ] {
            assert_eq!(PushUrl::read(text), None, "{text}");
        }
    }
}
