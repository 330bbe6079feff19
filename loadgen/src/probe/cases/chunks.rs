//! Content in chunks, in both directions.

use super::{
    super::{
        client::{Framing, get},
        found::{Roles, Rule},
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
};

static DECODING: Rule = Rule {
    section: "RFC 9112 section 7.1",
    quote: "A recipient MUST be able to parse and decode the chunked transfer coding.",
    roles: Roles::Both,
};

static EXTENSIONS: Rule = Rule {
    section: "RFC 9112 section 7.1.1",
    quote: "A recipient MUST ignore unrecognized chunk extensions.",
    roles: Roles::Both,
};

pub(super) static CASE: Case = Case {
    number: 20,
    name: "chunked",
    title: "Content in chunks arrives whole",
    why: "Clients that do not know the length send in chunks.",
    issues: &[],
    asks: "A request and a reply in several chunks (HTTP/2: without a length), and a request whose chunk has an extension. Is the \
           content the same?",
    rules: &[&DECODING, &EXTENSIONS],
    is_described: false,
    variants: &["request", "reply", "extension"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    match variant {
        "request" => of_request(trial).await,
        "reply" => of_reply(trial).await,
        _ if trial.is_http2() => Ok(CaseFinding::not_applicable("needs HTTP/1.1 towards the proxy")),
        _ => extended(trial).await,
    }
}

async fn of_request(trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = trial.ask("POST", "/").content(Framing::Chunked);
    let mut session = trial.connect().await?;
    trial.open(&mut session, &ask).await?;
    for (part, end) in [(&b"pr"[..], false), (b"o", false), (b"be", true)] {
        let _ = trial.send(&mut session, part, end).await;
    }
    let reply = trial.reply(&mut session, &ask).await;
    reply.of_server()?;
    let body = reply.echoed("body").unwrap_or_default();
    if body != "probe" {
        let what = format!("\"probe\" arrived as {body:?}");
        // HTTP/2 has no chunks that could be decoded wrongly.
        return Ok(if trial.is_http2() {
            CaseFinding::changed(what)
        } else {
            CaseFinding::against(&DECODING, what)
        });
    }
    let length = get(&reply.echoed_pairs("headers_list"), "content-length").map(str::to_owned);
    Ok(CaseFinding::kept(length.map_or_else(
        || "it arrived whole".to_owned(),
        |length| format!("it arrived whole, with Content-Length {length}"),
    )))
}

async fn of_reply(trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = trial.ask("GET", "/chunked/5?size=100");
    let reply = trial.exchange(&ask, &[]).await?;
    reply.of_server()?;
    Ok(match (reply.length, &reply.cut) {
        (500, None) => CaseFinding::kept("it came whole"),
        (length, None) if trial.is_behind("HTTP/1.1") => {
            CaseFinding::against(&DECODING, format!("{length} of 500 bytes, and the end"))
        }
        (length, None) => CaseFinding::changed(format!("{length} of 500 bytes, and the end")),
        (length, Some(cut)) => CaseFinding::changed(format!("{length} of 500 bytes: {cut}")),
    })
}

async fn extended(trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = trial.ask("POST", "/");
    let (line, host) = (format!("POST {} HTTP/1.1", ask.target), format!("Host: {}", ask.authority));
    let fields = [host.as_str(), "Transfer-Encoding: chunked"];
    let mut session = trial.connect().await?;
    trial.raw(&mut session, &ask, (&line, &fields, "5;probe=a\r\nprobe\r\n0\r\n\r\n")).await?;
    let reply = trial.reply(&mut session, &ask).await;
    if reply.status == Some(400) {
        // It may be anything else that is refused.
        let plain = trial.ask("POST", "/");
        let mut session = trial.connect().await?;
        trial.raw(&mut session, &plain, (&line, &fields, "5\r\nprobe\r\n0\r\n\r\n")).await?;
        let plain = trial.reply(&mut session, &plain).await;
        return Ok(match plain.status {
            Some(status) if status < 400 => {
                CaseFinding::against(&EXTENSIONS, "400 for an extension that is not known")
            }
            _ => CaseFinding::not_applicable("needs chunks: they are refused without an extension as well"),
        });
    }
    reply.of_server()?;
    let body = reply.echoed("body").unwrap_or_default();
    Ok(if body == "probe" {
        CaseFinding::kept("the content arrived without it")
    } else {
        CaseFinding::against(&EXTENSIONS, format!("\"probe\" arrived as {body:?}"))
    })
}
