//! Order and case of fields.

use super::{
    super::trial::{CaseFinding, CaseOutcome, Trial},
    Case,
};

const NAMES: [&str; 3] = ["X-Probe-B", "x-probe-a", "X-PROBE-C"];

pub(super) static CASE: Case = Case {
    number: 26,
    name: "field-order",
    title: "Order and case of fields",
    why: "Signatures and old servers depend on it.",
    issues: &[],
    asks: "Three fields whose names are in no order and in different cases, of a request and of a reply: how do they arrive? \
           (HTTP/2 has lower case alone.)",
    rules: &[],
    is_described: true,
    variants: &["request", "reply"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = if variant == "request" {
        NAMES.iter().fold(trial.ask("GET", "/"), |ask, name| ask.with(name, "1"))
    } else {
        let query: String = NAMES.iter().map(|name| format!("&dummy-header={name}:1")).collect();
        trial.ask("GET", &format!("/?probe{query}"))
    };
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    let fields = if variant == "request" { reply.echoed_pairs("headers_list") } else { reply.fields };
    let is_ours = |name: &&str| name.to_ascii_lowercase().starts_with("x-probe-");
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).filter(is_ours).collect();
    Ok(CaseFinding::described(if names == NAMES {
        "as they were sent".to_owned()
    } else {
        format!("{} arrived as {}", NAMES.join(", "), names.join(", "))
    }))
}
