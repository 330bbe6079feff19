//! A connection to the server that ends while it is idle costs no request.

use super::{
    super::{
        client::{Cut, Framing},
        trial::{CaseFinding, CaseOutcome, ProbeReply, Trial},
    },
    Case,
    repeats::RULE,
};

/// How often it is tried in a round: it is a race.
const TRIES: usize = 4;

pub(super) static CASE: Case = Case {
    number: 3,
    name: "idle-race",
    title: "A server's connection that ends while it is idle costs no request",
    why: "Now and then a 502 without a reason: the proxy's timeout is longer than the server's.",
    issues: &["envoy#1979", "caddy#6452", "haproxy#1423"],
    asks: "The server closes its connection right behind a whole reply, without having said so, and the next request comes at that \
           moment. Is it answered by the server, and does a POST arrive once?",
    rules: &[&RULE],
    is_described: false,
    variants: &["get", "post"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let mut lost = Vec::new();
    for _ in 0..TRIES {
        let first = trial.ask("GET", "/bin/16?dummy-abort=fin@body(16)");
        let (mut one, mut other) = (trial.connect().await?, trial.connect().await?);
        trial.on(&mut one, &first, &[]).await?.of_server()?;
        let next = |trial: &Trial<'_>| match variant {
            "get" => trial.ask("GET", "/"),
            _ => trial.ask("POST", "/").content(Framing::Length(5)),
        };
        let mut ask = next(trial);
        // Of the server itself, this client knows as little as a proxy would.
        let mut reply = None;
        if one.is_open() && !trial.gate.is_direct {
            reply = Some(trial.on(&mut one, &ask, b"probe").await.unwrap_or_default());
        }
        // One that ends the client's connection together with the server's has said what there is to say.
        let is_passed_on = |reply: &ProbeReply| {
            reply.status.is_none() && !matches!(reply.cut, Some(Cut::TimedOut | Cut::Malformed(_)))
        };
        let reply = match reply {
            Some(reply) if !is_passed_on(&reply) => reply,
            ended => {
                if ended.is_some() {
                    ask = next(trial);
                }
                trial.on(&mut other, &ask, b"probe").await?
            }
        };
        if let Err(finding) = reply.of_server() {
            lost.push(finding);
        }
        if variant == "post" {
            let sightings = trial.sightings(&ask, trial.soon(), |sightings| sightings.count > 0).await?;
            if sightings.count > 1 {
                return Ok(CaseFinding::against(
                    &RULE,
                    format!("the POST arrived {} times", sightings.count),
                ));
            }
        }
    }
    match lost.pop() {
        None => Ok(CaseFinding::kept(format!("{TRIES} of {TRIES} were answered by the server"))),
        Some(last) => {
            let what =
                format!("{} of {TRIES} were not answered by the server: {}", lost.len() + 1, last.what);
            Err(CaseFinding { what, ..last })
        }
    }
}
