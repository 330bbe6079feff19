//! `/instances`: the servers of the process, and orders for one of them: drain, kill, start again, be unhealthy.
//!
//! A server ends and starts while the process, this port and the other servers go on.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Serialize;
use serde_json::json;

use super::{Refused, figures::Sum, readiness, refused};
use crate::{
    listener::Addresses,
    process::{Condition, Instance, Process, RestartError},
};

/// How long a server that is killed is waited for. One that is stuck is shown as killed all the same.
const END: Duration = Duration::from_secs(2);

/// What a server can be asked for.
const ACTIONS: [&str; 5] = ["drain", "kill", "start", "unhealthy", "healthy"];

/// All of `/instances`.
pub(super) fn routes() -> Router<Arc<Process>> {
    Router::new()
        .route("/instances", get(list))
        .route("/instances/{name}", get(show))
        .route("/instances/{name}/readyz", get(ready))
        .route("/instances/{name}/{action}", post(act))
}

async fn list(State(process): State<Arc<Process>>) -> Response {
    let shown: Vec<_> = process.instances.iter().map(|instance| Shown::of(instance)).collect();
    super::json(&json!({ "instances": shown }))
}

async fn show(State(process): State<Arc<Process>>, Path(name): Path<String>) -> Result<Response, Refused> {
    Ok(super::json(&Shown::of(find(&process, &name)?)))
}

async fn ready(
    State(process): State<Arc<Process>>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Refused> {
    Ok(readiness(process.common.shutdown.phase(), find(&process, &name)?.is_ready()))
}

/// A server as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    name: &'static str,
    phase: Condition,
    ready: bool,
    addresses: Addresses,
    /// The last time that it was.
    started: String,
    starts: u64,
    connections: u64,
    requests: u64,
    in_flight: u64,
    workers: usize,
}

impl Shown {
    fn of(instance: &Instance) -> Self {
        let sum = Sum::of(&instance.lasting.stats);
        Self {
            name: instance.lasting.name,
            phase: instance.condition(),
            ready: instance.is_ready(),
            addresses: instance.addresses(),
            started: format!("{:.6}", instance.life().started),
            starts: instance.starts(),
            connections: sum.connections_open,
            requests: sum.requests,
            in_flight: sum.in_flight,
            workers: instance.lasting.stats.len(),
        }
    }
}

fn find<'a>(process: &'a Process, name: &str) -> Result<&'a Instance, Refused> {
    let named = process.instances.iter().find(|instance| instance.lasting.name == name);
    named.map(Arc::as_ref).ok_or_else(|| {
        let names: Vec<_> = process.instances.iter().map(|instance| instance.lasting.name).collect();
        let example = format!("/instances/{}", names.first().unwrap_or(&""));
        refused(StatusCode::NOT_FOUND, &format!("unknown instance '{name}'"), &names.join(", "), &example)
    })
}

/// Has the server do it, as far as that is done soon.
async fn act(
    State(process): State<Arc<Process>>,
    Path((name, action)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let instance = find(&process, &name)?;
    let name = instance.lasting.name;
    let (life, condition) = (instance.life(), instance.condition());
    let is_running = matches!(condition, Condition::Serving | Condition::Draining);
    let over = || {
        let what = match action.as_str() {
            "drain" => "can't be drained",
            "kill" => "can't be killed",
            _ => "has no health to change",
        };
        let error = format!("instance '{name}' does not run, so it {what}");
        let example = format!("POST /instances/{name}/start");
        Err(refused(StatusCode::CONFLICT, &error, "start", &example))
    };
    match action.as_str() {
        // What has happened already is not an error.
        "drain" if condition == Condition::Draining => {}
        "kill" if condition == Condition::Killed => {}
        "drain" if is_running => {
            tracing::info!(instance = name, "drain, asked for by the admin port");
            tokio::spawn(instance.drain());
        }
        "kill" if is_running => {
            tracing::info!(instance = name, "kill, asked for by the admin port");
            life.server.shutdown.kill();
            life.ended(END).await;
        }
        "healthy" | "unhealthy" if is_running => life.server.shutdown.set_healthy(action == "healthy"),
        "drain" | "kill" | "healthy" | "unhealthy" => return over(),
        "start" => match instance.start_again(&process.common) {
            Ok(()) => tracing::info!(instance = name, "started, asked for by the admin port"),
            Err(error) => return Err(not_started(name, &error)),
        },
        _ => {
            let error = format!("invalid action '{action}'");
            let example = format!("POST /instances/{name}/drain");
            return Err(refused(StatusCode::NOT_FOUND, &error, &ACTIONS.join(", "), &example));
        }
    }
    Ok(super::json(&Shown::of(instance)))
}

fn not_started(name: &str, error: &RestartError) -> Refused {
    let (accepted, example) = match error {
        RestartError::Running => {
            ("an instance that has ended or was killed", format!("POST /instances/{name}/kill"))
        }
        RestartError::Leaving => ("a process that is not draining", "GET /instances".to_owned()),
        RestartError::Bind(_) => ("ports that no other process has taken", format!("GET /instances/{name}")),
        RestartError::System(_) => ("a machine that has threads and files left", "GET /instances".to_owned()),
    };
    let error = format!("can't start instance '{name}': {error}");
    refused(StatusCode::CONFLICT, &error, accepted, &example)
}
