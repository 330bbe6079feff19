//! gRPC calls, with the status, the trailers and each message in view.

use std::{
    io::{Read as _, Write as _},
    marker::PhantomData,
    net::SocketAddr,
};

use anyhow::{Context as _, Result, ensure};
use bytes::{Bytes, BytesMut};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use grpc::{
    CONTENT_TYPE,
    message::{self, Limits, Reader},
    status::{MESSAGE, STATUS},
};
use h2::{RecvStream, SendStream, client::ResponseFuture};
use prost::Message;

use super::{
    Http2, Request, first,
    http2::{next_piece, pairs, pour},
    patiently,
};

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `grpc-status`.
    pub code: i32,
    /// `grpc-message`, as sent.
    pub message: String,
}

/// A connection for calls.
#[derive(Debug)]
pub struct GrpcClient {
    connection: Http2,
}

/// A call in progress.
#[derive(Debug)]
pub struct Call<Answer> {
    send: SendStream<Bytes>,
    state: State,
    reader: Reader,
    compressed: usize,
    headers: Vec<(String, String)>,
    trailers: Vec<(String, String)>,
    answer: PhantomData<Answer>,
}

/// A call that has ended: what came beside its answers.
#[derive(Clone, Debug)]
pub struct End {
    /// The status.
    pub status: Status,
    /// The fields of the head.
    pub headers: Vec<(String, String)>,
    /// The trailers; empty when the head was all.
    pub trailers: Vec<(String, String)>,
    /// How many answers were compressed.
    pub compressed: usize,
}

impl End {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// The first value of a trailer.
    #[must_use]
    pub fn trailer(&self, name: &str) -> Option<&str> {
        first(&self.trailers, name)
    }
}

#[derive(Debug)]
enum State {
    Waiting(Option<ResponseFuture>),
    Receiving(RecvStream),
    Ended(Status),
}

impl GrpcClient {
    /// Connects.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect(address: SocketAddr) -> Self {
        Self { connection: Http2::connect(address).await }
    }

    /// Makes calls on a connection that is there.
    #[must_use]
    pub fn on(connection: Http2) -> Self {
        Self { connection }
    }

    /// Begins a call of `/package.Service/Method`, with metadata.
    ///
    /// # Panics
    /// When the connection takes no further call.
    pub async fn begin<Answer: Message + Default>(
        &mut self,
        method: &str,
        metadata: &[(&str, &str)],
    ) -> Call<Answer> {
        let mut request =
            Request::new("POST", method).field("content-type", CONTENT_TYPE).field("te", "trailers");
        for (name, value) in metadata {
            request = request.field(name, value);
        }
        let opened = patiently("begin a call", self.connection.open(&request, false)).await;
        let (response, send) = opened.unwrap_or_else(|error| panic!("{method}: {error:#}"));
        Call {
            send,
            state: State::Waiting(Some(response)),
            reader: Reader::new(Limits { message: usize::MAX, compressed: true }),
            compressed: 0,
            headers: Vec::new(),
            trailers: Vec::new(),
            answer: PhantomData,
        }
    }

    /// One message, one answer: the answer and the status.
    ///
    /// # Panics
    /// When the call does not end by the rules.
    pub async fn unary<Answer: Message + Default>(
        &mut self,
        method: &str,
        message: &impl Message,
    ) -> (Option<Answer>, Status) {
        self.unary_with(method, message, &[]).await
    }

    /// The same with metadata.
    ///
    /// # Panics
    /// When the call does not end by the rules.
    pub async fn unary_with<Answer: Message + Default>(
        &mut self,
        method: &str,
        message: &impl Message,
        metadata: &[(&str, &str)],
    ) -> (Option<Answer>, Status) {
        let mut call = self.begin(method, metadata).await;
        call.send(message);
        call.finish_sending();
        let answer = call.next().await;
        (answer, call.status().await)
    }

    /// The connection below.
    #[must_use]
    pub fn into_connection(self) -> Http2 {
        self.connection
    }
}

impl<Answer: Message + Default> Call<Answer> {
    /// Sends a message.
    ///
    /// # Panics
    /// When the stream is closed.
    pub fn send(&mut self, message: &impl Message) {
        self.send_in_pieces(message, usize::MAX);
    }

    /// Sends a message as fast as there is window for it.
    ///
    /// # Panics
    /// When the stream is closed.
    pub async fn pour(&mut self, message: &impl Message) {
        let frame = framed(&message.encode_to_vec(), false);
        let poured = patiently("window", pour(&mut self.send, frame.into())).await;
        poured.unwrap_or_else(|error| panic!("call: {error:#}"));
    }

