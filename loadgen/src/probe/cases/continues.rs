//! A client that waits for 100 (Continue) gets an answer.

use tokio::time::Instant;

use super::{
    super::{
        client::{Cut, Framing, Heard},
        found::{Roles, Rule, State},
        trial::{CaseFinding, CaseOutcome, ProbeReply, Trial},
    },
    Case, INTERIM,
};

/// A gateway is bound by what binds an origin server towards its client (RFC 9110 section 3.7).
static OF_GATEWAYS: Rule = Rule {
    section: "RFC 9110 section 10.1.1",
    quote: "The origin server MUST NOT wait for the content before sending the 100 (Continue) response.",
    roles: Roles::Gateways,
};

static OF_PROXIES: Rule = Rule {
    section: "RFC 9110 section 10.1.1",
    quote: "Upon receiving an HTTP/1.1 (or later) request that has a method, target URI, and complete header section that \
            contains a 100-continue expectation and indicates a request content will follow, a proxy MUST either: send an \
            immediate response with a final status code, if that status can be determined by examining just the method, \
            target URI, and header fields, or forward the request toward the origin server by sending a corresponding \
            request-line and header section to the next inbound server.",
    roles: Roles::Proxies,
};

pub(super) static CASE: Case = Case {
    number: 12,
    name: "continue",
    title: "A client that expects 100 gets an answer",
    why: "A client that waits for 100 in vain waits for seconds before each upload.",
    issues: &["node-http-proxy#1219", "h2o#3316"],
    asks: "The client sends a head with Expect: 100-continue and waits; the server sends 100, or refuses with 417. Which one comes, \
           and from whom?",
    rules: &[&OF_GATEWAYS, &OF_PROXIES, &INTERIM],
    is_described: false,
    variants: &["sent", "refused"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let target = if variant == "sent" { "/?dummy-continue=send" } else { "/?dummy-continue=refuse" };
    let ask = trial.ask("POST", target).with("Expect", "100-continue").content(Framing::Length(5));
    let mut session = trial.connect().await?;
    trial.open(&mut session, &ask).await?;
    let (mut reply, until, began) = (ProbeReply::default(), trial.soon(), Instant::now());
    let mut is_silent = false;
    // Another interim reply, such as 102, does not say that the content may come.
    while reply.status.is_none() && !reply.interims.iter().any(|(status, _)| *status == 100) && !is_silent {
        match trial.hear(&mut session, until).await {
            Heard::Cut(Cut::TimedOut) => is_silent = true,
            heard => {
                if trial.take(heard, &ask, &mut reply) {
                    break;
                }
            }
        }
    }
    if reply.status.is_some() || reply.cut.is_some() {
        let status = reply.of_server()?;
        return Ok(match (variant, status) {
            ("refused", 417) => CaseFinding::kept("417 came, and no content was sent"),
            _ => CaseFinding::changed(format!("{status} came, without 100")),
        });
    }
    let waited = began.elapsed();
    let before = trial.sightings(&ask, trial.soon(), |sightings| is_silent || sightings.count > 0).await?;
    let _ = trial.send(&mut session, b"probe", true).await;
    trial.reply_into(&mut session, &ask, &mut reply).await;
    if is_silent {
        let then = reply.status.map_or_else(|| "nothing".to_owned(), |status| status.to_string());
        // The question after it has measured the way once more.
        if trial.gate.is_slow_for(waited) {
            let what = format!(
                "neither 100 nor a final status came within {waited:.1?}, which is short for this way, then {then}"
            );
            return Ok(CaseFinding::changed(what));
        }
        let what = format!("neither 100 nor a final status came before the content, then {then}");
        // A proxy is to pass on the head, and then the 100 that comes for it.
        return Ok(match (before.count, variant) {
            (0, _) => CaseFinding::against_all(&[&OF_GATEWAYS, &OF_PROXIES], what),
            (_, "sent") => CaseFinding::against_all(&[&OF_GATEWAYS, &INTERIM], what),
            _ => CaseFinding::against(&OF_GATEWAYS, what),
        });
    }
    if variant == "refused" {
        let then = reply.status.map_or_else(|| "nothing".to_owned(), |status| status.to_string());
        return Ok(CaseFinding {
            state: State::AnsweredItself,
            ..CaseFinding::changed(format!("100 from the proxy itself, then {then}"))
        });
    }
    reply.of_server()?;
    if reply.echoed("body").as_deref() != Some("probe") {
        return Ok(CaseFinding::changed("100 came, and the content did not arrive"));
    }
    Ok(if before.count > 0 {
        CaseFinding::kept("100 came from the server, then the reply")
    } else {
        let what = "100 from the proxy itself: the server had not seen the request";
        CaseFinding { state: State::AnsweredItself, ..CaseFinding::changed(what) }
    })
}
