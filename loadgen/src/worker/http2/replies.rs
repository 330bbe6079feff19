//! Requests on their streams, and what becomes of them: a reply, a failure, or another attempt.

use bytes::Bytes;
use http2::{Code, Event, Key};

use super::super::connection::Sink;
use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Failure, Head, InFlight, Outcome},
};

/// A request on its stream.
#[derive(Debug)]
pub(super) struct OnStream {
    pub(super) key: Key,
    pub(super) in_flight: InFlight,
    /// What is left of the request's body.
    pub(super) body: Bytes,
}

/// The requests of a connection that wait for their replies.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// By the slot of a stream's key.
    requests: Vec<Option<OnStream>>,
    /// When the oldest was submitted, or one before that has ended since it was last looked for.
    oldest: Option<Nanos>,
    /// What the peer said when it went away.
    going_away: Option<Code>,
}

impl Replies {
    /// One more.
    #[inline]
    pub(super) fn await_one(&mut self, request: OnStream) {
        let slot = request.key.slot as usize;
        if self.requests.len() <= slot {
            self.requests.resize_with(slot + 1, || None);
        }
        self.oldest = self.oldest.or(Some(request.in_flight.submitted));
        self.requests[slot] = Some(request);
    }

    /// The one on a stream.
    #[inline]
    pub(super) fn awaited(&mut self, key: Key) -> Option<&mut OnStream> {
        self.requests.get_mut(key.slot as usize)?.as_mut().filter(|request| request.key == key)
    }

    /// How many there are.
    pub(super) fn in_flight(&self) -> usize {
        self.requests.iter().flatten().count()
    }

    /// What the peer said when it went away.
    pub(super) fn going_away(&self) -> Option<Code> {
        self.going_away
    }

    /// None of them was submitted before.
    pub(super) fn oldest(&self) -> Option<Nanos> {
        self.oldest
    }

    /// Ends those that have taken longer than `timeout`: the peer is told that nobody waits any longer. True: there
    /// were some.
    pub(super) fn expire(
        &mut self,
        now: Nanos,
        timeout: Nanos,
        http2: &mut http2::Connection,
        sink: &mut impl Sink,
    ) -> bool {
        let mut any = false;
        for place in &mut self.requests {
            if let Some(request) = place.take_if(|request| request.in_flight.deadline(timeout) <= now) {
                http2.reset(request.key, Code::CANCEL);
                sink.ended(request.in_flight.ended(now, Outcome::TimedOut));
                any = true;
            }
        }
        self.oldest = self.requests.iter().flatten().map(|request| request.in_flight.submitted).min();
        any
    }

    /// Those that have come to no end.
    pub(super) fn into_in_flight(self) -> impl Iterator<Item = InFlight> {
        self.requests.into_iter().flatten().map(|request| request.in_flight)
    }

    /// Takes in what happened on the connection; `resends`: what the server has not processed is sent again.
    #[inline]
    pub(super) fn take_in(
        &mut self,
        http2: &mut http2::Connection,
        event: Event<'_>,
        head: &http2::Head,
        resends: bool,
        at: Nanos,
        sink: &mut impl Sink,
    ) {
        match event {
            Event::Response { stream, end } => {
                let Some(request) = self.awaited(stream) else { return };
                request.in_flight.reply.head(&Head::Http2(head), |name| sink.instance(name));
                if end {
                    self.replied(stream, http2, at, sink);
                }
            }
            Event::Data { stream, data, end } => {
                http2.release(stream, data.len());
                let Some(request) = self.awaited(stream) else { return };
                request.in_flight.reply.body(data);
                if end {
                    self.replied(stream, http2, at, sink);
                }
            }
            Event::Trailers { stream } => {
                let Some(request) = self.awaited(stream) else { return };
                request.in_flight.reply.trailers(head.regular());
                self.replied(stream, http2, at, sink);
            }
            Event::Informational { stream } => {
                let Some(request) = self.awaited(stream) else { return };
                request.in_flight.reply.informational(&Head::Http2(head));
            }
            Event::Reset { stream, code, by_peer } => {
                if let Some(request) = self.take(stream) {
                    let most = if resends { Arrival::MAX_RESENDS } else { 0 };
                    reset(request.in_flight, most, code, (!by_peer).then(|| http2.broken_rule()), at, sink);
                }
            }
            Event::Unprocessed { stream } => {
                if let Some(request) = self.take(stream) {
                    let most = if resends { Arrival::MAX_SENT_AWAY } else { 0 };
                    let code = self.going_away.unwrap_or(Code::NO_ERROR);
                    unprocessed(request.in_flight, most, code, at, sink);
                }
            }
            Event::GoAway { code, .. } => self.going_away = Some(code),
            Event::Settings | Event::Request { .. } | Event::Malformed { .. } | Event::Pong(_) => {}
        }
    }

    fn take(&mut self, key: Key) -> Option<OnStream> {
        self.requests.get_mut(key.slot as usize)?.take()
    }

    #[inline]
    fn replied(&mut self, key: Key, http2: &mut http2::Connection, at: Nanos, sink: &mut impl Sink) {
        let Some(request) = self.take(key) else { return };
        if !request.body.is_empty() {
            // The server has answered before it read everything: it will not.
            http2.reset(request.key, Code::CANCEL);
        }
        sink.ended(request.in_flight.ended(at, Outcome::Replied));
    }
}

/// A stream was reset by the server, or by this end for the `rule` that the server broke. One that was refused was not
/// processed, so that any method is safe to send again, `most` times (RFC 9113 section 8.7).
fn reset(mut in_flight: InFlight, most: u8, code: Code, rule: Option<&str>, at: Nanos, sink: &mut impl Sink) {
    if rule.is_none() && code == Code::REFUSED_STREAM && in_flight.reply.status == 0 {
        in_flight = match in_flight.resend(most) {
            Ok(arrival) => return sink.resend(arrival),
            Err(in_flight) => in_flight,
        };
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
fn unprocessed(mut in_flight: InFlight, most: u8, code: Code, at: Nanos, sink: &mut impl Sink) {
    if in_flight.reply.status == 0 {
        in_flight = match in_flight.resend(most) {
            Ok(arrival) => return sink.resend(arrival),
            Err(in_flight) => in_flight,
        };
    }
    let failure = Failure::new(Cause::GoAway(code.0), format!("the server went away: {code}"));
    sink.ended(in_flight.ended(at, Outcome::Failed(&failure)));
}
