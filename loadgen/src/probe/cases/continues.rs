//! A client that waits for 100 (Continue) is told something.

use tokio::time::Instant;

use super::{
    super::{
        client::{Content, Cut, Heard},
        found::{Rule, State},
        trial::{Finding, Outcome, Reply, Trial},
    },
    Case,
};

/// A gateway is bound by what binds an origin server towards its client (RFC 9110 section 3.7).
static RULE: Rule = Rule {
    section: "RFC 9110 section 10.1.1",
    quote: "The origin server MUST NOT wait for the content before sending the 100 (Continue) response.",
    for_proxies_only: false,
};

pub(super) static CASE: Case = Case {
    number: 12,
    name: "continue",
    title: "A client that expects 100 is told what to do",
    why: "A client that waits for 100 in vain waits for seconds before each upload.",
    issues: &["node-http-proxy#1219", "h2o#3316"],
    asks: "The client sends a head with Expect: 100-continue and waits; the server sends 100, or refuses with 417. Which one comes, \
           and from whom?",
    rules: &[&RULE],
    is_described: false,
    variants: &["sent", "refused"],
};

pub(super) async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> Outcome {
    let target = if variant == "sent" { "/?dummy-continue=send" } else { "/?dummy-continue=refuse" };
    let ask = trial.ask("POST", target).with("Expect", "100-continue").content(Content::Length(5));
    let mut session = trial.connect().await?;
    trial.open(&mut session, &ask).await?;
    let (mut reply, until, began) = (Reply::default(), trial.soon(), Instant::now());
    let mut is_silent = false;
    while reply.status.is_none() && reply.interims.is_empty() && !is_silent {
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
            ("refused", 417) => Finding::kept("417 came, and no content was sent"),
            _ => Finding::changed(format!("{status} came, without 100")),
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
            return Ok(Finding::changed(what));
        }
        return Ok(Finding::against(
            &RULE,
            format!("neither 100 nor a final status came before the content, then {then}"),
        ));
    }
    if variant == "refused" {
        let then = reply.status.map_or_else(|| "nothing".to_owned(), |status| status.to_string());
        return Ok(Finding {
            state: State::AnsweredItself,
            ..Finding::changed(format!("100 from the proxy itself, then {then}"))
        });
    }
    reply.of_server()?;
    if reply.echoed("body").as_deref() != Some("probe") {
        return Ok(Finding::changed("100 came, and the content did not arrive"));
    }
    Ok(if before.count > 0 {
        Finding::kept("100 came from the server, then the reply")
    } else {
        let what = "100 from the proxy itself: the server had not seen the request";
        Finding { state: State::AnsweredItself, ..Finding::changed(what) }
    })
}
