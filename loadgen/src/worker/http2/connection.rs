//! One HTTP/2 connection: connecting, waiting for the peer's SETTINGS, open.

use std::{
    fmt, io,
    task::{Context, Poll, ready},
};

use http2::{Code, Config, Key, Prepared, Role, Settings};
use tokio::net::TcpStream;
use transport::segments;

use super::{
    super::{connect::Connecting, engine::Sink},
    Shared,
    replies::{OnStream, Replies},
};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Failure, InFlight},
};

/// What one stream may have on the way, in bytes: enough that no reply waits for its window on a link with any
/// likely delay.
const STREAM_WINDOW: u32 = 4 << 20;

/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The longest list of fields that the peer may send, in bytes.
const MAX_FIELDS: u32 = 64 * 1024;

/// While so much output waits, no more of requests' bodies is added.
const MOST_OUTPUT: usize = 256 << 10;

/// How often a connection is read from before others have their turn.
const READS_IN_A_ROW: usize = 16;

/// What a connection has come to.
#[derive(Debug)]
pub(super) enum Status {
    /// Nothing that matters outside.
    Going,
    /// It takes no more requests; those at work may end.
    Retiring,
    /// It is over.
    Gone(Failure),
}

pub(super) struct Connection {
    state: State,
    since: Nanos,
}

enum State {
    Connecting(Connecting),
    Open(Box<Open>),
}

struct Open {
    io: TcpStream,
    http2: http2::Connection,
    replies: Replies,
    /// Those whose first bytes wait to be written.
    unwritten: Vec<Key>,
    /// What is the same in all requests, encoded.
    prepared: Prepared,
    /// Read and not taken in: the beginning of a frame.
    rest: Vec<u8>,
    /// Since when the peer has allowed no stream at all.
    shut_since: Option<Nanos>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("since", &self.since).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn connecting(connecting: Connecting, since: Nanos) -> Self {
        Self { state: State::Connecting(connecting), since }
    }

    pub(super) fn begun_before(&self, limit: Nanos) -> bool {
        self.since < limit
    }

    /// How many more requests the peer allows now.
    pub(super) fn room(&self) -> usize {
        match &self.state {
            State::Open(open) => open.http2.room(),
            State::Connecting(_) => 0,
        }
    }

    /// How many streams the peer allows in all.
    pub(super) fn allowed(&self) -> usize {
        match &self.state {
            State::Open(open) if open.http2.is_settled() => {
                open.http2.remote().max_concurrent_streams.map_or(usize::MAX, |most| most as usize)
            }
            _ => 0,
        }
    }

    /// How many requests are at work.
    pub(super) fn busy(&self) -> usize {
        match &self.state {
            State::Open(open) => open.http2.open_streams(),
            State::Connecting(_) => 0,
        }
    }

    /// Opens a stream; there must be room. The bytes leave when the connection is driven next.
    pub(super) fn submit(&mut self, arrival: Arrival, shared: &Shared) -> Result<(), Arrival> {
        let State::Open(open) = &mut self.state else { return Err(arrival) };
        let Open { http2, prepared, .. } = &mut **open;
        let bodiless = shared.body.is_empty();
        let key = http2.open(bodiless, shared.to_head_request, |block| {
            block.prepared(prepared, |block| {
                for (name, value) in shared.fields.iter() {
                    block.constant(name, value);
                }
            });
            if let Some(name) = &shared.id_field {
                block.varying(name.as_str().as_bytes(), &shared.ids.of(arrival.number));
            }
        });
        let Some(key) = key else { return Err(arrival) };
        let in_flight = InFlight::new(arrival, shared.now);
        let request = OnStream { key, in_flight, body: shared.body.clone() };
        open.replies.await_one(request);
        open.unwritten.push(key);
        if !bodiless {
            open.http2.want(key);
        }
        Ok(())
    }

    /// Reads and writes what there is.
    pub(super) fn drive(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        sink: &mut impl Sink,
    ) -> Status {
        if let State::Connecting(connecting) = &mut self.state {
            match connecting.as_mut().poll(cx) {
                Poll::Pending => return Status::Going,
                Poll::Ready(Err(error)) => return Status::Gone(Failure::from_io(&error)),
                Poll::Ready(Ok(io)) => self.state = State::Open(Box::new(Open::new(io))),
            }
        }
        let State::Open(open) = &mut self.state else { return Status::Going };
        match open.drive(cx, shared, sink) {
            Err(failure) => Status::Gone(failure),
            Ok(()) if open.http2.is_going_away() => match open.http2.open_streams() {
                0 => Status::Gone(open.farewell()),
                _ => Status::Retiring,
            },
            Ok(()) => Status::Going,
        }
    }

    /// Ends what was sent before `limit`: the peer is told that nobody waits any longer. True: there was some.
    pub(super) fn expire(&mut self, limit: Nanos, at: Nanos, sink: &mut impl Sink) -> bool {
        let State::Open(open) = &mut self.state else { return false };
        open.replies.expire(limit, &mut open.http2, at, sink)
    }

