//! The connections of one worker to one target, of whichever kind: opening, those with room, retiring, gone, and the
//! pauses after failures. A pass looks only at connections that have something to do.
//!
//! It knows no protocol, no schedule and no backlog.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use runtime::ready::{Key, Ready};

use super::{
    connection::{Closed, Closer, Connection, Limits, Opened, Progress, Shared, Sink},
    opening::{Connector, Opening},
};
use crate::{
    clock::{Clock, Nanos},
    outcome::{Arrival, Cause, Failure, Outcome},
    plan::request::Ids,
};

/// How many connections more than those in use may be waiting for their last requests.
const MAX_RETIRING: usize = 64;

/// The connections of one worker to one target.
#[derive(Debug)]
pub(super) struct Pool<C: Connection> {
    places: Vec<Place<C>>,
    vacant: Vec<u32>,
    /// Those that may have room, in turn; an entry may be outdated.
    roomy: VecDeque<u32>,
    opening: usize,
    /// Open and taking requests.
    open: usize,
    retiring: usize,
    /// Those that were open, are closed and have no successor yet.
    lost: usize,
    /// How many requests all that are open take together.
    allowed: usize,
    connector: Connector,
    shared: Shared<C::Requests>,
    ready: Ready,
    woken: Vec<u32>,
    /// Whether a pass has begun.
    passing: bool,
    /// Nothing is to be expired before.
    next_wake: Nanos,
}

/// A place for a connection, with a waker that lasts longer than it.
#[derive(Debug)]
struct Place<C> {
    key: Key,
    occupant: Occupant<C>,
    stage: Stage,
    /// When its connection began to open.
    since: Nanos,
    /// When that was connected.
    connected: Nanos,
    /// Whether it has ever taken requests.
    opened: bool,
    /// Its share of the pool's `allowed`.
    allowed: usize,
    /// Whether it is among the roomy.
    queued: bool,
}

#[derive(Debug)]
enum Occupant<C> {
    Nobody,
    Opening(Opening),
    Connection(C),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Vacant,
    Opening,
    Open,
    Retiring,
}

impl<C: Connection> Pool<C> {
    pub(super) fn new(
        requests: C::Requests,
        ids: Ids,
        connector: Connector,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        Self {
            places: Vec::new(),
            vacant: Vec::new(),
            roomy: VecDeque::new(),
            opening: 0,
            open: 0,
            retiring: 0,
            lost: 0,
            allowed: 0,
            connector,
            shared: Shared::new(requests, ids, limits, clock),
            ready: Ready::default(),
            woken: Vec::new(),
            passing: false,
            next_wake: Nanos::MAX,
        }
    }

    /// Opens connections until `wanted` more requests would find room, as far as the limits allow.
    pub(super) fn want(&mut self, wanted: usize, now: Nanos) {
        let limits = self.shared.limits;
        while (self.opening < wanted || self.open + self.opening < limits.kept)
            && self.open + self.opening < limits.connections
            && self.retiring < MAX_RETIRING.max(limits.connections)
        {
            let Some(opening) = self.connector.open(now) else { return };
            self.next_wake = self.next_wake.min(now.saturating_add(limits.connect_timeout));
            self.place(opening, now);
        }
    }

    /// Opens what was lost of those that are kept, unless all were: then it is opened for those that wait.
    pub(super) fn replenish(&mut self, now: Nanos) {
        if self.open > 0 {
            self.want(0, now);
        }
    }

    /// Gives a request to a connection with room.
    ///
    /// # Errors
    /// There is none: the request comes back.
    pub(super) fn submit(&mut self, mut arrival: Arrival, now: Nanos) -> Result<(), Arrival> {
        self.begin_pass();
        while let Some(index) = self.roomy.pop_front() {
            let place = &mut self.places[index as usize];
            place.queued = false;
            let Occupant::Connection(connection) = &mut place.occupant else { continue };
            if place.stage != Stage::Open {
                continue;
            }
            match connection.submit(arrival, now, &mut self.shared) {
                Ok(()) => {
                    if connection.room(&self.shared.limits) > 0 {
                        // To the back, so that connections take turns.
                        place.queued = true;
                        self.roomy.push_back(index);
                    }
                    self.next_wake = earlier(self.next_wake, connection.next_wake(&self.shared.limits));
                    place.key.wake();
                    return Ok(());
                }
                Err(back) => arrival = back,
            }
        }
        Err(arrival)
    }

