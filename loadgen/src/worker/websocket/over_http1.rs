//! A WebSocket that begins as a request of HTTP/1.1 (RFC 6455 section 4): then the connection is its own.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use http1::{
    Event,
    response::{self, Kind},
};
use tokio::io::AsyncWrite as _;
use transport::{Stream, segments};
use websocket::{code, handshake};

use super::{
    messages::{Handshaken, MAX_READ, SocketMessages, check_answer, invalid, refused},
    socket::Socket,
};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Failure, Head, InFlight},
    plan::Request,
    worker::{
        connection::{
            Closed, Connection, ConnectionState, LONGEST_TURN, Limits, READS_IN_A_ROW, Shared, Sink,
        },
        other_protocol::instead_of_http1,
    },
};

/// A connection.
pub(crate) struct OverHttp1 {
    stream: Stream,
    phase: SocketPhase,
}

enum SocketPhase {
    /// Nothing has been sent.
    New,
    /// The request is on its way, or the answer to it.
    Handshake(Box<Handshake>),
    Open(Box<Socket>),
}

struct Handshake {
    /// What has not been written of the request.
    out: Vec<u8>,
    written: usize,
    since: Nanos,
    key: String,
    reader: response::ResponseReader,
    head: response::ResponseHead,
    /// Read and not taken in.
    rest: Vec<u8>,
}

impl fmt::Debug for OverHttp1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverHttp1").finish_non_exhaustive()
    }
}

impl Connection for OverHttp1 {
    type Requests = SocketMessages;

    const AWAITED: &'static str = "no answer to the handshake of a WebSocket";

    fn new(stream: Stream, _now: Nanos, _messages: &SocketMessages) -> Self {
        Self { stream, phase: SocketPhase::New }
    }

    fn room(&self, limits: &Limits) -> usize {
        self.socket().map_or(0, |socket| socket.room(limits))
    }

    fn allowed(&self, limits: &Limits) -> usize {
        limits.messages
    }

    fn in_flight(&self) -> usize {
        self.socket().map_or(0, Socket::in_flight)
    }

    fn is_used(&self) -> bool {
        self.socket().is_some_and(Socket::is_used)
    }

    fn submit(
        &mut self,
        arrival: Arrival,
        now: Nanos,
        shared: &mut Shared<SocketMessages>,
    ) -> Result<(), Arrival> {
        if self.room(&shared.limits) == 0 {
            return Err(arrival);
        }
        let SocketPhase::Open(socket) = &mut self.phase else { return Err(arrival) };
        socket.send(arrival, now, &mut shared.requests, shared.ids);
        Ok(())
    }

    fn drive(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<SocketMessages>,
        sink: &mut impl Sink,
    ) -> ConnectionState {
        if let SocketPhase::New = self.phase {
            self.phase = SocketPhase::Handshake(Box::new(Handshake::new(shared)));
            sink.handshaking();
        }
        if let SocketPhase::Open(socket) = &mut self.phase {
            if let Some(why) = socket.out_of_step() {
                return ConnectionState::Gone(Closed::by_loadgen(why));
            }
            socket.ping_if_due(shared.now, shared.requests.ping_interval, sink);
        }
        let closed = self.read(cx, shared, sink);
        // What it closes with is written as well.
        let written = self.write(cx, shared);
        match closed.or_else(|| written.err().map(|error| Closed::by_server(Failure::from_io(&error)))) {
            Some(closed) => ConnectionState::Gone(closed),
            None if self.socket().is_some() => ConnectionState::Going,
            None => ConnectionState::Opening,
        }
    }

    fn next_wake(&self, limits: &Limits) -> Option<Nanos> {
        Some(self.socket()?.oldest()?.saturating_add(limits.timeout))
    }

    fn next_due(&self) -> Option<Nanos> {
        self.socket().map(Socket::next_ping).filter(|at| *at < Nanos::MAX)
    }

