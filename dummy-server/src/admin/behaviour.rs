//! `/behaviour`: what the server does to every request by default, read, replaced and removed while it runs.

use std::sync::Arc;

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use serde_json::json;

use crate::behaviour::{Behaviour, BehaviourState, EXAMPLE_DEFAULT};

/// GET, PUT with pairs as in a query, and DELETE: of all servers of the process.
pub(super) fn routes(servers: Vec<Arc<BehaviourState>>) -> Router {
    let all: Arc<[Arc<BehaviourState>]> = servers.into();
    let (read, replaced, removed) = (Arc::clone(&all), Arc::clone(&all), all);
    let read = async move || said(&read);
    let replace = async move |text: String| match Behaviour::parse(&text) {
        Ok(behaviour) => {
            replaced.iter().for_each(|server| server.set_default(behaviour.clone()));
            said(&replaced).into_response()
        }
        Err(bad) => {
            let value = json!({ "error": bad.error, "accepted": bad.accepted, "example": EXAMPLE_DEFAULT });
            (StatusCode::BAD_REQUEST, Json(value)).into_response()
        }
    };
    let remove = async move || {
        removed.iter().for_each(|server| server.set_default(Behaviour::default()));
        said(&removed)
    };
    Router::new().route("/behaviour", get(read).put(replace).delete(remove))
}

/// The canonical form, which PUT takes again.
fn said(servers: &[Arc<BehaviourState>]) -> Json<serde_json::Value> {
    // All have the same.
    let default = servers.first().and_then(|server| server.default()).map(|default| default.to_string());
    Json(json!({ "behaviour": default.unwrap_or_default() }))
}
