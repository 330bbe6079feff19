//! A POST that fails is not retried, neither on another server nor later.

use tokio::time::Instant;

use super::{
    super::{
        client::{Ask, Cut, Framing, Session},
        found::{Roles, Rule},
        trial::{CaseFinding, CaseOutcome, ProbeReply, Trial},
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
           How often have the servers seen the request? Silence is waited for as long as --timeout: a longer one than the proxy's \
           shows what it does in the end.",
    rules: &[&RULE],
    is_described: false,
    variants: &["reset", "close", "status-503", "silence"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let asked = match variant {
        "reset" => "/?dummy-abort=rst@before-headers",
        "close" => "/?dummy-abort=fin@before-headers",
        "status-503" => "/?dummy-status=503",
        _ => "/?dummy-abort=hang@before-headers",
    };
    let ask = trial.ask("POST", asked).content(Framing::Length(5));
    let mut session = trial.connect().await?;
    trial.posted = Some(ask.id.number);
    trial.open(&mut session, &ask).await?;
    let _ = trial.send(&mut session, b"probe", true).await;
    if variant == "silence" {
        return silence(trial, session, &ask).await;
    }
    let status = trial.reply(&mut session, &ask).await.status;
    let sightings =
        trial.sightings_of_all(&ask, |sightings| sightings.count > 0 && !sightings.is_open).await?;
    Ok(counted(sightings.count, status))
}

/// The proxy may repeat it when it has waited for long enough.
async fn silence(trial: &mut Trial<'_>, mut session: Session, ask: &Ask) -> CaseOutcome {
    trial.sightings(ask, trial.soon(), |sightings| sightings.count > 0).await?;
    let began = Instant::now();
    let mut reply = ProbeReply::default();
    if trial.gate.is_direct {
        // Nothing is there that could repeat it.
        let heard = trial.hear(&mut session, trial.a_moment()).await;
        trial.take(heard, ask, &mut reply);
    } else {
        trial.reply_into(&mut session, ask, &mut reply).await;
    }
    let waited = began.elapsed();
    let sightings = trial.sightings_of_all(ask, |sightings| sightings.count > 0).await?;
    session.give_up(trial.until()).await;
    if sightings.count == 1 && reply.cut == Some(Cut::TimedOut) && !trial.gate.is_direct {
        return Ok(CaseFinding::described(format!(
            "not repeated within {waited:.1?}, in which there was no reply: beyond that, nothing is known"
        )));
    }
    Ok(counted(sightings.count, reply.status))
}

fn counted(count: usize, status: Option<u16>) -> CaseFinding {
    match (count, status) {
        (0, Some(status)) => CaseFinding::own_reply(status),
        (0, None) => CaseFinding::changed("it has not arrived, and there was no reply"),
        (1, _) => CaseFinding::kept("it arrived once"),
        (count, _) => {
            let reply = status.map_or_else(|| "no reply".to_owned(), |status| status.to_string());
            CaseFinding::against(&RULE, format!("it arrived {count} times; the client got {reply}"))
        }
    }
}

/// One that has arrived more often than was known when its round ended.
pub(crate) fn repeated_later(count: usize) -> Option<CaseFinding> {
    (count > 1).then(|| {
        CaseFinding::against(
            &RULE,
            format!("it arrived {count} times, of which some after the case had ended"),
        )
    })
}
