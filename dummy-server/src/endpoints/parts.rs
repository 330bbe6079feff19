//! `/headers` and `/ip`: parts of the echo for clients that want nothing else of it.

use http::StatusCode;
use serde_json::json;

use super::echo::Echo;
use crate::{
    context::ServerContext,
    message::{Head, reply::Reply},
};

/// The fields of the request.
pub(super) fn headers(context: &ServerContext, head: &Head<'_>) -> Reply {
    Reply::json(StatusCode::OK, &Echo::of(context, head).only_headers())
}

/// The address that the connection comes from, as the socket or a PROXY header gives it, whatever fields say.
pub(super) fn ip(head: &Head<'_>) -> Reply {
    let peer = head.peer.address();
    let value = json!({ "origin": peer.map(|peer| peer.ip()), "port": peer.map(|peer| peer.port()) });
    Reply::json(StatusCode::OK, &value)
}
