//! WebSockets on streams of one HTTP/2 connection, each opened by CONNECT (RFC 8441).

use std::{
    collections::VecDeque,
    fmt, io,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http2::{Code, Event, Key};
use transport::{Stream, segments};
use websocket::code;

use super::{Handshaken, Messages, refused, socket::Socket};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Failure, Head, InFlight, Outcome},
    plan::template::Values,
    worker::{
        connection::{Closed, Connection, LONGEST_TURN, Limits, Progress, READS_IN_A_ROW, Shared, Sink},
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
    /// By the slots of their streams' keys.
    sockets: Vec<Option<OnStream>>,
    /// How many there are, and how many of them are open.
    count: usize,
    open: usize,
    /// The slot whose turn it is.
    next: usize,
    /// Messages that wait to be written, by where they end among all bytes that are written: on which stream, and which.
    unwritten: VecDeque<(u64, Key, u64)>,
    /// Bytes that were written.
    written: u64,
    rest: Vec<u8>,
    /// Whether all of the first ones have been open.
    opened: bool,
    is_used: bool,
    head: http2::Head,
    going_away: Option<Code>,
}

/// A WebSocket on its stream.
struct OnStream {
    key: Key,
    /// None until the handshake is done.
    socket: Option<Box<Socket>>,
}

impl fmt::Debug for OverHttp2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverHttp2").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Connection for OverHttp2 {
    type Requests = Messages;

    const AWAITED: &'static str = "no answer to the handshake of a WebSocket";

    fn new(stream: Stream, _now: Nanos, messages: &Messages) -> Self {
        Self {
            stream,
            http2: http2::Connection::new(&messages.http2),
            sockets: Vec::new(),
            count: 0,
            open: 0,
            next: 0,
            unwritten: VecDeque::new(),
            written: 0,
            rest: Vec::new(),
            opened: false,
            is_used: false,
            head: http2::Head::new(),
            going_away: None,
        }
    }

    fn room(&self, limits: &Limits) -> usize {
        self.open().fold(0, |all, socket| all.saturating_add(socket.room(limits)))
    }

    fn allowed(&self, limits: &Limits) -> usize {
        self.open.saturating_mul(limits.messages)
    }

    fn in_flight(&self) -> usize {
        self.open().map(Socket::in_flight).sum()
    }

    fn is_used(&self) -> bool {
        self.is_used || self.open().any(Socket::is_used)
    }

    /// They take turns.
    fn submit(&mut self, arrival: Arrival, now: Nanos, shared: &mut Shared<Messages>) -> Result<(), Arrival> {
        for _ in 0..self.sockets.len() {
            let turn = self.next;
            self.next = (self.next + 1) % self.sockets.len();
            let Some(Some(OnStream { key, socket: Some(socket) })) = self.sockets.get_mut(turn) else {
                continue;
            };
            if socket.room(&shared.limits) > 0 {
                socket.send(arrival, now, &mut shared.requests, shared.ids);
                self.http2.want(*key);
                return Ok(());
            }
        }
        Err(arrival)
    }

    fn drive(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<Messages>,
        sink: &mut impl Sink,
    ) -> Progress {
        let (now, interval) = (shared.now, shared.requests.ping_interval);
        if self.next_due().is_some_and(|due| due <= now) {
            for OnStream { key, socket } in self.sockets.iter_mut().flatten() {
                if let Some(socket) = socket {
                    socket.ping_if_due(now, interval);
                    self.http2.want(*key);
                }
            }
        }
        if let Err(closed) = self.exchange(cx, shared, sink) {
            // What it closes with is written as well.
            let _ = self.write(cx, shared);
            return Progress::Gone(closed);
        }
        if self.http2.is_going_away() {
            return if self.count == 0 { Progress::Gone(self.closed()) } else { Progress::Retiring };
        }
        self.opened |= self.open > 0 && self.open == self.count && !self.may_open(&shared.limits);
        if self.opened { Progress::Going } else { Progress::Opening }
    }

    fn next_wake(&self, limits: &Limits) -> Option<Nanos> {
        let oldest = self.open().filter_map(Socket::oldest).min();
        oldest.map(|oldest| oldest.saturating_add(limits.timeout))
    }

    fn next_due(&self) -> Option<Nanos> {
        self.open().map(Socket::next_ping).min().filter(|at| *at < Nanos::MAX)
    }

    fn expire(&mut self, now: Nanos, limits: &Limits, sink: &mut impl Sink) -> bool {
        let sockets = self.sockets.iter_mut().flatten().filter_map(|on| on.socket.as_mut());
        sockets.fold(false, |any, socket| socket.expire(now, limits.timeout, sink) | any)
    }

    fn into_in_flight(mut self) -> impl Iterator<Item = InFlight> {
        let sockets = std::mem::take(&mut self.sockets);
        let sockets = sockets.into_iter().flatten().filter_map(|on| on.socket);
        sockets.flat_map(|mut socket| socket.take_in_flight())
    }
}

