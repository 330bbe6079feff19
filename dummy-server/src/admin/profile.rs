//! `/debug/pprof/profile`: a CPU profile of the whole process in pprof format, as `go tool pprof` reads it.

use axum::{
    Router,
    extract::Query,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

const LONGEST_SECONDS: u64 = 300;

/// How long to sample.
#[derive(Debug, serde::Deserialize)]
struct Wanted {
    seconds: Option<u64>,
}

/// The endpoints of the profile port.
pub(super) fn routes() -> Router {
    Router::new().route("/debug/pprof/", get(async || "GET /debug/pprof/profile?seconds=10\n")).route(
        "/debug/pprof/profile",
        get(async |Query(wanted): Query<Wanted>| match wanted.seconds.unwrap_or(10) {
            seconds @ 1..=LONGEST_SECONDS => profile(seconds).await,
            _ => (StatusCode::BAD_REQUEST, "invalid seconds; accepted: 1 to 300; example: seconds=10\n")
                .into_response(),
        }),
    )
}

#[cfg(unix)]
async fn profile(seconds: u64) -> Response {
    const SAMPLES_PER_SECOND: i32 = 99;
    let guard = match pprof::ProfilerGuard::new(SAMPLES_PER_SECOND) {
        Ok(guard) => guard,
        Err(error) => return (StatusCode::CONFLICT, format!("can't profile now: {error}\n")).into_response(),
    };
    tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
    // Building it takes a while, in which probes are to be answered.
    let built = tokio::task::spawn_blocking(move || guard.report().build().and_then(|report| report.pprof()));
    match built.await.unwrap_or(Err(pprof::Error::CreatingError)) {
        Ok(profile) => {
            use pprof::protos::Message as _;
            ([(header::CONTENT_TYPE, "application/octet-stream")], profile.encode_to_vec()).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[cfg(not(unix))]
async fn profile(_seconds: u64) -> Response {
    (StatusCode::NOT_IMPLEMENTED, "profiles need a Unix system\n").into_response()
}