    /// Reads and writes whatever is ready.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>, sink: &mut impl Sink) {
        self.begin_pass();
        self.shared.now = self.shared.clock.now();
        let mut woken = std::mem::take(&mut self.woken);
        if self.ready.take(&mut woken) {
            for index in woken.drain(..) {
                self.drive_one(index, sink);
            }
            sink.received(std::mem::take(&mut self.shared.received));
        }
        self.woken = woken;
        self.passing = false;
        self.ready.end(cx);
    }

    /// Ends what has taken too long, connections that don't come about included.
    pub(super) fn expire(&mut self, now: Nanos, sink: &mut impl Sink) {
        if now < self.next_wake {
            return;
        }
        self.begin_pass();
        self.next_wake = Nanos::MAX;
        let limits = self.shared.limits;
        for index in 0..self.places.len() as u32 {
            let place = &mut self.places[index as usize];
            let is_opening = place.stage == Stage::Opening;
            let deadline = place.since.saturating_add(limits.connect_timeout);
            if is_opening && deadline <= now {
                let failure = Failure::new(Cause::ConnectTimeout, C::NOT_OPENED);
                self.gone(index, Closed::by_loadgen(failure), sink);
                continue;
            }
            self.next_wake = earlier(self.next_wake, is_opening.then_some(deadline));
            if let Occupant::Connection(connection) = &mut place.occupant {
                let is_due = connection.next_wake(&limits).is_some_and(|at| at <= now);
                if is_due && connection.expire(now, &limits, sink) {
                    place.key.wake();
                }
                self.next_wake = earlier(self.next_wake, connection.next_wake(&limits));
            }
        }
    }

    /// Ends everything.
    pub(super) fn abandon(&mut self, now: Nanos, sink: &mut impl Sink) {
        for place in &mut self.places {
            if let Occupant::Connection(connection) = std::mem::replace(&mut place.occupant, Occupant::Nobody)
            {
                for in_flight in connection.into_in_flight() {
                    sink.ended(in_flight.ended(now, Outcome::Abandoned));
                }
                if place.opened {
                    sink.closed(Closer::Loadgen);
                }
            }
        }
        self.places.clear();
        self.vacant.clear();
        self.roomy.clear();
        (self.opening, self.open, self.retiring, self.allowed) = (0, 0, 0, 0);
    }

    /// How many requests may be in flight, within what the peers allow, where they have said it.
    pub(super) fn slots(&self) -> usize {
        let limits = &self.shared.limits;
        self.allowed.saturating_add(limits.connections.saturating_sub(self.open) * limits.streams)
    }

    /// Whether the connections of the beginning are open, or have failed.
    pub(super) fn is_prepared(&self) -> bool {
        self.opening == 0
    }

    /// When it has to be looked at again at the latest; `waiting`: there is a backlog.
    pub(super) fn next_wake(&self, now: Nanos, waiting: bool) -> Nanos {
        match self.connector.next_attempt() {
            // What lies behind was made use of, or there was no need.
            Some(at) if at > now && waiting => at.min(self.next_wake),
            _ => self.next_wake,
        }
    }

    /// From now on nobody is woken, until the pass has ended.
    fn begin_pass(&mut self) {
        if !std::mem::replace(&mut self.passing, true) {
            self.ready.begin();
        }
    }

    fn place(&mut self, opening: Opening, now: Nanos) {
        let index = self.vacant.pop().unwrap_or_else(|| {
            let index = self.places.len() as u32;
            let (key, occupant) = (self.ready.waker(index), Occupant::Nobody);
            let place = Place {
                key,
                occupant,
                stage: Stage::Vacant,
                since: 0,
                connected: 0,
                opened: false,
                allowed: 0,
                queued: false,
            };
            self.places.push(place);
            index
        });
        let place = &mut self.places[index as usize];
        place.occupant = Occupant::Opening(opening);
        (place.since, place.opened) = (now, false);
        place.key.wake();
        self.enter(index, Stage::Opening);
    }

    fn drive_one(&mut self, index: u32, sink: &mut impl Sink) {
        let Some(place) = self.places.get_mut(index as usize) else { return };
        place.key.taken();
        let mut cx = Context::from_waker(place.key.waker());
        if let Occupant::Opening(opening) = &mut place.occupant {
            match opening.poll(&mut cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(stream)) => {
                    place.connected = self.shared.clock.now();
                    place.occupant = Occupant::Connection(C::new(stream, place.connected));
                }
                Poll::Ready(Err(error)) => {
                    let closed = Closed::by_server(Failure::from_io(&error));
                    return self.gone(index, closed, sink);
                }
            }
        }
        let Occupant::Connection(connection) = &mut place.occupant else { return };
        match connection.drive(&mut cx, &mut self.shared, sink) {
            Progress::Opening => {}
            Progress::Going => self.going(index, sink),
            Progress::Retiring => self.retire(index),
            Progress::Gone(closed) => self.gone(index, closed, sink),
        }
    }

    /// A connection takes requests; perhaps it did not before, or not as many.
    #[inline]
    fn going(&mut self, index: u32, sink: &mut impl Sink) {
        let place = &mut self.places[index as usize];
        let Occupant::Connection(connection) = &place.occupant else { return };
        let limits = &self.shared.limits;
        let (allowed, has_room) = (connection.allowed(limits), connection.room(limits) > 0);
        self.next_wake = earlier(self.next_wake, connection.next_wake(limits));
        let Place { stage, since, connected, .. } = *place;
        if stage == Stage::Opening {
            place.opened = true;
            self.enter(index, Stage::Open);
            self.connector.succeeded();
            let again = self.lost > 0;
            self.lost -= usize::from(again);
            let setup = self.shared.clock.now().saturating_sub(connected);
            sink.opened(Opened { again, tcp: connected.saturating_sub(since), setup });
        }
        let place = &mut self.places[index as usize];
        if allowed != place.allowed {
            self.allowed = self.allowed - place.allowed + allowed;
            place.allowed = allowed;
            sink.roomier();
        }
        if has_room && !place.queued {
            place.queued = true;
            self.roomy.push_back(index);
            sink.roomier();
        }
    }

    /// The connection is over, and so is what was in flight on it.
    fn gone(&mut self, index: u32, Closed { by, why }: Closed, sink: &mut impl Sink) {
        let at = self.shared.clock.now();
        let place = &mut self.places[index as usize];
        let mut is_used = false;
        if let Occupant::Connection(connection) = std::mem::replace(&mut place.occupant, Occupant::Nobody) {
            is_used = connection.is_used();
            let mut was_idle = true;
            for in_flight in connection.into_in_flight() {
                sink.ended(in_flight.ended(at, Outcome::Failed(&why)));
                was_idle = false;
            }
            if was_idle && why.cause == Cause::Protocol {
                sink.unasked(&why);
            }
        }
        let was_open = place.opened;
        self.retire(index);
        self.enter(index, Stage::Vacant);
        self.vacant.push(index);
        if was_open {
            self.lost += 1;
            sink.closed(by);
        }
        sink.roomier();
        // One that was of no use is no better than one that could not be made: without the pause, a server that
        // turns everybody away would be met again without end.
        if !is_used {
            self.failed(at, &why, sink);
        }
    }

    /// A connection takes no more requests.
    fn retire(&mut self, index: u32) {
        self.allowed -= std::mem::take(&mut self.places[index as usize].allowed);
        self.enter(index, Stage::Retiring);
    }

    /// A place is at another stage.
    fn enter(&mut self, index: u32, next: Stage) {
        let stage = std::mem::replace(&mut self.places[index as usize].stage, next);
        for (stage, change) in [(stage, -1), (next, 1)] {
            let count = match stage {
                Stage::Vacant => continue,
                Stage::Opening => &mut self.opening,
                Stage::Open => &mut self.open,
                Stage::Retiring => &mut self.retiring,
            };
            *count = count.saturating_add_signed(change);
        }
    }

    /// A connection could not be made, or was of no use.
    fn failed(&mut self, at: Nanos, why: &Failure, sink: &mut impl Sink) {
        self.connector.failed(at);
        if matches!(why.cause, Cause::OutOfFiles | Cause::OutOfPorts) && self.open > 0 {
            // What is open has to do from now on: those that wait get their turn.
            let most = self.open + self.opening;
            self.shared.limits.connections = most;
            self.shared.limits.kept = self.shared.limits.kept.min(most);
            sink.limited(self.open, why);
        } else if self.open == 0 && self.opening == 0 {
            sink.unreachable(at, why);
        }
    }
}

fn earlier(at: Nanos, other: Option<Nanos>) -> Nanos {
    other.map_or(at, |other| at.min(other))
}
