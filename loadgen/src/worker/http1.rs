//! HTTP/1.1 on one connection: one exchange after the other, two system calls for each.
//!
//! It knows nothing of other connections, nor of when a request is due.

use std::{
    fmt, io,
    task::{Context, Poll},
};

use http1::response::{self, Kind};
use transport::{Stream, segments};

use super::{
    behind::Behind,
    conduct::Conduct,
    connection::{
        Closed, Closer, Connection, ConnectionState, LONGEST_TURN, Limits, READS_IN_A_ROW, Shared, Sink,
    },
    exchange::Http1Exchange,
    other_protocol::instead_of_http1,
};
use crate::{
    clock::{Nanos, nanos},
    outcome::{Arrival, Cause, Failure, Head, InFlight, Outcome, Watch},
    plan::{
        Plan, Protocol, Request, Site, Target, Texts,
        rendering::{Http1Rendering, Http1Request},
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
    pub(super) all: Vec<PreparedHttp1>,
    pub(super) texts: Texts,
    /// Whom they are sent to.
    target: Target,
    /// What connections do that the usual ones don't.
    conduct: Option<Conduct>,
    /// Whether connections have several requests at the same time.
    pipelines: bool,
    head: response::ResponseHead,
}

/// What is the same each time a request is sent.
#[derive(Debug)]
pub(super) struct PreparedHttp1 {
    pub(super) request: Http1Request,
    kind: Kind,
    /// Whether it is retried though the server may have seen it.
    pub(super) resends: bool,
    /// What is looked at in its replies.
    watch: Option<Box<Watch>>,
    /// How long the body waits for the server to ask for it.
    pub(super) patience: Option<Nanos>,
    /// What differs.
    pub(super) rendering: Option<Rendering>,
}

#[derive(Debug)]
pub(super) struct Rendering {
    pub(super) template: Http1Rendering,
    /// The request in the plan, whose rows it takes values from.
    pub(super) of: Request,
}

impl PreparedHttp1 {
    fn of(request: &Request, plan: &Plan) -> Self {
        let rendering = request.http1_rendering();
        Self {
            request: request.http1(),
            kind: if request.method == http::Method::HEAD { Kind::Head } else { Kind::Usual },
            resends: plan.lifetime().retry.unseen(&request.method),
            watch: Watch::of(request.expectations(), plan.client().follow > 0),
            patience: request.upload().patience.map(nanos),
            rendering: rendering.map(|template| Rendering { template, of: request.clone() }),
        }
    }
}

/// Those of a plan, for a server of it.
impl From<(&Plan, &Site, Texts)> for Http1Requests {
    fn from((plan, site, texts): (&Plan, &Site, Texts)) -> Self {
        Self {
            target: site.target().clone(),
            all: (plan.requests().iter().enumerate())
                .map(|(index, request)| match std::ptr::eq(plan.site_of(index), site) {
                    true => PreparedHttp1::of(request, plan),
                    // Those of other servers are not sent here, or as a chain of redirects has them.
                    false => PreparedHttp1::of(&request.without_content(), plan),
                })
                .collect(),
            texts,
            conduct: Conduct::of(plan),
            pipelines: plan.load().within(Protocol::Http1).1.get() > 1,
            head: response::ResponseHead::default(),
        }
    }
}

impl Http1Requests {
    pub(super) fn of(&self, arrival: &Arrival) -> &PreparedHttp1 {
        &self.all[arrival.request as usize]
    }
}

/// A connection.
pub(super) struct Http1Connection {
    stream: Stream,
    reader: response::ResponseReader,
    /// Read and not taken in: the beginning of a head or of a line.
    rest: Vec<u8>,
    /// Whether the head of the current reply lets the connection go on.
    reusable: bool,
    /// Whether a whole exchange has gone well before.
    used: bool,
    exchange: Option<Http1Exchange>,
    /// Those behind it, where there may be any.
    behind: Option<Box<Behind>>,
    /// The request that is written, if it differs each time.
    rendered: Vec<u8>,
    /// It is to be closed when it is driven next.
    ending: Option<Closed>,
    /// What it does that the usual ones don't.
    conduct: Option<Box<Conduct>>,
}

impl fmt::Debug for Http1Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1Connection").field("used", &self.used).finish_non_exhaustive()
    }
}

