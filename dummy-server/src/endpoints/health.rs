//! `/health`: whether new requests are welcome.

use http::StatusCode;

use crate::{drain::Phase, reply::Reply};

/// 200 while serving, 503 from the first signal on.
pub(super) fn reply(phase: Phase) -> Reply {
    let (status, text) = match phase {
        Phase::Serving => (StatusCode::OK, "ok"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    Reply::json(status, &serde_json::json!({ "status": text }))
}
