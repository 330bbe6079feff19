//! What a plan says of gRPC calls beside their methods, messages and metadata.

use std::path::{Path, PathBuf};

use contract::quantity::{self, LONGEST_TIME};

use super::{
    keys::{Keys, Plain},
    tree::Value,
};
use crate::plan::{CallOptions, PlanError, accepted, call::Encoding};

/// The keys of a request that are about calls, which are options of the command line as well.
pub(super) const OF_CALLS: [&str; 5] =
    ["deadline", "grpc_encoding", "messages", "message_interval", "raw_message"];

/// Those of a request.
pub(super) fn read(request: &Keys<'_>) -> Result<CallOptions, PlanError> {
    let time = |text: &str| quantity::duration_or_seconds(text, LONGEST_TIME);
    Ok(CallOptions {
        deadline: request.read_as(&accepted::DEADLINE, time)?,
        encoding: request.read("grpc_encoding", "identity or gzip", "gzip", |text| match text {
            "identity" => Some(Encoding::Identity),
            "gzip" => Some(Encoding::Gzip),
            _ => None,
        })?,
        messages: request.read_as(&accepted::MESSAGES, quantity::count)?,
        message_interval: request.read_as(&accepted::MESSAGE_INTERVAL, time)?,
        raw: request.flag("raw_message")?,
    })
}

/// Files, or one, in this folder.
pub(super) fn files(plan: &Keys<'_>, key: &str, folder: &Path) -> Result<Vec<PathBuf>, PlanError> {
    let Some(node) = plan.get(key) else { return Ok(Vec::new()) };
    let nodes = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    nodes.into_iter().map(|node| Ok(folder.join(Plain::of(node, plan.name()).text(key)?))).collect()
}
