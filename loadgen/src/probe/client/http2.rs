//! HTTP/2, one stream at a time.

use std::collections::VecDeque;

use ::http2::{Code, Config, Connection, Event, Head, Key, Role};
use bytes::Bytes;
use tokio::time::Instant;

use super::{Ask, Crowd, Cut, Framing, Heard, wire::Wire};

#[derive(Debug)]
pub(crate) struct Http2Client {
    wire: Wire,
    connection: Connection,
    head: Head,
    stream: Option<Key>,
    waiting: VecDeque<Heard>,
    goaway: Option<Code>,
    /// Of all streams, if there are many.
    crowd: Crowd,
}

impl Http2Client {
    /// Waits for the server's SETTINGS.
    pub(super) async fn begin(wire: Wire, until: Instant) -> Result<Self, Cut> {
        let connection = Connection::new(&Config::new(Role::Client));
        let (head, waiting) = (Head::new(), VecDeque::new());
        let mut http2 =
            Self { wire, connection, head, stream: None, waiting, goaway: None, crowd: Crowd::default() };
        while !http2.connection.is_settled() {
            http2.flush(until).await?;
            http2.more(until).await?;
        }
        http2.flush(until).await?;
        Ok(http2)
    }

    pub(super) async fn open(&mut self, ask: &Ask, until: Instant) -> Result<(), Cut> {
        let is_websocket = ask.content == Framing::WebSocket;
        let end = ask.content == Framing::None;
        self.waiting.clear();
        self.stream = self.connection.open(end, ask.method == "HEAD", |block| {
            block.varying(b":method", if is_websocket { b"CONNECT" } else { ask.method.as_bytes() });
            if is_websocket {
                block.constant(b":protocol", b"websocket");
            }
            block.constant(b":scheme", if ask.is_secure { b"https" } else { b"http" });
            block.varying(b":authority", ask.authority.as_bytes());
            block.varying(b":path", ask.target.as_bytes());
            if is_websocket {
                block.constant(b"sec-websocket-version", b"13");
            }
            if let Framing::Length(length) = ask.content {
                block.varying(b"content-length", length.to_string().as_bytes());
            }
            for (name, value) in ask.all_fields() {
                block.varying(name.to_ascii_lowercase().as_bytes(), value.as_bytes());
            }
        });
        if self.stream.is_none() {
            return Err(Cut::Closed);
        }
        self.flush(until).await
    }

    /// The same on many streams; waits until they have ended, or for as long as may be.
    pub(super) async fn crowd(&mut self, ask: &Ask, most: usize, until: Instant) -> Result<Crowd, Cut> {
        while self.crowd.opened < most && self.connection.room() > 0 {
            self.open(ask, until).await?;
            self.crowd.opened += 1;
        }
        while !self.crowd.is_over() {
            match self.more(until).await {
                Err(Cut::TimedOut) => break,
                more => more?,
            }
            self.flush(until).await?;
        }
        Ok(self.crowd.clone())
    }

    /// What comes meanwhile is kept.
    pub(super) async fn send(&mut self, part: &[u8], end: bool, until: Instant) -> Result<(), Cut> {
        let Some(stream) = self.stream else { return Err(Cut::Closed) };
        let mut rest = part;
        loop {
            self.connection.want(stream);
            let room = self.connection.data_room(stream).min(rest.len());
            if room > 0 || rest.is_empty() {
                let (now, later) = rest.split_at(room);
                rest = later;
                self.connection.data(stream, Bytes::copy_from_slice(now), end && rest.is_empty());
                self.flush(until).await?;
            }
            if rest.is_empty() {
                return Ok(());
            }
            if room == 0 {
                if let Some(Heard::Cut(cut)) = self.waiting.back() {
                    return Err(cut.clone());
                }
                if self.waiting.contains(&Heard::End) {
                    return Err(Cut::Closed);
                }
                self.more(until).await?;
                self.flush(until).await?;
            }
        }
    }

