//! For how long a proxy waits.

use tokio::time::Instant;

use super::{
    super::{
        client::{Cut, Heard},
        trial::{CaseFinding, CaseOutcome, ProbeReply, Trial},
    },
    Case,
};

pub(super) static CASE: Case = Case {
    number: 29,
    name: "timeouts",
    title: "For how long the proxy waits",
    why: "Timeouts on the way have to fit together.",
    issues: &[],
    asks: "The server does not reply, and the client does not send a request on a connection that it has used: after how long does \
           the proxy end that? It is waited for no longer than --timeout, which is to be longer than the proxy's timeouts.",
    rules: &[],
    is_described: true,
    variants: &["reply", "idle"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let target = if variant == "reply" { "/?dummy-abort=hang@before-headers" } else { "/" };
    let ask = trial.ask("GET", target);
    let mut session = trial.connect().await?;
    if variant == "reply" {
        trial.open(&mut session, &ask).await?;
    } else {
        trial.on(&mut session, &ask, &[]).await?.of_server()?;
    }
    let (began, until) = (Instant::now(), trial.until());
    let mut reply = ProbeReply::default();
    loop {
        let heard = trial.hear(&mut session, until).await;
        let waited = began.elapsed();
        let what = match &heard {
            Heard::Head(status, _) => format!("{status} after {waited:.1?}"),
            Heard::Cut(Cut::TimedOut) => format!("nothing within {waited:.1?}"),
            Heard::Cut(cut) => format!("{cut} after {waited:.1?}"),
            Heard::End => format!("the end after {waited:.1?}"),
            Heard::Interim(..) | Heard::Data(_) | Heard::Trailers(_) => continue,
        };
        trial.take(heard, &ask, &mut reply);
        session.give_up(trial.until()).await;
        return Ok(CaseFinding::described(what));
    }
}
