//! The readers of text and messages, for fuzz targets alone: no part of the library's interface.

use std::time::Duration;

use contract::{id::Id, test::TestRequest};
use prost::Message as _;

use crate::{
    behaviour::{self, Behaviour},
    endpoints,
    grpc_services::plan::{self, Script},
    router::{KnownTargets, Route, Series, route},
    stats::Endpoint,
};

/// What was refused: what was wrong, what is accepted, and a target that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was wrong.
    pub error: String,
    /// What is accepted.
    pub accepted: &'static str,
    /// A request target that works.
    pub example: &'static str,
}

/// The greatest numbers of a target that leads somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    /// In bytes.
    pub size: u64,
    /// The longest time.
    pub time: Duration,
}

/// Where a target leads: the index of the endpoint, and the greatest numbers in it.
///
/// # Panics
/// When the worker's memory of targets says something else than the router.
pub fn target(target: &str) -> (usize, Result<Routed, Refusal>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (endpoint, found) = route(path, query);
    if let Ok(found) = found {
        let mut known = KnownTargets::default();
        known.keep(target.as_bytes(), endpoint, found);
        let again: Option<(Endpoint, Route)> = known.get(target.as_bytes());
        assert!(again.is_none_or(|again| again == (endpoint, found)), "{again:?}");
    }
    let result = found.map(greatest).map_err(|bad| Refusal {
        error: bad.error,
        accepted: bad.accepted,
        example: bad.example,
    });
    (endpoint as usize, result)
}

/// The token of a verified run in the query of a target.
#[must_use]
pub fn token_in_query(target: &[u8]) -> Option<Id> {
    behaviour::token_in_query(target).and_then(Id::read)
}

fn greatest(route: Route) -> Routed {
    let none = Duration::ZERO;
    let (size, time) = match route {
        Route::Bin { size, .. } => (size, none),
        Route::Chunked { total, size, delay } => (total.max(size), delay),
        Route::Sse(Series { delay, jitter, .. }) | Route::Ndjson(Series { delay, jitter, .. }) => {
            (0, delay.max(jitter))
        }
        Route::Drip { size, duration, delay } => (size, duration.max(delay)),
        Route::Delay { reply, read } => (0, reply.max(read)),
        Route::WebSocket(options) => {
            (options.fragment.map_or(0, |size| size.get().into()), options.ping.unwrap_or(none))
        }
        Route::Echo
        | Route::Health
        | Route::Help
        | Route::Ledger { .. }
        | Route::Upload
        | Route::Digest
        | Route::Headers
        | Route::Ip
        | Route::Status(_)
        | Route::NoUsage(_) => (0, none),
    };
    Routed { size, time }
}

/// The canonical form of a behaviour.
///
/// # Errors
/// It is not accepted.
pub fn behaviour(text: &str) -> Result<String, String> {
    Behaviour::parse(text).map(|behaviour| behaviour.to_string()).map_err(|bad| bad.to_string())
}

/// The delays that a behaviour draws by a seed and a sequence; none when it is not accepted.
#[must_use]
pub fn delays(text: &str, seed: u64, sequence: u64) -> Vec<Duration> {
    Behaviour::parse(text).map(|behaviour| behaviour.draws(seed, sequence)).unwrap_or_default()
}

/// First and last byte of a `Range` of a content of this length in bytes, at least one.
#[must_use]
pub fn range(value: &str, size: u64) -> Option<Option<(u64, u64)>> {
    endpoints::range(value, size)
}

/// The numbers of a gRPC plan that is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// Responses to each request.
    pub count: u64,
    /// Bytes of payload in each.
    pub size: u64,
    /// The longer of interval and delay.
    pub time: Duration,
    /// Bytes of headers and trailers.
    pub metadata: usize,
}

/// Reads the plan of an encoded request. `streams`: there may be several responses; `most`: the largest message.
///
/// # Errors
/// The message of the status that refuses it.
pub fn plan(request: &[u8], streams: bool, most: usize) -> Result<Planned, String> {
    plan::weigh(request).map_err(|status| status.message().to_owned())?;
    let request = TestRequest::decode(request).map_err(|error| error.to_string())?;
    let script = Script::read(request.plan.unwrap_or_default(), streams, most)
        .map_err(|status| status.message().to_owned())?;
    Ok(Planned {
        count: script.count,
        size: script.size as u64,
        time: script.interval.max(script.delay),
        metadata: script.headers.size() + script.trailers.size(),
    })
}
