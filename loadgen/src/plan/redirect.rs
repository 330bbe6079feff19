//! Where a redirect leads, and what is sent there: the `Location` of a reply is resolved as RFC 3986 section 5.2 has it, and
//! what happens to method, body and fields follows RFC 9110 section 15.4, as browsers and curl read it.
//!
//! What comes from a server is bounded and checked here; nothing is sent or counted.

use http::{Method, uri::PathAndQuery};

use super::{Endpoint, Request, Site, Target};

/// The longest `Location` that is followed, in bytes.
const MAX_LOCATION: usize = 8 << 10;

/// A server and a path on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedirectTarget {
    tls: bool,
    /// A name in lower case, or an address.
    host: String,
    port: u16,
    /// Path and query, beginning with a slash.
    pub(crate) path: String,
}

impl RedirectTarget {
    /// Where `location` leads from a request to `path` of `target`. None: to nothing that HTTP is spoken with, or it is no
    /// reference to anything.
    pub(crate) fn of(target: &Target, path: &str, location: &[u8]) -> Option<Self> {
        let text = encoded(location)?;
        let text = text.split('#').next().unwrap_or_default();
        let (tls, rest) = match scheme(text) {
            Some((scheme, rest)) if rest.starts_with("//") => match scheme.to_ascii_lowercase().as_str() {
                "http" => (false, rest),
                "https" => (true, rest),
                _ => return None,
            },
            Some(_) => return None,
            None => (target.tls, text),
        };
        if let Some(rest) = rest.strip_prefix("//") {
            let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            let (host, port) = server(authority, tls)?;
            return Some(Self { tls, host, port, path: absolute(path, "/")? });
        }
        let (host, port) = (normal(&target.host), target.port);
        Some(Self { tls, host, port, path: absolute(rest, path)? })
    }

    /// Whether requests to `target` with `authority` in `Host` or `:authority` have the same origin.
    pub(crate) fn is_at(&self, target: &Target, authority: Option<&str>) -> bool {
        let is_same = |host: &str, port| self.host == host && self.port == port;
        self.tls == target.tls
            && (is_same(&normal(&target.host), target.port)
                || authority
                    .and_then(|authority| server(authority, target.tls))
                    .is_some_and(|(host, port)| is_same(&host, port)))
    }
}

impl Request {
    /// The request that follows this one's redirect with this status to a path of `site`; `is_other`: that is another
    /// server, which is not shown what is secret to this one.
    pub(crate) fn redirected(&self, status: u16, path: &str, site: &Site, is_other: bool) -> Self {
        let method = &self.method;
        let is_fetched = match status {
            303 => *method != Method::HEAD && *method != Method::GET,
            301 | 302 => *method == Method::POST,
            _ => false,
        };
        let mut request = self.with_path(path);
        if is_fetched {
            request.without_body();
        }
        if is_other {
            request.aim_at(site);
        }
        request
    }
}

/// A reference with what no URL may have in it percent-encoded, as clients do that are lenient; none beyond the limit.
fn encoded(location: &[u8]) -> Option<String> {
    let location = location.trim_ascii();
    if location.len() > MAX_LOCATION {
        return None;
    }
    let mut text = String::with_capacity(location.len());
    for byte in location {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(byte) => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(text)
}

/// The scheme of a reference, and what follows its colon.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

/// Host and port of an authority without a user.
fn server(authority: &str, tls: bool) -> Option<(String, u16)> {
    let default = if tls { 443 } else { 80 };
    let Endpoint { host, zone, port } = Endpoint::of_authority(authority, default)?;
    if zone.is_some() {
        return None;
    }
    Some((normal(&host), port))
}

/// A host as it is compared.
fn normal(host: &str) -> String {
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => host.to_ascii_lowercase(),
    }
}

/// A relative reference behind the authority, made absolute against the path of its request.
fn absolute(reference: &str, base: &str) -> Option<String> {
    let (base_path, base_query) = parts(base);
    let path = match parts(reference) {
        ("", Some(query)) => format!("{base_path}?{query}"),
        ("", None) => match base_query {
            Some(query) => format!("{base_path}?{query}"),
            None => base_path.to_owned(),
        },
        (path, query) => {
            let whole = if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("{}/{path}", base_path.rsplit_once('/').map_or("", |(folder, _)| folder))
            };
            let path = without_dots(&whole);
            query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"))
        }
    };
    path.parse::<PathAndQuery>().is_ok().then_some(path)
}

