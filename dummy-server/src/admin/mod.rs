//! What runs beside the workers, on a thread of its own: the admin port, CPU profiles, the line of figures,
//! and the clock of the drain. It reads the workers' counters and never touches their requests.

mod figures;
mod metrics;
mod openings;
mod profile;

use std::{net::TcpListener, sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use tokio::sync::oneshot;

use crate::{Config, Shutdown, drain::Phase};

pub(crate) use figures::Figures;

/// Runs until `done`, which comes when the last worker has ended.
pub(crate) async fn run(
    config: Arc<Config>,
    shutdown: Shutdown,
    figures: Arc<Figures>,
    admin: Option<TcpListener>,
    pprof: Option<TcpListener>,
    done: oneshot::Receiver<()>,
) {
    if let Some(listener) = admin {
        serve(listener, routes(shutdown.clone(), Arc::clone(&figures)));
    }
    if let Some(listener) = pprof {
        serve(listener, profile::routes());
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

fn serve(listener: TcpListener, routes: Router) {
    tokio::task::spawn_local(async move {
        let served = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => axum::serve(listener, routes).await,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::error!(%error, "the admin or profile port is not served any more");
        }
    });
}

fn routes(shutdown: Shutdown, figures: Arc<Figures>) -> Router {
    let ready = move || {
        let serving = shutdown.phase() == Phase::Serving;
        async move {
            if serving { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "draining\n") }
        }
    };
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(async move || metrics::response(&figures)))
}

async fn log_figures(figures: Arc<Figures>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let sum = figures.sum();
        tracing::info!(
            resident_mib = figures::resident_bytes().map(|bytes| bytes >> 20),
            connections = sum.connections_open,
            in_flight = sum.in_flight,
            requests = sum.requests,
            "figures"
        );
    }
}
