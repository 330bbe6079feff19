//! A request that was not processed, so that it may safely be retried.

use super::{
    super::{
        client::{Cut, Framing},
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};

pub(super) static CASE: Case = Case {
    number: 11,
    name: "refused-stream",
    title: "A client learns that its request was not processed",
    why: "Clients may repeat safely what was not processed, if they know that it was not.",
    issues: &["envoy#36450", "envoy#68"],
    asks: "The server refuses a POST with REFUSED_STREAM, or says with GOAWAY that it has not processed it. Does the client learn \
           that, or does the proxy repeat the request, as it may?",
    rules: &[],
    is_described: false,
    variants: &["refused-stream", "goaway"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    if !trial.is_http2_behind() {
        return Ok(CaseFinding::not_applicable("needs HTTP/2 between proxy and server"));
    }
    let cut = if variant == "goaway" { "goaway(NO_ERROR)" } else { "stream-reset(REFUSED_STREAM)" };
    let ask = trial.ask("POST", &format!("/?dummy-abort={cut}@before-headers")).content(Framing::Length(5));
    let reply = trial.exchange(&ask, b"probe").await?;
    let sightings =
        trial.sightings(&ask, trial.until(), |sightings| sightings.count > 0 && !sightings.is_open).await?;
    if sightings.count > 1 {
        return Ok(CaseFinding::changed(format!(
            "repeated, as it may be: it arrived {} times",
            sightings.count
        )));
    }
    Ok(match (reply.status, &reply.cut) {
        (Some(status), _) => CaseFinding::own_reply(status),
        (None, Some(cut @ (Cut::Unprocessed | Cut::StreamReset(::http2::Code::REFUSED_STREAM)))) => {
            CaseFinding::kept(cut.to_string())
        }
        (None, Some(cut @ Cut::GoneAway(_))) if variant == "goaway" => CaseFinding::kept(cut.to_string()),
        (None, Some(cut)) => CaseFinding::changed(cut.to_string()),
        (None, None) => CaseFinding::changed("no reply"),
    })
}
