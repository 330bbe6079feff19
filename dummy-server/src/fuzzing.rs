//! The readers of text and messages, for fuzz targets alone: no part of the library's interface.

use contract::test::TestRequest;
use prost::Message as _;

pub use crate::{
    behaviour::{BadBehaviour, Behaviour, token_in_query},
    endpoints::range,
    grpc_services::plan::Script,
    message::websocket::{Mode, Options},
    router::{BadRoute, NoUsage, Route, Series},
};
use crate::{
    grpc_services::plan::weigh,
    router::{KnownTargets, route},
    stats::Endpoint,
};

/// Where a target leads, and the index of its endpoint.
///
/// # Panics
/// When the worker's memory of targets says something else than the router.
pub fn target(target: &str) -> (usize, Result<Route, BadRoute>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (endpoint, found) = route(path, query);
    if let Ok(found) = found {
        let mut known = KnownTargets::default();
        known.keep(target.as_bytes(), endpoint, found);
        let again: Option<(Endpoint, Route)> = known.get(target.as_bytes());
        assert!(again.is_none_or(|again| again == (endpoint, found)), "{again:?}");
    }
    (endpoint as usize, found)
}

/// What the plan of an encoded request asks for. `streams`: there may be several responses; `most`: the largest message.
///
/// # Errors
/// The message of the status that refuses it.
pub fn script(request: &[u8], streams: bool, most: usize) -> Result<Script, String> {
    weigh(request).map_err(|status| status.message().to_owned())?;
    let request = TestRequest::decode(request).map_err(|error| error.to_string())?;
    let script = Script::read(request.plan.unwrap_or_default(), streams, most);
    script.map_err(|status| status.message().to_owned())
}
