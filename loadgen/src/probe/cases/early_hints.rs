//! 103 (Early Hints) comes before the reply.

use super::{
    super::{
        client::get,
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case, INTERIM,
};

pub(super) static CASE: Case = Case {
    number: 13,
    name: "early-hints",
    title: "103 (Early Hints) reaches the client",
    why: "Preloading gains nothing if the hint does not arrive.",
    issues: &["envoy#35263"],
    asks: "The server sends 103 with a Link, and its reply a moment later. Do both come?",
    rules: &[&INTERIM],
    is_described: false,
    variants: &["one"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(_: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = trial.ask("GET", "/?dummy-delay=50ms&dummy-hints=%3C/probe.css%3E;rel=preload");
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    let hints = reply.interims.iter().find(|(status, _)| *status == 103);
    Ok(match hints.map(|(_, fields)| get(fields, "link").is_some_and(|link| link.contains("/probe.css"))) {
        Some(true) => CaseFinding::kept("103 came with its Link"),
        Some(false) => CaseFinding::changed("103 came without its Link"),
        None => CaseFinding::against(&INTERIM, "103 was dropped"),
    })
}
