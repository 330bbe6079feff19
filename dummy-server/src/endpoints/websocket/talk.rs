//! An open WebSocket, from its handshake to its end: it echoes, pings when that was asked for, and closes.
//!
//! It reads into a buffer of its worker and writes from one that is lent to it, so that an idle socket holds neither.

use std::{
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use contract::ledger::message_id;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Instant, Interval, MissedTickBehavior, Sleep, interval},
};
use transport::segments;
use websocket::{Event, Limits, Reader, Role, Violation, code, opcode, write};
use wire::Output;

use crate::{
    budget::Hold,
    context::ServerContext,
    ledger::Noted,
    lifecycle::orders::{Order, Orders},
    message::{
        duplex::Duplex,
        timetable::poll_until,
        upload::UploadError,
        websocket::{Mode, Options},
    },
    turn::give_way,
};

/// How long a peer may take to end the connection after the close frame.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// While so much output waits, nothing more is read or made.
const MOST_OUTPUT: usize = 64 << 10;
/// Bytes that are read in one call.
const MOST_READ_OF_ONE: usize = 64 << 10;

/// What carries an open WebSocket.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Unpin {
    /// Whether it is a whole connection, of which each poll is a turn. A stream of HTTP/2 is a part of its connection's turn.
    const IS_CONNECTION: bool;

    /// Whether the peer has not taken for too long what waits for it, where something does (`_output_waits`). A stream of
    /// HTTP/2 leaves this to its connection.
    fn has_stalled(&self, _output_waits: bool) -> bool {
        false
    }
}

impl Carrier for Duplex {
    const IS_CONNECTION: bool = false;
}

/// Serves an open WebSocket to its end; `orders` are those of its connection.
pub(crate) async fn serve(
    stream: impl Carrier,
    options: Options,
    context: &Rc<ServerContext>,
    orders: &Orders,
) {
    let configured = &context.config.limits;
    // Fragments are limited by the time that a message may take.
    let limits =
        Limits { message: configured.ws_max_message, frame: configured.ws_max_frame, fragments: u64::MAX };
    let mut talk = Talk {
        stream,
        options,
        context,
        orders,
        reader: Reader::new(Role::Server, limits),
        output: Output::new(),
        rest: Vec::new(),
        echo: None,
        echoed: 0,
        hold: Hold::new(&context.budget),
        ticks: None,
        begun: None,
        deadline: None,
        noted: Noted::default(),
        closing: false,
    };
    if poll_fn(|cx| talk.poll(cx)).await {
        let Talk { stream, .. } = talk;
        // Few are in this state at a time, so that its memory is not set aside for all.
        let finish = Box::pin(tokio::time::timeout(CLOSE_PATIENCE, finish(stream, orders)));
        let _ = finish.await;
    }
}

struct Talk<'a, S> {
    stream: S,
    options: Options,
    context: &'a Rc<ServerContext>,
    orders: &'a Orders,
    reader: Reader,
    output: Output,
    /// Read and not looked at, for want of room in the output.
    rest: Vec<u8>,
    /// What is left of the message that goes back, and the opcode of its next frame.
    echo: Option<(u8, Bytes)>,
    /// The size of that message until it is sent, and for it and what has come of the next.
    echoed: usize,
    hold: Hold,
    /// When pings are due.
    ticks: Option<Box<Interval>>,
    /// When the message began that has not come whole.
    begun: Option<Instant>,
    /// For that message; it may outlive the one that it was set for.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Messages of verified runs.
    noted: Noted,
    /// All is said when the output is written.
    closing: bool,
}

