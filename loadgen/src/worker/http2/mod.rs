//! HTTP/2 by prior knowledge over sockets, by this project's own engine: many requests at a time on each
//! connection (RFC 9113). A pass looks only at connections that have something to do, and each reads and writes
//! once for all its streams.

mod connection;
mod replies;

use std::{collections::VecDeque, task::Context};

use bytes::Bytes;
use connection::{Connection, Status};
use wire::Fields;

use super::{
    connect::Connector,
    engine::{Engine, Limits, READ_BUFFER, Sink, Slot},
};
use runtime::ready::{Key, Ready};

use crate::{
    clock::{Clock, Nanos},
    outcome::{Arrival, Cause, Failure, Outcome},
    plan::request::{Ids, Request},
};

/// How many connections more than those in use may be waiting for their last streams after GOAWAY.
const MAX_RETIRING: usize = 64;

/// Connections of one worker.
#[derive(Debug)]
pub(crate) struct Http2 {
    connections: Vec<Entry>,
    vacant: Vec<u32>,
    /// Those that may have room, in turn; an entry may be outdated and is looked at again before use.
    roomy: VecDeque<u32>,
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

/// What all connections of an engine use.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// When the clock was last looked at.
    now: Nanos,
    fields: Fields,
    id_field: Option<http::HeaderName>,
    body: Bytes,
    ids: Ids,
    to_head_request: bool,
    buffer: Box<[u8]>,
    /// Bytes of bodies that the sink has not been told of.
    received: u64,
    head: http2::Head,
}

