//! The seam between the pool and the protocols: what a connection of any kind can do, and where it puts what happens.
//!
//! A kind of connection knows nothing of schedules, backlogs and other connections; the pool knows nothing of
//! protocols. No call waits, and none has a future, a task or an allocation for each request.

use std::{rc::Rc, task::Context};

use contract::id::Ids;
use transport::Stream;

use super::{follow::Following, opening::Secured};
use crate::{
    clock::{Clock, Nanos},
    outcome::{Arrival, Ended, Failure, InFlight, TokenCheck},
    recorder::{Carried, OfStream},
};

/// How much is read at a time; one buffer serves all connections of a pool.
const READ_BUFFER: usize = 256 * 1024;

/// And how much more than the longest piece that has to be whole.
const BESIDE_A_PIECE: usize = 64 * 1024;

/// How often a connection is read from before others have their turn.
pub(super) const READS_IN_A_ROW: usize = 16;

/// And for how long: what comes in tiny pieces takes far longer than the same number of bytes in large ones.
pub(super) const LONGEST_TURN: Nanos = 2_000_000;

/// What a pool and its connections may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The maximum number of connections.
    pub(crate) connections: usize,
    /// The number of them that are opened again when they are lost, even if the others have room.
    pub(crate) kept: usize,
    /// The maximum number of concurrent requests on each.
    pub(crate) streams: usize,
    /// The maximum number of messages in flight on each WebSocket; 1 where there are none.
    pub(crate) messages: usize,
    /// Nanoseconds for a reply.
    pub(crate) timeout: Nanos,
    /// Nanoseconds for a connection that can be used.
    pub(crate) connect_timeout: Nanos,
    /// Requests for each connection.
    pub(crate) requests: u64,
    /// Nanoseconds for which a connection takes requests.
    pub(crate) age: Nanos,
    /// Bytes that a server may send in one piece, which is taken in when it is whole.
    pub(crate) piece: usize,
    /// Nanoseconds after which a request that waits for its connection is dropped, from when it was due.
    pub(crate) lag: Nanos,
    /// Whether requests carry tokens that replies are to repeat.
    pub(crate) is_verified: bool,
}

/// What all connections of a pool use; `requests` is what is the same in all requests, as the protocol wants it.
#[derive(Debug)]
pub(super) struct Shared<R> {
    pub(super) clock: Clock,
    /// When the clock was last read.
    pub(super) now: Nanos,
    pub(super) ids: Ids,
    /// What checks replies, if requests carry tokens that those are to repeat.
    pub(super) verified: Option<TokenCheck>,
    pub(super) limits: Limits,
    /// What is due before is in the warm-up.
    pub(super) counted_from: Nanos,
    pub(super) buffer: Box<[u8]>,
    /// What has not been handed to the sink.
    pub(super) carried: Carried,
    /// Whether a connection was left with more to read, since this was last asked.
    pub(super) is_cut_short: bool,
    pub(super) requests: R,
    /// Where requests of chains of redirects are found, if such are followed.
    pub(super) following: Option<Rc<Following>>,
}

impl<R> Shared<R> {
    pub(super) fn new(requests: R, ids: Ids, limits: Limits, clock: Clock) -> Self {
        let buffer = vec![0; READ_BUFFER.max(limits.piece + BESIDE_A_PIECE)].into_boxed_slice();
        Self {
            clock,
            now: 0,
            ids,
            verified: limits.is_verified.then(|| TokenCheck::of(ids)),
            limits,
            counted_from: 0,
            buffer,
            carried: Carried::default(),
            is_cut_short: false,
            requests,
            following: None,
        }
    }
}

/// What a connection has come to.
#[derive(Debug)]
pub(super) enum ConnectionState {
    /// It takes no requests yet.
    Opening,
    /// It takes requests.
    Going,
    /// It takes no more; those in flight may end.
    Retiring,
    /// It is over, and so is what is in flight on it.
    Gone(Closed),
}

/// How a connection ended.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) by: Closer,
    /// Why, for what was in flight.
    pub(super) why: Failure,
}

impl Closed {
    pub(super) fn by_server(why: Failure) -> Self {
        Self { by: Closer::Server, why }
    }

    pub(super) fn by_loadgen(why: Failure) -> Self {
        Self { by: Closer::Loadgen, why }
    }
}

/// Which end closed a connection, or had it closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closer {
    /// It closed or reset it, or announced that it would.
    Server,
    /// For a timeout, because the server broke the protocol, because it had had its requests or its time, or because the
    /// run was over.
    Loadgen,
}

/// A connection that has become ready for requests.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    /// Whether it takes the place of one that was closed.
    pub(crate) again: bool,
    /// Nanoseconds until TCP was connected.
    pub(crate) tcp: Nanos,
    /// What came of the handshake that followed, with TLS.
    pub(crate) secured: Option<Box<Secured>>,
    /// Nanoseconds from then until it took requests.
    pub(crate) setup: Nanos,
}

