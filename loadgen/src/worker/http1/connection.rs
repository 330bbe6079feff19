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
    super::{
        connect::Connecting,
        engine::{Arrival, Ended, Head, Outcome, Sink},
        failure::{Cause, Failure},
    },
    Shared,
};
use crate::clock::Nanos;

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
    /// What the head of the current reply has said.
    facts: Facts,
    /// Whether a whole exchange has gone well before.
    used: bool,
    exchange: Option<Exchange>,
}

enum State {
    Connecting { connecting: Connecting, since: Nanos },
    Open(TcpStream),
}

#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    status: u16,
    instance: Option<u16>,
    reusable: bool,
}

/// A request at work.
struct Exchange {
    arrival: Arrival,
    submitted: Nanos,
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
        Self { state, reader, rest: Vec::new(), facts: Facts::default(), used: false, exchange: None }
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

    /// The request at work, if it was sent before `limit`.
    pub(super) fn sent_before(&self, limit: Nanos) -> Option<Arrival> {
        self.exchange.as_ref().filter(|exchange| exchange.submitted < limit).map(|exchange| exchange.arrival)
    }

    pub(super) fn into_arrival(self) -> Option<Arrival> {
        self.exchange.map(|exchange| exchange.arrival)
    }

    /// Writes the request, as far as the socket takes it. What goes wrong is seen again when driven.
    pub(super) fn submit(&mut self, arrival: Arrival, cx: &mut Context<'_>, shared: &mut Shared) {
        let submitted = shared.clock.now();
        self.reader.expect(shared.kind);
        shared.template.set_id(&shared.ids.of(arrival.number));
        let mut exchange = Exchange { arrival, submitted, head_left: Vec::new(), written: 0 };
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
        let Some(exchange) = &self.exchange else { return Event::Unasked };
        let all_written = exchange.written == shared.template.bytes().len();
        let mut input = &shared.buffer[..count];
        loop {
            let ended = match self.reader.read(&mut input, &mut shared.head) {
                Ok(None) => break,
                Ok(Some(http1::Event::Head { end })) => {
                    self.facts = facts(&shared.head, sink);
                    end
                }
                Ok(Some(http1::Event::Data(part))) => {
                    sink.body(part);
                    false
                }
                Ok(Some(http1::Event::Informational)) => false,
                Ok(Some(http1::Event::End)) => true,
                Err(broken) => return self.fail(&Failure::new(Cause::Protocol, broken.0), shared, sink),
            };
            if ended {
                self.rest.clear();
                self.replied(shared, sink);
                let reusable = self.facts.reusable && all_written;
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
        if let Some(Exchange { arrival, .. }) = self.exchange.take() {
            let Facts { status, instance, .. } = self.facts;
            let outcome = Outcome::Replied { status, instance };
            sink.ended(&Ended { arrival, at: shared.clock.now(), outcome });
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
        if let Some(exchange) = &self.exchange {
            let untouched = self.used && !self.reader.has_begun() && self.rest.is_empty();
            if untouched && shared.idempotent && exchange.arrival.resends < Arrival::MAX_RESENDS {
                let mut arrival = exchange.arrival;
                arrival.resends += 1;
                self.exchange = None;
                sink.again(arrival);
                return Event::Gone;
            }
        }
        let failure = match error {
            Some(error) => Failure::from_io(error),
            None => Failure::new(
                Cause::ClosedEarly,
                "the server closed the connection before the reply was complete",
            ),
        };
        self.fail(&failure, shared, sink)
    }

    fn fail(&mut self, failure: &Failure, shared: &Shared, sink: &mut impl Sink) -> Event {
        if let Some(Exchange { arrival, .. }) = self.exchange.take() {
            sink.ended(&Ended { arrival, at: shared.clock.now(), outcome: Outcome::Failed(failure) });
        }
        Event::Gone
    }
}

fn facts(head: &response::Head, sink: &mut impl Sink) -> Facts {
    sink.head(&Head::Http1(head));
    Facts {
        status: head.status,
        instance: head.fields.get(contract::field::INSTANCE).map(|name| sink.instance(name)),
        reusable: head.keep_alive && head.framing != response::Framing::UntilClose,
    }
}

impl Exchange {
    fn count(&mut self, bytes: usize, now: Nanos) {
        if bytes > 0 {
            self.arrival.written.get_or_insert(now);
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