    /// Sends a message in gzip.
    ///
    /// # Panics
    /// When the stream is closed.
    pub fn send_compressed(&mut self, message: &impl Message) {
        self.send_bytes(&framed(&gzip(&message.encode_to_vec()), true));
    }

    /// Sends whatever bytes.
    ///
    /// # Panics
    /// When the stream is closed.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.send.send_data(Bytes::copy_from_slice(bytes), false).expect("the stream is open");
    }

    /// The same in DATA frames of at most `size` bytes each.
    ///
    /// # Panics
    /// When the stream is closed.
    pub fn send_in_pieces(&mut self, message: &impl Message, size: usize) {
        let mut frame = BytesMut::from(&framed(&message.encode_to_vec(), false)[..]);
        while !frame.is_empty() {
            let piece = frame.split_to(size.min(frame.len()));
            self.send.send_data(piece.freeze(), false).expect("the stream is open");
        }
    }

    /// Says that no message follows.
    ///
    /// # Panics
    /// When the stream is closed.
    pub fn finish_sending(&mut self) {
        self.send.send_data(Bytes::new(), true).expect("the stream is open");
    }

    /// The next answer; `None` when the call has ended.
    ///
    /// # Panics
    /// When the call does not end by the rules.
    pub async fn next(&mut self) -> Option<Answer> {
        let answer = patiently("an answer", self.try_next()).await;
        answer.unwrap_or_else(|error| panic!("call: {error:#}"))
    }

    /// How the call ended, after which no answer may be left.
    ///
    /// # Panics
    /// When the call does not end by the rules.
    pub async fn status(self) -> Status {
        self.end().await.status
    }

    /// The same with all that came beside the answers.
    ///
    /// # Panics
    /// When the call does not end by the rules.
    pub async fn end(mut self) -> End {
        let extra = self.next().await;
        assert!(extra.is_none(), "an answer is left");
        let Self { state, headers, trailers, compressed, .. } = self;
        match state {
            State::Ended(status) => End { status, headers, trailers, compressed },
            other => panic!("the call has not ended: {other:?}"),
        }
    }

    /// All answers that are left, and the end.
    ///
    /// # Panics
    /// When the call does not end by the rules.
    pub async fn rest(mut self) -> (Vec<Answer>, End) {
        let mut answers = Vec::new();
        while let Some(answer) = self.next().await {
            answers.push(answer);
        }
        (answers, self.end().await)
    }

    async fn try_next(&mut self) -> Result<Option<Answer>> {
        loop {
            match &mut self.state {
                State::Waiting(response) => {
                    let response = response.take().context("awaited twice")?.await.context("reply")?;
                    ensure!(response.status() == 200, "HTTP status {}", response.status());
                    let fields = pairs(response.headers())?;
                    // A call that fails immediately has its status in the header (Trailers-Only).
                    self.state = match status_of(&fields) {
                        Some(status) => State::Ended(status),
                        None => State::Receiving(response.into_body()),
                    };
                    self.headers = fields;
                }
                State::Receiving(body) => {
                    if let Some(message) = self.reader.take()? {
                        self.compressed += usize::from(message.compressed);
                        let content = match message.compressed {
                            true => gunzip(&message.content)?.into(),
                            false => message.content,
                        };
                        return Ok(Some(Answer::decode(content)?));
                    }
                    if let Some(piece) = next_piece(body).await? {
                        self.reader.push(piece);
                    } else {
                        ensure!(self.reader.is_empty(), "the call ended within a message");
                        self.trailers = pairs(&body.trailers().await?.context("no trailers")?)?;
                        self.state = State::Ended(status_of(&self.trailers).context("no grpc-status")?);
                    }
                }
                State::Ended(_) => return Ok(None),
            }
        }
    }
}

/// A message with its prefix.
#[must_use]
pub fn framed(message: &[u8], compressed: bool) -> Vec<u8> {
    let mut frame = Vec::new();
    message::append(&mut frame, compressed, |out| out.extend_from_slice(message));
    frame
}

/// Bytes in gzip.
///
/// # Panics
/// Never: memory takes all.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut out).context("no gzip")?;
    Ok(out)
}

fn status_of(fields: &[(String, String)]) -> Option<Status> {
    let code = first(fields, STATUS)?.parse().ok()?;
    Some(Status { code, message: first(fields, MESSAGE).unwrap_or_default().to_owned() })
}
