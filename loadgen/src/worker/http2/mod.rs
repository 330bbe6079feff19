//! HTTP/2 by prior knowledge on one connection: waiting for the peer's SETTINGS, then many requests at a time
//! (RFC 9113), for all of which it reads and writes once.
//!
//! It knows nothing of other connections, nor of when a request is due.

mod calls;
mod gone_away;
mod proof;
mod rare;
mod replies;
mod requests;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    fmt, io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http2::{Key, Prepared};
use transport::{Stream, segments};
use wire::Fields;

use self::{
    calls::NextMessage,
    rare::{trailers, write_slowly, write_trailers},
    replies::{Replies, ReplyEvent, Rest},
    requests::{Http2Requests, PreparedHttp2},
};
pub(super) use self::{gone_away::GoneAway, rare::config};
use contract::id;

use super::{
    connection::{Closed, Connection, ConnectionState, LONGEST_TURN, Limits, READS_IN_A_ROW, Shared, Sink},
    other_protocol::instead_of_http2,
    rates::Rates,
};
use crate::{
    clock::{Nanos, nanos},
    outcome::{Arrival, Cause, Failure, InFlight, Outcome},
};

/// What is said of a server that allows no stream for the length of `--connect-timeout`.
const NO_STREAMS: &str = "the server allows no streams (SETTINGS_MAX_CONCURRENT_STREAMS 0)";

/// While so much output waits, no more of requests' bodies is added.
const MAX_OUTPUT: usize = 256 << 10;

/// A connection.
pub(super) struct Http2Connection {
    stream: Stream,
    http2: http2::Connection,
    replies: Replies,
    /// Those whose heads wait to be written, by where they end among all bytes that are written.
    unwritten: VecDeque<(u64, Key)>,
    /// Bytes that were written.
    written: u64,
    /// Calls whose next message is not due yet, and bodies that are held back, by when they are due.
    later: BinaryHeap<Reverse<(Nanos, u32, u32)>>,
    /// What is the same each time a request is sent, encoded, by its index.
    prepared: Vec<Prepared>,
    /// Read and not taken in: the beginning of a frame.
    rest: Vec<u8>,
    /// Whether the peer has ever allowed a stream.
    opened: bool,
    used: bool,
    /// Since when the peer has allowed no stream at all, with none in flight.
    shut_since: Option<Nanos>,
    /// Calls that end when it is driven next, as their messages are invalid.
    invalid: Vec<(InFlight, Box<Failure>)>,
    /// It is to be closed when it is driven next.
    ending: Option<Closed>,
    /// How fast it reads and writes, if it is slow.
    rates: Option<Box<Rates>>,
}

impl fmt::Debug for Http2Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Connection").field("opened", &self.opened).finish_non_exhaustive()
    }
}

impl Connection for Http2Connection {
    type Requests = Http2Requests;

    const AWAITED: &'static str = "no connection and SETTINGS";