    fn expire(&mut self, now: Nanos, limits: &Limits, sink: &mut impl Sink) -> bool {
        match &mut self.phase {
            SocketPhase::Open(socket) => socket.expire(now, limits.timeout, sink),
            SocketPhase::New | SocketPhase::Handshake(_) => false,
        }
    }

    fn into_in_flight(mut self) -> impl Iterator<Item = InFlight> {
        let all = match &mut self.phase {
            SocketPhase::Open(socket) => Some(socket.take_in_flight()),
            SocketPhase::New | SocketPhase::Handshake(_) => None,
        };
        all.into_iter().flatten()
    }
}

/// Informs the server that the WebSocket ends, as far as that can be written immediately.
impl Drop for OverHttp1 {
    fn drop(&mut self) {
        if let SocketPhase::Open(socket) = &mut self.phase {
            socket.close(code::NORMAL);
            let mut cx = Context::from_waker(Waker::noop());
            // Nothing is left that an error could be reported to.
            let _ = Pin::new(&mut self.stream).poll_write(&mut cx, socket.output());
        }
    }
}

impl OverHttp1 {
    fn socket(&self) -> Option<&Socket> {
        match &self.phase {
            SocketPhase::Open(socket) => Some(socket),
            SocketPhase::New | SocketPhase::Handshake(_) => None,
        }
    }

    /// Reads and takes in what has come. Some: that was the end.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<SocketMessages>,
        sink: &mut impl Sink,
    ) -> Option<Closed> {
        let began = shared.now;
        for _ in 0..READS_IN_A_ROW {
            let rest = match &self.phase {
                SocketPhase::Handshake(handshake) => &handshake.rest[..],
                SocketPhase::New | SocketPhase::Open(_) => &[],
            };
            let room = shared.buffer.len().min(rest.len() + MAX_READ);
            let count = match segments::poll_read(&mut self.stream, rest, &mut shared.buffer[..room], cx) {
                Poll::Pending => return None,
                Poll::Ready(Err(error)) => return Some(Closed::by_server(Failure::from_io(&error))),
                Poll::Ready(Ok(0)) => return Some(self.closed()),
                Poll::Ready(Ok(count)) => count,
            };
            shared.carried.received += count as u64;
            shared.now = shared.clock.now();
            let all = rest.len() + count;
            if let Err(closed) = self.take_in(all, shared, sink) {
                return Some(closed);
            }
            if shared.now.saturating_sub(began) > LONGEST_TURN {
                break;
            }
        }
        shared.is_cut_short = true;
        cx.waker().wake_by_ref();
        None
    }

    /// Takes in the first `count` bytes of the buffer. An error: that was the end.
    fn take_in(
        &mut self,
        count: usize,
        shared: &mut Shared<SocketMessages>,
        sink: &mut impl Sink,
    ) -> Result<(), Closed> {
        let Shared { buffer, requests, ids, now, carried, limits, .. } = shared;
        let mut input = &buffer[..count];
        if let SocketPhase::Handshake(handshake) = &mut self.phase {
            let Some(handshaken) = handshake.read(&mut input, requests, sink)? else { return Ok(()) };
            sink.handshaken(handshake.since, *now, requests.opened_first(limits));
            self.phase = SocketPhase::Open(Box::new(Socket::new(requests, handshaken, *now)));
        }
        let SocketPhase::Open(socket) = &mut self.phase else { return Ok(()) };
        socket.receive(input, requests, *ids, *now, carried, sink)
    }

    fn closed(&self) -> Closed {
        let message = match &self.phase {
            SocketPhase::Open(_) => "the server closed the connection without a close frame",
            SocketPhase::New | SocketPhase::Handshake(_) => {
                "the server closed the connection before it answered the handshake of a WebSocket"
            }
        };
        Closed::by_server(Failure::new(Cause::ClosedEarly, message))
    }

    fn write(&mut self, cx: &mut Context<'_>, shared: &mut Shared<SocketMessages>) -> io::Result<()> {
        loop {
            let out = match &self.phase {
                SocketPhase::New => return Ok(()),
                SocketPhase::Handshake(handshake) => &handshake.out[handshake.written..],
                SocketPhase::Open(socket) => socket.output(),
            };
            if out.is_empty() {
                return Ok(());
            }
            // Before it is given away: the server may see it before this call returns.
            let now = shared.clock.now();
            let count = match Pin::new(&mut self.stream).poll_write(cx, out) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(result) => result?,
            };
            shared.carried.sent += count as u64;
            match &mut self.phase {
                SocketPhase::New => {}
                SocketPhase::Handshake(handshake) => handshake.written += count,
                SocketPhase::Open(socket) => socket.took(count, now),
            }
        }
    }
}

