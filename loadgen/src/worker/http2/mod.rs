//! HTTP/2 by prior knowledge over sockets: many requests at a time on each connection (RFC 9113).
//!
//! The h2 crate speaks the protocol; this engine gives it a waker for each connection and each stream, so that
//! a pass looks only at those that have something to do. Writes leave once for each poll of a connection.

mod connection;
mod stream;

use std::task::Context;

use bytes::Bytes;
use connection::{Connection, Event, Refused, Unsent};
use stream::Stream;

use super::{
    connect::Connector,
    engine::{Arrival, Ended, Engine, Outcome, Sink, Slot},
    failure::{Cause, Failure},
    wake::{Key, Ready},
};
use crate::{
    clock::{Clock, Nanos},
    plan::request::{Ids, Request},
};

/// How many connections more than those in use may be waiting for their last streams after GOAWAY.
const MAX_RETIRING: usize = 64;

/// How often the list of ready members is gone through before the loop has its turn.
const PASSES_IN_A_ROW: usize = 8;

/// Connections of one worker.
#[derive(Debug)]
pub(crate) struct Http2 {
    connections: Vec<Entry>,
    vacant: Vec<u32>,
    /// Where the search for room begins, so that connections take turns.
    next: usize,
    connecting: usize,
    /// Open and taking requests.
    open: usize,
    retiring: usize,
    limits: Limits,
    connector: Connector,
    shared: Shared,
    ready: Ready,
    woken: Vec<u32>,
}

/// What the engine may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    /// Nanoseconds for a reply.
    pub(crate) timeout: Nanos,
    /// Nanoseconds for a connection and its first SETTINGS.
    pub(crate) connect_timeout: Nanos,
}

/// What all connections of an engine use.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    request: http::Request<()>,
    id_field: Option<http::HeaderName>,
    body: Bytes,
    ids: Ids,
}

/// A place for a connection, with wakers that last longer than it. Key 0 is the connection's, the others are
/// its streams'.
#[derive(Debug)]
struct Entry {
    keys: Vec<Key>,
    connection: Option<Connection>,
    streams: Vec<Option<Stream>>,
    free: Vec<u32>,
    usable: Usable,
    /// Whether a request was ever sent on the connection.
    served: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usable {
    NotYet,
    Yes,
    NoMore,
}

impl Http2 {
    pub(crate) fn new(
        request: &Request,
        ids: Ids,
        connector: Connector,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        let shared = Shared {
            clock,
            request: request.http2(),
            id_field: request.id_field.clone(),
            body: request.body.clone(),
            ids,
        };
        Self {
            connections: Vec::new(),
            vacant: Vec::new(),
            next: 0,
            connecting: 0,
            open: 0,
            retiring: 0,
            limits,
            connector,
            shared,
            ready: Ready::default(),
            woken: Vec::new(),
        }
    }

    /// Keys of the entry at `index` begin here.
    fn first_key(&self, index: usize) -> u32 {
        (index * (self.limits.streams + 1)) as u32
    }

    fn place(&mut self, connection: Connection) {
        let index = self.vacant.pop().unwrap_or_else(|| {
            let index = self.connections.len();
            let first = self.first_key(index);
            let keys =
                (0..=self.limits.streams as u32).map(|offset| self.ready.waker(first + offset)).collect();
            self.connections.push(Entry {
                keys,
                connection: None,
                streams: (0..self.limits.streams).map(|_| None).collect(),
                free: (0..self.limits.streams as u32).rev().collect(),
                usable: Usable::NotYet,
                served: false,
            });
            index as u32
        });
        let entry = &mut self.connections[index as usize];
        entry.connection = Some(connection);
        entry.usable = Usable::NotYet;
        entry.served = false;
        entry.keys[0].wake();
    }

    fn drive_connection(&mut self, index: usize, sink: &mut impl Sink) {
        let entry = &mut self.connections[index];
        let Some(connection) = &mut entry.connection else { return };
        let mut cx = Context::from_waker(entry.keys[0].waker());
        match connection.drive(&mut cx) {
            Event::Waiting => {}
            Event::Open => {
                entry.usable = Usable::Yes;
                self.connecting -= 1;
                self.open += 1;
                self.connector.succeeded();
                sink.roomier();
            }
            Event::Raised => sink.roomier(),
            Event::Gone(failure) => self.gone(index, failure, sink),
        }
    }

