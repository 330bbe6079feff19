//! Requests that a web page makes from inside a browser on a machine that reaches the port: they are refused.
//!
//! A page can make a browser send requests to any address (`<img>`, forms, `fetch`), and by DNS rebinding read the
//! responses, too. It can't choose the fields `Sec-Fetch-Site`, `Origin` and `Host`. Probes, Prometheus and curl send
//! neither of the first two, and reach a port by whatever name it has inside a cluster.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, Uri, header, uri::Authority},
    response::{IntoResponse, Response},
};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The response to a request of a web page at a port with this address.
pub(super) fn refusal(address: SocketAddr, request: &Request) -> Option<Response> {
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
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

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