impl Connection for Http1Connection {
    type Requests = Http1Requests;

    const AWAITED: &'static str = "no connection";

    fn new(stream: Stream, _now: Nanos, requests: &Http1Requests) -> Self {
        Self {
            stream,
            reader: response::ResponseReader::new(http1::Limits::default()),
            rest: Vec::new(),
            reusable: false,
            used: false,
            exchange: None,
            behind: requests.pipelines.then(Box::default),
            rendered: Vec::new(),
            ending: None,
            conduct: requests.conduct.clone().map(Box::new),
        }
    }

    fn room(&self, limits: &Limits) -> usize {
        match &self.behind {
            Some(_) if self.ending.is_none() => limits.streams.saturating_sub(self.in_flight()),
            _ => usize::from(self.exchange.is_none() && self.ending.is_none()),
        }
    }

    fn allowed(&self, limits: &Limits) -> usize {
        if self.behind.is_some() { limits.streams } else { 1 }
    }

    fn in_flight(&self) -> usize {
        usize::from(self.exchange.is_some()) + self.behind.as_ref().map_or(0, |behind| behind.len())
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
        let mut in_flight = InFlight::new(arrival, now);
        in_flight.watch(prepared.watch.as_deref());
        let exchange = Http1Exchange::new(in_flight);
        match &mut self.behind {
            Some(behind) if self.exchange.is_some() => behind.push(exchange),
            _ => {
                self.reader.expect(prepared.kind);
                self.exchange = Some(exchange);
            }
        }
        Ok(())
    }

    /// Reads before it writes: what has come until then can't be a reply to a request that has not left.
    fn drive(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<Http1Requests>,
        sink: &mut impl Sink,
    ) -> ConnectionState {
        if let Some(conduct) = &mut self.conduct {
            conduct.rates.begin();
        }
        let closed = self.ending.take().or_else(|| self.read(cx, shared, sink)).or_else(|| {
            let error = self.write(cx, shared).err()?;
            // A peer that has had enough may have replied before it closed: the reply is read all the same.
            self.read(cx, shared, sink).or_else(|| Some(self.lost(Some(&error), shared, sink)))
        });
        let Some(closed) = closed else { return ConnectionState::Going };
        if let Some(behind) = &mut self.behind {
            // What is said of a connection with its last reply holds for those behind it.
            let is_announced = self.used && !self.reusable && closed.by == Closer::Server;
            behind.give_back(is_announced, shared, sink);
        }
        ConnectionState::Gone(closed)
    }

    fn next_wake(&self, limits: &Limits) -> Option<Nanos> {
        Some(self.exchange.as_ref()?.in_flight.deadline(limits.timeout))
    }

    fn next_due(&self) -> Option<Nanos> {
        self.conduct.as_ref()?.next_due()
    }

    fn expire(&mut self, now: Nanos, limits: &Limits, sink: &mut impl Sink) -> bool {
        let is_late = |exchange: &mut Http1Exchange| exchange.in_flight.deadline(limits.timeout) <= now;
        let Some(mut late) = self.exchange.take_if(is_late) else { return false };
        sink.ended(late.in_flight.ended(now, Outcome::TimedOut));
        if let Some(behind) = &mut self.behind {
            behind.expire(now, limits.timeout, sink);
        }
        // Its reply would be taken for another's.
        self.used = true;
        self.ending = Some(Closed::by_loadgen(Failure::new(Cause::Timeout, "a request timed out")));
        true
    }

    fn into_in_flight(self) -> impl Iterator<Item = InFlight> {
        let behind = self.behind.into_iter().flat_map(|behind| behind.into_in_flight());
        self.exchange.into_iter().map(|exchange| exchange.in_flight).chain(behind)
    }
}

