//! HTTP/1.1 on one connection: one exchange after the other, two system calls for each.
//!
//! It knows nothing of other connections, nor of when a request is due.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http1::response::{self, Kind};
use tokio::io::AsyncWrite as _;
use transport::{Stream, segments};

use super::{
    conduct::Conduct,
    connection::{Closed, Connection, LONGEST_TURN, Limits, Progress, READS_IN_A_ROW, Shared, Sink},
    other_protocol::instead_of_http1,
};
use crate::{
    clock::{Nanos, nanos},
    outcome::{Arrival, Cause, Failure, Head, InFlight, Outcome, expectation::Expectations},
    plan::{
        Plan, Protocol, Request, Retry, Target, Texts,
        request::{Http1Rendering, Http1Request},
    },
};

/// The status that asks for a body (RFC 9110 section 15.2.1).
const CONTINUE: u16 = 100;

/// A rendered request of which a connection keeps the room between two requests, in bytes.
const MAX_KEPT: usize = 64 << 10;

/// What is the same in all requests of a pool, and what is read of all replies.
#[derive(Debug)]
pub(super) struct Http1Requests {
    /// By their index in the plan.
    all: Vec<Prepared>,
    texts: Texts,
    /// The target as it would be written for HTTP/2.
    as_http2: String,
    /// What connections do that the usual ones don't.
    conduct: Option<Conduct>,
    head: response::Head,
}

/// What is the same each time a request is sent.
#[derive(Debug)]
struct Prepared {
    request: Http1Request,
    kind: Kind,
    /// Whether it is sent again though the server may have seen it.
    resends: bool,
    expectations: Option<Arc<Expectations>>,
    /// How long the body waits for the server to ask for it.
    patience: Option<Nanos>,
    /// What differs.
    rendering: Option<Rendering>,
}

#[derive(Debug)]
struct Rendering {
    template: Http1Rendering,
    /// The request in the plan, whose rows it takes values from.
    of: Request,
}

impl Prepared {
    fn of(request: &Request, retry: Retry) -> Self {
        let rendering = request.http1_rendering();
        Self {
            request: request.http1(),
            kind: if request.method == http::Method::HEAD { Kind::Head } else { Kind::Usual },
            resends: retry.unseen(&request.method),
            expectations: request.expectations(),
            patience: request.upload().patience.map(nanos),
            rendering: rendering.map(|template| Rendering { template, of: request.clone() }),
        }
    }
}

/// Those of a plan.
impl From<(&Plan, Texts)> for Http1Requests {
    fn from((plan, texts): (&Plan, Texts)) -> Self {
        Self {
            as_http2: Target { protocol: Protocol::Http2, ..plan.target().clone() }.to_string(),
            all: plan.requests().iter().map(|request| Prepared::of(request, plan.lifetime().retry)).collect(),
            texts,
            conduct: Conduct::of(plan),
            head: response::Head::default(),
        }
    }
}

impl Http1Requests {
    fn of(&self, arrival: &Arrival) -> &Prepared {
        &self.all[arrival.request as usize]
    }
}

/// A connection.
pub(super) struct Http1 {
    stream: Stream,
    reader: response::Reader,
    /// Read and not taken in: the beginning of a head or of a line.
    rest: Vec<u8>,
    /// Whether the head of the current reply lets the connection go on.
    reusable: bool,
    /// Whether a whole exchange has gone well before.
    used: bool,
    exchange: Option<Exchange>,
    /// The request, if it differs each time.
    rendered: Vec<u8>,
    /// It is to be closed when it is driven next.
    ending: Option<Closed>,
    /// What it does that the usual ones don't.
    conduct: Option<Box<Conduct>>,
}

/// A request in flight.
struct Exchange {
    in_flight: InFlight,
    /// What of the head could not be written immediately.
    head_left: Vec<u8>,
    /// How much of head and body together was written.
    written: usize,
    /// How long they are, and how long the head is, once writing has begun.
    length: usize,
    head_length: usize,
}

impl fmt::Debug for Http1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1").field("used", &self.used).finish_non_exhaustive()
    }
}

impl Connection for Http1 {
    type Requests = Http1Requests;

    const AWAITED: &'static str = "no connection";

