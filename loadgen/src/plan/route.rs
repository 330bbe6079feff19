//! How connections get to the target: to which address, from which address, through which proxy, and with which header
//! before everything else. Nothing here looks up a name or opens a socket.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use command_line::Refusal;
use contract::quantity::LONGEST_TIME;
use transport::proxy_protocol;

use super::{
    PlanError, Protocol, Site, Target,
    accepted::{self, refused, refused_because},
    target::{Endpoint, without_user},
};

/// The maximum number of addresses that `--bind` names.
pub const MAX_SOURCES: u128 = 65_536;

/// The maximum number of names that `--resolve` gives addresses to, and of addresses of each.
pub const MAX_RESOLVED: usize = 64;

/// How often names are looked up again at most.
const SHORTEST_LOOK_UP: Duration = Duration::from_millis(100);

/// How connections get to the target.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Where they go in place of the target.
    pub(crate) instead: Option<RouteOverride>,
    /// Names with addresses of their own.
    pub(crate) resolved: Vec<Resolved>,
    /// Addresses that connections come from, in turn; none: the system chooses.
    pub(crate) sources: Vec<IpAddr>,
    /// How often the name is looked up again.
    pub(crate) resolve_every: Option<Duration>,
    /// The PROXY header that connections begin with.
    pub(crate) proxy_header: Option<proxy_protocol::HeaderVersion>,
    /// The proxy that is asked for the target.
    pub(crate) proxy: Option<Proxy>,
}

/// Where connections go in place of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RouteOverride {
    /// Another host and port.
    Host(Endpoint),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A name with addresses of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Resolved {
    /// Whether it says where connections to this go: names have no case.
    pub(crate) fn is_of(&self, endpoint: &Endpoint) -> bool {
        self.host.eq_ignore_ascii_case(&endpoint.host) && self.port == endpoint.port
    }
}

/// A forward proxy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) endpoint: Endpoint,
    /// What `Proxy-Authorization` says.
    pub(crate) authorization: Option<String>,
    /// Whether it is asked for a tunnel (CONNECT); else for each request, in absolute form (RFC 9112 section 3.2.2).
    pub(crate) tunnels: bool,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// What is wanted, before it is checked.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteOptions {
    pub(super) connect_to: Option<String>,
    pub(super) unix_socket: Option<PathBuf>,
    pub(super) resolve: Vec<String>,
    pub(super) resolve_every: Option<Duration>,
    pub(super) bind: Option<String>,
    pub(super) proxy_header: Option<proxy_protocol::HeaderVersion>,
    pub(super) proxy: Option<String>,
    pub(super) tunnel: bool,
}

impl Route {
    pub(super) fn new(target: &Target, wanted: &RouteOptions) -> Result<Self, PlanError> {
        let ways = [
            (wanted.connect_to.is_some(), "--connect-to"),
            (wanted.unix_socket.is_some(), "--unix-socket"),
            (wanted.proxy.is_some(), "--proxy"),
        ];
        let mut given = ways.iter().filter(|(is_given, _)| *is_given);
        if let (Some((_, one)), Some((_, other))) = (given.next(), given.next()) {
            let shown = format!("{one} and {other} exclude each other");
            return Err(PlanError(Refusal::new(shown, "one of them", "--connect-to=127.0.0.1:8080")));
        }
        if wanted.tunnel && wanted.proxy.is_none() {
            let accepted = "--proxy-tunnel together with --proxy";
            let refusal =
                Refusal::new("--proxy-tunnel needs --proxy", accepted, "--proxy=http://localhost:3128");
            return Err(PlanError(refusal));
        }
        let proxy = wanted.proxy.as_deref().map(|text| proxy(text, target, wanted.tunnel)).transpose()?;
        let instead = match (&wanted.connect_to, &wanted.unix_socket) {
            (Some(text), _) => Some(RouteOverride::Host(endpoint(text)?)),
            (None, Some(path)) => Some(RouteOverride::Unix(path.clone())),
            (None, None) => None,
        };
        Ok(Self {
            instead,
            resolved: resolved(&wanted.resolve)?,
            sources: wanted.bind.as_deref().map(sources).transpose()?.unwrap_or_default(),
            resolve_every: wanted.resolve_every.map(resolve_every).transpose()?,
            proxy_header: wanted.proxy_header,
            proxy,
        })
    }

