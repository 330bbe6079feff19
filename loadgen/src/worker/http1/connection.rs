//! One connection: connecting, then one exchange after the other.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use http1::response;
use tokio::{io::AsyncWrite as _, net::TcpStream};
use transport::segments;

use super::{
    super::{connect::Connecting, engine::Sink},
    Shared,
};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Failure, Head, InFlight, Outcome},
};

/// How often a connection is read from before others have their turn.
const READS_IN_A_ROW: usize = 16;

/// What a connection has come to.
#[derive(Debug)]
pub(super) enum Event {
    /// Nothing that matters outside.
    Waiting,
    /// Ready for a request.
    Idle,
    /// It could not be opened.
    Unconnected(Failure),
    /// It is closed, for bytes that no request asked for.
    Unasked,
    /// It is closed.
    Gone,
}

pub(super) struct Connection {
    state: State,
    reader: response::Reader,
    /// Read and not taken in: the beginning of a head or of a line.
    rest: Vec<u8>,
    /// Whether the head of the current reply lets the connection go on.
    reusable: bool,
    /// Whether a whole exchange has gone well before.
    used: bool,
    exchange: Option<Exchange>,
}

enum State {
    Connecting { connecting: Connecting, since: Nanos },
    Open(TcpStream),
}

/// A request at work.
struct Exchange {
    in_flight: InFlight,
    /// What of the head could not be written at once.
    head_left: Vec<u8>,
    /// How much of head and body together was written.
    written: usize,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("connecting", &self.is_connecting()).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn connecting(connecting: Connecting, since: Nanos) -> Self {
        let state = State::Connecting { connecting, since };
        let reader = response::Reader::new(http1::Limits::default());
        Self { state, reader, rest: Vec::new(), reusable: false, used: false, exchange: None }
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting { .. })
    }

    pub(super) fn is_connecting_since(&self, limit: Nanos) -> bool {
        matches!(self.state, State::Connecting { since, .. } if since < limit)
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.is_connecting() && self.exchange.is_none()
    }

    /// Takes the request at work, if it was sent before `limit`.
    pub(super) fn take_sent_before(&mut self, limit: Nanos) -> Option<InFlight> {
        Some(self.exchange.take_if(|exchange| exchange.in_flight.submitted < limit)?.in_flight)
    }

    pub(super) fn into_in_flight(self) -> Option<InFlight> {
        Some(self.exchange?.in_flight)
    }

    /// Writes the request, as far as the socket takes it. What goes wrong is seen again when driven.
    pub(super) fn submit(&mut self, arrival: Arrival, cx: &mut Context<'_>, shared: &mut Shared) {
        let submitted = shared.clock.now();
        self.reader.expect(shared.kind);
        shared.template.set_id(&shared.ids.of(arrival.number));
        let in_flight = InFlight::new(arrival, submitted);
        let mut exchange = Exchange { in_flight, head_left: Vec::new(), written: 0 };
        if let State::Open(stream) = &mut self.state
            && let Poll::Ready(Ok(count)) = Pin::new(stream).poll_write(cx, shared.template.bytes())
        {
            exchange.count(count, submitted);
        }
        let head = shared.template.head();
        if exchange.written < head.len() {
            exchange.head_left = head[exchange.written..].to_vec();
        }
        self.exchange = Some(exchange);
    }

    pub(super) fn drive(&mut self, cx: &mut Context<'_>, shared: &mut Shared, sink: &mut impl Sink) -> Event {
        let opened = match &mut self.state {
            State::Open(_) => false,
            State::Connecting { connecting, .. } => match connecting.as_mut().poll(cx) {
                Poll::Pending => return Event::Waiting,
                Poll::Ready(Err(error)) => return Event::Unconnected(Failure::from_io(&error)),
                Poll::Ready(Ok(stream)) => {
                    self.state = State::Open(stream);
                    true
                }
            },
        };
        let State::Open(stream) = &mut self.state else { return Event::Waiting };
        let write_error = match &mut self.exchange {
            Some(exchange) => exchange.write(stream, cx, shared).err(),
            None => None,
        };
        // A peer that has had enough may have replied before it closed: the reply is read all the same.
        match self.read(cx, shared, sink) {
            Event::Waiting if write_error.is_some() => self.lost(write_error.as_ref(), shared, sink),
            Event::Waiting if opened => Event::Idle,
            event => event,
        }
    }

    fn read(&mut self, cx: &mut Context<'_>, shared: &mut Shared, sink: &mut impl Sink) -> Event {
        let mut event = Event::Waiting;
        for _ in 0..READS_IN_A_ROW {
            let State::Open(stream) = &mut self.state else { return event };
            let count = match segments::poll_read(stream, &self.rest, &mut shared.buffer, cx) {
                Poll::Pending => return event,
                Poll::Ready(Err(error)) => return self.lost(Some(&error), shared, sink),
                Poll::Ready(Ok(0)) => return self.closed(shared, sink),
                Poll::Ready(Ok(count)) => self.rest.len() + count,
            };
            match self.take(count, shared, sink) {
                Event::Waiting => {}
                Event::Idle => event = Event::Idle,
                gone => return gone,
            }
        }
        cx.waker().wake_by_ref();
        event
    }

    /// Takes in the first `count` bytes of the buffer.
    fn take(&mut self, count: usize, shared: &mut Shared, sink: &mut impl Sink) -> Event {
        // A server that speaks unasked can't be trusted to answer in order.
        let Some(exchange) = &mut self.exchange else { return Event::Unasked };
        let reply = &mut exchange.in_flight.reply;
        let all_written = exchange.written == shared.template.bytes().len();
        let mut input = &shared.buffer[..count];
        loop {
            let ended = match self.reader.read(&mut input, &mut shared.head) {
                Ok(None) => break,
                Ok(Some(http1::Event::Head { end })) => {
                    let head = &shared.head;
                    reply.head(&Head::Http1(head), |name| sink.instance(name));
                    self.reusable = head.keep_alive && head.framing != response::Framing::UntilClose;
                    end
                }
                Ok(Some(http1::Event::Data(part))) => {
                    reply.body(part);
                    shared.received += part.len() as u64;
                    false
                }
                Ok(Some(http1::Event::Informational)) => {
                    reply.informational(&Head::Http1(&shared.head));
                    false
                }
                Ok(Some(http1::Event::End)) => {
                    reply.trailers(self.reader.trailers().iter());
                    true
                }
                Err(broken) => return self.fail(&Failure::new(Cause::Protocol, broken.0), shared, sink),
            };
            if ended {
                self.rest.clear();
                self.replied(shared, sink);
                let reusable = self.reusable && all_written;
                return match input {
                    [] if reusable => Event::Idle,
                    [] => Event::Gone,
                    _ => Event::Unasked,
                };
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(input);
        Event::Waiting
    }

    fn replied(&mut self, shared: &Shared, sink: &mut impl Sink) {
        self.used = true;
        if let Some(Exchange { in_flight, .. }) = self.exchange.take() {
            sink.ended(in_flight.ended(shared.clock.now(), Outcome::Replied));
        }
    }

    fn closed(&mut self, shared: &Shared, sink: &mut impl Sink) -> Event {
        if self.reader.close() == Ok(true) {
            self.replied(shared, sink);
            return Event::Gone;
        }
        self.lost(None, shared, sink)
    }

    /// The connection is gone. A request that met the end of a connection in use before, of which no reply
    /// was begun, was most likely not seen, and is sent again if twice does no harm (RFC 9112 section 9.3.1).
    fn lost(&mut self, error: Option<&io::Error>, shared: &Shared, sink: &mut impl Sink) -> Event {
        let untouched = self.used && !self.reader.has_begun() && self.rest.is_empty();
        if untouched
            && shared.idempotent
            && let Some(Exchange { in_flight, .. }) = self.exchange.take()
        {
            match in_flight.resend(Arrival::MAX_RESENDS) {
                Ok(arrival) => {
                    sink.again(arrival);
                    return Event::Gone;
                }
                Err(in_flight) => return fail(in_flight, &failure(error), shared, sink),
            }
        }
        self.fail(&failure(error), shared, sink)
    }

    fn fail(&mut self, failure: &Failure, shared: &Shared, sink: &mut impl Sink) -> Event {
        match self.exchange.take() {
            Some(Exchange { in_flight, .. }) => fail(in_flight, failure, shared, sink),
            None => Event::Gone,
        }
    }
}

fn fail(in_flight: InFlight, failure: &Failure, shared: &Shared, sink: &mut impl Sink) -> Event {
    sink.ended(in_flight.ended(shared.clock.now(), Outcome::Failed(failure)));
    Event::Gone
}

/// What the end of a connection means for the request on it.
fn failure(error: Option<&io::Error>) -> Failure {
    match error {
        Some(error) => Failure::from_io(error),
        None => {
            Failure::new(Cause::ClosedEarly, "the server closed the connection before the reply was complete")
        }
    }
}

impl Exchange {
    fn count(&mut self, bytes: usize, now: Nanos) {
        if bytes > 0 {
            self.in_flight.arrival.written.get_or_insert(now);
            self.written += bytes;
        }
    }

    /// Writes what is left, as far as the socket takes it.
    fn write(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>, shared: &Shared) -> io::Result<()> {
        let (head, all) = (shared.template.head().len(), shared.template.bytes());
        while self.written < all.len() {
            let rest = match head.checked_sub(self.written) {
                Some(left @ 1..) => &self.head_left[self.head_left.len() - left..],
                _ => &all[self.written..],
            };
            match Pin::new(&mut *stream).poll_write(cx, rest) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(count)) => self.count(count, shared.clock.now()),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }
}
