//! HTTP/2 frame by frame (RFC 9113): what is sent is what the test asked for, and nothing is answered unasked.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};

use super::{HOST, Http1, Link};

/// What begins a connection (section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (section 6).
pub mod kind {
    /// Content.
    pub const DATA: u8 = 0;
    /// A head or trailers.
    pub const HEADERS: u8 = 1;
    /// The end of a stream that does not end well.
    pub const RST_STREAM: u8 = 3;
    /// Parameters of a connection.
    pub const SETTINGS: u8 = 4;
    /// A frame that the peer answers immediately.
    pub const PING: u8 = 6;
    /// The end of a connection.
    pub const GOAWAY: u8 = 7;
    /// Room for content.
    pub const WINDOW_UPDATE: u8 = 8;
}

/// The flag of the last frame of a stream.
pub const END_STREAM: u8 = 1;

/// The flag of an answer to SETTINGS or PING.
pub const ACK: u8 = 1;

/// The setting of how much content a stream may carry before more is allowed.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// The flag of the last frame of a field block.
pub const END_HEADERS: u8 = 4;

/// `:status: 200`, as its head begins (RFC 7541 appendix A, entry 8).
pub const STATUS_200: u8 = 0x88;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`], or another.
    pub kind: u8,
    /// As they were sent.
    pub flags: u8,
    /// The stream; 0 is the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether it is the last that its peer sends on its stream.
    #[must_use]
    pub fn ends(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & END_STREAM != 0
    }

    /// The last stream and the code of GOAWAY; `None` for other frames.
    #[must_use]
    pub fn go_away(&self) -> Option<(u32, u32)> {
        let number = |at: usize| Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?));
        if self.kind == kind::GOAWAY { Some((number(0)?, number(4)?)) } else { None }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Frames {
    wire: Http1,
    /// What is to be sent in one piece.
    gathered: Option<Vec<u8>>,
}

impl Frames {
    /// Connects and greets with settings: pairs of identifier and value (section 6.5.2).
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut frames = Self { wire: Http1::on(Link::connect(address, "h2").await), gathered: None };
        let pair = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        frames.wire.send(PREFACE).await;
        let settings: Vec<u8> = settings.iter().flat_map(pair).collect();
        frames.send(kind::SETTINGS, 0, 0, &settings).await;
        frames
    }

    /// Ends the connection with a reset, without a word.
    ///
    /// # Panics
    /// When the socket is gone.
    pub fn reset(self) {
        self.wire.reset();
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When the peer does not take it, or when it is too large to be one.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a test's frame is small");
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        match &mut self.gathered {
            Some(gathered) => gathered.extend(frame),
            None => self.wire.send(&frame).await,
        }
    }

    /// Sends several `GET`s in one piece, so that the peer can read them together.
    ///
    /// # Panics
    /// When the peer does not take it.
    pub async fn get_together(&mut self, requests: &[(u32, &str)]) {
        self.gathered = Some(Vec::new());
        for (stream, target) in requests {
            self.get(*stream, target, &[]).await;
        }
        let gathered = self.gathered.take().unwrap_or_default();
        self.wire.send(&gathered).await;
    }

    /// Sends a `GET` without a body. Its fields go out in this order, as literals.
    ///
    /// # Panics
    /// When the peer does not take it.
    pub async fn get(&mut self, stream: u32, target: &str, fields: &[(&str, &str)]) {
        self.head(stream, "GET", END_STREAM, target, fields).await;
    }

    /// Sends the head of a `POST`; its body is what the test sends as DATA.
    ///
    /// # Panics
    /// When the peer does not take it.
    pub async fn post(&mut self, stream: u32, target: &str, fields: &[(&str, &str)]) {
        self.head(stream, "POST", 0, target, fields).await;
    }

    /// Sends a request without a body that is made of these fields alone, pseudo-fields included.
    ///
    /// # Panics
    /// When the peer does not take it.
    pub async fn request(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.block(stream, END_STREAM, fields).await;
    }

    async fn head(&mut self, stream: u32, method: &str, flags: u8, target: &str, fields: &[(&str, &str)]) {
        let own = [(":method", method), (":scheme", "http"), (":authority", HOST), (":path", target)];
        self.block(stream, flags, &[&own, fields].concat()).await;
    }

    async fn block(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) {
        let mut block = Vec::new();
        for (name, value) in fields {
            // A literal without indexing with a new name, neither of them compressed (RFC 7541 section 6.2.2).
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).ok().filter(|len| *len < 0x7f).expect("a short text"));
                block.extend_from_slice(text.as_bytes());
            }
        }
        self.send(kind::HEADERS, flags | END_HEADERS, stream, &block).await;
    }

    /// The next frame; `None` when the peer has closed.
    ///
    /// # Errors
    /// When the connection ends within a frame.
    pub async fn next(&mut self) -> Result<Option<Frame>> {
        if !self.wire.arrives().await? {
            return Ok(None);
        }
        let head = self.wire.exactly(9).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        ensure!(length <= 1 << 14, "a frame of {length} bytes, which no SETTINGS allowed");
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = self.wire.exactly(length as usize).await?.to_vec();
        Ok(Some(Frame { kind: head[3], flags: head[4], stream, payload }))
    }

    /// Reads the content of a reply to its end.
    ///
    /// # Errors
    /// When the stream is reset or the connection ends before.
    pub async fn body(&mut self, stream: u32) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let frame = self.next().await?.context("closed before the end of a reply")?;
            ensure!((frame.kind, frame.stream) != (kind::RST_STREAM, stream), "the stream was reset");
            if (frame.kind, frame.stream) == (kind::DATA, stream) {
                body.extend_from_slice(&frame.payload);
                if frame.ends() {
                    return Ok(body);
                }
            }
        }
    }

    /// Reads on until a frame of this kind comes on this stream; what comes before it is passed over.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn await_frame(&mut self, kind: u8, stream: u32) -> Result<Frame> {
        loop {
            let next = self.next().await?;
            let frame = next.with_context(|| format!("closed before a frame of type {kind}"))?;
            if (frame.kind, frame.stream) == (kind, stream) {
                return Ok(frame);
            }
        }
    }
}