    fn refusal(&self) -> Option<&'static str> {
        self.http2.is_settled().then_some(NO_STREAMS)
    }

    fn new(stream: Stream, _now: Nanos, requests: &Http2Requests) -> Self {
        Self {
            stream,
            http2: http2::Connection::new(&requests.config),
            replies: Replies::default(),
            unwritten: VecDeque::new(),
            written: 0,
            later: BinaryHeap::new(),
            prepared: Vec::new(),
            rest: Vec::new(),
            opened: false,
            used: false,
            shut_since: None,
            invalid: Vec::new(),
            ending: None,
            rates: requests.rates.clone(),
        }
    }

    #[inline]
    fn room(&self, limits: &Limits) -> usize {
        self.http2.room().min(limits.streams.saturating_sub(self.http2.open_streams()))
    }

    fn allowed(&self, limits: &Limits) -> usize {
        match self.http2.remote().max_concurrent_streams {
            _ if !self.http2.is_settled() => 0,
            Some(most) => limits.streams.min(most as usize),
            None => limits.streams,
        }
    }

    fn in_flight(&self) -> usize {
        self.replies.in_flight() + self.invalid.len()
    }

    fn is_used(&self) -> bool {
        self.used
    }

    fn submit(
        &mut self,
        arrival: Arrival,
        now: Nanos,
        shared: &mut Shared<Http2Requests>,
    ) -> Result<(), Arrival> {
        if self.room(&shared.limits) == 0 {
            return Err(arrival);
        }
        if arrival.chain > 0 && shared.following.is_some() {
            return self.submit_followed(arrival, now, shared);
        }
        let Shared { requests: Http2Requests { all, texts, value, bodies, calls, .. }, ids, .. } = shared;
        let index = arrival.request as usize;
        let PreparedHttp2 { fields, body, is_head, trailers, patience, watch, rendering, request } =
            &all[index];
        let begun = calls
            .as_mut()
            .map(|calls| calls.begin(&arrival, *ids, || texts.values(&arrival, request.rows(), None)));
        let (call, mut body) = match begun {
            None => (None, body.clone()),
            Some(Ok((call, message))) => (Some(call), message),
            Some(Err(invalid)) => {
                self.invalid.push((InFlight::new(arrival, now), invalid));
                return Ok(());
            }
        };
        let id_field = &request.id_field;
        let key = if let Some(rendering) = rendering {
            let id = arrival.id(*ids);
            let values = texts.values(&arrival, request.rows(), Some(&id));
            if call.is_none() {
                body = rendering.body(&values, bodies);
            }
            let values = rendering.values(&values, &body);
            let is_all = body.is_empty() && call.is_none() && trailers.is_none();
            self.http2.open(is_all, *is_head, |block| {
                for (name, template) in &rendering.fields {
                    match template.constant() {
                        Some(constant) => block.constant(name, constant),
                        None => {
                            value.clear();
                            template.render(&values, value);
                            block.varying(name, value);
                        }
                    }
                }
                if let Some(name) = id_field {
                    block.varying(name.as_str().as_bytes(), &id);
                }
            })
        } else {
            if self.prepared.len() <= index {
                self.prepared.resize_with(all.len(), Prepared::default);
            }
            let Self { http2, prepared, .. } = self;
            // A call has a message in any case, which is none of the request.
            http2.open(body.is_empty() && call.is_none() && trailers.is_none(), *is_head, |block| {
                block.prepared(&mut prepared[index], |block| {
                    for (name, value) in fields.iter() {
                        block.constant(name, value);
                    }
                    if let Some(name) = id_field {
                        block.begin_varying(name.as_str().as_bytes(), id::LENGTH);
                    }
                });
                if id_field.is_some() {
                    block.raw(&arrival.id(*ids));
                }
            })
        };
        let Some(key) = key else { return Err(arrival) };
        let rest = match (trailers.as_ref(), *patience) {
            (None, None) => None,
            upload => self.rest(key, body.is_empty() && call.is_none(), upload, now),
        };
        let request = self.replies.await_one(key, &arrival, now, watch.as_deref());
        (request.body, request.call, request.rest) = (body, call, rest);
        self.begin(key);
        Ok(())
    }

    fn drive(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<Http2Requests>,
        sink: &mut impl Sink,
    ) -> ConnectionState {
        if let Some(calls) = &mut shared.requests.calls {
            calls.count_from(shared.counted_from);
        }
        if !self.invalid.is_empty() {
            self.end_invalid(shared.now, sink);
        }
        if !self.later.is_empty() {
            self.add_due(shared);
        }
        if let Some(rates) = &mut self.rates {
            rates.begin();
        }
        let over = match self.ending.take() {
            Some(closed) => Err(closed),
            None => self.exchange(cx, shared, sink),
        };
        if let Some(calls) = &mut shared.requests.calls
            && let Some(notes) = calls.take_notes()
        {
            notes.for_each(|noted| sink.noted(noted));
        }
        if let Err(closed) = over {
            return ConnectionState::Gone(closed);
        }
        let is_idle = self.http2.open_streams() == 0;
        if self.http2.is_going_away() {
            return if is_idle { ConnectionState::Gone(self.closed()) } else { ConnectionState::Retiring };
        }
        let shut = is_idle && self.http2.is_settled() && self.http2.room() == 0;
        self.shut_since = shut.then(|| self.shut_since.unwrap_or(shared.now));
        self.opened |= self.allowed(&shared.limits) > 0;
        if self.opened { ConnectionState::Going } else { ConnectionState::Opening }
    }

    fn next_wake(&self, limits: &Limits) -> Option<Nanos> {
        let shut_until = self.shut_since.map(|since| since.saturating_add(limits.connect_timeout));
        let reply_until = self.replies.oldest().map(|oldest| oldest.saturating_add(limits.timeout));
        match (shut_until, reply_until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    fn next_due(&self) -> Option<Nanos> {
        let later = self.later.peek().map(|Reverse((due, ..))| *due);
        match &self.rates {
            None => later,
            Some(rates) => later.into_iter().chain(rates.next_due()).min(),
        }
    }

    /// Resets what has taken too long, so that the peer knows that nothing waits for it.
    fn expire(&mut self, now: Nanos, limits: &Limits, sink: &mut impl Sink) -> bool {
        let is_shut = |since: &mut Nanos| since.saturating_add(limits.connect_timeout) <= now;
        if self.shut_since.take_if(is_shut).is_some() {
            self.ending = Some(Closed::by_loadgen(Failure::new(Cause::ConnectTimeout, NO_STREAMS)));
            // The next one may be as shut as this.
            self.used = false;
            return true;
        }
        self.replies.expire(now, limits.timeout, &mut self.http2, sink)
    }

    fn into_in_flight(self) -> impl Iterator<Item = InFlight> {
        let invalid = self.invalid.into_iter().map(|(in_flight, _)| in_flight);
        self.replies.into_in_flight().chain(invalid)
    }
}

impl Http2Connection {
    /// Notes that the head of a request is to be written, and sends its body if that is not held back.
    #[inline]
    fn begin(&mut self, key: Key) {
        let is_ready = self.replies.awaited(key).is_some_and(|request| request.has_body());
        self.unwritten.push_back((self.written + self.http2.output.len() as u64, key));
        self.used = true;
        if is_ready {
            self.http2.want(key);
        }
    }

    /// What keeps the end of a request with trailers, or with a body that waits to be asked for, from being sent as usual.
    #[cold]
    fn rest(
        &mut self,
        key: Key,
        bodiless: bool,
        upload: (Option<&Arc<Fields>>, Option<Nanos>),
        now: Nanos,
    ) -> Option<Box<Rest>> {
        match upload {
            (trailers, Some(patience)) if trailers.is_some() || !bodiless => {
                self.later.push(Reverse((now.saturating_add(patience), key.slot, key.id)));
                Some(Box::new(Rest { trailers: trailers.cloned(), held_back: true }))
            }
            (Some(trailers), _) if bodiless => {
                write_trailers(&mut self.http2, key, trailers);
                None
            }
            (None, _) => None,
            (trailers, _) => Some(Box::new(Rest { trailers: trailers.cloned(), held_back: false })),
        }
    }

    /// Takes what follows a redirect, which is prepared for this one sending.
    #[cold]
    fn submit_followed(
        &mut self,
        arrival: Arrival,
        now: Nanos,
        shared: &mut Shared<Http2Requests>,
    ) -> Result<(), Arrival> {
        let Some(following) = shared.following.clone() else { return Err(arrival) };
        let Http2Requests { all, texts, bodies, .. } = &mut shared.requests;
        let (request, id) = following.request(&arrival);
        let values = texts.values(&arrival, request.rows(), Some(&id));
        let (fields, body) = request.rendered_http2(&values, bodies);
        let trailers = trailers(&request.upload().trailers);
        let is_head = request.method == http::Method::HEAD;
        let key = self.http2.open(body.is_empty() && trailers.is_none(), is_head, |block| {
            // No other request most likely has the same path.
            fields.iter().for_each(|(name, value)| match name {
                b":path" => block.varying(name, value),
                _ => block.constant(name, value),
            });
            if let Some(name) = &request.id_field {
                block.varying(name.as_str().as_bytes(), &id);
            }
        });
        let Some(key) = key else { return Err(arrival) };
        let watch = all[arrival.request as usize].watch.as_deref();
        let upload = (trailers.as_ref(), request.upload().patience.map(nanos));
        let rest = self.rest(key, body.is_empty(), upload, now);
        let request = self.replies.await_one(key, &arrival, now, watch);
        (request.body, request.rest) = (body, rest);
        self.begin(key);
        Ok(())
    }

    /// Writes and reads what there is. An error: that was the end.
    fn exchange(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<Http2Requests>,
        sink: &mut impl Sink,
    ) -> Result<(), Closed> {
        self.write(cx, shared)?;
        let began = shared.now;
        for _ in 0..READS_IN_A_ROW {
            match self.read(cx, shared, sink) {
                Poll::Pending => return self.write(cx, shared),
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

    /// Adds bodies for which there is room, and writes what the socket takes.
    fn write(&mut self, cx: &mut Context<'_>, shared: &mut Shared<Http2Requests>) -> Result<(), Closed> {
        loop {
            self.send_bodies(shared);
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
        shared: &mut Shared<Http2Requests>,
    ) -> Poll<io::Result<()>> {
        while !self.http2.output.is_empty() {
            // Before it is given away: the server may see it before this call returns.
            let now = if self.unwritten.is_empty() { 0 } else { shared.clock.now() };
            let output = &mut self.http2.output;
            let count = match &mut self.rates {
                None => ready!(segments::poll_write(&mut self.stream, output, usize::MAX, cx))?,
                Some(rates) => ready!(write_slowly(&mut self.stream, output, rates, shared.clock, cx))?,
            } as u64;
            shared.carried.sent += count;
            self.written += count;
            while let Some((_, key)) = self.unwritten.pop_front_if(|(end, _)| *end <= self.written) {
                if let Some(request) = self.replies.awaited(key) {
                    request.in_flight.arrival.written.get_or_insert(now);
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ends calls whose messages are not sent.
    #[cold]
    fn end_invalid(&mut self, now: Nanos, sink: &mut impl Sink) {
        for (mut in_flight, invalid) in self.invalid.drain(..) {
            sink.ended(in_flight.ended(now, Outcome::Failed(&invalid)));
        }
    }

    /// Gives calls their messages that are due now, and lets go of bodies that have waited for long enough.
    fn add_due(&mut self, shared: &Shared<Http2Requests>) {
        while let Some(&Reverse((due, slot, id))) = self.later.peek()
            && due <= shared.now
        {
            self.later.pop();
            let key = Key { slot, id };
            let Some(request) = self.replies.awaited(key) else { continue };
            if let (Some(call), Some(calls)) = (&request.call, &shared.requests.calls) {
                request.body = calls.next(call);
                self.http2.want(key);
            } else if request.send_body() {
                self.http2.want(key);
            }
        }
    }

    fn send_bodies(&mut self, shared: &mut Shared<Http2Requests>) {
        while self.http2.output.len() < MAX_OUTPUT {
            let Some(key) = self.http2.next_ready() else { return };
            let Some(request) = self.replies.awaited(key) else { continue };
            let room = self.http2.data_room(key).min(MAX_OUTPUT);
            let part = request.body.split_to(room.min(request.body.len()));
            let is_last = request.body.is_empty();
            if is_last
                && let Some(call) = &mut request.call
                && let Some(calls) = &mut shared.requests.calls
            {
                shared.carried.messages.0 += u64::from(calls.counts(&request.in_flight.arrival));
                let next = calls.sent(call, shared.now);
                self.http2.data(key, part, matches!(next, NextMessage::End));
                match next {
                    NextMessage::End | NextMessage::Wait => {}
                    NextMessage::Message(message) => {
                        request.body = message;
                        self.http2.want(key);
                    }
                    NextMessage::At(due) => self.later.push(Reverse((due, key.slot, key.id))),
                }
                continue;
            }
            if is_last && let Some(trailers) = request.rest.take().and_then(|rest| rest.trailers) {
                if !part.is_empty() {
                    self.http2.data(key, part, false);
                }
                write_trailers(&mut self.http2, key, &trailers);
                continue;
            }
            self.http2.data(key, part, is_last);
            if !is_last {
                self.http2.want(key);
            }
        }
    }

    /// Reads once and takes in what came.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<Http2Requests>,
        sink: &mut impl Sink,
    ) -> Poll<Result<(), Closed>> {
        let most = match &mut self.rates {
            None => shared.buffer.len(),
            Some(rates) => {
                let room = shared.buffer.len() - self.rest.len();
                match rates.receivable(shared.clock.now(), room) {
                    0 if room > 0 => return Poll::Pending,
                    most => self.rest.len() + most,
                }
            }
        };
        let buffer = &mut shared.buffer[..most];
        let count = match ready!(segments::poll_read(&mut self.stream, &self.rest, buffer, cx)) {
            Ok(0) => return Poll::Ready(Err(self.closed())),
            Ok(count) => {
                if let Some(rates) = &mut self.rates {
                    rates.received(shared.clock.now(), count);
                }
                count
            }
            Err(error) => return Poll::Ready(Err(self.broken(&error))),
        };
        shared.carried.received += count as u64;
        shared.now = shared.clock.now();
        let mut input = &shared.buffer[..self.rest.len() + count];
        // Nothing has been taken in before SETTINGS: what is here is what came first.
        if !self.http2.is_settled()
            && let Some(message) = instead_of_http2(input, &shared.requests.target)
        {
            return Poll::Ready(Err(Closed::by_loadgen(Failure::new(Cause::Protocol, message))));
        }
        let Http2Requests { head, calls, resends, .. } = &mut shared.requests;
        let resends = *resends;
        loop {
            match self.http2.receive(&mut input, head) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    if let http2::Event::Data { data, .. } = &event {
                        shared.carried.bodies += data.len() as u64;
                    }
                    let (carried, verified, at) = (&mut shared.carried, shared.verified.as_mut(), shared.now);
                    let incoming = ReplyEvent { head, calls, resends, verified, carried, at };
                    self.replies.take_in(&mut self.http2, event, incoming, sink);
                }
                Err(error) => {
                    // The peer is informed of what it did, as far as it still listens.
                    let _ = self.poll_write(cx, shared);
                    let failure = Failure::new(Cause::Protocol, error.to_string());
                    return Poll::Ready(Err(Closed::by_loadgen(failure)));
                }
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(input);
        Poll::Ready(Ok(()))
    }

    fn broken(&self, error: &io::Error) -> Closed {
        match self.replies.going_away() {
            Some(gone) if gone.is_error() => self.closed(),
            _ => Closed::by_server(Failure::from_io(error)),
        }
    }

    /// Why the peer has closed the connection.
    fn closed(&self) -> Closed {
        Closed::by_server(match self.replies.going_away() {
            Some(gone) if gone.is_error() => gone.failure(),
            _ => Failure::new(
                Cause::ClosedEarly,
                "the server closed the connection before the reply was complete",
            ),
        })
    }
}
