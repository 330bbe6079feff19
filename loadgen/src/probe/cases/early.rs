//! A reply that comes before the content has been sent, and what comes after it.

use super::{
    super::{
        client::{AskedBody, Cut, Framing, Heard},
        trial::{CaseFinding, CaseOutcome, ProbeReply, Trial},
    },
    Case,
};

/// More than sockets take in by themselves.
const UPLOAD: usize = 1 << 20;
/// What is sent before the reply is awaited.
const PART: usize = 16 << 10;

pub(super) static EARLY: Case = Case {
    number: 4,
    name: "early-reply",
    title: "A reply during an upload reaches the client",
    why: "A client that learns it early stops sending; one that does not, or whose connection is reset, sees no reason at all.",
    issues: &["envoy#2929", "envoy#44749", "haproxy#3495"],
    asks: "The server replies with 413 to the head of an upload, of which the client has sent a part. Does the reply come before the \
           client has sent the rest?",
    rules: &[],
    is_described: false,
    variants: &["length", "chunked"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

pub(super) static AFTERWARDS: Case = Case {
    number: 5,
    name: "afterwards",
    title: "The exchange after a disturbed one is intact",
    why: "What is left over of a disturbed exchange becomes the reply to another user's request.",
    issues: &["envoy#39139", "node-http-proxy#1721"],
    asks: "After an early reply, a cut one and one that never began, requests on the same connection, if it is kept, or on the next \
           one: do they get their own replies?",
    rules: &[&super::CROSSED, &super::CROSSED_IN_FRONT],
    is_described: false,
    variants: &["early-reply", "cut-reply", "no-reply"],
    attempt: |variant, trial| Box::pin(afterwards(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let content = if variant == "length" { Framing::Length(UPLOAD as u64) } else { Framing::Chunked };
    let ask =
        trial.ask("POST", "/upload?dummy-early=413").content(content).body(AskedBody::Filler(UPLOAD as u64));
    let mut session = trial.connect().await?;
    trial.open(&mut session, &ask).await?;
    let upload = vec![b'x'; UPLOAD];
    let _ = trial.send(&mut session, &upload[..PART], false).await;
    let (mut reply, until) = (ProbeReply::default(), trial.soon());
    while reply.status.is_none() {
        let heard = trial.hear(&mut session, until).await;
        if heard == Heard::Cut(Cut::TimedOut) {
            return late(trial, session, &ask, &upload[PART..]).await;
        }
        if trial.take(heard, &ask, &mut reply) {
            break;
        }
    }
    let status = reply.of_server()?;
    Ok(match status {
        413 => CaseFinding::kept("413 came before the rest was sent"),
        other => CaseFinding::changed(format!("{other} came in place of 413")),
    })
}

/// Sends the rest, to see what comes then.
async fn late(
    trial: &mut Trial<'_>,
    mut session: super::super::client::Session,
    ask: &super::super::client::Ask,
    rest: &[u8],
) -> CaseOutcome {
    let sent = trial.send(&mut session, rest, true).await;
    let reply = trial.reply(&mut session, ask).await;
    match (reply.of_server(), sent) {
        (Ok(status), _) => {
            Ok(CaseFinding::changed(format!("held back: {status} came after the client had sent more")))
        }
        (Err(finding), Ok(())) => Err(finding),
        (Err(finding), Err(cut)) => {
            Err(CaseFinding { what: format!("{}; while content was sent: {cut}", finding.what), ..finding })
        }
    }
}

async fn afterwards(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let mut session = trial.connect().await?;
    let upload = vec![b'x'; UPLOAD / 4];
    let (disturbing, content) = match variant {
        "early-reply" => {
            let content = Framing::Length(upload.len() as u64);
            (trial.ask("POST", "/upload?dummy-early=413").content(content), &upload[..])
        }
        "cut-reply" => (trial.ask("GET", "/bin/64K?dummy-abort=rst@body(20000)"), &[][..]),
        _ => (trial.ask("GET", "/?dummy-abort=fin@before-headers"), &[][..]),
    };
    // Whatever comes of it is a matter of other cases.
    let _ = trial.on(&mut session, &disturbing, content).await;
    let (mut kept, mut lost) = (0, None);
    for round in 0..3 {
        let ask = trial.ask("GET", &format!("/after/{round}"));
        let mut reply = None;
        if session.is_open() {
            match trial.on(&mut session, &ask, &[]).await {
                Ok(ProbeReply {
                    status: None,
                    cut: Some(cut @ (Cut::Closed | Cut::Reset | Cut::GoneAway(_))),
                    ..
                }) => {
                    lost = Some(cut);
                }
                other => {
                    kept += 1;
                    reply = Some(other?);
                }
            }
        }
        let reply = match reply {
            Some(reply) => reply,
            None => {
                session = trial.connect().await?;
                trial.on(&mut session, &ask, &[]).await?
            }
        };
        reply.of_server()?;
        if let Some(cut) = &reply.cut {
            return Ok(CaseFinding::changed(format!("a reply afterwards is not whole: {cut}")));
        }
        let uri = reply.target_seen().unwrap_or_default();
        if !uri.ends_with(&format!("/after/{round}")) {
            return Ok(super::judge_crossed(trial, format!("{} was answered as {uri}", ask.target)));
        }
    }
    if let Some(cut) = lost {
        return Ok(CaseFinding::changed(format!(
            "the connection seemed to be kept, and then {cut}; others are intact"
        )));
    }
    Ok(CaseFinding::kept(format!("3 of 3 have their own replies, {kept} of them on the same connection")))
}
