//! Whether a proxy compresses, or undoes it.

use super::{
    super::{
        client::get,
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};

pub(super) static CASE: Case = Case {
    number: 28,
    name: "compression",
    title: "Compression on the way",
    why: "It decides on CPU time, lengths and caches.",
    issues: &[],
    asks: "A plain text for a client that accepts gzip, and one in gzip for a client that does not say so: which coding does it come in?",
    rules: &[],
    is_described: true,
    variants: &["plain", "gzip"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = if variant == "plain" {
        trial.ask("GET", "/chunked/20?size=1024").with("Accept-Encoding", "gzip")
    } else {
        trial.ask("GET", "/bin/20K?dummy-gzip=forced&dummy-content-type=text/plain")
    };
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    let coding = get(&reply.fields, "content-encoding").unwrap_or("no coding");
    let vary = get(&reply.fields, "vary").map(|vary| format!(", Vary: {vary}")).unwrap_or_default();
    Ok(CaseFinding::described(format!("{} bytes in {coding}{vary}", reply.length)))
}
