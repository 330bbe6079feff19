//! WebSockets on streams of one HTTP/2 connection, each opened by CONNECT (RFC 8441).

mod connect;
mod events;
mod streams;

use std::{
    collections::VecDeque,
    fmt, io,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http2::{Code, Key};
use transport::{Stream, segments};
use websocket::code;

use self::{connect::Pause, streams::SocketStreams};
use super::{
    messages::{MAX_READ, SocketMessages},
    socket::Socket,
};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Failure, InFlight, Outcome},
    worker::{
        connection::{
            Closed, Connection, ConnectionState, LONGEST_TURN, Limits, READS_IN_A_ROW, Shared, Sink,
        },
        http2::GoneAway,
        other_protocol::instead_of_http2,
    },
};

/// While so much output waits, no more of messages is added.
const MAX_OUTPUT: usize = 256 << 10;

/// What is said of a server that does not take such a CONNECT.
const NO_CONNECT: &str = "the server does not take WebSockets over HTTP/2 (no SETTINGS_ENABLE_CONNECT_PROTOCOL): leave out --http2";

/// A connection.
pub(crate) struct OverHttp2 {
    stream: Stream,
    http2: http2::Connection,
    streams: SocketStreams,
    /// Streams that this end has ended and the server has not, since when.
    half_closed: VecDeque<(Nanos, Key)>,
    pause: Pause,
    /// Whether some have taken too long.
    has_expired: bool,
    /// Messages that wait to be written, by where they end among all bytes that are written: on which stream, and their numbers.
    unwritten: VecDeque<(u64, Key, u64)>,
    /// Bytes that were written.
    written: u64,
    rest: Vec<u8>,
    /// Whether all of the first ones have been open.
    opened: bool,
    is_used: bool,
    head: http2::Head,
    going_away: Option<Box<GoneAway>>,
}

impl fmt::Debug for OverHttp2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverHttp2").field("open", &self.streams.open_count()).finish_non_exhaustive()
    }
}

impl Connection for OverHttp2 {
    type Requests = SocketMessages;

    const AWAITED: &'static str = "no answer to the handshake of a WebSocket";

    fn new(stream: Stream, _now: Nanos, messages: &SocketMessages) -> Self {
        Self {
            stream,
            http2: http2::Connection::new(&messages.http2),
            streams: SocketStreams::default(),
            half_closed: VecDeque::new(),
            pause: Pause::default(),
            has_expired: false,
            unwritten: VecDeque::new(),
            written: 0,
            rest: Vec::new(),
            opened: false,
            is_used: false,
            head: http2::Head::new(),
            going_away: None,
        }
    }

    fn room(&self, _limits: &Limits) -> usize {
        self.streams.room()
    }

    fn allowed(&self, limits: &Limits) -> usize {
        self.streams.open_count().saturating_mul(limits.messages)
    }

    fn in_flight(&self) -> usize {
        self.streams.in_flight()
    }

    fn is_used(&self) -> bool {
        self.is_used
    }

    /// They take turns.
    fn submit(
        &mut self,
        arrival: Arrival,
        now: Nanos,
        shared: &mut Shared<SocketMessages>,
    ) -> Result<(), Arrival> {
        let Some(key) = self.streams.take_roomy() else { return Err(arrival) };
        let Shared { limits, requests, ids, .. } = shared;
        let sends = |socket: &mut Socket| socket.send(arrival, now, requests, *ids);
        if self.streams.change(key, limits, sends).is_none() {
            return Err(arrival);
        }
        self.http2.want(key);
        Ok(())
    }

    fn drive(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<SocketMessages>,
        sink: &mut impl Sink,
    ) -> ConnectionState {
        let Shared { now, requests, limits, .. } = shared;
        self.streams.ping(*now, requests.ping_interval, limits, sink, |key| self.http2.want(key));
        let expired = if self.has_expired { self.end_useless(*now, limits, sink) } else { Ok(()) };
        if let Err(closed) = expired.and_then(|()| self.exchange(cx, shared, sink)) {
            // What it closes with is written as well.
            let _ = self.write(cx, shared);
            return ConnectionState::Gone(closed);
        }
        if self.http2.is_going_away() {
            let is_idle = self.streams.in_flight() == 0;
            return if is_idle { ConnectionState::Gone(self.closed()) } else { ConnectionState::Retiring };
        }
        let open = self.streams.open_count();
        // Where the server takes some and not all, those are it.
        let has_all = !self.may_open(&shared.limits) || self.pause.until().is_some();
        self.opened |= open > 0 && open == self.streams.count() && has_all;
        if self.opened { ConnectionState::Going } else { ConnectionState::Opening }
    }

    fn next_wake(&self, limits: &Limits) -> Option<Nanos> {
        let half_closed = self.half_closed.front().map(|(at, _)| at.saturating_add(limits.connect_timeout));
        self.streams.next_wake(limits).into_iter().chain(half_closed).min()
    }

