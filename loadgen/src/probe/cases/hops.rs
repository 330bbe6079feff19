//! Fields of one connection, and those that `Connection` names, go no further than that.

use super::{
    super::{
        client::get,
        found::{Roles, Rule},
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};
use crate::plan::Protocol;

static RULE: Rule = Rule {
    section: "RFC 9110 section 7.6.1",
    quote: "Intermediaries MUST parse a received Connection header field before a message is forwarded and, for each \
            connection-option in this field, remove any header or trailer field(s) from the message with the same name as \
            the connection-option, and then remove the Connection header field itself (or replace it with the \
            intermediary's own control options for the forwarded message).",
    roles: Roles::Both,
};

pub(super) static CASE: Case = Case {
    number: 18,
    name: "hop-by-hop",
    title: "Fields that Connection names go no further",
    why: "A field for one connection that goes further can switch off checks behind the proxy.",
    issues: &[],
    asks: "A request, or a reply, has a field x-probe-hop, and Connection names it. Is it taken out before the message is passed on? \
           (Asked directly, there is no further way.)",
    rules: &[&RULE],
    is_described: false,
    variants: &["request", "reply"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let is_request = variant == "request";
    if if is_request { trial.is_http2() } else { trial.is_http2_behind() } {
        let where_needed = if is_request { "towards the proxy" } else { "between proxy and server" };
        return Ok(CaseFinding::not_applicable(format!(
            "needs HTTP/1.1 {where_needed}: HTTP/2 has no Connection"
        )));
    }
    let ask = if is_request {
        trial.ask("GET", "/").with("Connection", "x-probe-hop").with("x-probe-hop", "1")
    } else {
        trial.ask("GET", "/?dummy-header=connection:x-probe-hop&dummy-header=x-probe-hop:1")
    };
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    let fields = if is_request { reply.echoed_pairs("headers_list") } else { reply.fields.clone() };
    let has_passed = get(&fields, "x-probe-hop").is_some();
    Ok(match (has_passed, trial.gate.is_direct) {
        (true, true) => CaseFinding::kept("it has reached the other end of the connection"),
        (false, true) => CaseFinding::changed("it is not there"),
        (false, false) => CaseFinding::kept("it was taken out"),
        (true, false) if relays_bytes(trial).await => CaseFinding::not_applicable(
            "it relays bytes and reads no HTTP: the request arrived as it was sent, over HTTP/1.1 and over HTTP/2",
        ),
        (true, false) => CaseFinding::against(&RULE, "it was passed on"),
    })
}

/// Whether nothing between reads HTTP: fields arrive as they were sent, with nothing added, and HTTP/2 on the same port as HTTP/2.
async fn relays_bytes(trial: &Trial<'_>) -> bool {
    let mut over_http1 = Trial::new(trial.gate, Protocol::Http1);
    let ask = over_http1.ask("GET", "/").with("x-pRobe-Case", "1").with("Connection", "x-probe-case");
    let Ok(reply) = over_http1.exchange(&ask, &[]).await else { return false };
    let sent = ask.all_fields().map(|(name, value)| (name.to_owned(), value));
    let sent: Vec<_> = [("Host".to_owned(), ask.authority.clone())].into_iter().chain(sent).collect();
    if reply.echoed_pairs("headers_list") != sent {
        return false;
    }
    let mut over_http2 = Trial::new(trial.gate, Protocol::Http2);
    let ask = over_http2.ask("GET", "/");
    let Ok(reply) = over_http2.exchange(&ask, &[]).await else { return false };
    reply.echoed("protocol").is_some_and(|spoken| spoken.starts_with("HTTP/2"))
}
