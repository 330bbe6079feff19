//! `/chunked/{count}?size=&delay=`: chunks of the payload pattern, each on the wire by itself.

use std::time::Duration;

use contract::pattern::Pattern;
use http::StatusCode;

use crate::message::reply::{Body, Chunks, Reply, TEXT};

/// The reply to `/chunked/{count}`: `total` bytes, `size` in each chunk.
pub(super) fn reply(pattern: Pattern, total: u64, size: u64, delay: Duration) -> Reply {
    let chunks = Chunks::new(pattern.range(0, total), size, delay);
    Reply::new(StatusCode::OK, TEXT, Body::Chunks(Box::new(chunks)))
}
