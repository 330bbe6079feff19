//! Requests on their streams, and what happens to them: a reply, a failure, or another attempt.

use std::sync::Arc;

use bytes::Bytes;
use http2::{Code, Event, Key};
use wire::Fields;

use super::{
    super::connection::Sink,
    calls::{CallTable, MessageTime, OnCall},
    gone_away::GoneAway,
};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Failure, Head, InFlight, Outcome, TokenCheck, TokenEcho, Watch},
    recorder::Carried,
};

/// The status that asks for a body (RFC 9110 section 15.2.1).
const CONTINUE: u16 = 100;

/// A request on its stream, in a place that is used again: it is never moved, as most of what is done with it takes less time.
#[derive(Debug)]
pub(super) struct RequestStream {
    pub(super) key: Key,
    pub(super) in_flight: InFlight,
    /// What is left of the request's body; of a call's message.
    pub(super) body: Bytes,
    /// The gRPC call that it is.
    pub(super) call: Option<Box<OnCall>>,
    /// What keeps its end from being sent as usual, as long as it does.
    pub(super) rest: Option<Box<Rest>>,
}

/// What few requests have.
#[derive(Debug)]
pub(super) struct Rest {
    /// What comes behind the body.
    pub(super) trailers: Option<Arc<Fields>>,
    /// The body is held back until the server asks for it, or is not sent because the server has answered without it.
    pub(super) held_back: bool,
}

/// No stream's.
const NONE: Key = Key { slot: 0, id: 0 };

impl RequestStream {
    /// A place that is free.
    fn free() -> Self {
        let in_flight = InFlight::new(Arrival::new(0, 0, 0), 0);
        Self { key: NONE, in_flight, body: Bytes::new(), call: None, rest: None }
    }

    /// Whether it is one.
    fn is_free(&self) -> bool {
        self.key == NONE
    }

    /// From now on.
    #[inline]
    fn let_go(&mut self) {
        self.key = NONE;
        self.in_flight.let_go();
        self.body = Bytes::new();
        (self.call, self.rest) = (None, None);
    }

    /// Whether there is a body to send, and it is not held back.
    #[inline]
    pub(super) fn has_body(&self) -> bool {
        let bodiless = self.body.is_empty() && self.call.is_none();
        !bodiless && self.rest.as_ref().is_none_or(|rest| !rest.held_back)
    }

    /// The body is sent from now on, unless it was all along, or the server has answered. True: there is something to send.
    pub(super) fn send_body(&mut self) -> bool {
        let Some(rest) = self.rest.as_mut().filter(|rest| rest.held_back) else { return false };
        if self.in_flight.reply.status != 0 {
            return false;
        }
        rest.held_back = false;
        if rest.trailers.is_none() {
            self.rest = None;
        }
        true
    }
}

/// What an event is taken in with.
#[derive(Debug)]
pub(super) struct ReplyEvent<'a> {
    /// The fields that came with it.
    pub(super) head: &'a http2::Head,
    /// What is the same in all gRPC calls, if requests are such.
    pub(super) calls: &'a mut Option<CallTable>,
    /// Whether what the server has not processed is retried.
    pub(super) resends: bool,
    /// What checks tokens in replies, in a verified run.
    pub(super) verified: Option<&'a mut TokenCheck>,
    /// What has not been handed to the sink.
    pub(super) carried: &'a mut Carried,
    /// When it came.
    pub(super) at: Nanos,
}

/// The requests of a connection that wait for their replies.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// By the slot of a stream's key.
    requests: Vec<RequestStream>,
    /// When the oldest was submitted, or one before that has ended since it was last looked for.
    oldest: Option<Nanos>,
    /// What the peer said when it went away.
    going_away: Option<Box<GoneAway>>,
}

impl Replies {
    /// One more, in whose replies this is looked at.
    #[inline]
    pub(super) fn await_one(
        &mut self,
        key: Key,
        arrival: &Arrival,
        submitted: Nanos,
        watch: Option<&Watch>,
    ) -> &mut RequestStream {
        let slot = key.slot as usize;
        if self.requests.len() <= slot {
            self.requests.resize_with(slot + 1, RequestStream::free);
        }
        let request = &mut self.requests[slot];
        request.key = key;
        request.in_flight.replace(arrival, submitted);
        request.in_flight.watch(watch);
        let submitted = request.in_flight.submitted;
        self.oldest = Some(self.oldest.map_or(submitted, |oldest| oldest.min(submitted)));
        request
    }

