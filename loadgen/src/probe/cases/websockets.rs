//! WebSockets, over either protocol.

use tokio::time::Instant;
use websocket::{Event, Limits, Reader, Role, opcode, write};

use super::{
    super::{
        client::{Ask, Cut, Framing, Heard, Session},
        transcript::Side,
        trial::{CaseFinding, CaseOutcome, ProbeReply, Trial},
    },
    Case,
};

/// A code for private use (RFC 6455 section 7.4.2).
const CODE: u16 = 4001;

pub(super) static CASE: Case = Case {
    number: 15,
    name: "websocket",
    title: "WebSockets open, echo, ping and close as they were asked to",
    why: "Upgrades fail where a proxy takes one kind of them alone, and reasons of a close get lost.",
    issues: &["ingress-nginx#2917"],
    asks: "A WebSocket by Upgrade, or over HTTP/2 by extended CONNECT (RFC 8441): is a message echoed, does a ping of the server come, \
           and is the code of a close the one that was sent?",
    rules: &[],
    is_described: false,
    variants: &["echo", "ping", "close-code"],
    attempt: |variant, trial| Box::pin(attempt(variant, trial)),
};

async fn attempt(variant: &'static str, trial: &mut Trial<'_>) -> CaseOutcome {
    let ask = trial
        .ask("GET", if variant == "ping" { "/ws?ping=100ms" } else { "/ws" })
        .content(Framing::WebSocket);
    let mut session = trial.connect().await?;
    if !session.takes_websockets() {
        return Ok(CaseFinding::not_applicable("needs a proxy that allows extended CONNECT (RFC 8441)"));
    }
    handshake(trial, &mut session, &ask).await?;
    let mut out = Vec::new();
    let mask = Some(rand::random());
    match variant {
        "echo" => write::frame(&mut out, opcode::TEXT, true, b"probe", mask),
        "close-code" => write::close(&mut out, CODE, "probe", mask),
        _ => {}
    }
    if !out.is_empty() {
        trial.transcript.note(Side::Sent, format!("a frame: {variant}"));
        session.send(&out, false, trial.until()).await.map_err(|cut| CaseFinding::cut(&cut))?;
    }
    let (mut incoming, until) = (SocketReader::new(), trial.soon());
    loop {
        let event = match incoming.next(trial, &mut session, until).await {
            Ok(event) => event,
            Err(cut) => return Ok(CaseFinding::changed(format!("no answer: {cut}"))),
        };
        match (variant, event) {
            ("echo", Event::Message { content, .. }) if content == b"probe" => {
                return Ok(CaseFinding::kept("the message was echoed"));
            }
            ("echo", Event::Message { .. }) => return Ok(CaseFinding::changed("another message came")),
            ("ping", Event::Ping(_)) => return Ok(CaseFinding::kept("a ping came")),
            ("close-code", Event::Close(close)) if close.code() == Some(CODE) => {
                return Ok(CaseFinding::kept(format!("closed with {CODE}")));
            }
            (_, Event::Close(close)) => {
                return Ok(CaseFinding::changed(format!("closed with {:?}", close.code())));
            }
            _ => {}
        }
    }
}

pub(super) async fn handshake(
    trial: &mut Trial<'_>,
    session: &mut Session,
    ask: &Ask,
) -> Result<(), CaseFinding> {
    trial.open(session, ask).await?;
    let (mut reply, until) = (ProbeReply::default(), trial.until());
    while reply.status.is_none() {
        let heard = trial.hear(session, until).await;
        if trial.take(heard, ask, &mut reply) {
            break;
        }
    }
    match (reply.status, &reply.cut) {
        (Some(101 | 200), _) => Ok(()),
        (Some(status), _) if reply.seen().is_some() => {
            Err(CaseFinding::changed(format!("{status} from the server: the upgrade has not reached it")))
        }
        (Some(status), _) => Err(CaseFinding::own_reply(status)),
        (None, cut) => Err(CaseFinding::cut(cut.as_ref().unwrap_or(&Cut::Closed))),
    }
}

/// What comes, and what of it has not been read.
pub(super) struct SocketReader {
    reader: Reader,
    input: Vec<u8>,
}

impl SocketReader {
    pub(super) fn new() -> Self {
        Self { reader: Reader::new(Role::Client, Limits::default()), input: Vec::new() }
    }

    pub(super) async fn next(
        &mut self,
        trial: &mut Trial<'_>,
        session: &mut Session,
        until: Instant,
    ) -> Result<Event, Cut> {
        loop {
            let mut rest = &self.input[..];
            let read =
                self.reader.read(&mut rest).map_err(|violation| Cut::Malformed(violation.to_string()))?;
            let used = self.input.len() - rest.len();
            self.input.drain(..used);
            if let Some(event) = read {
                return Ok(event);
            }
            match trial.hear(session, until).await {
                Heard::Data(data) => self.input.extend_from_slice(&data),
                Heard::Cut(cut) => return Err(cut),
                Heard::End => return Err(Cut::Closed),
                Heard::Interim(..) | Heard::Head(..) | Heard::Trailers(_) => {}
            }
        }
    }
}
