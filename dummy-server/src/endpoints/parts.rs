//! `/headers` and `/ip`: parts of the echo for those who want nothing else of it.

use http::StatusCode;
use serde_json::json;

use super::echo::Echo;
use crate::{connection::exchange::Head, reply::Reply, worker::Worker};

/// The fields of the request.
pub(super) fn headers(worker: &Worker, head: &Head<'_>) -> Reply {
    Reply::json(StatusCode::OK, &Echo::of(worker, head).only_headers())
}

/// The address that the connection comes from, as the socket or a PROXY header tells it, whatever fields say.
pub(super) fn ip(head: &Head<'_>) -> Reply {
    let peer = head.state.peer();
    let value = json!({ "origin": peer.map(|peer| peer.ip()), "port": peer.map(|peer| peer.port()) });
    Reply::json(StatusCode::OK, &value)
}
