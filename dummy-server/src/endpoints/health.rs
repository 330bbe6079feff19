//! `/health`: whether new requests are welcome.

use bytes::Bytes;
use http::StatusCode;

use crate::{
    drain::{Phase, Shutdown},
    message::reply::{Body, JSON, Reply},
};

/// 200 while serving, 503 from the first signal on and while the admin port has made it unhealthy. The content is
/// compared byte for byte by probes: no line end.
pub(super) fn reply(shutdown: &Shutdown) -> Reply {
    let (status, text) = match shutdown.phase() {
        Phase::Serving if shutdown.is_ready() => (StatusCode::OK, r#"{"status":"ok"}"#),
        Phase::Serving => (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"unhealthy"}"#),
        _ => (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#),
    };
    Reply::new(status, JSON, Body::Bytes(Bytes::from_static(text.as_bytes())))
}