/// The server is told that the WebSockets end, as far as that can be written immediately.
impl Drop for OverHttp2 {
    fn drop(&mut self) {
        for OnStream { key, socket } in self.sockets.iter_mut().flatten() {
            if let Some(socket) = socket {
                socket.close(code::NORMAL);
                let out = socket.output();
                if out.len() <= self.http2.data_room(*key) {
                    self.http2.data(*key, Bytes::copy_from_slice(out), true);
                }
            }
        }
        let mut cx = Context::from_waker(Waker::noop());
        if !self.http2.output.is_empty() {
            // Nobody is left to be told of an error.
            let _ = segments::poll_write(&mut self.stream, &mut self.http2.output, usize::MAX, &mut cx);
        }
    }
}

impl OverHttp2 {
    fn open(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().flatten().filter_map(|on| on.socket.as_deref())
    }

    /// Whether there are to be more WebSockets, and may be.
    fn may_open(&self, limits: &Limits) -> bool {
        self.count < limits.streams && self.http2.room() > 0
    }

    /// Opens those that are missing.
    fn open_missing(&mut self, shared: &mut Shared<Messages>) -> Result<(), Closed> {
        if !self.http2.is_settled() || !self.may_open(&shared.limits) {
            return Ok(());
        }
        if !self.http2.remote().enable_connect_protocol {
            return Err(Closed::by_loadgen(Failure::new(Cause::NoWebSocket, NO_CONNECT)));
        }
        while self.may_open(&shared.limits) {
            let Some(key) = self.connect(&mut shared.requests) else { return Ok(()) };
            let slot = key.slot as usize;
            if self.sockets.len() <= slot {
                self.sockets.resize_with(slot + 1, || None);
            }
            self.sockets[slot] = Some(OnStream { key, socket: None });
            self.count += 1;
        }
        Ok(())
    }

    fn connect(&mut self, messages: &mut Messages) -> Option<Key> {
        let arrival = messages.next_handshake();
        let Messages { request, texts, .. } = messages;
        let values = texts.values(&arrival, request.rows(), None);
        let fields = match request.http2_rendering() {
            None => request.http2(),
            Some(rendering) => {
                let mut fields = wire::Fields::new();
                let values = Values { length: 0, ..values };
                for (name, template) in &rendering.fields {
                    let mut value = Vec::new();
                    template.render(&values, &mut value);
                    fields.push(name, &value);
                }
                fields
            }
        };
        self.http2.open(false, false, |block| {
            for (name, value) in fields.iter() {
                match name {
                    b":method" => {
                        block.constant(name, b"CONNECT");
                        block.constant(b":protocol", b"websocket");
                    }
                    _ => block.constant(name, value),
                }
            }
        })
    }

