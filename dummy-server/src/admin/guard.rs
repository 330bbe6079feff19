//! Which requests a port answers.
//!
//! With `--admin-token`, the admin port answers those that send it, except for what probes and Prometheus ask for; without it all
//! may look, and what changes something is for loopback alone.
//!
//! No port answers a web page inside a browser on a machine that reaches it. A page can make a browser send requests to any address
//! (`<img>`, forms, `fetch`), and by DNS rebinding read the responses, too. It can't choose the fields `Sec-Fetch-Site`, `Origin` and
//! `Host`. Probes, Prometheus and curl send neither of the first two, and reach a port by whatever name it has inside a cluster.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    response::{IntoResponse, Response},
};

use crate::secret::Secret;

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// What is open to all.
const OPEN: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// How a client learns what is asked of it (RFC 6750 section 3).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"dummy-server admin\"");

/// The response to a request that is not let in at a port with this address.
pub(super) fn refusal(address: SocketAddr, token: Option<&Secret>, request: &Request) -> Option<Response> {
    let fields = request.headers();
    if OPEN.contains(&request.uri().path()) {
        return None;
    }
    if let Some(token) = token {
        let given = fields.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        let known = given.is_some_and(|given| token.is(given));
        return (!known).then(|| {
            let text = "missing or invalid admin token; accepted: the token in the field Authorization; \
                        example: Authorization: Bearer open-sesame\n";
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, CHALLENGE)], text).into_response()
        });
    }
    // A page in a browser of this machine comes from loopback too, and says where the page is from.
    let allowed = address.ip().to_canonical().is_loopback() && !fields.contains_key(header::ORIGIN);
    (!allowed && !matches!(*request.method(), Method::GET | Method::HEAD)).then(|| {
        let text =
            "changes are accepted from loopback only; accepted from elsewhere: a token; example: --admin-token secret\n";
        (StatusCode::FORBIDDEN, text).into_response()
    })
}

/// The credentials of the scheme `Bearer`, whose name may be in any case (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

/// The response to a request of a web page at a port with this address.
pub(super) fn refusal_of_page(address: SocketAddr, request: &Request) -> Option<Response> {
    let reason = reason(address, request.uri(), request.headers())?;
    Some((StatusCode::FORBIDDEN, format!("{reason}\n")).into_response())
}

/// Why a request is not answered.
fn reason(address: SocketAddr, uri: &Uri, fields: &HeaderMap) -> Option<String> {
    let curl = |path| format!("use another client, such as: curl http://{address}{path}");
    for site in fields.get_all(SEC_FETCH_SITE) {
        if !matches!(site.as_bytes(), b"none" | b"same-origin") {
            let site = String::from_utf8_lossy(site.as_bytes());
            return Some(format!(
                "invalid Sec-Fetch-Site '{site}': accepted are none and same-origin, web pages may not use this port; {}",
                curl(uri.path())
            ));
        }
    }
    let host = host(uri, fields);
    for origin in fields.get_all(header::ORIGIN) {
        let same = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        if !same.is_some_and(|(_, authority)| host.is_some_and(|host| host.eq_ignore_ascii_case(authority))) {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            return Some(format!(
                "invalid Origin '{origin}': accepted is that of this port, web pages may not use it; {}",
                curl(uri.path())
            ));
        }
    }
    // Elsewhere a port has names that it does not know, such as that of a Service.
    let host = host.filter(|_| address.ip().to_canonical().is_loopback())?;
    (!is_local(host)).then(|| {
        format!(
            "invalid Host '{host}': accepted on a loopback address are IP addresses and localhost, \
             such as: curl http://localhost:{}{}",
            address.port(),
            uri.path()
        )
    })
}

/// The host that the request is for; a target in absolute form goes before the field (RFC 9112 section 3.2.2).
fn host<'a>(uri: &'a Uri, fields: &'a HeaderMap) -> Option<&'a str> {
    let field = || fields.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    uri.authority().map(Authority::as_str).or_else(field)
}

