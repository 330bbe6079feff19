//! What runs beside the workers, on its own thread: the admin port, CPU profiles, the line of figures,
//! and the clock of the drain. It reads the workers' counters and never touches their requests.

mod behaviour;
mod connections;
mod exposition;
mod figures;
mod guard;
mod instances;
mod ledger;
mod metrics;
mod port;
mod profile;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::sync::oneshot;

use self::figures::Sum;
use crate::{drain::Phase, listener::Bound, process::Process, settings::Config};

/// Runs until `done`, which comes when the last worker has ended.
pub(crate) async fn run(
    config: Config,
    process: Arc<Process>,
    admin: Option<Bound>,
    pprof: Option<Bound>,
    done: oneshot::Receiver<()>,
) {
    let timeout = config.limits.header_timeout;
    if let Some((address, listener)) = admin {
        let token = config.admin_token.clone();
        let refusal = move |request: &Request| {
            let of_page = guard::refusal_of_page(address, request);
            of_page.or_else(|| guard::refusal(address, token.as_ref(), request))
        };
        port::serve(listener, routes(&config, &process), timeout, refusal);
    }
    if let Some((address, listener)) = pprof {
        let refusal = move |request: &Request| guard::refusal_of_page(address, request);
        port::serve(listener, profile::routes(), timeout, refusal);
    }
    if let Some(interval) = config.mem_interval {
        tokio::task::spawn_local(log_figures(Arc::clone(&process), interval));
    }
    let drain = async {
        process.common.shutdown.run(config.drain_delay, config.drain_timeout).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = drain => {}
        _ = done => {}
    }
}

fn routes(config: &Config, process: &Arc<Process>) -> Router {
    let shown = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listening": listening(process),
        // Fails only for maps with keys that are not strings.
        "config": serde_json::to_value(config).unwrap_or_default(),
    });
    let ready = async |State(process): State<Arc<Process>>| {
        readiness(process.common.shutdown.phase(), process.is_ready())
    };
    let budget = config.memory_budget;
    let metrics = async move |State(process): State<Arc<Process>>, fields: HeaderMap| {
        metrics::response(&process, budget, &fields)
    };
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/behaviour", get(behaviour::read).put(behaviour::replace).delete(behaviour::remove))
        .merge(instances::routes())
        .route("/metrics", get(metrics))
        .route("/connections", get(connections::list))
        .route("/ledger", get(ledger::statements))
        .route("/config", get(async move || json(&shown)))
        .with_state(Arc::clone(process))
}

/// What is not done: what is wrong, what is accepted, and an example.
type Refused = (StatusCode, Json<serde_json::Value>);

fn refused(status: StatusCode, error: &str, accepted: &str, example: &str) -> Refused {
    (status, Json(json!({ "error": error, "accepted": accepted, "example": example })))
}

/// Whether to send new requests: not when the process is to end, or nothing in it wants them.
fn readiness(phase: Phase, is_ready: bool) -> (StatusCode, &'static str) {
    match phase {
        Phase::Serving if is_ready => (StatusCode::OK, "ok\n"),
        Phase::Serving => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

/// The addresses in one line.
fn listening(process: &Process) -> String {
    let lines = process.listening();
    let lines = lines.iter().map(|line| line.strip_prefix("listening ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("; ")
}

/// JSON for people, too.
fn json(value: &impl serde::Serialize) -> Response {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn log_figures(process: Arc<Process>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.tick().await;
    // What was served before this task ran for the first time belongs to the first line.
    let mut before = Sum::default();
    loop {
        ticks.tick().await;
        let workers = process.instances.iter().flat_map(|instance| &instance.lasting.stats);
        let sum = Sum::of(&workers.cloned().collect::<Vec<_>>());
        tracing::info!(
            resident_mib = figures::resident_bytes().map(|bytes| bytes >> 20),
            connections_open = sum.connections_open,
            new_connections = sum.connections_opened - before.connections_opened,
            connections = sum.connections_opened,
            in_flight = sum.in_flight,
            new_requests = sum.requests - before.requests,
            requests = sum.requests,
            "figures"
        );
        before = sum;
    }
}
