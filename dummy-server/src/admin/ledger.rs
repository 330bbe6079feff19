//! `/ledger`: what the servers of this process have seen of a verified run, which their own ports report, too.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::{process::Process, router};

/// What all workers of each server have seen of the run that `query` names: a list, with one statement for each start of a
/// server that was not killed.
pub(super) async fn response(process: &Process, query: Option<&str>) -> Response {
    let (run, load) = match router::ledger(query.unwrap_or_default()) {
        Ok(asked) => asked,
        Err(bad) => {
            let text = format!("{}; accepted: {}; for example: {}\n", bad.error, bad.accepted, bad.example);
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let mut statements = Vec::new();
    let all = process.instances.iter().flat_map(|instance| {
        let aggregators = instance.aggregators();
        let last = aggregators.len().saturating_sub(1);
        aggregators.into_iter().enumerate().map(move |(index, aggregator)| (aggregator, index == last))
    });
    for (aggregator, is_last) in all {
        match aggregator.statement(run, load).await {
            // Earlier starts are of interest where they have seen something.
            Ok(statement) if statement.sightings + statement.forgotten > 0 || is_last => {
                statements.push(statement);
            }
            Ok(_) => {}
            Err(unanswered) => {
                return (StatusCode::SERVICE_UNAVAILABLE, format!("{unanswered}\n")).into_response();
            }
        }
    }
    super::json(&statements)
}