    fn next_due(&self) -> Option<Nanos> {
        let reopening = self.pause.until();
        self.streams.next_ping().into_iter().chain(reopening).min()
    }

    fn expire(&mut self, now: Nanos, limits: &Limits, sink: &mut impl Sink) -> bool {
        let since = now.checked_sub(limits.connect_timeout);
        let is_overdue = |(at, _): &(Nanos, Key)| since.is_some_and(|since| *at <= since);
        let mut has_expired = self.streams.expire(now, limits, sink);
        self.has_expired |= has_expired;
        while let Some((_, key)) = self.half_closed.pop_front_if(|half_closed| is_overdue(half_closed)) {
            self.http2.reset(key, Code::CANCEL);
            has_expired = true;
        }
        has_expired
    }

    fn into_in_flight(mut self) -> impl Iterator<Item = InFlight> {
        // The WebSockets themselves are left to be closed.
        self.streams.take_in_flight().into_iter()
    }
}

/// Informs the server that the WebSockets end, as far as that can be written immediately.
impl Drop for OverHttp2 {
    fn drop(&mut self) {
        for (key, socket) in self.streams.all_open() {
            socket.close(code::NORMAL);
            let out = socket.output();
            if out.len() <= self.http2.data_room(key) {
                self.http2.data(key, Bytes::copy_from_slice(out), true);
            }
        }
        let mut cx = Context::from_waker(Waker::noop());
        if !self.http2.output.is_empty() {
            // Nothing is left that an error could be reported to.
            let _ = segments::poll_write(&mut self.stream, &mut self.http2.output, usize::MAX, &mut cx);
        }
    }
}

impl OverHttp2 {
    /// Whether there are to be more WebSockets, and may be.
    fn may_open(&self, limits: &Limits) -> bool {
        self.streams.count() < limits.streams && self.http2.room() > 0
    }

    /// Opens those that are missing.
    fn open_missing(
        &mut self,
        shared: &mut Shared<SocketMessages>,
        sink: &mut impl Sink,
    ) -> Result<(), Closed> {
        let is_paused = !self.pause.is_over(shared.now);
        if is_paused || !self.http2.is_settled() || !self.may_open(&shared.limits) {
            return Ok(());
        }
        if !self.http2.remote().enable_connect_protocol {
            return Err(Closed::by_loadgen(Failure::new(Cause::NoWebSocket, NO_CONNECT)));
        }
        while self.may_open(&shared.limits) {
            let Some(key) = connect::connect(&mut self.http2, &mut shared.requests, shared.ids) else {
                return Ok(());
            };
            self.streams.connect(key, shared.now);
            sink.handshaking();
        }
        Ok(())
    }

    /// Writes and reads what there is. An error: that was the end.
    fn exchange(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<SocketMessages>,
        sink: &mut impl Sink,
    ) -> Result<(), Closed> {
        self.open_missing(shared, sink)?;
        self.write(cx, shared)?;
        let began = shared.now;
        for _ in 0..READS_IN_A_ROW {
            match self.read(cx, shared, sink) {
                Poll::Pending => {
                    self.open_missing(shared, sink)?;
                    return self.write(cx, shared);
                }
                Poll::Ready(result) => result?,
            }
            if shared.now.saturating_sub(began) > LONGEST_TURN {
                break;
            }
        }
        shared.is_cut_short = true;
        cx.waker().wake_by_ref();
        self.write(cx, shared)
    }

