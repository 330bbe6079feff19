//! A client that gives up is noticed by the server.

use contract::ledger::End;

use super::{
    super::{
        client::{Framing, Heard},
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};

pub(super) static CASE: Case = Case {
    number: 6,
    name: "client-abort",
    title: "A client's abort reaches the server",
    why: "Work goes on for clients that have left.",
    issues: &["linkerd2#986", "caddy#1589", "yarp#461"],
    asks: "The client resets its connection (HTTP/2: its stream) while it waits, receives or sends. Does the server notice? \
           (A connection that the proxy closes and does not reset looks half-closed to dummy-server, for 10 s; \
           --half-close-timeout=500ms has it notice that in time.)",
    rules: &[],
    is_described: false,
    variants: &["waiting", "receiving", "sending"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = match variant {
        "waiting" => trial.ask("GET", "/delay/8000"),
        "receiving" => trial.ask("GET", "/sse?count=160&delay=50"),
        _ => trial.ask("POST", "/upload").content(Framing::Length(1 << 20)),
    };
    let ask = ask.curl_with("-m 1");
    let mut session = trial.connect().await?;
    trial.open(&mut session, &ask).await?;
    if variant == "sending" {
        let _ = trial.send(&mut session, &[b'x'; 1000], false).await;
    }
    let seen = trial.sightings(&ask, trial.soon(), |sightings| sightings.count > 0).await?;
    if seen.count == 0 {
        session.give_up(trial.until()).await;
        return Ok(CaseFinding::not_applicable("needs streamed-upload: the server has not seen the request"));
    }
    if variant == "receiving" {
        while let heard = trial.hear(&mut session, trial.soon()).await
            && matches!(heard, Heard::Interim(..) | Heard::Head(..))
        {}
    }
    trial.transcript.note(super::super::transcript::Side::Sent, "the abort");
    session.give_up(trial.until()).await;
    let ended = trial.sightings(&ask, trial.soon(), |sightings| !sightings.is_open).await?;
    Ok(match ended.ends.last() {
        _ if ended.is_open => CaseFinding::changed(
            "the server went on: its connection was not reset, for as long as was waited",
        ),
        // Nothing else has it break off by itself than a connection that is closed for --half-close-timeout.
        Some(End::CutByPeer | End::CutByServer) => CaseFinding::kept("the server noticed"),
        // It was informed that no more would come, and has said so.
        None if variant == "sending" => CaseFinding::kept("the server noticed that the rest would not come"),
        Some(end) => CaseFinding::changed(format!("the server's reply ended otherwise: {end:?}")),
        None => CaseFinding::changed("the server's reply was taken whole"),
    })
}
