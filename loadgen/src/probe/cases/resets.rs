//! The code of a reset, across HTTP/1.1 and HTTP/2.

use super::{
    super::{
        client::Cut,
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case, INCOMPLETE, taken_for_whole,
};

pub(super) static CASE: Case = Case {
    number: 9,
    name: "reset-code",
    title: "A reset of the server reaches the client as one",
    why: "Clients decide by the code whether to try again.",
    issues: &["envoy#36200", "envoy#13349"],
    asks: "The server resets a stream with a code in the middle of its reply (with HTTP/1.1 behind the proxy: its connection). \
           Which code does the client get?",
    rules: &[&INCOMPLETE],
    is_described: false,
    variants: &["cancel", "internal-error", "enhance-your-calm", "connection"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let cut = match variant {
        "connection" if trial.is_http2_behind() => {
            return Ok(CaseFinding::not_applicable("needs HTTP/1.1 between proxy and server"));
        }
        "connection" => "rst".to_owned(),
        _ if !trial.is_http2_behind() => {
            return Ok(CaseFinding::not_applicable("needs HTTP/2 between proxy and server"));
        }
        code => format!("stream-reset({})", code.to_ascii_uppercase().replace('-', "_")),
    };
    let ask = trial.ask("GET", &format!("/bin/64K?chunked=true&dummy-abort={cut}@body(20000)"));
    let reply = trial.exchange(&ask, &[]).await?;
    if reply.status.is_some() {
        reply.of_server()?;
    }
    let wanted = variant.parse::<::http2::Code>().ok();
    Ok(match &reply.cut {
        None => {
            let what = format!("{} of 65536 bytes, which end as if they were all", reply.length);
            taken_for_whole(trial, what)
        }
        Some(Cut::StreamReset(code)) if Some(*code) == wanted => {
            CaseFinding::kept(format!("RST_STREAM with {code}"))
        }
        Some(Cut::StreamReset(::http2::Code::NO_ERROR)) => CaseFinding::changed("RST_STREAM with NO_ERROR"),
        Some(Cut::StreamReset(code)) if wanted.is_none() => {
            CaseFinding::kept(format!("RST_STREAM with {code}"))
        }
        Some(Cut::StreamReset(code)) => CaseFinding::changed(format!("RST_STREAM with {code}")),
        Some(Cut::TimedOut) => CaseFinding::changed("nothing more, for as long as was waited"),
        Some(cut) if !trial.is_http2() => CaseFinding::kept(cut.to_string()),
        Some(cut) => CaseFinding::changed(cut.to_string()),
    })
}
