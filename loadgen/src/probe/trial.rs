//! One round of one variant: what its case does with it, and the transcript of that.

use contract::{field::SERVER_TIMING, id::Id, timing::Timing};
use tokio::time::Instant;

pub(super) use super::finding::{CaseFinding, CaseOutcome, ProbeReply};
use super::{
    caches::{self, Hit},
    client::{Ask, AskedBody, Crowd, Cut, Framing, Heard, Session, get},
    gate::Gate,
    transcript::{Side, Transcript},
};
use crate::plan::Protocol;

/// The maximum number of bytes that are kept of a body.
const MAX_BODY: usize = 256 << 10;
/// How much is heard of one reply.
const MAX_HEARD: usize = 100_000;

/// One round.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    pub(super) gate: &'a Gate,
    pub(super) protocol: Protocol,
    pub(super) transcript: Transcript,
    pub(super) curl: Option<String>,
    /// A reply that was another request's.
    pub(super) crossed: Option<String>,
    /// A reply to an earlier request, which may be a cache's.
    pub(super) hit: Option<Hit>,
    /// The number of a POST that is to arrive once.
    pub(super) posted: Option<u64>,
    /// What is wrong with what came in place of a reply, if it was not HTTP.
    pub(super) garbled: Option<String>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(gate: &'a Gate, protocol: Protocol) -> Self {
        Self {
            gate,
            protocol,
            transcript: Transcript::beginning_now(),
            curl: None,
            crossed: None,
            hit: None,
            posted: None,
            garbled: None,
        }
    }

    pub(super) fn is_http2(&self) -> bool {
        self.protocol == Protocol::Http2
    }

    /// The end of a wait that begins now.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.gate.timeout
    }

    /// The end of a wait for what comes soon or never.
    pub(super) fn soon(&self) -> Instant {
        Instant::now() + self.gate.patience()
    }

    /// The end of a wait for what most likely never comes.
    pub(super) fn a_moment(&self) -> Instant {
        Instant::now() + self.gate.moment()
    }

    /// A request with its own number.
    pub(super) fn ask(&self, method: &'static str, target: &str) -> Ask {
        self.to(method, target, self.gate.next_id())
    }

    /// Whether the proxy speaks HTTP/2 with the server, as the server has said.
    pub(super) fn is_http2_behind(&self) -> bool {
        self.is_behind("HTTP/2")
    }

    /// Whether it speaks this protocol with the server.
    pub(super) fn is_behind(&self, protocol: &str) -> bool {
        self.gate.upstream.borrow().get(&self.is_http2()).is_some_and(|spoken| spoken.starts_with(protocol))
    }

    pub(super) async fn connect(&mut self) -> Result<Session, CaseFinding> {
        let session = Session::connect(self.gate, self.protocol, self.until()).await;
        session.map_err(|cut| CaseFinding::unasked(format!("no connection to the proxy: {cut}")))
    }

    /// Sends a head.
    pub(super) async fn open(&mut self, session: &mut Session, ask: &Ask) -> Result<(), CaseFinding> {
        if self.curl.is_none() {
            self.curl = ask.curl(self.is_http2());
        }
        let fields: String = ask.fields.iter().map(|(name, value)| format!(", {name}: {value}")).collect();
        self.transcript
            .note(Side::Sent, format!("{} {} (number {}{fields})", ask.method, ask.target, ask.id.number));
        self.gate.requests.borrow_mut().sent(ask.id.number, ask.method, &ask.target);
        session.open(ask, self.until()).await.map_err(|cut| CaseFinding::cut(&cut))
    }

    /// Sends the same request on as many streams as there may be, `most` at most, and waits for all of them.
    pub(super) async fn crowd(
        &mut self,
        session: &mut Session,
        ask: &Ask,
        most: usize,
    ) -> Result<Crowd, CaseFinding> {
        self.curl = ask.curl_of_many(most);
        let crowd = session.crowd(ask, most, self.until()).await.map_err(|cut| CaseFinding::cut(&cut))?;
        self.transcript
            .note(Side::Sent, format!("{} {} on {} streams", ask.method, ask.target, crowd.opened));
        self.transcript.note(Side::Received, crowd.to_string());
        Ok(crowd)
    }

    /// Sends a request as it is written here: its first line, its fields with the token, and what follows.
    pub(super) async fn raw(
        &mut self,
        session: &mut Session,
        ask: &Ask,
        (line, fields, rest): (&str, &[&str], &str),
    ) -> Result<(), CaseFinding> {
        let text = ask.written(line, fields, rest);
        if self.curl.is_none() {
            self.curl = Some(ask.curl_of(&text));
        }
        self.gate.requests.borrow_mut().sent(ask.id.number, ask.method, &ask.target);
        self.transcript.note(Side::Sent, format!("{} (number {})", text.escape_debug(), ask.id.number));
        session.raw(text.as_bytes(), self.until()).await.map_err(|cut| CaseFinding::cut(&cut))
    }

    /// Sends a part of the content. What stands in the way of that may have a reply, which is to be read.
    pub(super) async fn send(&mut self, session: &mut Session, part: &[u8], end: bool) -> Result<(), Cut> {
        let sent = session.send(part, end, self.until()).await;
        let last = if end { ", the last ones" } else { "" };
        match &sent {
            Ok(()) => self.transcript.note(Side::Sent, format!("{} bytes of content{last}", part.len())),
            Err(cut) => self.transcript.note(Side::Received, format!("while content was sent: {cut}")),
        }
        sent
    }

    pub(super) async fn hear(&mut self, session: &mut Session, until: Instant) -> Heard {
        let heard = session.hear(until).await;
        let text = match &heard {
            Heard::Interim(status, fields) | Heard::Head(status, fields) => {
                let shown = fields.iter().map(|(name, value)| format!(", {name}: {value}"));
                format!("{status}{}", shown.collect::<String>())
            }
            Heard::Data(data) => format!("{} bytes of content", data.len()),
            Heard::Trailers(fields) => {
                let shown: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                format!("trailers {}", shown.join(", "))
            }
            Heard::End => "the end".to_owned(),
            Heard::Cut(cut) => cut.to_string(),
        };
        self.transcript.note(Side::Received, text);
        heard
    }

    /// Reads a reply to its end.
    pub(super) async fn reply(&mut self, session: &mut Session, ask: &Ask) -> ProbeReply {
        let mut reply = ProbeReply::default();
        self.reply_into(session, ask, &mut reply).await;
        reply
    }

    /// The same, of one that has begun.
    pub(super) async fn reply_into(&mut self, session: &mut Session, ask: &Ask, reply: &mut ProbeReply) {
        let until = self.until();
        for _ in 0..MAX_HEARD {
            let heard = self.hear(session, until).await;
            if self.take(heard, ask, reply) {
                return;
            }
        }
        reply.cut = Some(Cut::TooMuch);
    }

    /// Takes in a part of a reply. True: it has ended.
    pub(super) fn take(&mut self, heard: Heard, ask: &Ask, reply: &mut ProbeReply) -> bool {
        match heard {
            Heard::Interim(status, fields) => reply.interims.push((status, fields)),
            Heard::Head(status, fields) => {
                (reply.status, reply.fields) = (Some(status), fields);
                self.check(ask, reply);
            }
            Heard::Data(data) => {
                reply.length += data.len() as u64;
                let room = MAX_BODY - reply.body.len();
                reply.body.extend_from_slice(&data[..data.len().min(room)]);
            }
            Heard::Trailers(fields) => reply.trailers = fields,
            Heard::End => {
                self.gate.requests.borrow_mut().ended(ask.id.number);
                return true;
            }
            Heard::Cut(cut) => {
                if let (Cut::Malformed(why), None) = (&cut, reply.status) {
                    self.garbled = Some(why.clone());
                }
                reply.cut = Some(cut);
                return true;
            }
        }
        false
    }

    /// Holds the token that the server saw against that of the request.
    fn check(&mut self, ask: &Ask, reply: &ProbeReply) {
        let Some(seen) = reply.seen() else { return };
        self.gate.knows(seen.epoch);
        if seen.id != ask.id {
            let age = get(&reply.fields, "age").and_then(|age| age.parse::<u64>().ok());
            let has_age = age.is_some_and(|age| age > 0);
            let requests = self.gate.requests.borrow();
            match requests.hit(ask.method, &ask.target, ask.id, seen.id, has_age) {
                Some(hit) => self.hit = Some(hit),
                None => self.crossed = Some(caches::describe_crossed(ask.id, seen.id)),
            }
        }
        if let Some(timing) = get(&reply.fields, SERVER_TIMING).and_then(Timing::parse) {
            self.transcript.note_at(timing.received_ns, Side::Seen, format!("request {}", seen.id.number));
            let status = reply.status.unwrap_or_default();
            self.transcript.note_at(
                timing.replied_ns,
                Side::Replied,
                format!("{status} to request {}", seen.id.number),
            );
        }
    }

    /// One exchange on a connection.
    pub(super) async fn on(
        &mut self,
        session: &mut Session,
        ask: &Ask,
        content: &[u8],
    ) -> Result<ProbeReply, CaseFinding> {
        self.open(session, ask).await?;
        if ask.content != Framing::None {
            // A reply may have come all the same.
            let _ = self.send(session, content, true).await;
        }
        Ok(self.reply(session, ask).await)
    }

    /// One exchange on its own connection.
    pub(super) async fn exchange(&mut self, ask: &Ask, content: &[u8]) -> Result<ProbeReply, CaseFinding> {
        let mut session = self.connect().await?;
        self.on(&mut session, ask, content).await
    }

    pub(super) fn to(&self, method: &'static str, target: &str, id: Id) -> Ask {
        Ask {
            method,
            target: format!("{}{target}", self.gate.prefix),
            authority: self.gate.site.target().authority(),
            place: self.gate.site.target().place(),
            is_secure: self.gate.site.target().tls,
            is_insecure: self.gate.is_insecure,
            fields: Vec::new(),
            content: Framing::None,
            body: AskedBody::Word,
            habits: "",
            id,
            is_noted: true,
        }
    }
}
