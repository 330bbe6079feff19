//! Where a request ends: proxy and server have to agree.

use super::{
    super::{
        client::Session,
        found::{Roles, Rule},
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};

static BOTH: Rule = Rule {
    section: "RFC 9112 section 6.1",
    quote: "Regardless, the server MUST close the connection after responding to such a request to avoid the potential \
            attacks.",
    roles: Roles::Both,
};

static LENGTHS: Rule = Rule {
    section: "RFC 9112 section 6.3",
    quote: "If the unrecoverable error is in a request message, the server MUST respond with a 400 (Bad Request) status \
            code and then close the connection.",
    roles: Roles::Both,
};

static CODINGS: Rule = Rule {
    section: "RFC 9112 section 6.3",
    quote: "If a Transfer-Encoding header field is present in a request and the chunked transfer coding is not the final \
            encoding, the message body length cannot be determined reliably; the server MUST respond with the 400 (Bad \
            Request) status code and then close the connection.",
    roles: Roles::Both,
};

pub(super) static CASE: Case = Case {
    number: 24,
    name: "framing",
    title: "Where a request ends is not a matter of opinion",
    why: "Where proxy and server differ on where a request ends, one user's request begins with another's.",
    issues: &[],
    asks: "A POST with Content-Length and Transfer-Encoding, one with two lengths, and one whose last coding is not chunked; a second \
           request is hidden in the content. Is it refused, is the connection closed, and has the server seen the hidden one? (That is \
           request smuggling.)",
    rules: &[&BOTH, &LENGTHS, &CODINGS],
    is_described: false,
    variants: &["both", "two-lengths", "chunked-not-last"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    if trial.is_http2() {
        return Ok(CaseFinding::not_applicable("needs HTTP/1.1 towards the proxy"));
    }
    let (ask, hidden) = (trial.ask("POST", "/upload"), trial.ask("GET", "/hidden"));
    let host = format!("Host: {}", ask.authority);
    let hidden_text = hidden.written(&format!("GET {} HTTP/1.1", hidden.target), &[&host], "");
    let (first, rule) = match variant {
        "both" => ("0\r\n\r\n", &BOTH),
        "two-lengths" => ("probe", &LENGTHS),
        _ => ("0\r\n\r\n", &CODINGS),
    };
    let rest = format!("{first}{hidden_text}");
    let (one, all) = (format!("Content-Length: {}", first.len()), format!("Content-Length: {}", rest.len()));
    let fields: &[&str] = match variant {
        "both" => &[&host, &all, "Transfer-Encoding: chunked"],
        "two-lengths" => &[&host, &one, &all],
        _ => &[&host, "Transfer-Encoding: chunked, identity"],
    };
    let mut session = trial.connect().await?;
    trial.raw(&mut session, &ask, (&format!("POST {} HTTP/1.1", ask.target), fields, &rest)).await?;
    let reply = trial.reply(&mut session, &ask).await;
    // One that is hidden would be right behind it.
    let is_closed = session.ends(trial.a_moment()).await;
    let seen = trial.look(hidden.id.number).await?.count;
    if seen > 0 {
        let what = "the server has seen the request that was hidden in the content";
        return Ok(CaseFinding::against(rule, what));
    }
    let next = if reply.status.is_some() && !is_closed { answer(trial, &mut session).await } else { None };
    Ok(match (reply.status, &reply.cut) {
        (Some(status), _) if let Some(next) = next => CaseFinding::against(
            rule,
            format!("{status}, and then {next} to a request that follows on the same connection"),
        ),
        (Some(400), _) => CaseFinding::kept("400"),
        (Some(status), _) if status >= 400 => CaseFinding::changed(format!("{status} in place of 400")),
        (Some(status), _) if variant == "both" => {
            CaseFinding::changed(format!("{status}: taken by one of them, and nothing after it"))
        }
        (Some(status), _) => CaseFinding::against(rule, format!("{status} in place of 400")),
        (None, Some(cut)) => CaseFinding::cut(cut),
        (None, None) => CaseFinding::changed("no reply"),
    })
}

/// The status of the reply to another request on the connection, which should have been closed.
async fn answer(trial: &mut Trial<'_>, session: &mut Session) -> Option<u16> {
    let next = trial.ask("GET", "/");
    match trial.open(session, &next).await {
        Ok(()) => trial.reply(session, &next).await.status,
        Err(_) => None,
    }
}
