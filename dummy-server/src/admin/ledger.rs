//! `/ledger`: what the servers of this process have seen of a verified run, which their own ports report, too.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::{process::Process, router};

/// What all workers of each server have seen of the run that `query` names: a list, with one statement for each start of a
/// server that was not killed.
pub(super) async fn statements(State(process): State<Arc<Process>>, RawQuery(query): RawQuery) -> Response {
    let (run, load) = match router::ledger(&query.unwrap_or_default()) {
        Ok(asked) => asked,
        Err(bad) => {
            let text = format!("{}; accepted: {}; for example: {}\n", bad.error, bad.accepted, bad.example);
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let mut statements = Vec::new();
    for instance in &process.instances {
        let mut aggregators = instance.aggregators().into_iter().peekable();
        while let Some(aggregator) = aggregators.next() {
            let statement = match aggregator.statement(run, load).await {
                Ok(statement) => statement,
                Err(unanswered) => {
                    return (StatusCode::SERVICE_UNAVAILABLE, format!("{unanswered}\n")).into_response();
                }
            };
            // Earlier starts are of interest where they have seen something.
            if statement.sightings + statement.forgotten > 0 || aggregators.peek().is_none() {
                statements.push(statement);
            }
        }
    }
    super::json(&statements)
}