/// A name that no DNS server has a say in.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::HeaderName};

    use super::*;

    const TOKEN: &str = "open-sesame";

    type Port<'a> = (Option<&'a str>, &'a str);

    fn status((token, address): Port<'_>, method: &Method, path: &str, fields: &[(&str, &str)]) -> u16 {
        let token = token.map(|token| Secret::from(token.to_owned()));
        let request = Request::builder().method(method).uri(path);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Body::empty()).unwrap();
        let refusal = refusal(address.parse().unwrap(), token.as_ref(), &request);
        refusal.map_or(200, |refusal| refusal.status().as_u16())
    }

    #[test]
    fn with_a_token_only_probes_and_metrics_are_open() {
        let guard = (Some(TOKEN), "127.0.0.1:1");
        for path in OPEN {
            assert_eq!(status(guard, &Method::GET, path, &[]), 200, "{path}");
        }
        for path in ["/config", "/connections", "/metrics/", "/anything"] {
            assert_eq!(status(guard, &Method::GET, path, &[]), 401, "{path}");
        }
        for (value, expected) in [
            ("Bearer open-sesame", 200),
            ("bearer  open-sesame", 200),
            ("Bearer open-sesam", 401),
            ("Bearer open-sesame2", 401),
            ("Bearer ", 401),
            ("Basic open-sesame", 401),
            ("open-sesame", 401),
        ] {
            assert_eq!(
                status(guard, &Method::PUT, "/config", &[("authorization", value)]),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn without_a_token_only_loopback_changes_something() {
        for (address, put) in [
            ("127.0.0.1:1", 200),
            ("[::1]:1", 200),
            ("[::ffff:127.0.0.1]:1", 200),
            ("0.0.0.0:1", 403),
            ("[::]:1", 403),
        ] {
            let guard = (None, address);
            assert_eq!(status(guard, &Method::GET, "/config", &[]), 200, "{address}");
            for method in [Method::PUT, Method::DELETE, Method::POST] {
                assert_eq!(status(guard, &method, "/behaviour", &[]), put, "{address}");
            }
        }
    }

    #[test]
    fn a_page_in_a_browser_changes_nothing() {
        let guard = (None, "127.0.0.1:1");
        let page = [("origin", "http://elsewhere.example")];
        assert_eq!(status(guard, &Method::POST, "/behaviour", &page), 403);
    }

    const LOOPBACK: &str = "127.0.0.1:9091";
    const EVERYWHERE: &str = "0.0.0.0:9091";

    fn refused(address: &str, fields: &[(&'static str, &'static str)]) -> Option<String> {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        reason(address.parse().unwrap(), &Uri::from_static("/config"), &fields)
    }

    #[test]
    fn requests_of_pages_of_other_origins_are_refused_at_any_address() {
        for address in [LOOPBACK, "[::1]:9091", EVERYWHERE] {
            for site in ["cross-site", "same-site", "", "nonsense"] {
                let said = refused(address, &[("sec-fetch-site", site)]).unwrap();
                assert!(said.contains(&format!("'{site}'")) && said.contains("/config"), "{said}");
            }
            for origin in ["http://evil.example", "null", "http://localhost", "http://localhost:9092"] {
                let fields = [("host", "localhost:9091"), ("origin", origin)];
                assert!(refused(address, &fields).is_some(), "{address} {origin}");
            }
            assert!(refused(address, &[("origin", "http://evil.example")]).is_some());
        }
    }

    #[test]
    fn an_address_typed_into_a_browser_is_answered() {
        for site in ["none", "same-origin"] {
            assert_eq!(refused(LOOPBACK, &[("host", "localhost:9091"), ("sec-fetch-site", site)]), None);
        }
        assert_eq!(
            refused(LOOPBACK, &[("host", "LOCALHOST:9091"), ("origin", "http://localhost:9091")]),
            None
        );
    }

    #[test]
    fn a_port_on_loopback_knows_its_names() {
        for host in ["localhost", "localhost:1", "127.0.0.1:9091", "[::1]:9091", "[::1]", "10.0.0.7:9091"] {
            assert_eq!(refused(LOOPBACK, &[("host", host)]), None, "{host}");
        }
        for host in
            ["evil.example:9091", "localhost.evil.example", "127.0.0.1.evil.example", ":9091", "", "a b"]
        {
            let said = refused(LOOPBACK, &[("host", host)]).unwrap();
            assert!(
                said.contains(&format!("'{host}'")) && said.contains("http://localhost:9091/config"),
                "{said}"
            );
        }
        assert_eq!(refused(LOOPBACK, &[]), None, "HTTP/1.0 needs no Host, and browsers send one");
    }

    #[test]
    fn a_port_on_other_addresses_answers_to_any_name() {
        for host in ["dummy-server.default.svc:9091", "10.0.0.7:9091"] {
            assert_eq!(refused(EVERYWHERE, &[("host", host)]), None, "{host}");
        }
    }

    #[test]
    fn a_target_in_absolute_form_goes_before_the_host() {
        let fields = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        let uri = Uri::from_static("http://evil.example/config");
        assert!(reason(LOOPBACK.parse().unwrap(), &uri, &fields).is_some());
    }
}