    /// The one on a stream.
    #[inline]
    pub(super) fn awaited(&mut self, key: Key) -> Option<&mut RequestStream> {
        self.requests.get_mut(key.slot as usize).filter(|request| request.key == key)
    }

    /// How many there are.
    pub(super) fn in_flight(&self) -> usize {
        self.open().count()
    }

    fn open(&self) -> impl Iterator<Item = &RequestStream> {
        self.requests.iter().filter(|request| !request.is_free())
    }

    /// What the peer said when it went away.
    pub(super) fn going_away(&self) -> Option<&GoneAway> {
        self.going_away.as_deref()
    }

    /// None of them was submitted before.
    pub(super) fn oldest(&self) -> Option<Nanos> {
        self.oldest
    }

    /// Ends those that have taken longer than `timeout`: the stream is reset, so that the peer knows that nothing waits for it. True: there
    /// were some.
    pub(super) fn expire(
        &mut self,
        now: Nanos,
        timeout: Nanos,
        http2: &mut http2::Connection,
        sink: &mut impl Sink,
    ) -> bool {
        let mut any = false;
        for request in self.requests.iter_mut().filter(|request| !request.is_free()) {
            if request.in_flight.deadline(timeout) <= now {
                http2.reset(request.key, Code::CANCEL);
                sink.ended(request.in_flight.ended(now, Outcome::TimedOut));
                request.let_go();
                any = true;
            }
        }
        self.oldest = self.open().map(|request| request.in_flight.submitted).min();
        any
    }

    /// Those that have come to no end.
    pub(super) fn into_in_flight(self) -> impl Iterator<Item = InFlight> {
        self.requests.into_iter().filter(|request| !request.is_free()).map(|request| request.in_flight)
    }

    /// Takes in what happened on the connection.
    #[inline]
    pub(super) fn take_in(
        &mut self,
        http2: &mut http2::Connection,
        event: Event<'_>,
        incoming: ReplyEvent<'_>,
        sink: &mut impl Sink,
    ) {
        let ReplyEvent { head, calls, resends, verified, carried, at } = incoming;
        match event {
            Event::Response { stream, end } => {
                let Some(request) = self.awaited(stream) else { return };
                request.in_flight.head(&Head::Http2(head), verified, |name| sink.instance(name));
                if let Some(call) = &mut request.call {
                    call.head(head, end);
                }
                if end {
                    self.replied(stream, http2, calls, at, sink);
                }
            }
            Event::Data { stream, data, end } => {
                http2.release(stream, data.len());
                let Some(request) = self.awaited(stream) else { return };
                if let Err(long) = request.in_flight.body(data) {
                    return self.fail(stream, &long.into(), http2, at, sink);
                }
                if let Some(calls) = calls {
                    let is_counted = calls.counts(&request.in_flight.arrival);
                    match messages(request, data, calls, http2, at, sink) {
                        Ok(messages) => carried.messages.1 += if is_counted { messages } else { 0 },
                        Err(failure) => {
                            request.in_flight.reply.note_undecodable();
                            return self.fail(stream, &failure, http2, at, sink);
                        }
                    }
                }
                if end {
                    self.replied(stream, http2, calls, at, sink);
                }
            }
            Event::Trailers { stream } => {
                let Some(request) = self.awaited(stream) else { return };
                request.in_flight.reply.trailers(head.regular());
                if let Some(call) = &mut request.call {
                    call.status(head.regular());
                }
                self.replied(stream, http2, calls, at, sink);
            }
            Event::Informational { stream } => {
                let Some(request) = self.awaited(stream) else { return };
                request.in_flight.reply.informational(&Head::Http2(head));
                if request.rest.is_some() && head.status() == CONTINUE && request.send_body() {
                    http2.want(stream);
                }
            }
            Event::Reset { stream, code, by_peer } => {
                if let Some(mut request) = self.take(stream) {
                    if by_peer
                        && code == Code::CANCEL
                        && let (Some(calls), Some(call)) = (calls, &request.call)
                        && let Some(end) = calls.cancelled(call, request.in_flight.submitted, at)
                    {
                        request.in_flight.reply.call_ended(end);
                        return sink.ended(request.in_flight.ended(at, Outcome::Replied));
                    }
                    let most = if resends { Arrival::MAX_RESENDS } else { 0 };
                    reset(request.in_flight, most, code, (!by_peer).then(|| http2.broken_rule()), at, sink);
                }
            }
            Event::Unprocessed { stream } => {
                if let Some(request) = self.take(stream) {
                    let most = if resends { Arrival::MAX_SENT_AWAY } else { 0 };
                    let gone = self.going_away.get_or_insert_default();
                    unprocessed(request.in_flight, most, gone, at, sink);
                }
            }
            Event::GoAway { code, debug, .. } => {
                self.going_away = Some(Box::new(GoneAway::new(code, debug)));
            }
            Event::Settings | Event::Request { .. } | Event::Malformed { .. } | Event::Pong(_) => {}
        }
    }