    /// The connection is over. What its streams have come to is theirs to say: the h2 crate told them.
    fn gone(&mut self, index: usize, failure: Option<Failure>, sink: &mut impl Sink) {
        let served = self.connections[index].served;
        for offset in 0..self.limits.streams {
            self.drive_stream(index, offset, sink);
        }
        let failure =
            failure.unwrap_or_else(|| Failure::new(Cause::ClosedEarly, "the server closed the connection"));
        self.end_streams(index, &failure, sink);
        self.vacate(index);
        // One that was of no use is no better than one that could not be made: without the pause, a server
        // that turns everybody away would be met again without end.
        if !served {
            let now = self.shared.clock.now();
            self.connector.failed(now);
            if self.open == 0 && self.connecting == 0 {
                sink.unreachable(now, &failure);
            } else if matches!(failure.cause, Cause::OutOfFiles | Cause::OutOfPorts) {
                sink.limited(self.open, &failure);
            }
        }
    }

    /// Fails what a connection that is over has left unsaid.
    fn end_streams(&mut self, index: usize, failure: &Failure, sink: &mut impl Sink) {
        let at = self.shared.clock.now();
        let entry = &mut self.connections[index];
        for (offset, place) in entry.streams.iter_mut().enumerate() {
            if let Some(stream) = place.take() {
                entry.free.push(offset as u32);
                sink.ended(&Ended { arrival: stream.arrival, at, outcome: Outcome::Failed(failure) });
            }
        }
    }

    fn vacate(&mut self, index: usize) {
        let entry = &mut self.connections[index];
        entry.connection = None;
        match entry.usable {
            Usable::NotYet => self.connecting -= 1,
            Usable::Yes => self.open -= 1,
            Usable::NoMore => self.retiring -= 1,
        }
        self.vacant.push(index as u32);
    }

    fn retire(&mut self, index: usize) {
        let entry = &mut self.connections[index];
        if entry.usable == Usable::Yes {
            entry.usable = Usable::NoMore;
            self.open -= 1;
            self.retiring += 1;
            entry.keys[0].wake();
        }
    }

    fn drive_stream(&mut self, index: usize, offset: usize, sink: &mut impl Sink) {
        let entry = &mut self.connections[index];
        let Some(stream) = &mut entry.streams[offset] else { return };
        let mut cx = Context::from_waker(entry.keys[offset + 1].waker());
        let Some(ending) = stream.drive(&mut cx, sink) else { return };
        let mut arrival = stream.arrival;
        entry.streams[offset] = None;
        entry.free.push(offset as u32);
        let at = self.shared.clock.now();
        match ending {
            stream::Ending::Replied(status, instance) => {
                sink.ended(&Ended { arrival, at, outcome: Outcome::Replied { status, instance } });
            }
            stream::Ending::Unprocessed { going_away } => {
                arrival.resends += 1;
                sink.again(arrival);
                if going_away {
                    self.retire(index);
                }
            }
            stream::Ending::Failed(failure) => {
                sink.ended(&Ended { arrival, at, outcome: Outcome::Failed(&failure) });
            }
        }
    }
}

impl Engine for Http2 {
    fn want(&mut self, _wanted: usize, now: Nanos) {
        while self.open + self.connecting < self.limits.connections
            && self.retiring < MAX_RETIRING.max(self.limits.connections)
        {
            let Some(connecting) = self.connector.connect(now) else { return };
            self.connecting += 1;
            self.place(Connection::connecting(connecting, now));
        }
    }

    fn capacity(&mut self) -> Option<Slot> {
        for _ in 0..self.connections.len() {
            let index = self.next % self.connections.len();
            self.next = index + 1;
            let entry = &mut self.connections[index];
            if entry.usable != Usable::Yes {
                continue;
            }
            let Some(offset) = entry.free.last().copied() else { continue };
            let busy = entry.streams.len() - entry.free.len();
            match entry.connection.as_mut().map(|connection| connection.has_room(busy)) {
                Some(Ok(true)) => return Some(Slot(self.first_key(index) + offset)),
                Some(Ok(false)) | None => {}
                Some(Err(Refused)) => self.retire(index),
            }
        }
        None
    }

