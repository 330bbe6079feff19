//! `/ledger`: what the servers of this process have seen of a verified run, as their own ports tell it, too.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::{
    process::{Instance, Process},
    router::{self, Route},
};

/// What all workers of each server have seen of the run that `query` names: a list, with one statement for each start of a
/// server that was not killed.
pub(super) async fn response(process: &Process, query: Option<&str>) -> Response {
    let (run, load) = match router::ledger(query.unwrap_or_default()) {
        Ok(Route::Ledger { run, load }) => (run, load),
        Ok(_) => return StatusCode::NOT_FOUND.into_response(),
        Err(bad) => {
            let text = format!("{}; accepted: {}; for example: {}\n", bad.error, bad.accepted, bad.example);
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let mut statements = Vec::new();
    for desk in process.instances.iter().flat_map(Instance::desks) {
        match desk.statement(run, load).await {
            Ok(statement) => statements.push(statement),
            Err(unanswered) => {
                return (StatusCode::SERVICE_UNAVAILABLE, format!("{unanswered}\n")).into_response();
            }
        }
    }
    super::json(&statements)
}
