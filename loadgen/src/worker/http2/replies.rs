//! Requests on their streams, and what becomes of them: a reply, a failure, or another attempt.

use bytes::Bytes;
use http2::{Code, Event, Key};

use super::super::{
    engine::{Arrival, Ended, Head, Outcome, Sink},
    failure::{Cause, Failure},
};
use crate::clock::Nanos;

/// A request on its stream.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) key: Key,
    pub(super) arrival: Arrival,
    pub(super) submitted: Nanos,
    /// 0: no final head has come.
    pub(super) status: u16,
    pub(super) instance: Option<u16>,
    /// What is left of the request's body.
    pub(super) body: Bytes,
}

/// The requests of a connection that wait for their replies.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// By the slot of a stream's key.
    requests: Vec<Option<InFlight>>,
    /// What the peer said when it went away.
    going_away: Option<Code>,
}

impl Replies {
    /// One more.
    #[inline]
    pub(super) fn await_one(&mut self, request: InFlight) {
        let slot = request.key.slot as usize;
        if self.requests.len() <= slot {
            self.requests.resize_with(slot + 1, || None);
        }
        self.requests[slot] = Some(request);
    }

    /// The one on a stream.
    #[inline]
    pub(super) fn awaited(&mut self, key: Key) -> Option<&mut InFlight> {
        self.requests.get_mut(key.slot as usize)?.as_mut()
    }

    /// What the peer said when it went away.
    pub(super) fn going_away(&self) -> Option<Code> {
        self.going_away
    }

    /// Ends those that were sent before `limit`: the peer is told that nobody waits any longer. True: there were some.
    pub(super) fn expire(
        &mut self,
        limit: Nanos,
        http2: &mut http2::Connection,
        at: Nanos,
        sink: &mut impl Sink,
    ) -> bool {
        let mut any = false;
        for place in &mut self.requests {
            if let Some(request) = place.take_if(|request| request.submitted < limit) {
                http2.reset(request.key, Code::CANCEL);
                sink.ended(&Ended { arrival: request.arrival, at, outcome: Outcome::TimedOut });
                any = true;
            }
        }
        any
    }

    /// Those that have come to no end.
    pub(super) fn into_arrivals(self) -> impl Iterator<Item = Arrival> {
        self.requests.into_iter().flatten().map(|request| request.arrival)
    }

    /// Takes in what happened on the connection.
    #[inline]
    pub(super) fn happened(
        &mut self,
        http2: &mut http2::Connection,
        event: Event<'_>,
        head: &http2::Head,
        at: Nanos,
        sink: &mut impl Sink,
    ) {
        let place = |key: Key| key.slot as usize;
        match event {
            Event::Response { stream, end } => {
                sink.head(&Head::Http2(head));
                let Some(request) = self.awaited(stream) else { return };
                request.status = head.status();
                request.instance =
                    head.fields().get(contract::field::INSTANCE).map(|name| sink.instance(name));
                if end {
                    replied(http2, &mut self.requests[place(stream)], at, sink);
                }
            }
            Event::Data { stream, data, end } => {
                sink.body(data);
                http2.release(stream, data.len());
                if end && let Some(request) = self.requests.get_mut(place(stream)) {
                    replied(http2, request, at, sink);
                }
            }
            Event::Trailers { stream } => {
                if let Some(request) = self.requests.get_mut(place(stream)) {
                    replied(http2, request, at, sink);
                }
            }
            Event::Reset { stream, code, by_peer } => {
                let Some(request) = self.requests.get_mut(place(stream)).and_then(Option::take) else {
                    return;
                };
                reset(&request, code, by_peer, at, sink);
            }
            Event::Unprocessed { stream } => {
                let Some(request) = self.requests.get_mut(place(stream)).and_then(Option::take) else {
                    return;
                };
                unprocessed(&request, self.going_away.unwrap_or(Code::NO_ERROR), at, sink);
            }
            Event::GoAway { code, .. } => self.going_away = Some(code),
            Event::Settings => sink.roomier(),
            Event::Informational { .. }
            | Event::Request { .. }
            | Event::Malformed { .. }
            | Event::Pong(_) => {}
        }
    }
}

#[inline]
fn replied(http2: &mut http2::Connection, place: &mut Option<InFlight>, at: Nanos, sink: &mut impl Sink) {
    let Some(request) = place.take() else { return };
    if !request.body.is_empty() {
        // The server has answered before it read everything: it will not.
        http2.reset(request.key, Code::CANCEL);
    }
    let outcome = Outcome::Replied { status: request.status, instance: request.instance };
    sink.ended(&Ended { arrival: request.arrival, at, outcome });
}

/// A stream that was refused was not processed, so that any method is safe to send again (RFC 9113 section 8.7).
fn reset(request: &InFlight, code: Code, by_peer: bool, at: Nanos, sink: &mut impl Sink) {
    let mut arrival = request.arrival;
    let refused = by_peer && code == Code::REFUSED_STREAM && request.status == 0;
    if refused && arrival.resends < Arrival::MAX_RESENDS {
        arrival.resends += 1;
        return sink.again(arrival);
    }
    let failure = if by_peer {
        Failure::new(Cause::RstStream(code.0), format!("the server reset the stream: {code}"))
    } else {
        Failure::new(Cause::Protocol, format!("the server's reply broke the protocol: {code}"))
    };
    sink.ended(&Ended { arrival, at, outcome: Outcome::Failed(&failure) });
}

/// A stream above GOAWAY's last one was not processed either.
fn unprocessed(request: &InFlight, code: Code, at: Nanos, sink: &mut impl Sink) {
    let mut arrival = request.arrival;
    if request.status == 0 && arrival.resends < Arrival::MAX_SENT_AWAY {
        arrival.resends += 1;
        return sink.again(arrival);
    }
    let failure = Failure::new(Cause::GoAway(code.0), format!("the server went away: {code}"));
    sink.ended(&Ended { arrival, at, outcome: Outcome::Failed(&failure) });
}