    fn new(stream: Stream, _now: Nanos, requests: &Http1Requests) -> Self {
        Self {
            stream,
            reader: response::Reader::new(http1::Limits::default()),
            rest: Vec::new(),
            reusable: false,
            used: false,
            exchange: None,
            rendered: Vec::new(),
            ending: None,
            conduct: requests.conduct.clone().map(Box::new),
        }
    }

    fn room(&self, _limits: &Limits) -> usize {
        usize::from(self.exchange.is_none() && self.ending.is_none())
    }

    fn allowed(&self, _limits: &Limits) -> usize {
        1
    }

    fn in_flight(&self) -> usize {
        usize::from(self.exchange.is_some())
    }

    fn is_used(&self) -> bool {
        self.used || self.exchange.as_ref().is_some_and(|exchange| exchange.written > 0)
    }

    fn submit(
        &mut self,
        arrival: Arrival,
        now: Nanos,
        shared: &mut Shared<Http1Requests>,
    ) -> Result<(), Arrival> {
        if self.room(&shared.limits) == 0 {
            return Err(arrival);
        }
        let prepared = shared.requests.of(&arrival);
        self.reader.expect(prepared.kind);
        let in_flight = InFlight::new(arrival, now).expecting(prepared.expectations.as_ref());
        self.exchange =
            Some(Exchange { in_flight, head_left: Vec::new(), written: 0, length: 0, head_length: 0 });
        Ok(())
    }

    /// Reads before it writes: what has come until then is no reply to a request that has not left.
    fn drive(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<Http1Requests>,
        sink: &mut impl Sink,
    ) -> Progress {
        if let Some(conduct) = &mut self.conduct {
            conduct.rates.begin();
        }
        let closed = self.ending.take().or_else(|| self.read(cx, shared, sink)).or_else(|| {
            let error = self.write(cx, shared).err()?;
            // A peer that has had enough may have replied before it closed: the reply is read all the same.
            self.read(cx, shared, sink).or_else(|| Some(self.lost(Some(&error), shared, sink)))
        });
        closed.map_or(Progress::Going, Progress::Gone)
    }

    fn next_wake(&self, limits: &Limits) -> Option<Nanos> {
        Some(self.exchange.as_ref()?.in_flight.deadline(limits.timeout))
    }

    fn next_due(&self) -> Option<Nanos> {
        self.conduct.as_ref()?.next_due()
    }

    fn expire(&mut self, now: Nanos, limits: &Limits, sink: &mut impl Sink) -> bool {
        let is_late = |exchange: &mut Exchange| exchange.in_flight.deadline(limits.timeout) <= now;
        let Some(Exchange { in_flight, .. }) = self.exchange.take_if(is_late) else { return false };
        sink.ended(in_flight.ended(now, Outcome::TimedOut));
        // Its reply would be taken for another's.
        self.used = true;
        self.ending = Some(Closed::by_loadgen(Failure::new(Cause::Timeout, "a request timed out")));
        true
    }

    fn into_in_flight(self) -> impl Iterator<Item = InFlight> {
        self.exchange.into_iter().map(|exchange| exchange.in_flight)
    }
}

