//! The PROXY protocol between proxy and server.

use super::{
    super::trial::{CaseFinding, CaseOutcome, Trial},
    Case,
};

pub(super) static CASE: Case = Case {
    number: 30,
    name: "proxy-protocol",
    title: "PROXY protocol towards the server",
    why: "It is how the server learns the client's address below HTTP.",
    issues: &[],
    asks: "Has the proxy said in a PROXY header from where the client comes? dummy-server has to take it (--proxy-protocol).",
    rules: &[],
    is_described: true,
    variants: &["header"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(_: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = trial.ask("GET", "/");
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    let echo: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    Ok(CaseFinding::described(match echo.get("proxy_protocol") {
        Some(header) => header.to_string(),
        None => "none was sent, or taken by the server".to_owned(),
    }))
}
