//! `/connections`: what is open, asked of the workers, so that nothing is shared on the request path.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use contract::quantity;
use serde::Serialize;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::figures::Sum;
use crate::{lifecycle::ConnectionSnapshot, process::Process, protocol::Protocol, worker::ConnectionsQuery};

/// How many are listed unless `?limit=` says otherwise, and at most.
const LIMIT: usize = 1000;
const LARGEST_LIMIT: u64 = 100_000;
/// How long a worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The reply.
#[derive(Debug, Serialize)]
struct List {
    /// How many are open; those that are listed may be fewer.
    open: u64,
    connections: Vec<ListedConnection>,
    /// Workers that were too busy to answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silent_workers: Vec<usize>,
}

/// An open connection.
#[derive(Debug, Serialize)]
struct ListedConnection {
    id: u64,
    /// Of several servers, the one that it is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'static str>,
    worker: usize,
    protocol: Option<&'static str>,
    peer: Option<SocketAddr>,
    age_seconds: f64,
    requests: u64,
    in_flight: u32,
    bytes_received: u64,
    bytes_sent: u64,
}

impl ListedConnection {
    fn of(instance: Option<&'static str>, worker: usize, seen: &ConnectionSnapshot) -> Self {
        Self {
            id: seen.id,
            instance,
            worker,
            protocol: seen.protocol.map(Protocol::name),
            peer: seen.peer,
            age_seconds: seen.age.as_millis() as f64 / 1000.0,
            requests: seen.requests,
            in_flight: seen.in_flight,
            bytes_received: seen.bytes_received,
            bytes_sent: seen.bytes_sent,
        }
    }
}

/// The list, which `query` may limit.
pub(super) async fn list(State(process): State<Arc<Process>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let Some(most) = limit(&query) else {
        let shown: String = query.chars().take(100).flat_map(char::escape_debug).collect();
        let text = format!(
            "invalid query '{shown}'; accepted: limit=1 to limit={LARGEST_LIMIT}; example: limit=100\n"
        );
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let mut answers: Vec<PendingAnswer> = Vec::new();
    for instance in &process.instances {
        // What has no room in a worker's queue is never answered, and a server that has ended is not asked.
        let workers = instance.life().workers_to_ask;
        for (index, worker) in workers.iter().enumerate().filter(|(_, worker)| !worker.is_closed()) {
            let (answer, answered) = oneshot::channel();
            let _ = worker.try_send(ConnectionsQuery { most, answer });
            answers.push((instance.lasting.label, instance.lasting.first_worker + index, answered));
        }
    }
    let (mut connections, mut silent_workers) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + PATIENCE;
    for (instance, worker, answer) in answers {
        match timeout_at(deadline, answer).await {
            Ok(Ok(seen)) => {
                connections.extend(seen.iter().map(|seen| ListedConnection::of(instance, worker, seen)));
            }
            _ => silent_workers.push(worker),
        }
    }
    connections.sort_by_key(|connection| connection.id);
    connections.truncate(most);
    let open = process.instances.iter().map(|one| Sum::of(&one.lasting.stats).connections_open).sum();
    super::json(&List { open, connections, silent_workers })
}

/// The name of a server, the number of a worker, and the way of its answer.
type PendingAnswer = (Option<&'static str>, usize, oneshot::Receiver<Vec<ConnectionSnapshot>>);

fn limit(query: &str) -> Option<usize> {
    if query.is_empty() {
        return Some(LIMIT);
    }
    let count = quantity::count_within(query.strip_prefix("limit=")?, &(1..=LARGEST_LIMIT))?;
    usize::try_from(count).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_one_number() {
        assert_eq!((limit(""), limit("limit=1")), (Some(LIMIT), Some(1)));
        assert_eq!(limit("limit=100000"), Some(100_000));
        for query in [
            "limit=0",
            "limit=100001",
            "limit=99999999999999999999",
            "limit=",
            "limit=-1",
            "limit=1&limit=2",
            "most=3",
        ] {
            assert_eq!(limit(query), None, "{query}");
        }
    }
}
