//! Replies that have no content, whatever their fields say.

use super::{
    super::{
        client::get,
        found::{Roles, Rule},
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};

/// What `/bin` would send.
const LENGTH: &str = "1000";

static HEAD: Rule = Rule {
    section: "RFC 9110 section 9.3.2",
    quote: "The HEAD method is identical to GET except that the server MUST NOT send content in the response.",
    roles: Roles::Both,
};

static LENGTH_OF_HEAD: Rule = Rule {
    section: "RFC 9110 section 8.6",
    quote: "A server MUST NOT send Content-Length in such a response unless its field value equals the decimal number of \
            octets that would have been sent in the content of a response if the same request had used the GET method.",
    roles: Roles::Both,
};

static CODING: Rule = Rule {
    section: "RFC 9112 section 6.1",
    quote: "A server MUST NOT send a Transfer-Encoding header field in any response with a status code of 1xx \
            (Informational) or 204 (No Content).",
    roles: Roles::Both,
};

static LENGTH_OF_NO_CONTENT: Rule = Rule {
    section: "RFC 9110 section 8.6",
    quote: "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx (Informational) \
            or 204 (No Content).",
    roles: Roles::Both,
};

pub(super) static CASE: Case = Case {
    number: 16,
    name: "bodiless",
    title: "HEAD, 204 and 304 have no content",
    why: "Content where none may be is read as the next reply.",
    issues: &[],
    asks: "A HEAD of something long, a 204 and a 304, and a request behind each on the same connection. Does content follow, and is \
           the next reply intact? What is too much there is taken for the beginning of the next reply.",
    rules: &[&HEAD, &LENGTH_OF_HEAD, &CODING, &LENGTH_OF_NO_CONTENT],
    is_described: false,
    variants: &["head", "status-204", "status-304"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let (method, target, expected) = match variant {
        "head" => ("HEAD", "/bin/1000", 200),
        "status-204" => ("GET", "/status/204", 204),
        _ => ("GET", "/status/304", 304),
    };
    let ask = trial.ask(method, target);
    let mut session = trial.connect().await?;
    let reply = trial.on(&mut session, &ask, &[]).await?;
    let status = reply.of_server()?;
    let until = trial.a_moment();
    let extra = session.extra(until).await as u64 + reply.length;
    let coding = get(&reply.fields, "transfer-encoding");
    let length = get(&reply.fields, "content-length");
    match variant {
        _ if status != expected => {
            return Ok(CaseFinding::changed(format!("{status} came in place of {expected}")));
        }
        "head" if extra > 0 => {
            return Ok(CaseFinding::against(&HEAD, format!("{extra} bytes of content came")));
        }
        "head" if length.is_some_and(|length| length != LENGTH) => {
            let what = format!("Content-Length {} in place of {LENGTH}", length.unwrap_or_default());
            return Ok(CaseFinding::against(&LENGTH_OF_HEAD, what));
        }
        "status-204" if coding.is_some() => {
            return Ok(CaseFinding::against(&CODING, "it came with Transfer-Encoding"));
        }
        "status-204" if let Some(length) = length => {
            let what = format!("it came with Content-Length {length}");
            return Ok(CaseFinding::against(&LENGTH_OF_NO_CONTENT, what));
        }
        _ if extra > 0 => return Ok(CaseFinding::changed(format!("{extra} bytes of content came"))),
        _ => {}
    }
    let next = trial.ask("GET", "/after/0");
    let is_kept = session.is_open();
    if !is_kept {
        session = trial.connect().await?;
    }
    let after = trial.on(&mut session, &next, &[]).await?;
    after.of_server()?;
    Ok(match (variant, length) {
        ("head", None) => CaseFinding::changed("the Content-Length was dropped"),
        _ if is_kept => {
            CaseFinding::kept("no content came, and the next reply is intact on the same connection")
        }
        _ => CaseFinding::kept("no content came; the connection was ended"),
    })
}
