//! A client that has no more to say still waits for its reply.

use super::{
    super::{
        client::Cut,
        transcript::Side,
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};

pub(super) static CASE: Case = Case {
    number: 22,
    name: "half-close",
    title: "A client that ends its direction gets its reply",
    why: "Simple clients and tunnels say with FIN that they are done, and wait.",
    issues: &[],
    asks: "The client sends a request and FIN, and waits. Does the reply come, or is that taken for an abort?",
    rules: &[],
    is_described: false,
    variants: &["request"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(_: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    if trial.is_http2() {
        return Ok(CaseFinding::not_applicable("needs HTTP/1.1 towards the proxy"));
    }
    let ask = trial.ask("GET", "/delay/100");
    let mut session = trial.connect().await?;
    trial.open(&mut session, &ask).await?;
    trial.transcript.note(Side::Sent, "FIN");
    session.end_sending(trial.until()).await.map_err(|cut| CaseFinding::cut(&cut))?;
    let reply = trial.reply(&mut session, &ask).await;
    Ok(match (reply.status, &reply.cut) {
        (None, Some(cut @ (Cut::Closed | Cut::Reset))) => {
            CaseFinding::changed(format!("taken for an abort: {cut}, without a reply"))
        }
        _ => {
            reply.of_server()?;
            match &reply.cut {
                None => CaseFinding::kept("the reply came"),
                Some(cut) => CaseFinding::changed(format!("the reply was cut: {cut}")),
            }
        }
    })
}