    fn take(&mut self, key: Key) -> Option<RequestStream> {
        Some(std::mem::replace(self.awaited(key)?, RequestStream::free()))
    }

    #[inline]
    fn replied(
        &mut self,
        key: Key,
        http2: &mut http2::Connection,
        calls: &mut Option<CallTable>,
        at: Nanos,
        sink: &mut impl Sink,
    ) {
        let Some(request) = self.awaited(key) else { return };
        let mut is_unsent = !request.body.is_empty() || request.rest.is_some();
        let mut failure = None;
        if let (Some(call), Some(calls)) = (request.call.take(), calls) {
            is_unsent |= !call.is_sent();
            let reply = &request.in_flight.reply;
            match calls.end(call, reply.status, || matches!(reply.token, TokenEcho::Own { .. })) {
                Ok(Some(end)) => request.in_flight.reply.call_ended(end),
                Ok(None) => {}
                Err(why) => {
                    if why.is_changed {
                        request.in_flight.reply.note_undecodable();
                    }
                    failure = Some(Failure::from(why));
                }
            }
        }
        if is_unsent {
            // The server has answered before it read everything: it will not.
            http2.reset(request.key, Code::CANCEL);
        }
        let outcome = failure.as_ref().map_or(Outcome::Replied, Outcome::Failed);
        sink.ended(request.in_flight.ended(at, outcome));
        request.let_go();
    }

    /// Ends a request whose reply is read no further.
    #[cold]
    fn fail(
        &mut self,
        key: Key,
        failure: &Failure,
        http2: &mut http2::Connection,
        at: Nanos,
        sink: &mut impl Sink,
    ) {
        let Some(mut request) = self.take(key) else { return };
        http2.reset(request.key, Code::CANCEL);
        sink.ended(request.in_flight.ended(at, Outcome::Failed(failure)));
    }
}

/// More of a call's reply has come: how many messages it completes.
#[inline]
fn messages(
    request: &mut RequestStream,
    data: &[u8],
    calls: &mut CallTable,
    http2: &mut http2::Connection,
    at: Nanos,
    sink: &mut impl Sink,
) -> Result<u64, Failure> {
    let Some(call) = &mut request.call else { return Ok(0) };
    let (due, is_sending) = (request.in_flight.arrival.due, !request.body.is_empty());
    let (messages, next) = calls.body(call, is_sending, data, at, |time| match time {
        MessageTime::First(time) => sink.first_message(due, time),
        MessageTime::Message(time) => sink.message(due, time),
    })?;
    if let Some(next) = next {
        request.body = next;
        http2.want(request.key);
    }
    Ok(messages)
}

/// A stream was reset by the server, or by this end for the `rule` that the server broke. One that was refused was not
/// processed, so that any method is safe to retry, at most `most` times (RFC 9113 section 8.7).
fn reset(mut in_flight: InFlight, most: u8, code: Code, rule: Option<&str>, at: Nanos, sink: &mut impl Sink) {
    if rule.is_none() && code == Code::REFUSED_STREAM && in_flight.reply.status == 0 {
        in_flight = match in_flight.resend(most) {
            Ok(arrival) => return sink.resend(arrival),
            Err(in_flight) => in_flight,
        };
        in_flight.reply.token = TokenEcho::Refused;
    }
    let failure = match rule {
        None => Failure::new(Cause::RstStream(code.0), format!("the server reset the stream: {code}")),
        Some(rule) => {
            Failure::new(Cause::Protocol, format!("the server's reply broke the protocol: {code}: {rule}"))
        }
    };
    sink.ended(in_flight.ended(at, Outcome::Failed(&failure)));
}

/// A stream above GOAWAY's last one was not processed either.
fn unprocessed(mut in_flight: InFlight, most: u8, gone: &GoneAway, at: Nanos, sink: &mut impl Sink) {
    if in_flight.reply.status == 0 {
        in_flight = match in_flight.resend(most) {
            Ok(arrival) => return sink.resend(arrival),
            Err(in_flight) => in_flight,
        };
        in_flight.reply.token = TokenEcho::Refused;
    }
    sink.ended(in_flight.ended(at, Outcome::Failed(&gone.failure())));
}
