//! A reply that is cut does not end as if it was whole.

use super::{
    super::{
        client::Cut,
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case, INCOMPLETE, taken_for_whole,
};

pub(super) static CASE: Case = Case {
    number: 2,
    name: "cut-reply",
    title: "A cut reply can be distinguished from a whole one",
    why: "A download that was cut and looks whole is stored, cached and believed.",
    issues: &["traefik#13568", "golang/go#23643", "haproxy#2749"],
    asks: "The server breaks a reply off in the middle. Can the client tell? A reply that ends without a sign of that is broken; \
           one that is cut as well, or a 5xx in its place, is not.",
    rules: &[&INCOMPLETE],
    is_described: false,
    variants: &["length-close", "length-reset", "chunked-close", "chunked-reset"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    if variant == "chunked-close" && trial.is_behind("HTTP/1.0") {
        // There, a reply without a length ends with its connection: the proxy can't know either.
        return Ok(CaseFinding::not_applicable("needs HTTP/1.1 or HTTP/2 between proxy and server"));
    }
    let chunked = if variant.starts_with("chunked") { "&chunked=true" } else { "" };
    let cut = if variant.ends_with("reset") { "rst" } else { "fin" };
    let ask = trial.ask("GET", &format!("/bin/64K?dummy-abort={cut}@body(20000){chunked}"));
    let reply = trial.exchange(&ask, &[]).await?;
    match (reply.status, &reply.cut) {
        (Some(status), _) if reply.seen().is_none() => Err(CaseFinding::own_reply(status)),
        (Some(_), Some(cut)) if *cut == Cut::TimedOut => Ok(CaseFinding::changed(format!(
            "{} bytes, and then nothing for as long as was waited",
            reply.length
        ))),
        (Some(_), Some(cut)) => Ok(CaseFinding::kept(format!("after {} bytes: {cut}", reply.length))),
        (Some(status), None) => {
            let what =
                format!("{status} with {} of 65536 bytes, which ends as if it was whole", reply.length);
            Ok(taken_for_whole(trial, what))
        }
        (None, Some(cut)) => Ok(CaseFinding::kept(format!("no reply at all: {cut}"))),
        (None, None) => Ok(CaseFinding::changed("no reply")),
    }
}