    fn write(&mut self, cx: &mut Context<'_>, shared: &mut Shared<SocketMessages>) -> Result<(), Closed> {
        loop {
            self.add_output(&shared.limits);
            if self.http2.output.is_empty() {
                return Ok(());
            }
            match self.poll_write(cx, shared) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(error)) => return Err(self.broken(&error)),
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<SocketMessages>,
    ) -> Poll<io::Result<()>> {
        while !self.http2.output.is_empty() {
            // Before it is given away: the server may see it before this call returns.
            let now = if self.unwritten.is_empty() { 0 } else { shared.clock.now() };
            let output = &mut self.http2.output;
            let count = ready!(segments::poll_write(&mut self.stream, output, usize::MAX, cx))? as u64;
            shared.carried.sent += count;
            self.written += count;
            while let Some((_, key, number)) = self.unwritten.pop_front_if(|(end, ..)| *end <= self.written) {
                self.streams.written(key, number, now);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives streams what their WebSockets have to write, as far as there is room.
    fn add_output(&mut self, limits: &Limits) {
        let Self { streams, http2, unwritten, written, .. } = self;
        while http2.output.len() < MAX_OUTPUT {
            let Some(key) = http2.next_ready() else { return };
            streams.change(key, limits, |socket| {
                let out = socket.output();
                let count = out.len().min(http2.data_room(key)).min(MAX_OUTPUT);
                let is_all = count == out.len();
                if count > 0 {
                    http2.data(key, Bytes::copy_from_slice(&out[..count]), false);
                    socket.take_output(count);
                }
                let end = *written + http2.output.len() as u64;
                while let Some(number) = socket.next_ended() {
                    unwritten.push_back((end, key, number));
                }
                if !is_all {
                    http2.want(key);
                }
            });
        }
    }

    /// Reads once and takes in what came.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<SocketMessages>,
        sink: &mut impl Sink,
    ) -> Poll<Result<(), Closed>> {
        let room = shared.buffer.len().min(self.rest.len() + MAX_READ);
        let buffer = &mut shared.buffer[..room];
        let count = match ready!(segments::poll_read(&mut self.stream, &self.rest, buffer, cx)) {
            Ok(0) => return Poll::Ready(Err(self.closed())),
            Ok(count) => count,
            Err(error) => return Poll::Ready(Err(self.broken(&error))),
        };
        shared.carried.received += count as u64;
        shared.now = shared.clock.now();
        let buffer = std::mem::take(&mut shared.buffer);
        let mut input = &buffer[..self.rest.len() + count];
        let result = self.take_in(&mut input, shared, sink);
        self.rest.clear();
        self.rest.extend_from_slice(input);
        shared.buffer = buffer;
        Poll::Ready(result)
    }

    fn take_in(
        &mut self,
        input: &mut &[u8],
        shared: &mut Shared<SocketMessages>,
        sink: &mut impl Sink,
    ) -> Result<(), Closed> {
        if !self.http2.is_settled()
            && let Some(message) = instead_of_http2(input, &shared.requests.target)
        {
            return Err(Closed::by_loadgen(Failure::new(Cause::Protocol, message)));
        }
        let mut head = std::mem::take(&mut self.head);
        let result = loop {
            match self.http2.receive(input, &mut head) {
                Ok(None) => break Ok(()),
                Ok(Some(event)) => {
                    if let Err(closed) = self.take(event, &head, shared, sink) {
                        break Err(closed);
                    }
                }
                Err(error) => {
                    break Err(Closed::by_loadgen(Failure::new(Cause::Protocol, error.to_string())));
                }
            }
        };
        self.head = head;
        result
    }

    /// Ends WebSockets that can't be used any more, and CONNECTs without an answer.
    fn end_useless(&mut self, now: Nanos, limits: &Limits, sink: &mut impl Sink) -> Result<(), Closed> {
        self.has_expired = false;
        for key in self.streams.useless(now.checked_sub(limits.connect_timeout)) {
            let out_of_step = self.streams.change(key, limits, |socket| socket.out_of_step()).flatten();
            self.is_used |= out_of_step.is_some();
            let why = out_of_step.unwrap_or_else(|| {
                Failure::new(Cause::ConnectTimeout, format!("{} within --connect-timeout", Self::AWAITED))
            });
            self.ended(key, Closed::by_loadgen(why), now, sink)?;
        }
        Ok(())
    }

    /// A WebSocket has ended, and so has what was in flight on it. Another takes its place: after a pause if this one was of no
    /// use, and on another connection if none on this one is open, or ever was of use.
    fn ended(&mut self, key: Key, closed: Closed, now: Nanos, sink: &mut impl Sink) -> Result<(), Closed> {
        let Some(on) = self.streams.remove(key) else { return Ok(()) };
        let since = on.since;
        let is_used = match on.socket {
            Some(mut socket) => {
                socket.close(code::NORMAL);
                let out = socket.output();
                if out.len() <= self.http2.data_room(key) {
                    self.http2.data(key, Bytes::copy_from_slice(out), true);
                    self.half_closed.push_back((now, key));
                } else {
                    self.http2.reset(key, Code::CANCEL);
                }
                for mut in_flight in socket.take_in_flight() {
                    sink.ended(in_flight.ended(now, Outcome::Failed(&closed.why)));
                }
                socket.is_used()
            }
            None => {
                self.http2.reset(key, Code::CANCEL);
                false
            }
        };
        self.is_used |= is_used;
        sink.roomier();
        if !is_used {
            self.pause.failed(now, since, self.is_used);
        }
        if self.is_used || self.streams.open_count() > 0 || self.http2.is_going_away() {
            Ok(())
        } else {
            Err(closed)
        }
    }

    fn broken(&self, error: &io::Error) -> Closed {
        match &self.going_away {
            Some(gone) if gone.is_error() => self.closed(),
            _ => Closed::by_server(Failure::from_io(error)),
        }
    }

    /// Why the peer has closed the connection.
    fn closed(&self) -> Closed {
        Closed::by_server(match &self.going_away {
            Some(gone) if gone.is_error() => gone.failure(),
            _ => Failure::new(Cause::ClosedEarly, "the server closed the connection without a close frame"),
        })
    }
}
