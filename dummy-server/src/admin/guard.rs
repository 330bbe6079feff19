//! Which clients may use the admin port: with `--admin-token`, only those that send it, except for what probes and
//! Prometheus ask for; without it all may look, and what changes something is for loopback alone.

use std::net::SocketAddr;

use axum::{
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::secret::Secret;

/// What is open to all.
const OPEN: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// How a client learns what is asked of it (RFC 6750 section 3).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"dummy-server admin\"");

/// Lets requests in, or refuses them.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    token: Option<Secret>,
    /// Only processes of this machine reach the port.
    loopback: bool,
}

impl Guard {
    /// For a port at this address.
    pub(super) fn new(token: Option<Secret>, address: SocketAddr) -> Self {
        Self { token, loopback: address.ip().to_canonical().is_loopback() }
    }

    /// The response to a request that is not let in.
    pub(super) fn refusal(&self, request: &Request) -> Option<Response> {
        let fields = request.headers();
        if OPEN.contains(&request.uri().path()) {
            return None;
        }
        if let Some(token) = &self.token {
            let given = fields.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
            let known = given.is_some_and(|given| token.is(given));
            return (!known).then(|| {
                let text = "missing or invalid admin token; accepted: the token in the field Authorization; \
                            example: Authorization: Bearer open-sesame\n";
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, CHALLENGE)], text).into_response()
            });
        }
        // A page in a browser of this machine comes from loopback too, and says where the page is from.
        let allowed = self.loopback && !fields.contains_key(header::ORIGIN);
        (!allowed && !matches!(*request.method(), Method::GET | Method::HEAD)).then(|| {
            let text =
                "changes are accepted from loopback only; accepted from elsewhere: a token; example: --admin-token secret\n";
            (StatusCode::FORBIDDEN, text).into_response()
        })
    }
}

/// The credentials of the scheme `Bearer`, whose name may be in any case (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    const TOKEN: &str = "open-sesame";

    fn guard(token: Option<&str>, address: &str) -> Guard {
        Guard::new(token.map(|token| Secret::from(token.to_owned())), address.parse().unwrap())
    }

    fn status(guard: &Guard, method: &Method, path: &str, fields: &[(&'static str, &'static str)]) -> u16 {
        let request = Request::builder().method(method).uri(path);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let refusal = guard.refusal(&request.body(Body::empty()).unwrap());
        refusal.map_or(200, |refusal| refusal.status().as_u16())
    }

    #[test]
    fn with_a_token_only_probes_and_metrics_are_open() {
        let guard = guard(Some(TOKEN), "127.0.0.1:1");
        for path in OPEN {
            assert_eq!(status(&guard, &Method::GET, path, &[]), 200, "{path}");
        }
        for path in ["/config", "/connections", "/metrics/", "/anything"] {
            assert_eq!(status(&guard, &Method::GET, path, &[]), 401, "{path}");
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
                status(&guard, &Method::PUT, "/config", &[("authorization", value)]),
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
            let guard = guard(None, address);
            assert_eq!(status(&guard, &Method::GET, "/config", &[]), 200, "{address}");
            for method in [Method::PUT, Method::DELETE, Method::POST] {
                assert_eq!(status(&guard, &method, "/behaviour", &[]), put, "{address}");
            }
        }
    }

    #[test]
    fn a_page_in_a_browser_changes_nothing() {
        let guard = guard(None, "127.0.0.1:1");
        let page = [("origin", "http://elsewhere.example")];
        assert_eq!(status(&guard, &Method::POST, "/behaviour", &page), 403);
    }
}
