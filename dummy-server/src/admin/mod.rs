//! What runs beside the workers, on a thread of its own: the admin port, CPU profiles, the line of figures,
//! and the clock of the drain. It reads the workers' counters and never touches their requests.

mod behaviour;
mod connections;
mod exposition;
mod figures;
mod guard;
mod handshakes;
mod ledger;
mod metrics;
mod pages;
mod port;
mod profile;

use std::{net::TcpListener, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::RawQuery,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::oneshot;

use self::guard::Guard;
use crate::{
    drain::{Phase, Shutdown},
    listener::Addresses,
    settings::Config,
};

pub(crate) use figures::Figures;

/// Runs until `done`, which comes when the last worker has ended.
pub(crate) async fn run(
    config: Arc<Config>,
    shutdown: Shutdown,
    figures: Arc<Figures>,
    addresses: Addresses,
    admin: Option<TcpListener>,
    pprof: Option<TcpListener>,
    done: oneshot::Receiver<()>,
) {
    let timeout = config.limits.header_timeout;
    if let (Some(listener), Some(address)) = (admin, addresses.admin) {
        let routes = routes(&config, shutdown.clone(), Arc::clone(&figures), &addresses);
        let guarded = Guard::new(config.admin_token.clone(), address).before(port::tracked(routes));
        port::serve(listener, pages::refused_at(address, guarded), timeout);
    }
    if let (Some(listener), Some(address)) = (pprof, addresses.pprof) {
        port::serve(listener, pages::refused_at(address, port::tracked(profile::routes())), timeout);
    }
    if let Some(interval) = config.mem_interval {
        tokio::task::spawn_local(log_figures(figures, interval));
    }
    let drain = async {
        shutdown.run(config.drain_delay, config.drain_timeout).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = drain => {}
        _ = done => {}
    }
}

fn routes(config: &Config, shutdown: Shutdown, figures: Arc<Figures>, addresses: &Addresses) -> Router {
    let ready = move || {
        let serving = shutdown.phase() == Phase::Serving;
        async move {
            if serving { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") }
        }
    };
    let shown = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listening": addresses.to_string(),
        // Fails only for maps with keys that are no strings.
        "config": serde_json::to_value(config).unwrap_or_default(),
    });
    let connections = {
        let figures = Arc::clone(&figures);
        async move |RawQuery(query): RawQuery| connections::response(&figures, query.as_deref()).await
    };
    let ledger = {
        let figures = Arc::clone(&figures);
        async move |RawQuery(query): RawQuery| ledger::response(&figures, query.as_deref()).await
    };
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .merge(behaviour::routes(Arc::clone(&figures.behaviour)))
        .route("/metrics", get(async move |fields: HeaderMap| metrics::response(&figures, &fields)))
        .route("/connections", get(connections))
        .route("/ledger", get(ledger))
        .route("/config", get(async move || json(&shown)))
}

/// JSON for people, too.
fn json(value: &impl serde::Serialize) -> Response {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn log_figures(figures: Arc<Figures>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.tick().await;
    // What was served before this task ran for the first time belongs to the first line.
    let mut before = figures::Sum::default();
    loop {
        ticks.tick().await;
        let sum = figures.sum();
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
