//! Requests that do not wait for replies.

use contract::{field::SERVER_TIMING, timing::Timing};

use super::{
    super::{
        client::get,
        trial::{CaseFinding, CaseOutcome, ProbeReply, Trial},
    },
    Case,
};

pub(super) static CASE: Case = Case {
    number: 31,
    name: "pipelining",
    title: "Pipelined requests",
    why: "It decides whether a slow request holds back others.",
    issues: &[],
    asks: "Two requests in one piece, of which the first takes 200 ms: are both answered, and does the second one reach the server \
           before the first is replied to?",
    rules: &[],
    is_described: true,
    variants: &["two"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(_: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    if trial.is_http2() {
        return Ok(CaseFinding::not_applicable("needs HTTP/1.1 towards the proxy"));
    }
    let (one, two) = (trial.ask("GET", "/delay/200"), trial.ask("GET", "/"));
    let host = format!("Host: {}", one.authority);
    let second = two.written(&format!("GET {} HTTP/1.1", two.target), &[&host], "");
    let mut session = trial.connect().await?;
    trial.raw(&mut session, &one, (&format!("GET {} HTTP/1.1", one.target), &[&host], &second)).await?;
    let first = trial.reply(&mut session, &one).await;
    first.of_server()?;
    let second = trial.reply(&mut session, &two).await;
    if let Err(finding) = second.of_server() {
        return Ok(CaseFinding::described(format!("the second one is not answered: {}", finding.what)));
    }
    let timing = |reply: &ProbeReply| get(&reply.fields, SERVER_TIMING).and_then(Timing::parse);
    Ok(CaseFinding::described(match (timing(&first), timing(&second)) {
        (Some(first), Some(second)) if second.received_ns < first.replied_ns => {
            "both are answered; the second one reached the server while the first one waited"
        }
        (Some(_), Some(_)) => "both are answered, one after the other",
        _ => "both are answered",
    }))
}
