//! Where the requests go, as people type it.

use std::{fmt, net::Ipv6Addr, ops::RangeInclusive};

use command_line::Refusal;
use contract::quantity;
use http::uri::PathAndQuery;

use super::{PlanError, template::placeholder_end};

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112).
    Http1,
    /// HTTP/2 (RFC 9113), without TLS by prior knowledge (section 3.3).
    Http2,
}

/// Which protocol is to be spoken, where the target leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// As the scheme has it; over TLS, what the server prefers.
    #[default]
    Any,
    /// HTTP/1.1.
    Http1,
    /// HTTP/1.0.
    Http10,
    /// HTTP/2.
    Http2,
}

/// A server and a path on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is spoken there; HTTP/2 as long as that is to be found out.
    pub protocol: Protocol,
    /// Whether it is spoken over TLS.
    pub tls: bool,
    /// Whether requests are gRPC calls, of the method that the path names.
    pub grpc: bool,
    /// Whether connections become WebSockets, and messages are sent in place of requests.
    pub websocket: bool,
    /// Whether the server chooses the protocol, by ALPN (RFC 7301).
    pub negotiated: bool,
    /// Whether it is HTTP/1 and requests are of HTTP/1.0.
    pub http10: bool,
    /// A name or an address, without brackets and zone.
    pub host: String,
    /// The zone of an IPv6 address: an interface's name or number, which means something on this machine alone.
    pub zone: Option<String>,
    /// The port.
    pub port: u16,
    /// Path and query, beginning with a slash.
    pub path: String,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// A name or an address, without brackets and zone.
    pub(crate) host: String,
    /// The zone of an IPv6 address.
    pub(crate) zone: Option<String>,
    /// The port.
    pub(crate) port: u16,
}

impl Endpoint {
    /// Reads `host:port`; none if it is anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let Authority { host, zone, port, .. } = Authority::read(text, "", "").ok()?;
        Some(Self { host, zone, port: port? })
    }

    /// Reads `host` or `host:port`; none if it is anything else.
    pub(super) fn of_authority(text: &str, default: u16) -> Option<Self> {
        let Authority { host, zone, port, .. } = Authority::read(text, "", "").ok()?;
        Some(Self { host, zone, port: port.unwrap_or(default) })
    }
}

const PORTS: RangeInclusive<u64> = 1..=u16::MAX as u64;

const ACCEPTED: &str = "host:port or h2c://host:port for HTTP/2, http://host:port for HTTP/1.1, https://host:port for either over TLS, each \
     with an optional path; grpc://host:port or grpcs://host:port (TLS), with an optional /package.Service/Method; ws://host:port or wss://host:port";

/// The method that is called where none is given.
pub(crate) const DEFAULT_METHOD: &str = "/echo.EchoService/Echo";

/// What two braces in a text are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Braces {
    /// Braces.
    Literal,
    /// The beginning or the end of a placeholder.
    Placeholder,
}

/// What is wrong with a target, and one like it that is accepted.
struct Wrong {
    reason: String,
    example: String,
}

fn wrong(reason: impl Into<String>, example: impl Into<String>) -> Wrong {
    Wrong { reason: reason.into(), example: example.into() }
}

impl Target {
    /// Reads a target; `version` is what is spoken where the scheme leaves that open.
    ///
    /// # Errors
    /// One line that says what is wrong, what is accepted, and an example.
    pub fn parse(text: &str, version: Version) -> Result<Self, PlanError> {
        Self::parse_with(text, version, Braces::Literal)
    }

    /// The same of a target whose path may have placeholders, which stay in it as they are.
    pub(crate) fn parse_with(text: &str, version: Version, braces: Braces) -> Result<Self, PlanError> {
        if text.is_empty() {
            return Err(PlanError::without_target("it is empty"));
        }
        read(text, version, braces).map_err(|Wrong { reason, example }| {
            let shown = without_user(text);
            // What it was made of may have more than one mistake.
            let is_accepted = read(&example, Version::Any, braces).is_ok();
            let example = if is_accepted { example } else { "http://localhost:8080".to_owned() };
            PlanError(Refusal::new(format!("invalid target '{shown}'"), ACCEPTED, example).because(reason))
        })
    }

