//! A server that says that it will end its connections loses no request.

use super::{
    super::{
        client::Framing,
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
    repeats::RULE,
};

/// How many requests are sent.
const REQUESTS: usize = 6;

pub(super) static CASE: Case = Case {
    number: 23,
    name: "drain",
    title: "A server that announces the end of its connections loses no request",
    why: "Each deployment ends connections.",
    issues: &[],
    asks: "Each reply of the server is the last one on its connection, as it says with Connection: close or GOAWAY. Are the requests \
           that follow it immediately answered, and does a POST arrive once?",
    rules: &[&RULE],
    is_described: false,
    variants: &["get", "post"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let mut session = trial.connect().await?;
    for number in 1..=REQUESTS {
        if !session.is_open() || trial.gate.is_direct {
            session = trial.connect().await?;
        }
        let target = "/?dummy-close-after=1";
        let ask = match variant {
            "get" => trial.ask("GET", target),
            _ => trial.ask("POST", target).content(Framing::Length(5)),
        };
        let reply = trial.on(&mut session, &ask, b"probe").await?;
        if let Err(lost) = reply.of_server() {
            return Err(CaseFinding {
                what: format!("request {number} of {REQUESTS}: {}", lost.what),
                ..lost
            });
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
    Ok(CaseFinding::kept(format!("{REQUESTS} of {REQUESTS} were answered by the server")))
}
