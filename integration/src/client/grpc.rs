//! gRPC calls, framed here, so that the status, the trailers and each message are in view.

use std::{marker::PhantomData, net::SocketAddr};

use anyhow::{Context as _, Result, ensure};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::{RecvStream, SendStream, client::ResponseFuture};
use prost::Message;

use super::{
    Http2, Request, first,
    http2::{next_piece, pairs},
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
    buffer: BytesMut,
    answer: PhantomData<Answer>,
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
            Request::new("POST", method).field("content-type", "application/grpc").field("te", "trailers");
        for (name, value) in metadata {
            request = request.field(name, value);
        }
        let opened = patiently("begin a call", self.connection.open(&request, false)).await;
        let (response, send) = opened.unwrap_or_else(|error| panic!("{method}: {error:#}"));
        Call { send, state: State::Waiting(Some(response)), buffer: BytesMut::new(), answer: PhantomData }
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

    /// The same in DATA frames of at most so many bytes each.
    ///
    /// # Panics
    /// When the stream is closed.
    pub fn send_in_pieces(&mut self, message: &impl Message, size: usize) {
        let mut frame = BytesMut::with_capacity(5 + message.encoded_len());
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.encoded_len()).expect("a test's message is small"));
        message.encode(&mut frame).expect("memory takes all");
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
    pub async fn status(mut self) -> Status {
        let extra = self.next().await;
        assert!(extra.is_none(), "an answer is left");
        match self.state {
            State::Ended(status) => status,
            other => panic!("the call has not ended: {other:?}"),
        }
    }

    async fn try_next(&mut self) -> Result<Option<Answer>> {
        loop {
            match &mut self.state {
                State::Waiting(response) => {
                    let response = response.take().context("awaited twice")?.await.context("reply")?;
                    ensure!(response.status() == 200, "HTTP status {}", response.status());
                    let fields = pairs(response.headers())?;
                    // A call that fails at once has its status in the head.
                    self.state = match status_of(&fields) {
                        Some(status) => State::Ended(status),
                        None => State::Receiving(response.into_body()),
                    };
                }
                State::Receiving(body) => {
                    if let Some(message) = take_message(&mut self.buffer) {
                        return Ok(Some(Answer::decode(message)?));
                    }
                    if let Some(piece) = next_piece(body).await? {
                        self.buffer.extend_from_slice(&piece);
                    } else {
                        ensure!(self.buffer.is_empty(), "the call ended within a message");
                        let trailers = body.trailers().await?.context("no trailers")?;
                        self.state = State::Ended(status_of(&pairs(&trailers)?).context("no grpc-status")?);
                    }
                }
                State::Ended(_) => return Ok(None),
            }
        }
    }
}

fn take_message(buffer: &mut BytesMut) -> Option<Bytes> {
    let len = 5 + u32::from_be_bytes(buffer.get(1..5)?.try_into().ok()?) as usize;
    (buffer.len() >= len).then(|| {
        let mut frame = buffer.split_to(len).freeze();
        frame.advance(5);
        frame
    })
}

fn status_of(fields: &[(String, String)]) -> Option<Status> {
    let code = first(fields, "grpc-status")?.parse().ok()?;
    Some(Status { code, message: first(fields, "grpc-message").unwrap_or_default().to_owned() })
}
