//! What happened to connections.

use std::collections::BTreeMap;

use serde::Serialize;

use super::times::JsonTimes;
use crate::recorder;

#[derive(Serialize)]
pub(super) struct JsonConnections<'a> {
    opened: u64,
    reopened: u64,
    attempts: u64,
    failed_attempts: u64,
    failure: Option<&'a str>,
    closed_by_server: u64,
    closed_by_loadgen: u64,
    tls: Option<JsonTls>,
    idle: Option<JsonIdle<'a>>,
}

impl<'a> JsonConnections<'a> {
    pub(super) fn of(connections: &'a recorder::Connections) -> Self {
        Self {
            opened: connections.opened,
            reopened: connections.reopened,
            attempts: connections.attempts(),
            failed_attempts: connections.failed,
            failure: connections.failure.as_deref(),
            closed_by_server: connections.closed_by_server,
            closed_by_loadgen: connections.closed_by_loadgen,
            tls: JsonTls::of(connections),
            idle: connections.idle.as_deref().map(JsonIdle::of),
        }
    }
}

/// What happened to connections without requests.
#[derive(Serialize)]
struct JsonIdle<'a> {
    wanted: u64,
    opened: u64,
    open: u64,
    attempts: u64,
    failed_attempts: u64,
    closed_by_server: u64,
    closed_by_loadgen: u64,
    failure: Option<&'a str>,
}

impl<'a> JsonIdle<'a> {
    fn of(idle: &'a recorder::Idle) -> Self {
        Self {
            wanted: idle.wanted,
            opened: idle.opened,
            open: idle.open(),
            attempts: idle.attempts(),
            failed_attempts: idle.failed,
            closed_by_server: idle.closed_by_server,
            closed_by_loadgen: idle.closed_by_loadgen,
            failure: idle.failure.as_deref(),
        }
    }
}

/// What came of handshakes.
#[derive(Serialize)]
struct JsonTls {
    handshakes: u64,
    resumed: u64,
    handshake_time_us: Option<JsonTimes>,
    agreed: BTreeMap<String, u64>,
}

impl JsonTls {
    fn of(connections: &recorder::Connections) -> Option<Self> {
        let handshakes = connections.handshake.len();
        (handshakes > 0).then(|| Self {
            handshakes,
            resumed: connections.resumed,
            handshake_time_us: JsonTimes::of(&connections.handshake),
            agreed: connections.agreed.clone(),
        })
    }
}
