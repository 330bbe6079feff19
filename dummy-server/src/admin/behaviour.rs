//! `/behaviour`: what the server does to every request by default, read, replaced and removed while it runs.

use std::sync::Arc;

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use serde_json::json;

use crate::behaviour::{Behaviour, EXAMPLE_DEFAULT, Shared};

/// GET, PUT with pairs as in a query, and DELETE.
pub(super) fn routes(shared: Arc<Shared>) -> Router {
    let (read, replaced, removed) = (Arc::clone(&shared), Arc::clone(&shared), shared);
    let read = async move || said(&read);
    let replace = async move |text: String| match Behaviour::parse(&text) {
        Ok(behaviour) => {
            replaced.set_default(behaviour);
            said(&replaced).into_response()
        }
        Err(bad) => {
            let value = json!({ "error": bad.error, "accepted": bad.accepted, "example": EXAMPLE_DEFAULT });
            (StatusCode::BAD_REQUEST, Json(value)).into_response()
        }
    };
    let remove = async move || {
        removed.set_default(Behaviour::default());
        said(&removed)
    };
    Router::new().route("/behaviour", get(read).put(replace).delete(remove))
}

/// The canonical form, which PUT takes again.
fn said(shared: &Shared) -> Json<serde_json::Value> {
    let default = shared.default().map(|default| default.to_string());
    Json(json!({ "behaviour": default.unwrap_or_default() }))
}