    /// All of it that is not the usual, a line each, without secrets.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match &self.instead {
            Some(RouteOverride::Unix(path)) => lines.push(format!("to the Unix socket {}", path.display())),
            Some(RouteOverride::Host(endpoint)) => {
                lines.push(format!("to {}:{}", endpoint.host, endpoint.port))
            }
            None => {}
        }
        if let Some(Proxy { endpoint, tunnels, .. }) = &self.proxy {
            let how = if *tunnels { "a tunnel (CONNECT)" } else { "each request" };
            lines.push(format!("by the proxy {}:{}, which is asked for {how}", endpoint.host, endpoint.port));
        }
        for Resolved { host, port, addresses } in &self.resolved {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            lines.push(format!("{host}:{port} is at {}", addresses.join(", ")));
        }
        match self.sources.as_slice() {
            [] => {}
            [only] => lines.push(format!("from {only}")),
            [first, ..] => lines.push(format!("from {} addresses, {first} first", self.sources.len())),
        }
        if let Some(every) = self.resolve_every {
            lines.push(format!("looked up again every {}", contract::quantity::shown(every)));
        }
        if let Some(version) = self.proxy_header {
            lines.push(format!("with a PROXY header ({version:?})"));
        }
        lines
    }

    /// Where connections go, if that is a host and a port.
    pub(crate) fn endpoint(&self, target: &Target) -> Option<Endpoint> {
        match (&self.instead, &self.proxy) {
            (Some(RouteOverride::Unix(_)), _) => None,
            (Some(RouteOverride::Host(endpoint)), _) => Some(endpoint.clone()),
            (None, Some(proxy)) => Some(proxy.endpoint.clone()),
            (None, None) => Some(target.endpoint()),
        }
    }

    /// What the proxy is asked for before everything else, if it is asked for a tunnel.
    pub(crate) fn connect_request(&self, target: &Target) -> Option<Vec<u8>> {
        let proxy = self.proxy.as_ref().filter(|proxy| proxy.tunnels)?;
        let place = target.place();
        let mut request = format!("CONNECT {place} HTTP/1.1\r\nhost: {place}\r\n");
        if let Some(authorization) = &proxy.authorization {
            request.push_str(&format!("proxy-authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        Some(request.into_bytes())
    }

    /// The proxy that each request is sent to in absolute form.
    pub(crate) fn absolute(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|proxy| !proxy.tunnels)
    }

    /// A name that nothing connects to is a mistake.
    pub(super) fn check_resolved(sites: &[Site]) -> Result<(), PlanError> {
        let endpoints: Vec<_> = sites.iter().map(|site| site.route.endpoint(&site.target)).collect();
        let is_used = |entry: &Resolved| endpoints.iter().flatten().any(|endpoint| entry.is_of(endpoint));
        let (endpoint, resolved) = (endpoints.first().cloned().flatten(), &sites[0].route.resolved);
        match resolved.iter().find(|entry| !is_used(entry)) {
            None => Ok(()),
            Some(entry) => {
                let shown = format!("{}:{}", entry.host, entry.port);
                let why = match endpoint {
                    Some(endpoint) => format!("connections go to {}:{}", endpoint.host, endpoint.port),
                    None => "connections go to a Unix socket".to_owned(),
                };
                Err(refused_because(&accepted::RESOLVE, shown, why))
            }
        }
    }
}

/// How often a name is looked up again.
fn resolve_every(every: Duration) -> Result<Duration, PlanError> {
    if (SHORTEST_LOOK_UP..=LONGEST_TIME).contains(&every) {
        return Ok(every);
    }
    Err(refused(&accepted::RESOLVE_EVERY, contract::quantity::shown(every)))
}

/// A host and a port.
fn endpoint(text: &str) -> Result<Endpoint, PlanError> {
    Endpoint::parse(text).ok_or_else(|| refused(&accepted::CONNECT_TO, without_user(text)))
}

/// `http://[user:password@]host:port`.
fn proxy(text: &str, target: &Target, tunnel: bool) -> Result<Proxy, PlanError> {
    let refused = || refused(&accepted::PROXY, without_user(text));
    let rest = text.strip_prefix("http://").unwrap_or(text);
    if rest.len() == text.len() && text.contains("://") {
        return Err(refused());
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    Ok(Proxy {
        endpoint: Endpoint::parse(place).ok_or_else(refused)?,
        authorization: user.map(|user| format!("Basic {}", BASE64.encode(user))),
        // HTTP/2 without TLS has no absolute form, and what a proxy may answer to Upgrade is open.
        tunnels: tunnel || target.tls || target.websocket || target.protocol == Protocol::Http2,
    })
}

/// `HOST:PORT:ADDRESS[,ADDRESS]...`, each name once.
fn resolved(texts: &[String]) -> Result<Vec<Resolved>, PlanError> {
    let mut all: Vec<Resolved> = Vec::new();
    for text in texts {
        let refused = |why: &str| refused_because(&accepted::RESOLVE, text, why);
        let entry = one_resolved(text).ok_or_else(|| refused("it is not HOST:PORT:ADDRESS"))?;
        if entry.addresses.len() > MAX_RESOLVED || all.len() >= MAX_RESOLVED {
            return Err(refused("there are too many"));
        }
        if all.iter().any(|other| (&other.host, other.port) == (&entry.host, entry.port)) {
            return Err(refused("the name is given twice"));
        }
        all.push(entry);
    }
    Ok(all)
}

fn one_resolved(text: &str) -> Option<Resolved> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => text.split_once(':')?,
    };
    let (port, addresses) = rest.split_once(':')?;
    let port =
        contract::quantity::count(port).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)?;
    let address = |text: &str| {
        let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        text.parse::<IpAddr>().ok()
    };
    let addresses = addresses.split(',').map(address).collect::<Option<Vec<_>>>()?;
    (!host.is_empty()).then(|| Resolved { host: host.to_owned(), port, addresses })
}

