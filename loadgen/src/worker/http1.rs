//! HTTP/1.1 on one connection: one exchange after the other, two system calls for each.
//!
//! It knows nothing of other connections, nor of when a request is due.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use http1::response::{self, Kind};
use tokio::io::AsyncWrite as _;
use transport::{Stream, segments};

use super::{
    connection::{Closed, Connection, Limits, Progress, READS_IN_A_ROW, Shared, Sink},
    other_protocol::instead_of_http1,
};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Failure, Head, InFlight, Outcome},
    plan::{Plan, Protocol, Target, request::Template},
};

/// What is the same in all requests of a pool, and what is read of all replies.
#[derive(Debug)]
pub(super) struct Http1Requests {
    template: Template,
    kind: Kind,
    /// Whether it is sent again though the server may have seen it.
    resends: bool,
    /// The target as it would be written for HTTP/2.
    as_http2: String,
    head: response::Head,
}

impl From<&Plan> for Http1Requests {
    fn from(plan: &Plan) -> Self {
        let request = plan.request();
        Self {
            as_http2: Target { protocol: Protocol::Http2, ..plan.target().clone() }.to_string(),
            template: request.http1(),
            kind: if request.method == http::Method::HEAD { Kind::Head } else { Kind::Usual },
            resends: plan.lifetime().retry.unseen(&request.method),
            head: response::Head::default(),
        }
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
    /// It is to be closed when it is driven next.
    ending: Option<Closed>,
}

/// A request in flight.
struct Exchange {
    in_flight: InFlight,
    /// What of the head could not be written immediately.
    head_left: Vec<u8>,
    /// How much of head and body together was written.
    written: usize,
}

impl fmt::Debug for Http1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1").field("used", &self.used).finish_non_exhaustive()
    }
}

impl Connection for Http1 {
    type Requests = Http1Requests;

    const AWAITED: &'static str = "no connection";

    fn new(stream: Stream, _now: Nanos) -> Self {
        Self {
            stream,
            reader: response::Reader::new(http1::Limits::default()),
            rest: Vec::new(),
            reusable: false,
            used: false,
            exchange: None,
            ending: None,
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
        self.reader.expect(shared.requests.kind);
        let in_flight = InFlight::new(arrival, now);
        self.exchange = Some(Exchange { in_flight, head_left: Vec::new(), written: 0 });
        Ok(())
    }

    /// Reads before it writes: what has come until then is no reply to a request that has not left.
    fn drive(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<Http1Requests>,
        sink: &mut impl Sink,
    ) -> Progress {
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
        for _ in 0..READS_IN_A_ROW {
            let count = match segments::poll_read(&mut self.stream, &self.rest, &mut shared.buffer, cx) {
                Poll::Pending => return None,
                Poll::Ready(Err(error)) => return Some(self.lost(Some(&error), shared, sink)),
                Poll::Ready(Ok(0)) => return Some(self.closed(shared, sink)),
                Poll::Ready(Ok(count)) => {
                    shared.carried.received += count as u64;
                    self.rest.len() + count
                }
            };
            if let Some(closed) = self.take(count, shared, sink) {
                return Some(closed);
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
                    self.reusable = head.keep_alive && head.framing != response::Framing::UntilClose;
                    end
                }
                Ok(Some(http1::Event::Data(part))) => {
                    reply.body(part);
                    shared.carried.bodies += part.len() as u64;
                    false
                }
                Ok(Some(http1::Event::Informational)) => {
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
        let Exchange { in_flight, written, .. } = self.exchange.take()?;
        sink.ended(in_flight.ended(shared.clock.now(), Outcome::Replied));
        if is_left {
            Some(self.unasked(sink))
        } else if !self.reusable {
            Some(Closed::by_server(closed_early()))
        } else if written < shared.requests.template.bytes().len() {
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
            Some(exchange) if untouched && shared.requests.resends => {
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
            Some(exchange) => exchange.write(&mut self.stream, cx, shared),
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
        cx: &mut Context<'_>,
        shared: &mut Shared<Http1Requests>,
    ) -> io::Result<()> {
        let template = &mut shared.requests.template;
        let begins = self.written == 0;
        if begins {
            template.set_id(&self.in_flight.arrival.id(shared.ids));
        }
        let (head, all) = (template.head(), template.bytes());
        while self.written < all.len() {
            let rest = match head.len().checked_sub(self.written) {
                // Others have used the template since.
                Some(left @ 1..) if !begins => &self.head_left[self.head_left.len() - left..],
                _ => &all[self.written..],
            };
            // Before it is given away: the server may see it before this call returns.
            let now = if self.written < head.len() { shared.clock.now() } else { 0 };
            match Pin::new(&mut *stream).poll_write(cx, rest) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    shared.carried.sent += count as u64;
                    if self.written < head.len() && self.written + count >= head.len() {
                        self.in_flight.arrival.written.get_or_insert(now);
                    }
                    self.written += count;
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if begins && self.written > 0 && self.written < head.len() {
            self.head_left = head[self.written..].to_vec();
        }
        Ok(())
    }
}