impl Handshake {
    fn new(shared: &mut Shared<SocketMessages>) -> Self {
        let Shared { requests, ids, .. } = shared;
        let (arrival, id) = requests.next_handshake(*ids);
        let mut out = Vec::new();
        match requests.request.http1_rendering() {
            None => out.extend_from_slice(requests.request.http1().head()),
            Some(rendering) => {
                let values = requests.texts.values(&arrival, requests.request.rows(), Some(&id));
                let length = rendering.render(&values, &mut out);
                out.truncate(length);
            }
        }
        let key = handshake::key(rand::random());
        // In front of the empty line.
        out.truncate(out.len() - 2);
        out.extend_from_slice(format!("sec-websocket-key: {key}\r\n\r\n").as_bytes());
        let mut reader = response::ResponseReader::new(http1::Limits::default());
        reader.expect(Kind::Upgrade);
        Self {
            out,
            written: 0,
            since: shared.now,
            key,
            reader,
            head: response::ResponseHead::default(),
            rest: Vec::new(),
        }
    }

    /// Reads on; some: the handshake is done, and what is left in `input` came behind it.
    fn read(
        &mut self,
        input: &mut &[u8],
        messages: &SocketMessages,
        sink: &mut impl Sink,
    ) -> Result<Option<Handshaken>, Closed> {
        let broken = |message: String| Closed::by_loadgen(Failure::new(Cause::Protocol, message));
        if !self.reader.has_begun()
            && let Some(message) = instead_of_http1(input, &messages.target)
        {
            return Err(broken(message));
        }
        loop {
            match self.reader.read(input, &mut self.head).map_err(|error| broken(error.0.to_owned()))? {
                Some(Event::Informational) => {}
                Some(Event::Head { .. }) => {
                    let head = &self.head;
                    if head.status != 101 {
                        return Err(Closed::by_loadgen(refused(&Head::Http1(head))));
                    }
                    check(head, &self.key, &messages.request)
                        .map_err(|why| Closed::by_loadgen(invalid(why)))?;
                    return Ok(Some(Handshaken::new(&Head::Http1(head), messages.captures, sink)));
                }
                Some(Event::Data(_) | Event::End) => {}
                None => {
                    self.rest.clear();
                    self.rest.extend_from_slice(input);
                    return Ok(None);
                }
            }
        }
    }
}

/// Whether the server speaks WebSocket from now on (RFC 6455 section 4.1).
fn check(head: &response::ResponseHead, key: &str, request: &Request) -> Result<(), &'static str> {
    let fields = &head.fields;
    let has = |name: &str, token: &str| {
        let tokens = fields.get_all(name).flat_map(|value| value.split(|byte| *byte == b','));
        tokens.into_iter().any(|one| one.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    };
    if !has("upgrade", "websocket") {
        return Err("Upgrade is not websocket");
    }
    if !has("connection", "upgrade") {
        return Err("Connection is not Upgrade");
    }
    let accept = handshake::accept(key.as_bytes());
    if fields.get("sec-websocket-accept").map(<[u8]>::trim_ascii) != accept.as_deref().map(str::as_bytes) {
        return Err("Sec-WebSocket-Accept is not the one of the key");
    }
    check_answer(fields, request)
}