    /// Host and port, as requests carry them: the scheme's own port is left out, IPv6 is in brackets and without its zone (RFC 6874
    /// section 4).
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default = if self.tls { 443 } else { 80 };
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }

    /// Where connections go unless the route has it otherwise.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let Self { host, zone, port, .. } = self;
        Endpoint { host: host.clone(), zone: zone.clone(), port: *port }
    }

    /// Host and port, with the port in any case.
    pub(crate) fn place(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// What is spoken there, as reports have it.
    #[must_use]
    pub fn protocol_name(&self) -> &'static str {
        match (self.protocol, self.tls) {
            (Protocol::Http1, false) if self.websocket => "WebSocket",
            (Protocol::Http1, true) if self.websocket => "WebSocket over TLS",
            (Protocol::Http2, false) if self.websocket => "WebSocket over h2c",
            (Protocol::Http2, true) if self.websocket => "WebSocket over HTTP/2 and TLS",
            (Protocol::Http1, false) if self.http10 => "HTTP/1.0",
            (Protocol::Http1, true) if self.http10 => "HTTP/1.0 over TLS",
            (Protocol::Http1, false) => "HTTP/1.1",
            (Protocol::Http1, true) => "HTTP/1.1 over TLS",
            (Protocol::Http2, false) => "h2c",
            (Protocol::Http2, true) => "HTTP/2 over TLS",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, path, .. } = self;
        let scheme = match self.protocol {
            _ if self.grpc && self.tls => "grpcs",
            _ if self.grpc => "grpc",
            _ if self.websocket && self.tls => "wss",
            _ if self.websocket => "ws",
            _ if self.tls => "https",
            Protocol::Http1 => "http",
            Protocol::Http2 => "h2c",
        };
        match &self.zone {
            Some(zone) => write!(f, "{scheme}://[{host}%25{zone}]:{port}{path}"),
            None if host.contains(':') => write!(f, "{scheme}://[{host}]:{port}{path}"),
            None => write!(f, "{scheme}://{host}:{port}{path}"),
        }
    }
}

/// What stands for a secret in what is printed or kept.
pub(crate) const REDACTED: &str = "[redacted]";

/// A target without the user name and the password before its host.
pub(crate) fn without_user(target: &str) -> String {
    let begin = target.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = target.split_at(begin);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}{REDACTED}{}", &rest[at..]),
        None => target.to_owned(),
    }
}