/// Where a pool and its connections put what happens.
pub(crate) trait Sink {
    /// A request has ended.
    fn ended(&mut self, ended: Ended<'_>);
    /// A request was not processed and is to be sent once more.
    fn resend(&mut self, arrival: Arrival);
    /// Nothing of a request was sent, because its connection was lost first.
    fn put_back(&mut self, arrival: Arrival);
    /// A request has waited for its connection for too long, and is not sent.
    fn dropped_late(&mut self, arrival: &Arrival, at: Nanos);
    /// No connection could be made and there is no other: requests that wait for one fail.
    fn unreachable(&mut self, at: Nanos, failure: &Failure);
    /// There is room, or place for a connection, that was not there before: the backlog is to be looked at.
    fn roomier(&mut self);
    /// This process or host allows no more connections: those that are open have to do.
    fn limited(&mut self, connections: usize, failure: &Failure);
    /// A connection without a request in flight broke the protocol, and was closed.
    fn unasked(&mut self, failure: &Failure);
    /// A connection takes requests now.
    fn opened(&mut self, opened: Opened);
    /// A connection that took requests has been closed.
    fn closed(&mut self, by: Closer);
    /// One that began to open never took requests: it failed, or was given up because it is not needed, or the run is over.
    fn not_opened(&mut self, why: Option<&Failure>);
    /// The handshake of a WebSocket was begun.
    fn handshaking(&mut self);
    /// One that was begun at `since` is done; `is_first`: until now there are no more than there are to be.
    fn handshaken(&mut self, since: Nanos, at: Nanos, is_first: bool);
    /// Numbers the instance that a reply names.
    fn instance(&mut self, name: &[u8]) -> u16;
    /// The first response of a call has come, `time` after the call was due.
    fn first_message(&mut self, due: Nanos, time: Nanos);
    /// The response to a message has come, `time` after the message was due.
    fn message(&mut self, due: Nanos, time: Nanos);
    /// A message has come on a WebSocket that is not an echo of anything that was sent.
    fn unsolicited(&mut self, at: Nanos, what: impl FnOnce() -> String);
    /// It is the message of this number of the run, which was echoed before, or was sent on another connection.
    fn strayed(&mut self, _number: u64) {}
    /// The echo of the message of this number has come after it was given up.
    fn came_late(&mut self, _number: u64) {}
    /// The echo of the message of this number has come behind that of one that was sent later on the same WebSocket.
    fn came_behind(&mut self, _number: u64) {}
    /// An echo has come of which can't be said whether it is behind one of a message that was sent later.
    fn order_unknown(&mut self) {}
    /// Something was found out about a message of a stream that carries a token.
    fn noted(&mut self, _noted: OfStream) {}
    /// A ping was sent on a WebSocket.
    fn pinged(&mut self, at: Nanos);
    /// A ping on a WebSocket that was sent then was answered, after this time.
    fn pong(&mut self, sent: Nanos, time: Nanos);
    /// What connections carried until now since the last call, of replies that may still be running.
    fn carried(&mut self, carried: Carried, now: Nanos);
}

/// A kind of connection.
pub(super) trait Connection: Sized {
    /// What is the same in all requests.
    type Requests;

    /// What there is not, until one is ready.
    const AWAITED: &'static str;

    /// Why this one takes no request though it has come about, if the peer has said so.
    fn refusal(&self) -> Option<&'static str> {
        None
    }

    /// Begins on a stream that is connected.
    fn new(stream: Stream, now: Nanos, requests: &Self::Requests) -> Self;

    /// How many more requests it takes now.
    fn room(&self, limits: &Limits) -> usize;

    /// How many requests it takes in all.
    fn allowed(&self, limits: &Limits) -> usize;

    /// How many requests are in flight on it. Not for each request: it may look at all of them.
    fn in_flight(&self) -> usize;

    /// Whether it was of any use: some of a request has been sent on it.
    fn is_used(&self) -> bool;

    /// Takes a request, which leaves when the connection is driven next.
    ///
    /// # Errors
    /// There is no room: the request comes back.
    fn submit(
        &mut self,
        arrival: Arrival,
        now: Nanos,
        shared: &mut Shared<Self::Requests>,
    ) -> Result<(), Arrival>;

    /// Reads and writes what there is.
    fn drive(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared<Self::Requests>,
        sink: &mut impl Sink,
    ) -> ConnectionState;

    /// When [`Connection::expire`] may have something to do, at the earliest.
    fn next_wake(&self, limits: &Limits) -> Option<Nanos>;

    /// When it has something to send that is not due before, at the earliest: it has to be driven then.
    fn next_due(&self) -> Option<Nanos> {
        None
    }

    /// Ends what has taken too long. True: the connection has to be driven for it.
    fn expire(&mut self, now: Nanos, limits: &Limits, sink: &mut impl Sink) -> bool;

    /// What was in flight when it ended.
    fn into_in_flight(self) -> impl Iterator<Item = InFlight>;
}
