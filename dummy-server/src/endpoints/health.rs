//! `/health`: whether new requests are welcome.

use bytes::Bytes;
use http::StatusCode;

use crate::{
    drain::Phase,
    message::reply::{Body, JSON, Reply},
};

/// 200 while serving, 503 from the first signal on. The content is compared byte for byte by probes: no line end.
pub(super) fn reply(phase: Phase) -> Reply {
    let (status, text) = match phase {
        Phase::Serving => (StatusCode::OK, r#"{"status":"ok"}"#),
        _ => (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#),
    };
    Reply::new(status, JSON, Body::Bytes(Bytes::from_static(text.as_bytes())))
}
