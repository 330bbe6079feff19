//! Content is passed on while it comes, in both directions.

use super::{
    super::{
        client::{AskedBody, Framing, Heard},
        trial::{CaseFinding, CaseOutcome, ProbeReply, Trial},
    },
    Case,
};

pub(super) static REPLIES: Case = Case {
    number: 7,
    name: "streamed-reply",
    title: "Replies are streamed",
    why: "Events, progress and tokens arrive all together at the end.",
    issues: &[],
    asks: "The server sends an event, or a few bytes, every now and then and does not end its reply. Does the first of them come?",
    rules: &[],
    is_described: false,
    variants: &["events", "chunks", "length"],
    attempt: |variant, trial| Box::pin(replies(variant, trial)),
};

pub(super) static UPLOADS: Case = Case {
    number: 8,
    name: "streamed-upload",
    title: "Uploads are streamed",
    why: "Uploads fill the proxy's memory or disk, and the server starts when all is over.",
    issues: &[],
    asks: "The client sends a head and a part of the content, and waits. Has the server seen the request?",
    rules: &[],
    is_described: false,
    variants: &["length", "chunked"],
    attempt: |variant, trial| Box::pin(uploads(variant, trial)),
};

async fn replies(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let target = match variant {
        "events" => "/sse?count=0&delay=100",
        "chunks" => "/chunked/1000?size=16&delay=100",
        _ => "/drip?size=200&duration=20000",
    };
    let ask = trial.ask("GET", target).curl_with("-m 2");
    let mut session = trial.connect().await?;
    trial.open(&mut session, &ask).await?;
    let (mut reply, until) = (ProbeReply::default(), trial.soon());
    while reply.length == 0 {
        let heard = trial.hear(&mut session, until).await;
        let is_timeout = heard == Heard::Cut(super::super::client::Cut::TimedOut);
        if is_timeout {
            session.give_up(trial.until()).await;
            let what = if reply.status.is_some() { "the head came, and no content" } else { "nothing came" };
            return Ok(CaseFinding::changed(format!("held back: {what} while the server was sending")));
        }
        if trial.take(heard, &ask, &mut reply) {
            reply.of_server()?;
            return Ok(CaseFinding::changed(format!("the reply ended after {} bytes", reply.length)));
        }
    }
    reply.of_server()?;
    session.give_up(trial.until()).await;
    Ok(CaseFinding::kept("content came while the reply went on"))
}

async fn uploads(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let part = [b'x'; 1000];
    let content = if variant == "length" { Framing::Length(2000) } else { Framing::Chunked };
    let ask = trial.ask("POST", "/upload").content(content).body(AskedBody::Filler(2000));
    let mut session = trial.connect().await?;
    trial.open(&mut session, &ask).await?;
    let _ = trial.send(&mut session, &part, false).await;
    let early = trial.sightings(&ask, trial.soon(), |sightings| sightings.count > 0).await?;
    let _ = trial.send(&mut session, &part, true).await;
    let reply = trial.reply(&mut session, &ask).await;
    reply.of_server()?;
    Ok(if early.count > 0 {
        CaseFinding::kept("the server saw the request before its content was complete")
    } else {
        CaseFinding::changed("held back: the server saw nothing until the content was complete")
    })
}
