//! CORS (the Fetch standard): what a page of another origin may ask and see. Nothing is allowed unless that was asked
//! for, so that what a gateway in between allows can be tested: by `--cors`, by `dummy-cors`, or by calling gRPC-Web,
//! which exists for pages.

use bytes::Bytes;
use http::StatusCode;
use wire::Fields;

use crate::message::{
    Head,
    reply::{Body, Reply},
};

const ALLOW_ORIGIN: &str = "access-control-allow-origin";

/// How long a browser may cache another origin's permission.
const MAX_AGE: &str = "86400";

/// Whether a browser asks if a page may send a request (CORS preflight).
pub(crate) fn is_preflight(head: &Head<'_>) -> bool {
    head.method == b"OPTIONS"
        && head.fields.contains("origin")
        && head.fields.contains("access-control-request-method")
}

/// Whether a field is among those that the request of a preflight will have.
pub(crate) fn names(head: &Head<'_>, field: &str) -> bool {
    head.fields.has_token("access-control-request-headers", field)
}

/// Says that it may.
pub(crate) fn preflight(head: &Head<'_>) -> Reply {
    let asked = |name| head.fields.get(name).unwrap_or_default();
    let mut reply = Reply::new(StatusCode::NO_CONTENT, &[], Body::Bytes(Bytes::new()));
    reply.fields.push(ALLOW_ORIGIN, asked("origin"));
    reply.fields.push("access-control-allow-methods", asked("access-control-request-method"));
    let fields = asked("access-control-request-headers");
    if !fields.is_empty() {
        reply.fields.push("access-control-allow-headers", fields);
    }
    reply.fields.push("access-control-max-age", MAX_AGE);
    reply.fields.push("vary", "origin");
    reply
}

/// Lets a page of `origin` see a reply, and of its fields those that are exposed to it. A reply that says something of
/// its own about that is left as it is.
pub(crate) fn allow(fields: &mut Fields, origin: &[u8], exposed: &str) {
    if fields.contains(ALLOW_ORIGIN) {
        return;
    }
    fields.push(ALLOW_ORIGIN, origin);
    fields.push("access-control-expose-headers", exposed);
    fields.push("vary", "origin");
}

/// What all replies have and pages can't see otherwise.
pub(crate) const EXPOSED: &str = "x-dummy-instance, server-timing";

#[cfg(test)]
mod tests {
    use contract::field;

    use super::*;

    #[test]
    fn the_fields_of_every_reply_are_exposed() {
        assert_eq!(EXPOSED, [field::INSTANCE, field::SERVER_TIMING].join(", "));
    }

    #[test]
    fn a_reply_with_its_own_answer_is_left_alone() {
        let mut fields = Fields::new();
        fields.push("Access-Control-Allow-Origin", "http://a.test");
        allow(&mut fields, b"http://b.test", EXPOSED);
        assert_eq!((fields.len(), fields.get(ALLOW_ORIGIN)), (1, Some(&b"http://a.test"[..])));
    }
}
