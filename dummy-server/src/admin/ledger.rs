//! `/ledger`: what this server has seen of a verified run, as the port of the service tells it, too.

use std::sync::Arc;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::Figures;
use crate::router::{self, Route};

/// What all workers have seen of the run that `query` names.
pub(super) async fn response(figures: &Arc<Figures>, query: Option<&str>) -> Response {
    let (run, load) = match router::ledger(query.unwrap_or_default()) {
        Ok(Route::Ledger { run, load }) => (run, load),
        Ok(_) => return StatusCode::NOT_FOUND.into_response(),
        Err(bad) => {
            let text = format!("{}; accepted: {}; for example: {}\n", bad.error, bad.accepted, bad.example);
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    match figures.desk.statement(run, load).await {
        Ok(statement) => super::json(&statement),
        Err(unanswered) => (StatusCode::SERVICE_UNAVAILABLE, format!("{unanswered}\n")).into_response(),
    }
}