fn read(text: &str, version: Version, braces: Braces) -> Result<Target, Wrong> {
    // A path or a query may hold another address.
    let scheme = text.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?', '#']));
    let (scheme, default_port, rest) = match scheme {
        None => (String::new(), None, text),
        Some((scheme, rest)) => match scheme.to_ascii_lowercase() {
            scheme if ["h2c", "http", "grpc", "ws"].contains(&&*scheme) => (scheme, Some(80), rest),
            scheme if ["https", "grpcs", "wss"].contains(&&*scheme) => (scheme, Some(443), rest),
            other => return Err(wrong(format!("unknown scheme '{other}'"), format!("http://{rest}"))),
        },
    };
    let tls = ["https", "grpcs", "wss"].contains(&&*scheme);
    let grpc = scheme.starts_with("grpc");
    let websocket = scheme.starts_with("ws");
    let http10 = version == Version::Http10;
    let flag = if http10 { "--http1.0" } else { "--http1.1" };
    let protocol = match (scheme.as_str(), version) {
        ("h2c", Version::Http1 | Version::Http10) => {
            let reason = format!("h2c:// is HTTP/2, and {flag} is not");
            return Err(wrong(reason, format!("http://{rest}")));
        }
        ("grpc" | "grpcs", Version::Http1 | Version::Http10) => {
            let reason = format!("{scheme}:// is HTTP/2, and {flag} is not");
            return Err(wrong(reason, format!("{scheme}://{rest}")));
        }
        ("ws" | "wss", Version::Http10) => {
            let reason = format!("{scheme}:// begins with HTTP/1.1, or HTTP/2, and --http1.0 is neither");
            return Err(wrong(reason, format!("{scheme}://{rest}")));
        }
        // Over HTTP/2, few servers speak WebSocket (RFC 8441): it is asked for.
        (_, Version::Http1 | Version::Http10) | ("http" | "ws" | "wss", Version::Any) => Protocol::Http1,
        _ => Protocol::Http2,
    };
    let begin = text.len() - rest.len();
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // Of the same length, so that what is found there is at the same place.
    let masked = if braces == Braces::Placeholder { masked(behind) } else { behind.to_owned() };
    let path_length = masked.find('#').unwrap_or(masked.len());
    let (path, masked) = (&behind[..path_length], &masked[..path_length]);
    let prefix = &text[..begin];
    let has_empty_port = authority.ends_with(':');
    let authority = Authority::read(authority, prefix, path).map_err(|place| match place {
        AuthorityError::Character(at, c) => {
            let reason = format!("invalid character {c:?} at position {}", position(text, begin + at));
            wrong(reason, "localhost:8080/path")
        }
        AuthorityError::Other(wrong) => wrong,
    })?;
    // A URL may have it (RFC 3986), but a script whose variable is empty by mistake must not load something else.
    if has_empty_port && default_port.is_some() {
        let example = format!("{prefix}{}:8080{path}", authority.shown);
        return Err(wrong("the port is empty", example));
    }
    let port = authority.port.or(default_port).ok_or_else(|| {
        let reason = "the port is missing, which has a default only after a scheme such as http://";
        wrong(reason, format!("{}:8080{path}", authority.shown))
    })?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let path_at = begin + authority.length;
    if let Some((at, c)) = first_invalid(slash, masked) {
        let mut utf8 = [0; 4];
        let escaped: String = c.encode_utf8(&mut utf8).bytes().map(|byte| format!("%{byte:02X}")).collect();
        let reason = format!(
            "invalid character {c:?} at position {}, write it as {escaped}",
            position(text, path_at + at)
        );
        return Err(wrong(reason, format!("{}{}", &text[..path_at], path.replace(c, &escaped))));
    }
    let path = match format!("{slash}{path}") {
        path if grpc && path == "/" => DEFAULT_METHOD.to_owned(),
        path if grpc && !is_method(&path) => {
            let reason = format!("'{path}' is not a service and a method");
            return Err(wrong(reason, format!("{}{DEFAULT_METHOD}", &text[..path_at])));
        }
        path => path,
    };
    let negotiated = tls && !grpc && !websocket && version == Version::Any;
    let Authority { host, zone, .. } = authority;
    Ok(Target { protocol, tls, grpc, websocket, negotiated, http10, host, zone, port, path })
}

/// Whether a path is that of a call: `/package.Service/Method`.
fn is_method(path: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
    };
    path[1..].split_once('/').is_some_and(|(service, method)| is_name(service) && is_name(method))
}

/// The path of a call by itself; that of the root is the method that is called by default.
pub(super) fn method(text: &str) -> Result<String, PlanError> {
    match text {
        "/" => Ok(DEFAULT_METHOD.to_owned()),
        text if text.starts_with('/') && is_method(text) => Ok(text.to_owned()),
        text => {
            let accepted = "/package.Service/Method, without placeholders";
            let refused = Refusal::of_value("path", text, accepted, DEFAULT_METHOD);
            Err(PlanError(refused.because("it is not a service and a method")))
        }
    }
}

/// A path and a query by themselves.
pub(super) fn path(text: &str, braces: Braces) -> Result<String, PlanError> {
    let refused = |why: String, example: String| {
        let accepted = "a path that begins with /, with a query if you like";
        PlanError(Refusal::of_value("path", text, accepted, example).because(why))
    };
    if !text.starts_with('/') {
        return Err(refused("it does not begin with /".to_owned(), format!("/{text}")));
    }
    let masked = if braces == Braces::Placeholder { masked(text) } else { text.to_owned() };
    if let Some(at) = masked.find('#') {
        let why = format!("a fragment is not sent, '#' at position {}", position(text, at));
        return Err(refused(why, text[..at].to_owned()));
    }
    match first_invalid("", &masked) {
        None => Ok(text.to_owned()),
        Some((at, c)) => {
            let why = format!("invalid character {c:?} at position {}", position(text, at));
            Err(refused(why, "/items".to_owned()))
        }
    }
}

/// A path with letters in place of its placeholders.
pub(super) fn masked(path: &str) -> String {
    let mut masked = path.to_owned();
    let mut at = 0;
    while let Some(begin) = masked[at..].find("{{").map(|begin| at + begin) {
        // One without an end is reported by what compiles it.
        let end = placeholder_end(&masked.as_bytes()[begin..]).map_or(masked.len(), |length| begin + length);
        masked.replace_range(begin..end, &"x".repeat(end - begin));
        at = end;
    }
    masked
}