/// A place for a connection, with a waker that lasts longer than it.
#[derive(Debug)]
struct Entry {
    key: Key,
    connection: Option<Connection>,
    usable: Usable,
    /// Whether it is among the roomy.
    queued: bool,
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
            now: 0,
            fields: request.http2(),
            id_field: request.id_field.clone(),
            body: request.body.clone(),
            ids,
            to_head_request: request.method == http::Method::HEAD,
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            received: 0,
            head: http2::Head::new(),
        };
        Self {
            connections: Vec::new(),
            vacant: Vec::new(),
            roomy: VecDeque::new(),
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

    fn place(&mut self, connection: Connection) {
        let index = self.vacant.pop().unwrap_or_else(|| {
            let index = self.connections.len() as u32;
            let key = self.ready.waker(index);
            let usable = Usable::NotYet;
            self.connections.push(Entry { key, connection: None, usable, queued: false, served: false });
            index
        });
        let entry = &mut self.connections[index as usize];
        entry.connection = Some(connection);
        entry.usable = Usable::NotYet;
        entry.served = false;
        entry.key.wake();
    }

    fn drive_connection(&mut self, index: u32, sink: &mut impl Sink) {
        let entry = &mut self.connections[index as usize];
        entry.key.taken();
        let Some(connection) = &mut entry.connection else { return };
        let mut cx = Context::from_waker(entry.key.waker());
        match connection.drive(&mut cx, &mut self.shared, sink) {
            Status::Going => {
                if entry.usable == Usable::NotYet && connection.allowed() > 0 {
                    entry.usable = Usable::Yes;
                    self.connecting -= 1;
                    self.open += 1;
                    self.connector.succeeded();
                    sink.roomier();
                }
                if entry.usable == Usable::Yes && !entry.queued {
                    entry.queued = true;
                    self.roomy.push_back(index);
                }
            }
            Status::Retiring => self.retire(index),
            Status::Gone(failure) => self.gone(index, &failure, sink),
        }
    }

    /// The connection is over, and so is what it had at work.
    fn gone(&mut self, index: u32, failure: &Failure, sink: &mut impl Sink) {
        let at = self.shared.clock.now();
        let entry = &mut self.connections[index as usize];
        let served = entry.served;
        let mut at_work = false;
        for in_flight in entry.connection.take().into_iter().flat_map(Connection::into_in_flight) {
            sink.ended(in_flight.ended(at, Outcome::Failed(failure)));
            at_work = true;
        }
        if !at_work && failure.cause == Cause::Protocol {
            sink.unasked(failure);
        }
        match entry.usable {
            Usable::NotYet => self.connecting -= 1,
            Usable::Yes => self.open -= 1,
            Usable::NoMore => self.retiring -= 1,
        }
        self.vacant.push(index);
        // One that was of no use is no better than one that could not be made: without the pause, a server
        // that turns everybody away would be met again without end.
        if !served {
            self.connector.failed(at);
            if self.open == 0 && self.connecting == 0 {
                sink.unreachable(at, failure);
            } else if matches!(failure.cause, Cause::OutOfFiles | Cause::OutOfPorts) {
                sink.limited(self.open, failure);
            }
        }
    }

    fn retire(&mut self, index: u32) {
        let entry = &mut self.connections[index as usize];
        match entry.usable {
            Usable::NotYet => self.connecting -= 1,
            Usable::Yes => self.open -= 1,
            Usable::NoMore => return,
        }
        entry.usable = Usable::NoMore;
        self.retiring += 1;
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
        while let Some(index) = self.roomy.pop_front() {
            let entry = &mut self.connections[index as usize];
            let room =
                entry.connection.as_ref().filter(|_| entry.usable == Usable::Yes).is_some_and(|connection| {
                    connection.busy() < self.limits.streams && connection.room() > 0
                });
            if room {
                // To the back, so that connections take turns.
                self.roomy.push_back(index);
                return Some(Slot(index));
            }
            entry.queued = false;
        }
        None
    }

    fn submit(&mut self, Slot(index): Slot, arrival: Arrival, sink: &mut impl Sink) {
        self.ready.begin();
        let entry = &mut self.connections[index as usize];
        let sent = match &mut entry.connection {
            Some(connection) => connection.submit(arrival, &self.shared),
            None => Err(arrival),
        };
        match sent {
            Ok(()) => {
                entry.served = true;
                entry.key.wake();
            }
            // Nothing of it has left: another connection takes it.
            Err(arrival) => sink.again(arrival),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>, sink: &mut impl Sink) {
        self.ready.begin();
        self.shared.now = self.shared.clock.now();
        let mut woken = std::mem::take(&mut self.woken);
        if self.ready.take(&mut woken) {
            for index in woken.drain(..) {
                self.drive_connection(index, sink);
            }
        }
        self.woken = woken;
        sink.received(std::mem::take(&mut self.shared.received));
        self.ready.end(cx);
    }

    fn expire(&mut self, now: Nanos, sink: &mut impl Sink) {
        let oldest = now.saturating_sub(self.limits.timeout);
        let oldest_connecting = now.saturating_sub(self.limits.connect_timeout);
        for index in 0..self.connections.len() as u32 {
            let entry = &mut self.connections[index as usize];
            let Some(connection) = &mut entry.connection else { continue };
            let late = entry.usable == Usable::NotYet && connection.begun_before(oldest_connecting);
            let shut = connection.shut_since(now).is_some_and(|since| since < oldest_connecting);
            if late || shut {
                let message = if late {
                    "no connection and SETTINGS within --connect-timeout"
                } else {
                    "the server allowed no stream for the length of --connect-timeout"
                };
                entry.served &= !shut;
                self.gone(index, &Failure::new(Cause::ConnectTimeout, message), sink);
                continue;
            }
            if connection.expire(oldest, now, sink) {
                // Cancelling is to reach the peer, and makes room.
                entry.key.wake();
            }
        }
        // What was lost is opened again even if the others have room, so that the load stays spread.
        if self.open > 0 {
            self.want(0, now);
        }
    }

    fn abandon(&mut self, now: Nanos, sink: &mut impl Sink) {
        for entry in &mut self.connections {
            for in_flight in entry.connection.take().into_iter().flat_map(Connection::into_in_flight) {
                sink.ended(in_flight.ended(now, Outcome::Abandoned));
            }
        }
        self.connections.clear();
        self.vacant.clear();
        self.roomy.clear();
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
