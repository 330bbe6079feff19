//! `/chunked/{count}?size=&delay=`: chunks of the payload pattern, each on the wire by itself.

use std::time::Duration;

use contract::pattern::Pattern;
use http::StatusCode;

use crate::reply::{Body, Chunks, Reply, TEXT};

/// The reply to `/chunked/{count}`; the router has checked that the sizes add up.
pub(super) fn reply(pattern: Pattern, count: u64, size: u64, delay: Duration) -> Reply {
    let chunks = Chunks { range: pattern.range(0, count.saturating_mul(size)), size, delay };
    Reply::new(StatusCode::OK, TEXT, Body::Chunks(chunks))
}
