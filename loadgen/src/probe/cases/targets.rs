//! The target arrives as it was sent.

use super::{
    super::{
        found::{Roles, Rule},
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};

static RULE: Rule = Rule {
    section: "RFC 9110 section 7.7",
    quote: "A proxy MUST NOT modify the \"absolute-path\" and \"query\" parts of the received target URI when forwarding it \
            to the next inbound server except as required by that forwarding protocol.",
    roles: Roles::Proxies,
};

pub(super) static CASE: Case = Case {
    number: 14,
    name: "target",
    title: "The target arrives as it was sent",
    why: "Signatures, caches and access rules depend on the exact target.",
    issues: &["node-http-proxy#959", "h2o#981"],
    asks: "Targets with what is often normalized: which one has the server seen?",
    rules: &[&RULE],
    is_described: false,
    variants: &[
        "double-slash",
        "encoded-slash",
        "dot-segments",
        "encoded-dots",
        "empty-query",
        "second-question-mark",
        "encoded-number-sign",
        "encoded-letter",
        "lower-case-hex",
        "semicolon",
    ],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let target = match variant {
        "double-slash" => "/x//y",
        "encoded-slash" => "/x%2Fy",
        "dot-segments" => "/x/./z/../y",
        "encoded-dots" => "/x/%2e%2e/y",
        "empty-query" => "/x?",
        "second-question-mark" => "/x?a=b?c",
        "encoded-number-sign" => "/x%23y",
        "encoded-letter" => "/%78/y",
        "lower-case-hex" => "/x%c3%a4",
        _ => "/x;a=b/y",
    };
    let ask = trial.ask("GET", target);
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    let seen =
        reply.target_seen().ok_or_else(|| CaseFinding::changed("the reply does not echo the request"))?;
    Ok(if seen == ask.target || seen == target {
        CaseFinding::kept(seen)
    } else {
        CaseFinding::against(&RULE, format!("{} arrived as {seen}", ask.target))
    })
}
