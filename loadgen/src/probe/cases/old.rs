//! HTTP/1.0, at either end.

use super::{
    super::{
        client::get,
        found::{Roles, Rule},
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case, INCOMPLETE, taken_for_whole,
};

static RULE: Rule = Rule {
    section: "RFC 9112 section 6.1",
    quote: "A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request indicates \
            HTTP/1.1 (or later minor revisions).",
    roles: Roles::Both,
};

pub(super) static CASE: Case = Case {
    number: 21,
    name: "http10",
    title: "HTTP/1.0 ends a reply by its connection",
    why: "Health checks and old clients still speak it, and some proxies do with servers.",
    issues: &[],
    asks: "A client of HTTP/1.0 asks for a reply without a length, which ends with the connection; and where the proxy speaks \
           HTTP/1.0 with the server, such a reply comes from there. Is it whole, and in no chunks for that client?",
    rules: &[&RULE, &INCOMPLETE],
    is_described: false,
    variants: &["client", "server"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = trial.ask("GET", "/chunked/3?size=100");
    let reply = if variant == "client" {
        if trial.is_http2() {
            return Ok(CaseFinding::not_applicable("needs HTTP/1 towards the proxy"));
        }
        let (line, host) = (format!("GET {} HTTP/1.0", ask.target), format!("Host: {}", ask.authority));
        let mut session = trial.connect().await?;
        trial.raw(&mut session, &ask, (&line, &[&host], "")).await?;
        trial.reply(&mut session, &ask).await
    } else {
        if !trial.is_behind("HTTP/1.0") {
            return Ok(CaseFinding::not_applicable("needs a proxy that speaks HTTP/1.0 with the server"));
        }
        trial.exchange(&ask, &[]).await?
    };
    reply.of_server()?;
    if variant == "client" && get(&reply.fields, "transfer-encoding").is_some() {
        return Ok(CaseFinding::against(&RULE, "it came with Transfer-Encoding"));
    }
    Ok(match (reply.length, &reply.cut) {
        (300, None) => CaseFinding::kept("it came whole"),
        (length, None) => {
            taken_for_whole(trial, format!("{length} of 300 bytes, and an end as of a whole one"))
        }
        (length, Some(cut)) => CaseFinding::changed(format!("{length} of 300 bytes: {cut}")),
    })
}
