//! WebSockets on which nothing is said, and pings against that.

use std::time::Duration;

use tokio::time::Instant;
use websocket::{Event, opcode, write};

use super::{
    super::{
        client::{Cut, Framing},
        transcript::Side,
        trial::{CaseFinding, CaseOutcome, Trial},
    },
    Case,
    websockets::{SocketReader, handshake},
};

pub(super) static CASE: Case = Case {
    number: 32,
    name: "websocket-idle",
    title: "A WebSocket on which nothing is said, without and with pings",
    why: "Idle WebSockets are closed by what is in between, unless somebody pings.",
    issues: &["ingress-nginx#2917"],
    asks: "For how long does a WebSocket stay open on which nothing is said, and does it stay open if the server pings? It is waited \
           for no longer than --timeout, which is to be longer than the proxy's timeouts.",
    rules: &[],
    is_described: true,
    variants: &["silent", "pings"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let every = (trial.gate.timeout / 8).clamp(Duration::from_millis(100), Duration::from_secs(20));
    let target =
        if variant == "pings" { format!("/ws?ping={}ms", every.as_millis()) } else { "/ws".to_owned() };
    let ask = trial.ask("GET", &target).content(Framing::WebSocket);
    let mut session = trial.connect().await?;
    if !session.takes_websockets() {
        return Ok(CaseFinding::not_applicable("needs a proxy that allows extended CONNECT (RFC 8441)"));
    }
    if let Err(finding) = handshake(trial, &mut session, &ask).await {
        return Ok(CaseFinding::not_applicable(format!("needs websocket: {}", finding.what)));
    }
    let (began, until) = (Instant::now(), trial.until());
    let (mut incoming, mut pings) = (SocketReader::new(), 0);
    let end = loop {
        match incoming.next(trial, &mut session, until).await {
            Ok(Event::Ping(content)) => {
                pings += 1;
                let mut pong = Vec::new();
                write::frame(&mut pong, opcode::PONG, true, &content, Some(rand::random()));
                trial.transcript.note(Side::Sent, "a pong");
                if let Err(cut) = session.send(&pong, false, until).await {
                    break cut.to_string();
                }
            }
            Ok(Event::Close(close)) => break format!("closed with {:?}", close.code()),
            Ok(_) => {}
            Err(Cut::TimedOut) => break "open".to_owned(),
            Err(cut) => break cut.to_string(),
        }
    };
    let waited = began.elapsed();
    let heard = if variant == "pings" { format!(", after {pings} pings") } else { String::new() };
    session.give_up(trial.until()).await;
    Ok(CaseFinding::described(format!("{end} after {waited:.1?}{heard}")))
}