    /// Since when the peer has allowed no stream at all, with none at work.
    pub(super) fn shut_since(&mut self, now: Nanos) -> Option<Nanos> {
        let State::Open(open) = &mut self.state else { return None };
        let shut = open.http2.is_settled() && open.http2.room() == 0 && open.http2.open_streams() == 0;
        open.shut_since = shut.then(|| open.shut_since.unwrap_or(now));
        open.shut_since
    }

    /// The requests that were at work when it ended.
    pub(super) fn into_in_flight(self) -> impl Iterator<Item = InFlight> {
        let replies = match self.state {
            State::Open(open) => open.replies,
            State::Connecting(_) => Replies::default(),
        };
        replies.into_in_flight()
    }
}

impl Open {
    fn new(io: TcpStream) -> Self {
        let config = Config {
            settings: Settings {
                enable_push: false,
                initial_window_size: STREAM_WINDOW,
                max_header_list_size: Some(MAX_FIELDS),
                ..Settings::default()
            },
            connection_window: CONNECTION_WINDOW,
            ..Config::new(Role::Client)
        };
        Self {
            io,
            http2: http2::Connection::new(&config),
            replies: Replies::default(),
            unwritten: Vec::new(),
            prepared: Prepared::default(),
            rest: Vec::new(),
            shut_since: None,
        }
    }

    fn drive(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        sink: &mut impl Sink,
    ) -> Result<(), Failure> {
        self.write(cx, shared)?;
        for _ in 0..READS_IN_A_ROW {
            match self.read(cx, shared, sink) {
                Poll::Pending => return self.write(cx, shared),
                Poll::Ready(result) => result?,
            }
        }
        cx.waker().wake_by_ref();
        self.write(cx, shared)
    }

    /// Adds bodies for which there is room, and writes what the socket takes.
    fn write(&mut self, cx: &mut Context<'_>, shared: &mut Shared) -> Result<(), Failure> {
        loop {
            self.send_bodies();
            if self.http2.output.is_empty() {
                return Ok(());
            }
            match self.poll_write(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(error)) => return Err(self.broken(&error)),
                Poll::Ready(Ok(())) => {}
            }
            if !self.unwritten.is_empty() {
                shared.now = shared.clock.now();
                for key in self.unwritten.drain(..) {
                    if let Some(request) = self.replies.awaited(key) {
                        request.in_flight.arrival.written.get_or_insert(shared.now);
                    }
                }
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.http2.output.is_empty() {
            ready!(segments::poll_write(&mut self.io, &mut self.http2.output, usize::MAX, cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn send_bodies(&mut self) {
        while self.http2.output.len() < MOST_OUTPUT {
            let Some(key) = self.http2.next_ready() else { return };
            let Some(request) = self.replies.awaited(key) else { continue };
            let room = self.http2.data_room(key).min(MOST_OUTPUT);
            let part = request.body.split_to(room.min(request.body.len()));
            let end = request.body.is_empty();
            self.http2.data(key, part, end);
            if !end {
                self.http2.want(key);
            }
        }
    }

    /// Reads once and takes in what came.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        sink: &mut impl Sink,
    ) -> Poll<Result<(), Failure>> {
        let count = match ready!(segments::poll_read(&mut self.io, &self.rest, &mut shared.buffer, cx)) {
            Ok(0) => return Poll::Ready(Err(self.farewell())),
            Ok(count) => count,
            Err(error) => return Poll::Ready(Err(self.broken(&error))),
        };
        shared.now = shared.clock.now();
        let mut input = &shared.buffer[..self.rest.len() + count];
        loop {
            match self.http2.receive(&mut input, &mut shared.head) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    if let http2::Event::Data { data, .. } = &event {
                        shared.received += data.len() as u64;
                    }
                    self.replies.happened(&mut self.http2, event, &shared.head, shared.now, sink);
                }
                Err(error) => {
                    // What the peer did is said to it as well, as far as it still listens.
                    let _ = self.poll_write(cx);
                    return Poll::Ready(Err(Failure::new(Cause::Protocol, error.to_string())));
                }
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(input);
        Poll::Ready(Ok(()))
    }

    fn broken(&self, error: &io::Error) -> Failure {
        match self.replies.going_away() {
            Some(code) if code != Code::NO_ERROR => self.farewell(),
            _ => Failure::from_io(error),
        }
    }

    /// Why the peer has closed the connection.
    fn farewell(&self) -> Failure {
        match self.replies.going_away() {
            Some(code) if code != Code::NO_ERROR => {
                Failure::new(Cause::GoAway(code.0), format!("the server went away: {code}"))
            }
            _ => Failure::new(
                Cause::ClosedEarly,
                "the server closed the connection before the reply was complete",
            ),
        }
    }
}