    fn submit(&mut self, Slot(slot): Slot, mut arrival: Arrival, sink: &mut impl Sink) {
        self.ready.begin();
        let (index, offset) =
            (slot as usize / (self.limits.streams + 1), slot as usize % (self.limits.streams + 1));
        let entry = &mut self.connections[index];
        let Some(connection) = &mut entry.connection else { return sink.again(arrival) };
        let now = self.shared.clock.now();
        match connection.send(&self.shared, arrival.number) {
            Ok((response, request)) => {
                arrival.written.get_or_insert(now);
                entry.served = true;
                entry.free.pop();
                entry.streams[offset] = Some(Stream::new(arrival, now, response, request));
                entry.keys[offset + 1].wake();
            }
            // Nothing of it has left: another connection takes it.
            Err(Unsent::Refused) => {
                self.retire(index);
                sink.again(arrival);
            }
            Err(Unsent::Invalid(failure)) => {
                sink.ended(&Ended { arrival, at: now, outcome: Outcome::Failed(&failure) });
            }
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>, sink: &mut impl Sink) {
        self.ready.begin();
        let mut woken = std::mem::take(&mut self.woken);
        for _ in 0..PASSES_IN_A_ROW {
            if !self.ready.take(&mut woken) {
                break;
            }
            for key in woken.drain(..) {
                let (index, offset) =
                    (key as usize / (self.limits.streams + 1), key as usize % (self.limits.streams + 1));
                self.connections[index].keys[offset].taken();
                match offset {
                    0 => self.drive_connection(index, sink),
                    stream => self.drive_stream(index, stream - 1, sink),
                }
            }
        }
        self.woken = woken;
        self.ready.end(cx);
    }

    fn expire(&mut self, now: Nanos, sink: &mut impl Sink) {
        let (oldest, oldest_connecting) =
            (now.saturating_sub(self.limits.timeout), now.saturating_sub(self.limits.connect_timeout));
        for index in 0..self.connections.len() {
            let entry = &mut self.connections[index];
            if entry.usable == Usable::NotYet
                && entry
                    .connection
                    .as_ref()
                    .is_some_and(|connection| connection.begun_before(oldest_connecting))
            {
                let failure = Failure::new(
                    Cause::ConnectTimeout,
                    "no connection and SETTINGS within --connect-timeout",
                );
                self.gone(index, Some(failure), sink);
                continue;
            }
            for (offset, place) in entry.streams.iter_mut().enumerate() {
                if let Some(stream) = place.take_if(|stream| stream.sent_before(oldest)) {
                    entry.free.push(offset as u32);
                    let arrival = stream.cancel();
                    sink.ended(&Ended { arrival, at: now, outcome: Outcome::TimedOut });
                }
            }
        }
        // What was lost is opened again even if the others have room, so that the load stays spread.
        if self.open > 0 {
            self.want(0, now);
        }
    }

    fn abandon(&mut self, now: Nanos, sink: &mut impl Sink) {
        for entry in &mut self.connections {
            for stream in entry.streams.iter_mut().filter_map(Option::take) {
                sink.ended(&Ended { arrival: stream.arrival, at: now, outcome: Outcome::Abandoned });
            }
        }
        self.connections.clear();
        self.vacant.clear();
        (self.connecting, self.open, self.retiring) = (0, 0, 0);
    }

    /// Within what the peers allow, where they have said it.
    fn slots(&self) -> usize {
        let known: usize = self
            .connections
            .iter()
            .filter(|entry| entry.usable == Usable::Yes)
            .filter_map(|entry| entry.connection.as_ref())
            .map(|connection| connection.allowed().min(self.limits.streams))
            .sum();
        known + self.limits.connections.saturating_sub(self.open) * self.limits.streams
    }

    fn is_prepared(&self) -> bool {
        self.connecting == 0
    }

    fn next_attempt(&self) -> Option<Nanos> {
        self.connector.next_attempt()
    }
}
