//! What a proxy says of the client, and what it does with what was said before.

use super::{
    super::trial::{CaseFinding, CaseOutcome, Trial},
    Case,
};

/// An address of documentation (RFC 5737).
const BEFORE: &str = "192.0.2.1";

pub(super) static CASE: Case = Case {
    number: 27,
    name: "forwarded",
    title: "What the proxy adds to a request",
    why: "Servers log, limit and trust by these fields.",
    issues: &[],
    asks: "Which fields does the server see that the client has not sent, and what becomes of Forwarded (RFC 7239) and X-Forwarded-For \
           that it has sent?",
    rules: &[],
    is_described: true,
    variants: &["none-sent", "sent"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let mut ask = trial.ask("GET", "/");
    if variant == "sent" {
        ask = ask.with("forwarded", &format!("for={BEFORE}")).with("x-forwarded-for", BEFORE);
    }
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    let seen = reply.echoed_pairs("headers_list");
    let is_sent = |name: &str, value: &str| {
        let own = ["host", contract::field::TOKEN];
        own.contains(&name) || ask.fields.iter().any(|(known, sent)| known == name && sent == value)
    };
    let added: Vec<String> = seen
        .iter()
        .filter(|(name, value)| !is_sent(&name.to_ascii_lowercase(), value))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let is_missing = |name: &&str| !seen.iter().any(|(seen, _)| seen.eq_ignore_ascii_case(name));
    let missing: Vec<&str> = ask.fields.iter().map(|(name, _)| name.as_str()).filter(is_missing).collect();
    let mut what = if added.is_empty() { "nothing is added".to_owned() } else { added.join(", ") };
    if !missing.is_empty() {
        what.push_str(&format!("; removed: {}", missing.join(", ")));
    }
    Ok(CaseFinding::described(what))
}