    /// Writes and reads what there is. An error: that was the end.
    fn exchange(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<Messages>,
        sink: &mut impl Sink,
    ) -> Result<(), Closed> {
        self.open_missing(shared)?;
        self.write(cx, shared)?;
        let began = shared.now;
        for _ in 0..READS_IN_A_ROW {
            match self.read(cx, shared, sink) {
                Poll::Pending => {
                    self.open_missing(shared)?;
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

    fn write(&mut self, cx: &mut Context<'_>, shared: &mut Shared<Messages>) -> Result<(), Closed> {
        loop {
            self.add_output();
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

    fn poll_write(&mut self, cx: &mut Context<'_>, shared: &mut Shared<Messages>) -> Poll<io::Result<()>> {
        while !self.http2.output.is_empty() {
            // Before it is given away: the server may see it before this call returns.
            let now = if self.unwritten.is_empty() { 0 } else { shared.clock.now() };
            let output = &mut self.http2.output;
            let count = ready!(segments::poll_write(&mut self.stream, output, usize::MAX, cx))? as u64;
            shared.carried.sent += count;
            self.written += count;
            while let Some((_, key, place)) = self.unwritten.pop_front_if(|(end, ..)| *end <= self.written) {
                if let Some(OnStream { socket: Some(socket), .. }) = find(&mut self.sockets, key) {
                    socket.written(place, now);
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives streams what their WebSockets have to write, as far as there is room.
    fn add_output(&mut self) {
        while self.http2.output.len() < MAX_OUTPUT {
            let Some(key) = self.http2.next_ready() else { return };
            let Some(OnStream { socket: Some(socket), .. }) = find(&mut self.sockets, key) else { continue };
            let out = socket.output();
            let count = out.len().min(self.http2.data_room(key)).min(MAX_OUTPUT);
            let is_all = count == out.len();
            if count > 0 {
                self.http2.data(key, Bytes::copy_from_slice(&out[..count]), false);
                socket.take_output(count);
            }
            let end = self.written + self.http2.output.len() as u64;
            while let Some(place) = socket.next_ended() {
                self.unwritten.push_back((end, key, place));
            }
            if !is_all {
                self.http2.want(key);
            }
        }
    }

    /// Reads once and takes in what came.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<Messages>,
        sink: &mut impl Sink,
    ) -> Poll<Result<(), Closed>> {
        let count = match ready!(segments::poll_read(&mut self.stream, &self.rest, &mut shared.buffer, cx)) {
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
        shared: &mut Shared<Messages>,
        sink: &mut impl Sink,
    ) -> Result<(), Closed> {
        if !self.http2.is_settled()
            && let Some(message) = instead_of_http2(input, &shared.requests.as_http1)
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

    fn take(
        &mut self,
        event: Event<'_>,
        head: &http2::Head,
        shared: &mut Shared<Messages>,
        sink: &mut impl Sink,
    ) -> Result<(), Closed> {
        let Shared { requests, ids, now, carried, .. } = shared;
        match event {
            Event::Response { stream, end } => {
                let Some(on) = find(&mut self.sockets, stream) else { return Ok(()) };
                if !(200..300).contains(&head.status()) || end {
                    return Err(Closed::by_loadgen(refused(head.status())));
                }
                let handshaken = Handshaken::new(&Head::Http2(head), requests.captures, sink);
                on.socket = Some(Box::new(Socket::new(requests, handshaken, *now)));
                self.open += 1;
                sink.roomier();
                Ok(())
            }
            Event::Data { stream, data, end } => {
                self.http2.release(stream, data.len());
                let Some(OnStream { socket: Some(socket), .. }) = find(&mut self.sockets, stream) else {
                    return Ok(());
                };
                let result = socket.receive(data, requests, *ids, *now, carried, sink);
                self.http2.want(stream);
                match result {
                    Ok(()) if !end => Ok(()),
                    Ok(()) => self.ended(stream, ended_early(), *now, sink),
                    Err(Closed { why, .. }) => self.ended(stream, why, *now, sink),
                }
            }
            Event::Trailers { stream } => self.ended(stream, ended_early(), *now, sink),
            Event::Reset { stream, code, by_peer } => {
                let failure = if by_peer {
                    Failure::new(Cause::RstStream(code.0), format!("the server reset the stream: {code}"))
                } else {
                    let rule = self.http2.broken_rule();
                    let message = format!("the server's reply broke the protocol: {code}: {rule}");
                    Failure::new(Cause::Protocol, message)
                };
                self.ended(stream, failure, *now, sink)
            }
            Event::Unprocessed { stream } => {
                let code = self.going_away.unwrap_or(Code::NO_ERROR);
                let failure = Failure::new(Cause::GoAway(code.0), format!("the server went away: {code}"));
                self.ended(stream, failure, *now, sink)
            }
            Event::GoAway { code, .. } => {
                self.going_away = Some(code);
                Ok(())
            }
            Event::Informational { .. }
            | Event::Settings
            | Event::Request { .. }
            | Event::Malformed { .. }
            | Event::Pong(_) => Ok(()),
        }
    }

    /// A WebSocket has ended, and so has what was in flight on it. Another takes its place, unless this one was of no use.
    fn ended(&mut self, key: Key, why: Failure, now: Nanos, sink: &mut impl Sink) -> Result<(), Closed> {
        let slot = self.sockets.get_mut(key.slot as usize);
        let Some(on) = slot.and_then(|slot| slot.take_if(|on| on.key == key)) else { return Ok(()) };
        self.count -= 1;
        let Some(mut socket) = on.socket else { return Err(Closed::by_server(why)) };
        self.open -= 1;
        self.is_used |= socket.is_used();
        let out = socket.output();
        if out.len() <= self.http2.data_room(key) {
            self.http2.data(key, Bytes::copy_from_slice(out), true);
        } else {
            self.http2.reset(key, Code::CANCEL);
        }
        for in_flight in socket.take_in_flight() {
            sink.ended(in_flight.ended(now, Outcome::Failed(&why)));
        }
        sink.roomier();
        if socket.is_used() || self.http2.is_going_away() { Ok(()) } else { Err(Closed::by_server(why)) }
    }

    fn broken(&self, error: &io::Error) -> Closed {
        match self.going_away {
            Some(code) if code != Code::NO_ERROR => self.closed(),
            _ => Closed::by_server(Failure::from_io(error)),
        }
    }

    /// Why the peer has closed the connection.
    fn closed(&self) -> Closed {
        Closed::by_server(match self.going_away {
            Some(code) if code != Code::NO_ERROR => {
                Failure::new(Cause::GoAway(code.0), format!("the server went away: {code}"))
            }
            _ => Failure::new(Cause::ClosedEarly, "the server closed the connection without a close frame"),
        })
    }
}

fn find(sockets: &mut [Option<OnStream>], key: Key) -> Option<&mut OnStream> {
    sockets.get_mut(key.slot as usize)?.as_mut().filter(|on| on.key == key)
}

fn ended_early() -> Failure {
    Failure::new(Cause::ClosedEarly, "the server ended the stream without a close frame")
}