impl<S: Carrier> Talk<'_, S> {
    /// Ready when it is over: whether there is a peer left that may have something to read.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.orders.register(cx);
        if self.stream.has_stalled(!self.output.is_empty()) {
            return Poll::Ready(false);
        }
        if S::IS_CONNECTION {
            self.context.turn.begin();
        }
        let mut read = false;
        loop {
            match self.orders.strongest() {
                Order::Serve => {}
                Order::Drain => self.close(code::GOING_AWAY, "server is draining"),
                Order::Close => {
                    self.noted.broken_off(false);
                    return Poll::Ready(false);
                }
            }
            self.look_at_clock(cx);
            self.fill();
            match self.flush(cx) {
                Poll::Ready(false) => return Poll::Ready(false),
                Poll::Ready(true) if self.echo.is_some() && !self.context.turn.long_step() => continue,
                Poll::Ready(true) if self.echo.is_some() => return give_way(cx),
                Poll::Ready(true) if self.closing => return Poll::Ready(true),
                Poll::Ready(true) => {}
                Poll::Pending if self.closing || self.is_full() => return Poll::Pending,
                Poll::Pending => {}
            }
            // However much comes back, each turn reads once.
            if std::mem::replace(&mut read, true) && self.context.turn.long_step() {
                return give_way(cx);
            }
            match self.read(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(false),
                Poll::Pending => {
                    self.context.buffers.take_back(&mut self.output);
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_full(&self) -> bool {
        self.output.len() >= MOST_OUTPUT || self.echo.is_some()
    }

    /// Pings when that is due, and closes when a message has taken too long.
    fn look_at_clock(&mut self, cx: &mut Context<'_>) {
        if let Some(period) = self.options.ping {
            let ticks = self.ticks.get_or_insert_with(|| {
                let mut ticks = interval(period);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                Box::new(ticks)
            });
            while ticks.poll_tick(cx).is_ready() {
                if !self.closing && self.output.len() < MOST_OUTPUT && self.echo.is_none() {
                    write::head(self.output.buffer(), opcode::PING, true, 0, None);
                }
            }
        }
        if let (Some(limit), Some(begun)) = (self.context.config.limits.ws_message_timeout, self.begun)
            && poll_until(&mut self.deadline, begun + limit, cx).is_ready()
        {
            self.begun = None;
            self.close(code::POLICY_VIOLATION, "a message took longer than --ws-message-timeout");
        }
    }

    /// Reads once and takes in what came. False: the connection is broken.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            self.take_in(&rest);
            return Poll::Ready(true);
        }
        let context = self.context;
        let mut buffer = context.buffers.for_reading();
        let mut buffer = ReadBuf::new(&mut buffer[..MOST_READ_OF_ONE]);
        if ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)).is_err() {
            return Poll::Ready(false);
        }
        context.buffers.lend(&mut self.output);
        if buffer.filled().is_empty() {
            // Without a close frame: what was asked before is answered all the same.
            self.closing = true;
        } else {
            self.take_in(buffer.filled());
        }
        Poll::Ready(true)
    }

    fn take_in(&mut self, mut input: &[u8]) {
        while !self.closing && !self.is_full() && !self.context.turn.step() {
            match self.reader.read(&mut input) {
                Ok(Some(event)) => self.happened(event),
                Ok(None) => break,
                Err(violation) => self.close(violation.code(), reason(violation)),
            }
        }
        self.count();
        if !self.reader.is_within() || self.closing {
            self.begun = None;
        } else if self.context.config.limits.ws_message_timeout.is_some() {
            self.begun.get_or_insert_with(Instant::now);
        }
        if !self.closing {
            self.rest = input.to_vec();
        }
    }

    /// Holds what there is of messages, unless the server holds too much already.
    fn count(&mut self) {
        if self.echo.is_none() && self.output.is_empty() {
            self.echoed = 0;
        }
        if !self.hold.set(self.reader.held() + self.echoed.max(self.output.len())) {
            self.close(code::TRY_AGAIN_LATER, UploadError::TOO_MUCH.reason());
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Message { text, content } => {
                // What follows has its own time.
                self.begun = None;
                self.echoed = content.len();
                // One without a token costs a look at its first bytes.
                if let Some(id) = message_id(&content) {
                    self.noted.saw(id, content.len(), &self.context.ledger);
                }
                let opcode = if text { opcode::TEXT } else { opcode::BINARY };
                match self.options.mode {
                    Mode::Echo => self.echo = Some((opcode, content.into())),
                    Mode::EchoOnceAndClose => {
                        let said = [b"Server received: ", &content[..]].concat();
                        self.echo = Some((opcode, said.into()));
                    }
                }
                self.fill();
            }
            Event::Ping(content) => self.control(opcode::PONG, &content),
            Event::Pong(_) | Event::Fragment => {}
            Event::Close(close) => {
                // The code goes back, and the reason with it (section 5.5.1).
                self.control(opcode::CLOSE, close.as_bytes());
                self.closing = true;
            }
        }
    }

    /// Makes frames of what goes back, as far as there is room.
    fn fill(&mut self) {
        while self.output.len() < MOST_OUTPUT && !self.context.turn.step() {
            let Some((opcode, content)) = &mut self.echo else { return };
            let count = self.options.fragment.map_or(content.len(), |most| most.get() as usize);
            let part = content.split_to(count.min(content.len()));
            let last = content.is_empty();
            write::head(self.output.buffer(), *opcode, last, part.len() as u64, None);
            self.output.push(part);
            *opcode = opcode::CONTINUATION;
            if last {
                self.echo = None;
                if self.options.mode == Mode::EchoOnceAndClose {
                    self.close(code::NORMAL, "server done");
                }
            }
        }
    }

    fn control(&mut self, opcode: u8, content: &[u8]) {
        write::frame(self.output.buffer(), opcode, true, content, None);
    }

    /// Sends a close frame, unless one was sent before.
    fn close(&mut self, code: u16, reason: &str) {
        if self.closing {
            return;
        }
        self.closing = true;
        if self.echo.take().is_some() {
            self.noted.broken_off(true);
        }
        write::close(self.output.buffer(), code, reason, None);
    }

    /// Writes what waits; ready when nothing does. False: the connection is broken.
    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while !self.output.is_empty() {
            let written = segments::poll_write(
                &mut self.stream,
                &mut self.output,
                self.context.buffers.largest_write(),
                cx,
            );
            if ready!(written).is_err() {
                return Poll::Ready(false);
            }
        }
        if self.echoed > 0 && self.echo.is_none() {
            self.noted.handed_over();
            self.count();
        }
        Pin::new(&mut self.stream).poll_flush(cx).map(|flushed| flushed.is_ok())
    }
}

/// How a close frame names the rule that a client broke; a limit by the name of its flag.
const fn reason(violation: Violation) -> &'static str {
    match violation {
        Violation::FrameTooLarge => "a frame above --ws-max-frame",
        Violation::MessageTooLarge => "a message above --ws-max-message",
        _ => violation.reason(),
    }
}

/// Makes sure that the close frame arrives: input that nobody will read is discarded until the peer ends,
/// or else the kernel would reset the connection.
async fn finish(mut stream: impl Carrier, orders: &Orders) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = vec![0; 16 << 10];
    loop {
        tokio::select! {
            read = stream.read(&mut rest) => if !matches!(read, Ok(1..)) { return },
            () = orders.reached(Order::Close) => return,
        }
    }
}