/// The number of the character that begins at this byte, counted from 1.
fn position(text: &str, byte: usize) -> usize {
    text[..byte].chars().count() + 1
}

/// The first character that a path or a query can't have, and where it begins.
fn first_invalid(slash: &str, path: &str) -> Option<(usize, char)> {
    let reads = |path: &str| format!("{slash}{path}").parse::<PathAndQuery>().is_ok();
    if path.is_empty() || reads(path) {
        return None;
    }
    path.char_indices().find(|(at, c)| !reads(&path[..at + c.len_utf8()]))
}

/// What stands between the scheme and the path.
struct Authority {
    host: String,
    zone: Option<String>,
    port: Option<u16>,
    /// The host as it was typed, in its brackets.
    shown: String,
    /// In bytes.
    length: usize,
}

enum AuthorityError {
    /// A character that a host can't have, and where it begins.
    Character(usize, char),
    Other(Wrong),
}

impl Authority {
    /// `prefix` and `path` are what stands before and behind, for examples.
    fn read(text: &str, prefix: &str, path: &str) -> Result<Self, AuthorityError> {
        let other = |reason: String, authority: &str| {
            AuthorityError::Other(wrong(reason, format!("{prefix}{authority}{path}")))
        };
        // Without this, its colon would be taken for one of IPv6.
        if let Some((_, host)) = text.rsplit_once('@').filter(|(user, _)| user.contains(':')) {
            let host = if host.is_empty() { "localhost:8080" } else { host };
            return Err(other("a user name in a URL is not supported".to_owned(), host));
        }
        let (shown, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let Some(end) = rest.find(']') else {
                    return Err(other("']' is missing".to_owned(), "[::1]:8080"));
                };
                let (shown, after) = text.split_at(end + 2);
                match (after, after.strip_prefix(':')) {
                    ("", _) => (shown, None),
                    (_, Some(port)) => (shown, Some(port)),
                    (_, None) => {
                        let reason = format!("'{after}' after ']' is not a port");
                        return Err(other(reason, &format!("{shown}:8080")));
                    }
                }
            }
            None => match text.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => {
                    let reason = "an IPv6 address needs brackets".to_owned();
                    return Err(other(reason, &in_brackets(text)));
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let (host, zone) = match shown.strip_prefix('[').and_then(|shown| shown.strip_suffix(']')) {
            Some(inner) => ipv6(inner, !prefix.is_empty()).map_err(|reason| other(reason, "[::1]:8080"))?,
            None => {
                let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                if let Some((at, c)) = shown.char_indices().find(|(_, c)| !is_of_a_name(*c)) {
                    return Err(AuthorityError::Character(at, c));
                }
                if shown.is_empty() {
                    return Err(other("the host is missing".to_owned(), "localhost:8080"));
                }
                if shown.len() > 253 {
                    return Err(other("the host has more than 253 characters".to_owned(), "localhost:8080"));
                }
                (shown, None)
            }
        };
        let port = match port {
            None | Some("") => None,
            Some(port) => {
                let number = quantity::count_within(port, &PORTS).and_then(|port| u16::try_from(port).ok());
                Some(number.ok_or_else(|| {
                    other(format!("port '{port}' is not a number from 1 to 65535"), &format!("{shown}:8080"))
                })?)
            }
        };
        let zone = zone.map(str::to_owned);
        Ok(Self { host: host.to_owned(), zone, port, shown: shown.to_owned(), length: text.len() })
    }
}

/// An IPv6 address with a port, as it was most likely meant: what looks like a port is one.
fn in_brackets(text: &str) -> String {
    let is_address = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    let is_port = |text: &str| text.len() > 1 && quantity::count_within(text, &PORTS).is_some();
    match text.rsplit_once(':') {
        Some((address, port)) if is_address(address) && is_port(port) => format!("[{address}]:{port}"),
        _ if is_address(text) => format!("[{text}]:8080"),
        _ => "[::1]:8080".to_owned(),
    }
}

/// The address and the zone between brackets. The percent sign before the zone is `%25` in a URL (RFC 6874), and `%`
/// everywhere else. There, `%25` before a name is taken for that of a URL, but `%251` is the interface of number 251.
fn ipv6(inner: &str, is_in_url: bool) -> Result<(&str, Option<&str>), String> {
    let (address, zone) = match inner.split_once('%') {
        None => (inner, None),
        Some((address, zone)) => {
            let is_number = |zone: &str| zone.bytes().all(|byte| byte.is_ascii_digit());
            let of_url = zone.strip_prefix("25").filter(|zone| !zone.is_empty());
            (address, Some(of_url.filter(|zone| is_in_url || !is_number(zone)).unwrap_or(zone)))
        }
    };
    if address.parse::<Ipv6Addr>().is_err() {
        return Err(format!("'{address}' is not an IPv6 address"));
    }
    let is_of_a_zone = |c: char| c.is_ascii_alphanumeric() || "-._~:".contains(c);
    match zone {
        Some(zone) if zone.is_empty() || !zone.chars().all(is_of_a_zone) => {
            Err(format!("zone '{zone}' is not the name or the number of an interface"))
        }
        zone => Ok((address, zone)),
    }
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
            ("http://[fe80::1%25lo]:80/", false, "http://[fe80::1%25lo]:80/", "[fe80::1]"),
            ("[::1%lo]:80", false, "h2c://[::1%25lo]:80/", "[::1]"),
            ("[fe80::1%25]:8080", false, "h2c://[fe80::1%2525]:8080/", "[fe80::1]:8080"),
            ("[fe80::1%251]:80", false, "h2c://[fe80::1%25251]:80/", "[fe80::1]"),
            ("[fe80::1%25lo]:80", false, "h2c://[fe80::1%25lo]:80/", "[fe80::1]"),
            ("http://[fe80::1%251]:80", false, "http://[fe80::1%251]:80/", "[fe80::1]"),
            ("http://a/{\"x\"}|ü", false, "http://a:80/{\"x\"}|ü", "a"),
            ("HTTP://a", false, "http://a:80/", "a"),
            ("H2C://a:1", false, "h2c://a:1/", "a:1"),
            ("a:1/go?to=http://b", false, "h2c://a:1/go?to=http://b", "a:1"),
            ("a:1?to=ftp://b", false, "h2c://a:1/?to=ftp://b", "a:1"),
            ("a:1/https://b", false, "h2c://a:1/https://b", "a:1"),
            ("grpc://a:1", false, "grpc://a:1/echo.EchoService/Echo", "a:1"),
            ("GRPC://a/", true, "grpc://a:80/echo.EchoService/Echo", "a"),
            ("grpcs://[::1]/a.b_c.S/M", false, "grpcs://[::1]:443/a.b_c.S/M", "[::1]"),
        ] {
            let version = if http2 { Version::Http2 } else { Version::Any };
            let target = Target::parse(text, version).unwrap();
            assert_eq!(target.to_string(), shown);
            assert_eq!(target.authority(), authority);
        }
    }

    #[test]
    fn the_scheme_and_the_version_say_what_is_spoken() {
        for (text, version, name, negotiated) in [
            ("a:1", Version::Any, "h2c", false),
            ("a:1", Version::Http1, "HTTP/1.1", false),
            ("a:1", Version::Http10, "HTTP/1.0", false),
            ("https://a", Version::Http10, "HTTP/1.0 over TLS", false),
            ("http://a", Version::Any, "HTTP/1.1", false),
            ("http://a", Version::Http2, "h2c", false),
            ("h2c://a", Version::Http2, "h2c", false),
            ("https://a", Version::Any, "HTTP/2 over TLS", true),
            ("HTTPS://a:8443", Version::Http2, "HTTP/2 over TLS", false),
            ("https://[::1]/", Version::Http1, "HTTP/1.1 over TLS", false),
            ("grpc://a", Version::Any, "h2c", false),
            ("grpcs://a", Version::Any, "HTTP/2 over TLS", false),
        ] {
            let target = Target::parse(text, version).unwrap();
            assert_eq!((target.protocol_name(), target.negotiated), (name, negotiated), "{text} {version:?}");
        }
        let secure = Target::parse("https://a/x", Version::Any).unwrap();
        assert_eq!((&*secure.to_string(), &*secure.authority()), ("https://a:443/x", "a"));
        assert_eq!(Target::parse("https://a:80", Version::Any).unwrap().authority(), "a:80");
        for target in ["h2c://a", "grpc://a", "grpcs://a"] {
            assert!(Target::parse(target, Version::Http1).unwrap_err().to_string().contains("--http1.1"));
            assert!(Target::parse(target, Version::Http10).unwrap_err().to_string().contains("--http1.0"));
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted_and_one_like_it() {
        for (text, reason, example) in [
            ("", "no target: it is empty", "loadgen localhost:8080"),
            ("localhost", "'localhost': the port is missing", "localhost:8080"),
            ("localhost/a?b", ": the port is missing", "localhost:8080/a?b"),
            ("localhost:", ": the port is missing", "localhost:8080"),
            ("[fe80::1%lo]", ": the port is missing", "[fe80::1%lo]:8080"),
            ("http://127.0.0.1:/x", ": the port is empty", "http://127.0.0.1:8080/x"),
            ("https://[::1]:", ": the port is empty", "https://[::1]:8080"),
            ("grpc://a:", ": the port is empty", "grpc://a:8080"),
            (":80", ": the host is missing", "localhost:8080"),
            ("http://", ": the host is missing", "http://localhost:8080"),
            ("a:0", "port '0' is not a number from 1 to 65535", "a:8080"),
            ("http://a:70000/x", "port '70000' is not", "http://a:8080/x"),
            ("a:+80", "port '+80' is not", "a:8080"),
            ("a:18446744073709551696", "port '18446744073709551696' is not", "a:8080"),
            ("a:b", "port 'b' is not", "a:8080"),
            ("ftp://a:1", "unknown scheme 'ftp'", "http://a:1"),
            ("ftp:///x", "unknown scheme 'ftp'", "http://localhost:8080"),
            ("://", "unknown scheme ''", "http://localhost:8080"),
            ("://a b", "unknown scheme ''", "http://localhost:8080"),
            ("::1:8080", "an IPv6 address needs brackets", "[::1]:8080"),
            ("http://fe80::1:80/x", "an IPv6 address needs brackets", "http://[fe80::1]:80/x"),
            ("fe80::1", "an IPv6 address needs brackets", "[fe80::1]:8080"),
            ("http://me:hunter2@a:80/x", "a user name in a URL is not supported", "http://a:80/x"),
            ("me:hunter2@a:80", "a user name in a URL is not supported", "a:80"),
            ("http://me:hunter2@/x", "a user name in a URL is not supported", "http://localhost:8080/x"),
            ("[::1", "']' is missing", "[::1]:8080"),
            ("[::1]8", "'8' after ']' is not a port", "[::1]:8080"),
            ("[x]:1", "'x' is not an IPv6 address", "[::1]:8080"),
            ("[::1%]:1", "zone '' is not the name", "[::1]:8080"),
            ("[::1%a b]:1", "zone 'a b' is not the name", "[::1]:8080"),
            ("a b:80", "invalid character ' ' at position 2", "localhost:8080/path"),
            ("http://user@a", "invalid character '@' at position 12", "localhost:8080/path"),
            ("http://ü@a", "invalid character 'ü' at position 8", "localhost:8080/path"),
            ("a:80/ b", "invalid character ' ' at position 6, write it as %20", "a:80/%20b"),
            (
                "h2c://a:80/ü?x= y z",
                "invalid character ' ' at position 16, write it as %20",
                "h2c://a:80/ü?x=%20y%20z",
            ),
            ("grpc://a:80/S", "'/S' is not a service and a method", "grpc://a:80/echo.EchoService/Echo"),
            ("grpcs://a/S/", "'/S/' is not", "grpcs://a/echo.EchoService/Echo"),
            ("grpc://a:80/S/M/x", "'/S/M/x' is not", "grpc://a:80/echo.EchoService/Echo"),
            ("grpc://a:80/S/M?x=1", "'/S/M?x=1' is not", "grpc://a:80/echo.EchoService/Echo"),
            ("grpc://a:80?x", "'/?x' is not", "grpc://a:80/echo.EchoService/Echo"),
            ("a:80?\t", "invalid character '\\t' at position 6, write it as %09", "a:80?%09"),
        ] {
            let error = Target::parse(text, Version::Any).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("; accepted: host:port"), "{text}: {error}");
            assert!(error.ends_with(&format!("; example: {example}")), "{text}: {error}");
            assert!(!error.contains(char::is_control) && !error.contains("hunter2"), "{error}");
        }
    }
}