/// A path and its query.
fn parts(text: &str) -> (&str, Option<&str>) {
    text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)))
}

/// An absolute path without `.` and `..` (RFC 3986 section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Version;

    fn target(text: &str) -> Target {
        Target::parse(text, Version::Any).unwrap()
    }

    fn place(url: &str, path: &str, location: &str) -> Option<String> {
        let RedirectTarget { tls, host, port, path } =
            RedirectTarget::of(&target(url), path, location.as_bytes())?;
        Some(format!("{} {host} {port} {path}", if tls { "https" } else { "http" }))
    }

    #[test]
    fn references_are_resolved_as_urls_are() {
        // The examples of RFC 3986 section 5.4 that stay on the server, and some more.
        for (location, path) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            (";x", "/b/c/;x"),
            ("g;x?y#s", "/b/c/g;x?y"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            ("..g", "/b/c/..g"),
            ("./g/.", "/b/c/g/"),
            ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"),
            ("g?y/../x", "/b/c/g?y/../x"),
            (" /a b\u{e9}{}", "/a%20b%C3%A9%7B%7D"),
            ("/a\r\nx: y", "/a%0D%0Ax:%20y"),
            ("/%7E", "/%7E"),
            ("//A:80/x", "/x"),
            ("http://a", "/"),
            ("HTTP://A:/x?y#z", "/x?y"),
            ("http://a?y", "/?y"),
        ] {
            let expected = format!("http a 80 {path}");
            assert_eq!(place("http://a/", "/b/c/d;p?q", location), Some(expected), "{location}");
        }
    }

    #[test]
    fn what_leads_to_no_server_of_http_leads_nowhere() {
        for location in [
            "ftp://a/",
            "http:g",
            "mailto:a@b",
            "javascript:x",
            "http://",
            "http:///x",
            "http://u@a/",
            "http://a:b/",
            "http://a:65536/",
            "http://a:0/",
            "http://[::1/",
            "//",
            "http://[fe80::1%25lo]/",
        ] {
            assert_eq!(place("http://a/", "/", location), None, "{location}");
        }
        let longest = format!("/{}", "x".repeat(MAX_LOCATION - 1));
        assert!(place("http://a", "/", &longest).is_some());
        assert_eq!(place("http://a", "/", &format!("{longest}x")), None);
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (location, url, authority, is_same) in [
            ("http://a/x", "http://a:80", None, true),
            ("http://A:80/x", "http://a", None, true),
            ("http://a/x", "h2c://a:80", None, true),
            ("http://a:81/x", "http://a", None, false),
            ("https://a/x", "http://a:443", None, false),
            ("https://a/x", "https://a", None, true),
            ("http://[0:0::1]:8/", "http://[::1]:8", None, true),
            ("http://b/x", "http://a", None, false),
            ("http://b/x", "http://a", Some("b"), true),
            ("http://b:81/x", "http://a", Some("b:81"), true),
            ("https://b/x", "http://a", Some("b"), false),
        ] {
            let place = RedirectTarget::of(&target("http://a"), "/", location.as_bytes()).unwrap();
            assert_eq!(place.is_at(&target(url), authority), is_same, "{location} {url} {authority:?}");
        }
    }

    #[test]
    fn whatever_a_server_says_is_a_path_that_can_be_sent_or_none() {
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..state % 24)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let byte = (state >> 33) as u8;
                    if byte & 1 == 0 { byte } else { b"/.:?#@[]%a\r\n "[usize::from(byte) % 13] }
                })
                .collect();
            state = state.wrapping_add(11);
            if let Some(place) = RedirectTarget::of(&target("https://a"), "/b/c?d", &bytes) {
                assert!(
                    place.path.starts_with('/') && place.path.bytes().all(|b| b.is_ascii_graphic()),
                    "{bytes:?}"
                );
            }
        }
    }
}
