//! HTTP/1.1, byte by byte.

use std::collections::VecDeque;

use ::http1::{Event, Limits, Version, response, write};
use tokio::time::Instant;

use super::{Ask, Cut, Fields, Framing, Heard, wire::Wire};

#[derive(Debug)]
pub(crate) struct Http1Client {
    wire: Wire,
    reader: response::ResponseReader,
    head: response::ResponseHead,
    content: Framing,
    waiting: VecDeque<Heard>,
    /// Another protocol has begun.
    is_switched: bool,
    /// Another request may follow, once this one has ended.
    keeps: bool,
}

impl Http1Client {
    pub(super) fn new(wire: Wire) -> Self {
        let reader = response::ResponseReader::new(Limits::default());
        let (head, waiting) = (response::ResponseHead::default(), VecDeque::new());
        Self { wire, reader, head, content: Framing::None, waiting, is_switched: false, keeps: true }
    }

    pub(super) async fn open(&mut self, ask: &Ask, until: Instant) -> Result<(), Cut> {
        let mut out = Vec::new();
        write::request_line(&mut out, ask.method.as_bytes(), ask.target.as_bytes(), Version::Http11);
        write::field(&mut out, b"Host", ask.authority.as_bytes());
        for (name, value) in ask.all_fields() {
            write::field(&mut out, name.as_bytes(), value.as_bytes());
        }
        match ask.content {
            Framing::None => {}
            Framing::Length(length) => write::number_field(&mut out, b"Content-Length", length),
            Framing::Chunked => write::field(&mut out, b"Transfer-Encoding", b"chunked"),
            Framing::WebSocket => {
                self.reader.expect(response::Kind::Upgrade);
                write::field(&mut out, b"Connection", b"Upgrade");
                write::field(&mut out, b"Upgrade", b"websocket");
                write::field(&mut out, b"Sec-WebSocket-Version", b"13");
                write::field(
                    &mut out,
                    b"Sec-WebSocket-Key",
                    websocket::handshake::key(rand::random()).as_bytes(),
                );
            }
        }
        write::end_head(&mut out);
        if ask.method == "HEAD" {
            self.reader.expect(response::Kind::Head);
        }
        (self.content, self.keeps) = (ask.content, false);
        self.waiting.clear();
        self.wire.write(&out, until).await
    }

    /// Sends bytes as they are, in place of a request that [`Self::open`] would write.
    pub(super) async fn raw(&mut self, bytes: &[u8], until: Instant) -> Result<(), Cut> {
        (self.content, self.keeps) = (Framing::None, false);
        self.waiting.clear();
        self.wire.write(bytes, until).await
    }

    /// Ends its own direction.
    pub(super) async fn end_sending(&mut self, until: Instant) -> Result<(), Cut> {
        self.wire.end_sending(until).await
    }

    /// How many bytes have come that belong to no reply.
    pub(super) async fn extra(&mut self, until: Instant) -> usize {
        if self.wire.input.is_empty() && !self.wire.has_ended {
            // None, most likely.
            let _ = self.wire.read(until).await;
        }
        self.wire.input.len()
    }

    /// Whether the connection ends; what comes until then is dropped.
    pub(super) async fn ends(&mut self, until: Instant) -> bool {
        while !self.wire.has_ended && self.wire.read(until).await.is_ok() {
            self.wire.input.clear();
        }
        self.wire.has_ended
    }

    pub(super) async fn send(&mut self, part: &[u8], end: bool, until: Instant) -> Result<(), Cut> {
        if self.content != Framing::Chunked {
            return self.wire.write(part, until).await;
        }
        let mut out = Vec::new();
        if !part.is_empty() {
            write::chunk_head(&mut out, part.len() as u64);
            out.extend_from_slice(part);
            out.extend_from_slice(write::CHUNK_END);
        }
        if end {
            write::last_chunk(&mut out, &::wire::Fields::new());
        }
        self.wire.write(&out, until).await
    }

    pub(super) async fn end_with(&mut self, name: &str, value: &str, until: Instant) -> Result<(), Cut> {
        let (mut out, mut trailers) = (Vec::new(), ::wire::Fields::new());
        trailers.push(name, value);
        write::last_chunk(&mut out, &trailers);
        self.wire.write(&out, until).await
    }

    pub(super) async fn hear(&mut self, until: Instant) -> Heard {
        loop {
            if let Some(heard) = self.waiting.pop_front() {
                return heard;
            }
            if self.is_switched && !self.wire.input.is_empty() {
                return Heard::Data(std::mem::take(&mut self.wire.input));
            }
            if !self.is_switched {
                match self.parse() {
                    Ok(Some(heard)) => return heard,
                    Ok(None) => {}
                    Err(broken) => return Heard::Cut(Cut::Malformed(broken.to_string())),
                }
            }
            if self.wire.has_ended {
                return match self.reader.close() {
                    Ok(true) => Heard::End,
                    Ok(false) | Err(_) => Heard::Cut(Cut::Closed),
                };
            }
            if let Err(cut) = self.wire.read(until).await {
                return Heard::Cut(cut);
            }
        }
    }

    fn parse(&mut self) -> Result<Option<Heard>, response::Broken> {
        let mut rest = &self.wire.input[..];
        let event = self.reader.read(&mut rest, &mut self.head)?;
        let heard = match event {
            None => None,
            Some(Event::Informational) => Some(Heard::Interim(self.head.status, fields(&self.head.fields))),
            Some(Event::Head { end }) => {
                self.is_switched = self.head.status == 101;
                self.keeps = self.head.keep_alive;
                if end && !self.is_switched {
                    self.waiting.push_back(Heard::End);
                }
                Some(Heard::Head(self.head.status, fields(&self.head.fields)))
            }
            Some(Event::Data(part)) => Some(Heard::Data(part.to_vec())),
            Some(Event::End) => {
                let trailers = fields(self.reader.trailers());
                if trailers.is_empty() {
                    Some(Heard::End)
                } else {
                    self.waiting.push_back(Heard::End);
                    Some(Heard::Trailers(trailers))
                }
            }
        };
        let used = self.wire.input.len() - rest.len();
        self.wire.input.drain(..used);
        Ok(heard)
    }

    pub(super) fn give_up(self) {
        self.wire.reset();
    }

    pub(super) fn is_open(&self) -> bool {
        self.keeps && !self.wire.has_ended
    }
}

fn fields(fields: &::wire::Fields) -> Fields {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}