    pub(super) async fn end_with(&mut self, name: &str, value: &str, until: Instant) -> Result<(), Cut> {
        let Some(stream) = self.stream else { return Err(Cut::Closed) };
        self.connection.head(stream, true, |block| block.varying(name.as_bytes(), value.as_bytes()));
        self.flush(until).await
    }

    pub(super) async fn hear(&mut self, until: Instant) -> Heard {
        loop {
            if let Some(heard) = self.waiting.pop_front() {
                return heard;
            }
            if let Err(cut) = self.more(until).await {
                return Heard::Cut(cut);
            }
            // What can't be written any more is noticed by reading.
            let _ = self.flush(until).await;
        }
    }

    async fn flush(&mut self, until: Instant) -> Result<(), Cut> {
        while let Some(bytes) = first(&self.connection.output) {
            let result = self.wire.write(&bytes, until).await;
            self.connection.output.advance(bytes.len());
            result?;
        }
        Ok(())
    }

    /// Reads, and keeps what is about the stream.
    async fn more(&mut self, until: Instant) -> Result<(), Cut> {
        if self.wire.has_ended {
            return Err(self.goaway.map_or(Cut::Closed, Cut::GoneAway));
        }
        self.wire.read(until).await?;
        let Self { wire, connection, head, stream, waiting, goaway, crowd } = self;
        let mut rest = &wire.input[..];
        loop {
            let event = connection.receive(&mut rest, head);
            let event = event.map_err(|error| Cut::Malformed(error.to_string()))?;
            let Some(event) = event else { break };
            crowd.take(&event, head);
            let is_own = |key: Key| Some(key) == *stream;
            match event {
                Event::Informational { stream } if is_own(stream) => {
                    waiting.push_back(Heard::Interim(head.status(), fields(head)));
                }
                Event::Response { stream, end } if is_own(stream) => {
                    waiting.push_back(Heard::Head(head.status(), fields(head)));
                    waiting.extend(end.then_some(Heard::End));
                }
                Event::Data { stream, data, end } => {
                    connection.release(stream, data.len());
                    if is_own(stream) {
                        waiting.extend((!data.is_empty()).then(|| Heard::Data(data.to_vec())));
                        waiting.extend(end.then_some(Heard::End));
                    }
                }
                Event::Trailers { stream } if is_own(stream) => {
                    waiting.extend([Heard::Trailers(fields(head)), Heard::End]);
                }
                Event::Reset { stream, code, by_peer } if is_own(stream) => {
                    let broken = || Cut::Malformed(connection.broken_rule().to_owned());
                    waiting.push_back(Heard::Cut(if by_peer { Cut::StreamReset(code) } else { broken() }));
                }
                Event::Unprocessed { stream } if is_own(stream) => {
                    waiting.push_back(Heard::Cut(Cut::Unprocessed))
                }
                Event::GoAway { code, .. } => *goaway = Some(code),
                _ => {}
            }
        }
        let used = wire.input.len() - rest.len();
        wire.input.drain(..used);
        Ok(())
    }

    pub(super) async fn give_up(&mut self, until: Instant) {
        if let Some(stream) = self.stream {
            self.connection.reset(stream, Code::CANCEL);
            // One that can't be written any more is gone anyway.
            let _ = self.flush(until).await;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.room() > 0 && !self.wire.has_ended
    }

    pub(super) fn takes_websockets(&self) -> bool {
        self.connection.remote().enable_connect_protocol
    }
}

fn first(output: &::wire::Output) -> Option<Vec<u8>> {
    let mut slices = [std::io::IoSlice::new(&[])];
    (output.slices(&mut slices) > 0 && !slices[0].is_empty()).then(|| slices[0].to_vec())
}

fn fields(head: &Head) -> super::Fields {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    head.regular().map(|(name, value)| (text(name), text(value))).collect()
}
