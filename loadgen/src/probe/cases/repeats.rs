//! A POST that fails is not sent again.

use super::{
    super::{
        client::{Content, Heard},
        found::{Roles, Rule},
        trial::{Finding, Outcome, Trial},
    },
    Case,
};

pub(super) static RULE: Rule = Rule {
    section: "RFC 9110 section 9.2.2",
    quote: "A proxy MUST NOT automatically retry non-idempotent requests.",
    roles: Roles::Proxies,
};

pub(super) static CASE: Case = Case {
    number: 1,
    name: "repeated-post",
    title: "A failed POST is not repeated",
    why: "A payment that is made twice: many proxies repeat what failed, and their users find out in production.",
    issues: &["traefik#8990", "istio#13851", "envoy#10007", "pingora#979"],
    asks: "The server resets or closes the connection before its reply, replies with 503, or does not reply at all, to a POST. \
           How often has it seen the request?",
    rules: &[&RULE],
    is_described: false,
    variants: &["reset", "close", "status-503", "silence"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> Outcome {
    let asked = match variant {
        "reset" => "/?dummy-abort=rst@before-headers",
        "close" => "/?dummy-abort=fin@before-headers",
        "status-503" => "/?dummy-status=503",
        _ => "/?dummy-abort=hang@before-headers",
    };
    let ask = trial.ask("POST", asked).content(Content::Length(5));
    let mut session = trial.connect().await?;
    trial.open(&mut session, &ask).await?;
    let _ = trial.send(&mut session, b"probe", true).await;
    let status = if variant == "silence" {
        trial.sightings(&ask, trial.soon(), |sightings| sightings.count > 0).await?;
        let heard = trial.hear(&mut session, trial.a_moment()).await;
        let sightings = trial.look(ask.id.number).await?;
        session.give_up(trial.until()).await;
        let status = if let Heard::Head(status, _) = heard { Some(status) } else { None };
        return Ok(counted(sightings.count, status));
    } else {
        trial.reply(&mut session, &ask).await.status
    };
    let sightings =
        trial.sightings(&ask, trial.until(), |sightings| sightings.count > 0 && !sightings.is_open).await?;
    Ok(counted(sightings.count, status))
}

fn counted(count: usize, status: Option<u16>) -> Finding {
    let reply = status.map_or_else(|| "no reply".to_owned(), |status| status.to_string());
    match (count, status) {
        (0, Some(status)) => Finding::own_reply(status),
        (0, None) => Finding::changed("it has not arrived, and there was no reply"),
        (1, _) => Finding::kept("it arrived once"),
        (count, _) => Finding::against(&RULE, format!("it arrived {count} times; the client got {reply}")),
    }
}