impl Http1Connection {
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
            let mut from = 0;
            while from < count {
                match self.take(from, count, shared, sink) {
                    Ok(taken) => from = taken,
                    Err(closed) => return Some(closed),
                }
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

    /// Takes in the first `count` bytes of the buffer behind the first `from`; up to where: to the end, or that of a reply
    /// behind which there is another.
    fn take(
        &mut self,
        from: usize,
        count: usize,
        shared: &mut Shared<Http1Requests>,
        sink: &mut impl Sink,
    ) -> Result<usize, Closed> {
        if !self.used
            && !self.reader.has_begun()
            && let Some(message) = instead_of_http1(&shared.buffer[from..count], &shared.requests.target)
        {
            return Err(Closed::by_loadgen(Failure::new(Cause::Protocol, message)));
        }
        // A server that speaks unasked can't be trusted to answer in order.
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.written > 0) else {
            return Err(self.unasked(sink));
        };
        // Those behind it have nothing to do with what is said of it.
        let is_sent = exchange.is_sent();
        let in_flight = &mut exchange.in_flight;
        let mut input = &shared.buffer[from..count];
        let head = &mut shared.requests.head;
        loop {
            let ended = match self.reader.read(&mut input, head) {
                Ok(None) => break,
                Ok(Some(http1::Event::Head { end })) => {
                    in_flight.head(&Head::Http1(head), shared.verified.as_mut(), |name| sink.instance(name));
                    if let Some(conduct) = self.conduct.as_mut().filter(|_| !is_sent) {
                        conduct.refused();
                    }
                    self.reusable = head.keep_alive && head.framing != response::ResponseFraming::UntilClose;
                    end
                }
                Ok(Some(http1::Event::Data(part))) => {
                    shared.carried.bodies += part.len() as u64;
                    in_flight.body(part).map_err(|long| Closed::by_loadgen(long.into()))?;
                    false
                }
                Ok(Some(http1::Event::Informational)) => {
                    if let Some(conduct) =
                        self.conduct.as_mut().filter(|_| head.status == CONTINUE && !is_sent)
                    {
                        conduct.asked();
                    }
                    in_flight.reply.informational(&Head::Http1(head));
                    false
                }
                Ok(Some(http1::Event::End)) => {
                    in_flight.reply.trailers(self.reader.trailers().iter());
                    true
                }
                Err(broken) => return Err(Closed::by_loadgen(Failure::new(Cause::Protocol, broken.0))),
            };
            if ended {
                let end = count - input.len();
                let has_next = self.behind.as_ref().is_some_and(|behind| behind.len() > 0);
                return match self.replied(end < count && !has_next, shared, sink) {
                    None => Ok(end),
                    Some(closed) => Err(closed),
                };
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(input);
        Ok(count)
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
        if self.rendered.capacity() > MAX_KEPT && self.behind.is_none() {
            self.rendered = Vec::new();
        }
        let Http1Exchange { in_flight, written, length, .. } = self.exchange.as_mut()?;
        let is_unread = *written < *length;
        sink.ended(in_flight.ended(shared.clock.now(), Outcome::Replied));
        self.exchange = None;
        if is_left {
            Some(self.unasked(sink))
        } else if !self.reusable {
            Some(Closed::by_server(closed_early()))
        } else if is_unread {
            let why = "the server replied before it had the whole request";
            Some(Closed::by_loadgen(Failure::new(Cause::ClosedEarly, why)))
        } else {
            if let Some(next) = self.behind.as_mut().and_then(|behind| behind.pop()) {
                self.reader.expect(shared.requests.of(&next.in_flight.arrival).kind);
                self.exchange = Some(next);
            }
            None
        }
    }

    /// Bytes have come that no request asked for; one that has not left goes another way.
    fn unasked(&mut self, sink: &mut impl Sink) -> Closed {
        if let Some(Http1Exchange { in_flight, .. }) = self.exchange.take() {
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
            Some(Http1Exchange { in_flight, written: 0, .. }) => sink.put_back(in_flight.arrival),
            Some(exchange) if untouched && shared.requests.of(&exchange.in_flight.arrival).resends => {
                match exchange.in_flight.resend(Arrival::MAX_RESENDS) {
                    Ok(arrival) => sink.resend(arrival),
                    Err(in_flight) => self.exchange = Some(Http1Exchange::new(in_flight)),
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
        let Some(exchange) = &mut self.exchange else { return Ok(()) };
        exchange.write(&mut self.stream, &mut self.rendered, self.conduct.as_deref_mut(), cx, shared)?;
        match &mut self.behind {
            Some(behind) if exchange.is_sent() => {
                behind.write(&mut self.stream, &mut self.rendered, self.conduct.as_deref_mut(), cx, shared)
            }
            _ => Ok(()),
        }
    }
}

fn closed_early() -> Failure {
    Failure::new(Cause::ClosedEarly, "the server closed the connection before the reply was complete")
}
