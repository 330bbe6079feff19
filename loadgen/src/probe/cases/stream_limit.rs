//! As many streams as the proxy allows.

use super::{
    super::trial::{CaseFinding, CaseOutcome, Trial},
    Case,
};

/// The maximum number that are opened.
const MOST: usize = 100;

pub(super) static CASE: Case = Case {
    number: 25,
    name: "stream-limit",
    title: "As many streams as the proxy allows are answered",
    why: "A burst of a browser or of gRPC calls meets the limit.",
    issues: &[],
    asks: "The client opens as many HTTP/2 streams as the proxy's SETTINGS allow, 100 at most, each with a request that takes 100 ms. \
           Is each answered, whatever the server's own limit is?",
    rules: &[],
    is_described: false,
    variants: &["all"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(_: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    if !trial.is_http2() {
        return Ok(CaseFinding::not_applicable("needs HTTP/2 towards the proxy"));
    }
    let ask = trial.ask("GET", "/delay/100");
    let mut session = trial.connect().await?;
    let crowd = trial.crowd(&mut session, &ask, MOST).await?;
    let what = crowd.to_string();
    Ok(if crowd.answered == crowd.opened { CaseFinding::kept(what) } else { CaseFinding::changed(what) })
}
