//! HTTP/1.1 over sockets: one request at a time on each connection, two system calls for each.

mod connection;

use std::{collections::VecDeque, task::Context};

use connection::{Connection, Event};
use http1::response::{self, Kind};

use super::{
    connect::Connector,
    engine::{Engine, Limits, READ_BUFFER, Sink, Slot},
};
use runtime::ready::{Key, Ready};

use crate::{
    clock::{Clock, Nanos},
    outcome::{Arrival, Cause, Failure, Outcome},
    plan::request::{Ids, Request, Template},
};

/// Connections, connecting or open, of one worker.
#[derive(Debug)]
pub(crate) struct Http1 {
    connections: Vec<Entry>,
    /// Open and idle, longest first; an entry may be outdated and is looked at again before use.
    idle: VecDeque<u32>,
    vacant: Vec<u32>,
    connecting: usize,
    open: usize,
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
    template: Template,
    ids: Ids,
    buffer: Box<[u8]>,
    /// Bytes of bodies that the sink has not been told of.
    received: u64,
    head: response::Head,
    kind: Kind,
    idempotent: bool,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    connection: Option<Connection>,
}

impl Http1 {
    pub(crate) fn new(
        request: &Request,
        ids: Ids,
        connector: Connector,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        let shared = Shared {
            clock,
            template: request.http1(),
            ids,
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            received: 0,
            head: response::Head::default(),
            kind: if request.method == http::Method::HEAD { Kind::Head } else { Kind::Usual },
            idempotent: request.is_idempotent(),
        };
        Self {
            connections: Vec::new(),
            idle: VecDeque::new(),
            vacant: Vec::new(),
            connecting: 0,
            open: 0,
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
            self.connections.push(Entry { key: self.ready.waker(index), connection: None });
            index
        });
        let entry = &mut self.connections[index as usize];
        entry.connection = Some(connection);
        entry.key.wake();
    }

    fn drive_one(&mut self, index: u32, sink: &mut impl Sink) {
        let Entry { key, connection } = &mut self.connections[index as usize];
        key.taken();
        let Some(live) = connection else { return };
        let was_connecting = live.is_connecting();
        let mut cx = Context::from_waker(key.waker());
        let event = live.drive(&mut cx, &mut self.shared, sink);
        let opened = was_connecting && !live.is_connecting();
        if opened {
            self.connecting -= 1;
            self.open += 1;
            self.connector.succeeded();
        }
        match event {
            Event::Waiting => {}
            Event::Idle => {
                self.idle.push_back(index);
                sink.roomier();
            }
            Event::Unconnected(failure) => {
                self.connecting -= 1;
                self.vacate(index);
                self.not_connected(&failure, sink);
            }
            Event::Gone => {
                self.open -= 1;
                self.vacate(index);
                if opened {
                    let message = "the server closed the connection as soon as it was open";
                    self.not_connected(&Failure::new(Cause::ClosedEarly, message), sink);
                }
            }
            Event::Unasked => {
                self.open -= 1;
                self.vacate(index);
                let message = "the server sent bytes that no request asked for";
                let failure = Failure::new(Cause::Protocol, message);
                sink.unasked(&failure);
                if opened {
                    self.not_connected(&failure, sink);
                }
            }
        }
    }

    fn vacate(&mut self, index: u32) {
        self.connections[index as usize].connection = None;
        self.vacant.push(index);
    }

    fn not_connected(&mut self, failure: &Failure, sink: &mut impl Sink) {
        let now = self.shared.clock.now();
        self.connector.failed(now);
        if matches!(failure.cause, Cause::OutOfFiles | Cause::OutOfPorts) && self.open > 0 {
            // What is open has to do from now on: those who wait get their turn.
            self.limits.connections = self.open + self.connecting;
            sink.limited(self.open, failure);
            return;
        }
        if self.open == 0 && self.connecting == 0 {
            sink.unreachable(now, failure);
        }
    }
}

impl Engine for Http1 {
    fn want(&mut self, wanted: usize, now: Nanos) {
        while self.connecting < wanted && self.open + self.connecting < self.limits.connections {
            let Some(connecting) = self.connector.connect(now) else { return };
            self.connecting += 1;
            self.place(Connection::connecting(connecting, now));
        }
    }

    fn capacity(&mut self) -> Option<Slot> {
        while let Some(index) = self.idle.pop_front() {
            if self.connections[index as usize].connection.as_ref().is_some_and(Connection::is_idle) {
                self.idle.push_front(index);
                return Some(Slot(index));
            }
        }
        None
    }

    fn submit(&mut self, Slot(index): Slot, arrival: Arrival, sink: &mut impl Sink) {
        self.ready.begin();
        self.idle.pop_front();
        if self.connections[index as usize].key.is_listed() {
            // Something has come on the idle connection: the end, or what must not be taken for this request's reply.
            self.drive_one(index, sink);
        }
        let Entry { key, connection } = &mut self.connections[index as usize];
        match connection {
            Some(connection) => {
                connection.submit(arrival, &mut Context::from_waker(key.waker()), &mut self.shared);
                // The reading has to be asked for before anything wakes it.
                key.wake();
            }
            // Nothing of it has left: another connection takes it.
            None => sink.again(arrival),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>, sink: &mut impl Sink) {
        self.ready.begin();
        let mut woken = std::mem::take(&mut self.woken);
        if self.ready.take(&mut woken) {
            for index in woken.drain(..) {
                self.drive_one(index, sink);
            }
        }
        self.woken = woken;
        sink.received(std::mem::take(&mut self.shared.received));
        self.ready.end(cx);
    }

    fn expire(&mut self, now: Nanos, sink: &mut impl Sink) {
        for index in 0..self.connections.len() as u32 {
            let Some(connection) = &mut self.connections[index as usize].connection else { continue };
            if connection.is_connecting_since(now.saturating_sub(self.limits.connect_timeout)) {
                self.connecting -= 1;
                self.vacate(index);
                let failure = Failure::new(Cause::ConnectTimeout, "no connection within --connect-timeout");
                self.not_connected(&failure, sink);
            } else if let Some(in_flight) =
                connection.take_sent_before(now.saturating_sub(self.limits.timeout))
            {
                self.open -= 1;
                self.vacate(index);
                sink.ended(in_flight.ended(now, Outcome::TimedOut));
            }
        }
    }

    fn abandon(&mut self, now: Nanos, sink: &mut impl Sink) {
        for entry in &mut self.connections {
            if let Some(in_flight) = entry.connection.take().and_then(Connection::into_in_flight) {
                sink.ended(in_flight.ended(now, Outcome::Abandoned));
            }
        }
        self.connecting = 0;
        self.open = 0;
    }

    fn slots(&self) -> usize {
        self.limits.connections
    }

    fn is_prepared(&self) -> bool {
        self.connecting == 0
    }

    fn next_attempt(&self) -> Option<Nanos> {
        self.connector.next_attempt()
    }
}