impl Http1 {
    /// Reads and takes in what has come. Some: that was the end.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<Http1Requests>,
        sink: &mut impl Sink,
    ) -> Option<Closed> {
        let mut began = None;
        for _ in 0..READS_IN_A_ROW {
            let most = match &mut self.conduct {
                None => shared.buffer.len(),
                Some(conduct) => {
                    let room = shared.buffer.len() - self.rest.len();
                    match conduct.rates.receivable(shared.clock.now(), room) {
                        0 if room > 0 => return None,
                        most => self.rest.len() + most,
                    }
                }
            };
            let count =
                match segments::poll_read(&mut self.stream, &self.rest, &mut shared.buffer[..most], cx) {
                    Poll::Pending => return None,
                    Poll::Ready(Err(error)) => return Some(self.lost(Some(&error), shared, sink)),
                    Poll::Ready(Ok(0)) => return Some(self.closed(shared, sink)),
                    Poll::Ready(Ok(count)) => {
                        shared.carried.received += count as u64;
                        if let Some(conduct) = &mut self.conduct {
                            conduct.rates.received(shared.clock.now(), count);
                        }
                        self.rest.len() + count
                    }
                };
            if let Some(closed) = self.take(count, shared, sink) {
                return Some(closed);
            }
            // Not after the only read of most turns.
            if count >= shared.buffer.len() {
                let now = shared.clock.now();
                if now.saturating_sub(*began.get_or_insert(now)) > LONGEST_TURN {
                    break;
                }
            }
        }
        shared.is_cut_short = true;
        cx.waker().wake_by_ref();
        None
    }

    /// Takes in the first `count` bytes of the buffer.
    fn take(
        &mut self,
        count: usize,
        shared: &mut Shared<Http1Requests>,
        sink: &mut impl Sink,
    ) -> Option<Closed> {
        if !self.used
            && !self.reader.has_begun()
            && let Some(message) = instead_of_http1(&shared.buffer[..count], &shared.requests.as_http2)
        {
            return Some(Closed::by_loadgen(Failure::new(Cause::Protocol, message)));
        }
        // A server that speaks unasked can't be trusted to answer in order.
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.written > 0) else {
            return Some(self.unasked(sink));
        };
        let reply = &mut exchange.in_flight.reply;
        let mut input = &shared.buffer[..count];
        let head = &mut shared.requests.head;
        loop {
            let ended = match self.reader.read(&mut input, head) {
                Ok(None) => break,
                Ok(Some(http1::Event::Head { end })) => {
                    reply.head(&Head::Http1(head), |name| sink.instance(name));
                    if let Some(conduct) = &mut self.conduct {
                        conduct.refused();
                    }
                    self.reusable = head.keep_alive && head.framing != response::Framing::UntilClose;
                    end
                }
                Ok(Some(http1::Event::Data(part))) => {
                    reply.body(part);
                    shared.carried.bodies += part.len() as u64;
                    false
                }
                Ok(Some(http1::Event::Informational)) => {
                    if let Some(conduct) = self.conduct.as_mut().filter(|_| head.status == CONTINUE) {
                        conduct.asked();
                    }
                    reply.informational(&Head::Http1(head));
                    false
                }
                Ok(Some(http1::Event::End)) => {
                    reply.trailers(self.reader.trailers().iter());
                    true
                }
                Err(broken) => return Some(Closed::by_loadgen(Failure::new(Cause::Protocol, broken.0))),
            };
            if ended {
                let is_left = !input.is_empty();
                return self.replied(is_left, shared, sink);
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(input);
        None
    }

    /// The reply is complete; `is_left`: more has come behind it.
    fn replied(
        &mut self,
        is_left: bool,
        shared: &Shared<Http1Requests>,
        sink: &mut impl Sink,
    ) -> Option<Closed> {
        self.used = true;
        self.rest.clear();
        if self.rendered.capacity() > MAX_KEPT {
            self.rendered = Vec::new();
        }
        let Exchange { in_flight, written, length, .. } = self.exchange.take()?;
        sink.ended(in_flight.ended(shared.clock.now(), Outcome::Replied));
        if is_left {
            Some(self.unasked(sink))
        } else if !self.reusable {
            Some(Closed::by_server(closed_early()))
        } else if written < length {
            let why = "the server replied before it had the whole request";
            Some(Closed::by_loadgen(Failure::new(Cause::ClosedEarly, why)))
        } else {
            None
        }
    }

    /// Bytes have come that no request asked for; one that has not left goes another way.
    fn unasked(&mut self, sink: &mut impl Sink) -> Closed {
        if let Some(Exchange { in_flight, .. }) = self.exchange.take() {
            sink.put_back(in_flight.arrival);
        }
        let message = "the server sent bytes that no request asked for";
        Closed::by_loadgen(Failure::new(Cause::Protocol, message))
    }

    fn closed(&mut self, shared: &Shared<Http1Requests>, sink: &mut impl Sink) -> Closed {
        if self.reader.close() == Ok(true) {
            self.reusable = false;
            return self.replied(false, shared, sink).unwrap_or_else(|| Closed::by_server(closed_early()));
        }
        self.lost(None, shared, sink)
    }

    /// The connection is gone. A request that met the end of a connection in use before, of which no reply was begun,
    /// was most likely not seen, and is resent if twice does no harm (RFC 9112 section 9.3.1).
    fn lost(
        &mut self,
        error: Option<&io::Error>,
        shared: &Shared<Http1Requests>,
        sink: &mut impl Sink,
    ) -> Closed {
        let untouched = self.used && !self.reader.has_begun() && self.rest.is_empty();
        match self.exchange.take() {
            Some(Exchange { in_flight, written: 0, .. }) => sink.put_back(in_flight.arrival),
            Some(exchange) if untouched && shared.requests.of(&exchange.in_flight.arrival).resends => {
                match exchange.in_flight.resend(Arrival::MAX_RESENDS) {
                    Ok(arrival) => sink.resend(arrival),
                    Err(in_flight) => self.exchange = Some(Exchange { in_flight, ..exchange }),
                }
            }
            exchange => self.exchange = exchange,
        }
        let message = "the server closed the connection as soon as it was open";
        Closed::by_server(match error {
            Some(error) => Failure::from_io(error),
            None if !self.is_used() => Failure::new(Cause::ClosedEarly, message),
            None => closed_early(),
        })
    }

    /// Writes what is left of the request, as far as the socket takes it.
    fn write(&mut self, cx: &mut Context<'_>, shared: &mut Shared<Http1Requests>) -> io::Result<()> {
        match &mut self.exchange {
            Some(exchange) => {
                let conduct = self.conduct.as_deref_mut();
                exchange.write(&mut self.stream, &mut self.rendered, conduct, cx, shared)
            }
            None => Ok(()),
        }
    }
}

