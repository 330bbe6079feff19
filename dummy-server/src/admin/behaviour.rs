//! `/behaviour`: what the servers of the process do to every request by default, read, replaced and removed while they run.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::refused;
use crate::{
    behaviour::{Behaviour, EXAMPLE_DEFAULT},
    process::Process,
};

/// GET: the canonical form, which PUT takes again.
pub(super) async fn read(State(process): State<Arc<Process>>) -> Json<serde_json::Value> {
    // All have the same.
    let default = process.instances.first().and_then(|server| server.lasting.behaviour.default());
    Json(json!({ "behaviour": default.map(|default| default.to_string()).unwrap_or_default() }))
}

/// PUT with pairs as in a query.
pub(super) async fn replace(process: State<Arc<Process>>, text: String) -> Response {
    match Behaviour::parse(&text) {
        Ok(behaviour) => set(process, &behaviour).await.into_response(),
        Err(bad) => {
            refused(StatusCode::BAD_REQUEST, &bad.error, bad.accepted, EXAMPLE_DEFAULT).into_response()
        }
    }
}

/// DELETE.
pub(super) async fn remove(process: State<Arc<Process>>) -> Json<serde_json::Value> {
    set(process, &Behaviour::default()).await
}

async fn set(process: State<Arc<Process>>, behaviour: &Behaviour) -> Json<serde_json::Value> {
    for server in &process.instances {
        server.lasting.behaviour.set_default(behaviour.clone());
    }
    read(process).await
}