/// Addresses and ranges of them, with commas between.
fn sources(text: &str) -> Result<Vec<IpAddr>, PlanError> {
    let mut all = Vec::new();
    for item in text.split(',') {
        let refused = |why: &str| refused_because(&accepted::BIND, text, why);
        let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| refused("not an IP address"));
        let (first, last) = match item.split_once('-') {
            Some((first, last)) => (address(first)?, address(last)?),
            None => (address(item)?, address(item)?),
        };
        let (begin, end) = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                (u128::from(first.to_bits()), u128::from(last.to_bits()))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => (first.to_bits(), last.to_bits()),
            _ => return Err(refused("a range is of one family")),
        };
        if begin > end {
            return Err(refused("a range ends after it begins"));
        }
        if end - begin >= MAX_SOURCES || all.len() as u128 + (end - begin) >= MAX_SOURCES {
            return Err(refused("there are more than 65536"));
        }
        all.extend((begin..=end).map(|bits| match first {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        }));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Version;

    fn route(target: &str, wanted: &RouteOptions) -> Result<Route, String> {
        let target = Target::parse(target, Version::Any).unwrap();
        let route = Route::new(&target, wanted).map_err(|error| error.to_string())?;
        let site = Site { target, tls: None, route: route.clone(), is_assumed: false };
        Route::check_resolved(&[site]).map(|()| route).map_err(|error| error.to_string())
    }

    #[test]
    fn sources_are_addresses_and_ranges_up_to_the_limit() {
        let count = |text: &str| sources(text).map(|all| all.len()).map_err(|error| error.to_string());
        assert_eq!(count("127.0.0.2"), Ok(1));
        assert_eq!(count("127.0.0.2-127.0.0.9"), Ok(8));
        assert_eq!(count("127.0.0.2-127.0.0.3, 127.0.1.1,::1"), Ok(4));
        assert_eq!(count("10.0.0.0-10.0.255.255"), Ok(65_536));
        assert_eq!(count("::-::ffff"), Ok(65_536));
        for text in [
            "",
            "localhost",
            "127.0.0.1:80",
            "127.0.0.9-127.0.0.2",
            "127.0.0.1-::1",
            "10.0.0.0-10.1.0.0",
            "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "10.0.0.0-10.0.255.255,127.0.0.1",
            "127.0.0.1-",
            "-",
        ] {
            assert!(count(text).unwrap_err().contains("for --bind: "), "{text}");
        }
    }

    #[test]
    fn names_are_given_addresses_if_connections_go_there() {
        let resolve = |texts: &[&str]| {
            let resolve = texts.iter().map(|text| (*text).to_owned()).collect();
            route("http://example.org:8080", &RouteOptions { resolve, ..RouteOptions::default() })
        };
        assert!(resolve(&["Example.ORG:8080:127.0.0.1"]).is_ok(), "names have no case");
        let both = resolve(&["example.org:8080:127.0.0.1,[::1]"]).unwrap();
        assert_eq!(both.resolved[0].addresses.len(), 2);
        for (texts, why) in [
            (&["example.org:8080"][..], "it is not HOST:PORT:ADDRESS"),
            (&["example.org:0:127.0.0.1"], "it is not"),
            (&["example.org:65536:127.0.0.1"], "it is not"),
            (&["example.org:8080:localhost"], "it is not"),
            (&["example.org:8080:"], "it is not"),
            (&[":8080:127.0.0.1"], "it is not"),
            (&["example.org:81:127.0.0.1"], "connections go to example.org:8080"),
            (&["example.com:8080:127.0.0.1"], "connections go to example.org:8080"),
            (&["example.org:8080:::1", "example.org:8080:::2"], "the name is given twice"),
        ] {
            let said = resolve(texts).unwrap_err();
            assert!(said.contains(why) && said.contains("--resolve"), "{said}");
        }
    }

    #[test]
    fn a_proxy_is_asked_for_tunnels_where_there_is_no_other_way() {
        let of = |target: &str, proxy: &str| {
            route(target, &RouteOptions { proxy: Some(proxy.to_owned()), ..RouteOptions::default() })
        };
        for (target, tunnels) in
            [("http://a:1", false), ("https://a:1", true), ("h2c://a:1", true), ("a:1", true)]
        {
            assert_eq!(
                of(target, "http://localhost:3128").unwrap().proxy.unwrap().tunnels,
                tunnels,
                "{target}"
            );
        }
        let route = of("https://a", "http://me:secret@[::1]:3128/").unwrap();
        let request = String::from_utf8(
            route.connect_request(&Target::parse("https://a", Version::Any).unwrap()).unwrap(),
        );
        assert_eq!(
            request.unwrap(),
            "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\nproxy-authorization: Basic bWU6c2VjcmV0\r\n\r\n"
        );
        for proxy in ["", "localhost", "https://localhost:1", "http://", "http://a:0", "socks5://a:1"] {
            assert!(of("http://a:1", proxy).unwrap_err().contains("--proxy"), "{proxy}");
        }
        let said = of("http://a:1", "ftp://me:secret@a:1").unwrap_err();
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn names_are_not_looked_up_all_the_time() {
        for (millis, is_taken) in [(0, false), (99, false), (100, true), (8760 * 3_600_000, true)] {
            let resolve_every = Some(Duration::from_millis(millis));
            let taken = route("http://a:1", &RouteOptions { resolve_every, ..RouteOptions::default() });
            assert_eq!(taken.is_ok(), is_taken, "{millis}");
        }
    }

    #[test]
    fn there_is_one_way_to_the_target() {
        let wanted = RouteOptions {
            connect_to: Some("a:1".to_owned()),
            unix_socket: Some("/x".into()),
            ..RouteOptions::default()
        };
        assert!(route("http://a:1", &wanted).unwrap_err().contains("--connect-to and --unix-socket exclude"));
        let wanted = RouteOptions { tunnel: true, ..RouteOptions::default() };
        assert!(route("http://a:1", &wanted).unwrap_err().contains("--proxy-tunnel needs --proxy"));
        let wanted = RouteOptions { connect_to: Some("a".to_owned()), ..RouteOptions::default() };
        assert!(route("http://a:1", &wanted).unwrap_err().contains("'a' for --connect-to"));
    }
}