fn closed_early() -> Failure {
    Failure::new(Cause::ClosedEarly, "the server closed the connection before the reply was complete")
}

impl Exchange {
    fn write(
        &mut self,
        stream: &mut Stream,
        rendered: &mut Vec<u8>,
        mut conduct: Option<&mut Conduct>,
        cx: &mut Context<'_>,
        shared: &mut Shared<Http1Requests>,
    ) -> io::Result<()> {
        let Http1Requests { all, texts, .. } = &mut shared.requests;
        let arrival = &self.in_flight.arrival;
        let Prepared { request, rendering, patience, .. } = &mut all[arrival.request as usize];
        let begins = self.written == 0;
        // What is the connection's own is still there when writing goes on; others have used the request since.
        let (first, tail, is_own): (&[u8], &[u8], bool) = match rendering {
            None => {
                if begins {
                    request.set_id(&arrival.id(shared.ids));
                    self.head_length = request.head().len();
                }
                (request.bytes(), &[], false)
            }
            Some(Rendering { template, of }) => {
                if begins {
                    let id = arrival.id(shared.ids);
                    self.head_length =
                        template.render(&texts.values(arrival, of.rows(), Some(&id)), rendered);
                }
                (rendered, template.tail(), true)
            }
        };
        let head_length = self.head_length;
        self.length = first.len() + tail.len();
        let mut end = self.length;
        if let Some(conduct) = &mut conduct {
            if begins {
                conduct.begin(*patience, shared.now);
            }
            end = if conduct.holds_back(shared.now) { head_length } else { end };
        }
        while self.written < end {
            let rest = match head_length.checked_sub(self.written) {
                Some(left @ 1..) if !begins && !is_own => &self.head_left[self.head_left.len() - left..],
                _ if self.written >= first.len() => &tail[self.written - first.len()..],
                _ => &first[self.written..first.len().min(end)],
            };
            let rest = match &mut conduct {
                None => rest,
                Some(conduct) => match conduct.rates.sendable(shared.clock.now(), rest.len()) {
                    0 => break,
                    most => &rest[..most],
                },
            };
            // Before it is given away: the server may see it before this call returns.
            let now = if self.written < head_length { shared.clock.now() } else { 0 };
            match Pin::new(&mut *stream).poll_write(cx, rest) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    shared.carried.sent += count as u64;
                    if let Some(conduct) = &mut conduct {
                        conduct.rates.sent(shared.clock.now(), count);
                    }
                    if self.written < head_length && self.written + count >= head_length {
                        self.in_flight.arrival.written.get_or_insert(now);
                    }
                    self.written += count;
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if begins && !is_own && self.written > 0 && self.written < head_length {
            self.head_left = first[self.written..head_length].to_vec();
        }
        Ok(())
    }
}
