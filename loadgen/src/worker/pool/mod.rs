//! The connections of one worker to one target, of whichever kind: opening, those with room, retiring, gone, and the
//! pauses after failures. A pass looks only at connections that have something to do.
//!
//! It knows no protocol, no schedule and no backlog.

mod binding;
mod bound;
mod places;

use std::{
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll},
};

use runtime::ready::Ready;

pub(super) use self::bound::ConnectionTurns;
use self::places::{Ending, Occupant, Place, PlaceStage, Places};
use contract::id::Ids;

use super::{
    connection::{Closed, Closer, Connection, ConnectionState, Limits, Shared, Sink},
    follow::Following,
    opening::{Connected, Connector},
};
use crate::{
    clock::{Clock, Nanos},
    outcome::{Arrival, Cause, Failure, InFlight, Outcome},
};

/// How many connections more than those in use may be waiting for their last requests.
const MAX_RETIRING: usize = 64;

/// How often all connections are looked at for what has taken too long, at most: requests that time out one after the
/// other would else have all looked at for each.
const EXPIRY_INTERVAL: Nanos = 1_000_000;

/// How often all connections are looked at for what is due to be sent, at most.
const DUE_INTERVAL: Nanos = 1_000_000;

/// A pass in which connections have more to read than their turn ends after this time; the others come first in the next one.
const LONGEST_PASS: Nanos = 10_000_000;

/// The system reports no more than 1,024 sockets at a time to the runtime.
const MAX_READY: usize = 1000;

/// A connection that its server closes after it was open for this time did not fail to open, used or not.
const LASTED: Nanos = 100_000_000;

/// The connections of one worker to one target.
#[derive(Debug)]
pub(super) struct Pool<C: Connection> {
    places: Places<C>,
    /// Those that may have room, in turn; an entry may be outdated.
    roomy: VecDeque<u32>,
    connector: Connector,
    shared: Shared<C::Requests>,
    ready: Ready,
    woken: Vec<u32>,
    /// Whether a pass has begun.
    passing: bool,
    /// Nothing has taken too long before.
    next_wake: Nanos,
    /// And nothing is looked at before.
    next_expiry: Nanos,
    /// The maximum number of connections that this process could open, if it could not open all, and why.
    most: Option<(usize, Failure)>,
    /// No connection has anything to send that is due before, other than what has come with a request.
    next_due: Nanos,
    /// And none is looked for before.
    next_look: Nanos,
    /// Which connection each request is for; none: whichever has room.
    bound: Option<ConnectionTurns>,
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
            places: Places::default(),
            roomy: VecDeque::new(),
            connector,
            shared: Shared::new(requests, ids, limits, clock),
            ready: Ready::default(),
            woken: Vec::new(),
            passing: false,
            next_wake: Nanos::MAX,
            next_expiry: 0,
            most: None,
            next_due: Nanos::MAX,
            next_look: 0,
            bound: None,
        }
    }

    /// With this decision which connection each request is for.
    pub(super) fn bound(self, bound: Option<ConnectionTurns>) -> Self {
        Self { bound, ..self }
    }

    /// Requests of chains of redirects are found there.
    pub(super) fn follow(&mut self, following: Option<Rc<Following>>) {
        self.shared.following = following;
    }

    /// Opens connections until `wanted` more requests would find room, as far as the limits allow.
    pub(super) fn want(&mut self, wanted: usize, now: Nanos) {
        let limits = self.shared.limits;
        while (self.places.opening < wanted || self.places.in_use() < limits.kept)
            && self.places.in_use() < limits.connections
            && self.places.retiring < MAX_RETIRING.max(limits.connections)
        {
            let is_awaited = self.places.opening < wanted;
            let Some(index) = self.begin(now, is_awaited) else { return };
            if let Some(bound) = &mut self.bound {
                bound.opening(index);
            }
        }
    }

    /// Begins to open a connection, unless it is too early after a failure; where.
    fn begin(&mut self, now: Nanos, is_awaited: bool) -> Option<u32> {
        let opening = self.connector.open(now, is_awaited)?;
        self.next_wake = self.next_wake.min(now.saturating_add(self.shared.limits.connect_timeout));
        Some(self.places.occupy(opening, now, &self.ready))
    }

    /// Whether there are as many connections as there may be, with those that end.
    pub(super) fn is_full(&self) -> bool {
        let most = self.shared.limits.connections;
        self.places.in_use() >= most || self.places.retiring >= MAX_RETIRING.max(most)
    }

    /// Whether connections are opened at a pace.
    pub(super) fn is_paced(&self) -> bool {
        self.connector.is_paced()
    }

    /// Whether each request is for one of them, and waits for that one.
    pub(super) fn is_bound(&self) -> bool {
        self.bound.is_some()
    }

    /// Opens what was lost of those that are kept, unless all were: then it is opened for those that wait.
    pub(super) fn replenish(&mut self, now: Nanos) {
        if self.places.open > 0 || self.connector.is_paced() || self.bound.is_some() {
            self.want(0, now);
        }
    }

    /// What is due before then is in the warm-up.
    pub(super) fn count_from(&mut self, at: Nanos) {
        self.shared.counted_from = at;
    }

    /// From now on there are to be this many connections, all of which are kept open: those that are missing are opened, and
    /// those that are too many get no more requests and are closed when they are idle.
    pub(super) fn resize(&mut self, connections: usize, now: Nanos, sink: &mut impl Sink) {
        let limits = &mut self.shared.limits;
        if connections > limits.connections {
            // Beyond that, this process could open no more.
            limits.connections = connections.min(self.most.as_ref().map_or(usize::MAX, |(most, _)| *most));
            limits.kept = limits.connections;
            self.want(0, now);
            sink.roomier();
        } else if connections < limits.connections {
            (limits.connections, limits.kept) = (connections, connections);
            self.shrink(sink);
        }
    }

    /// Lets go what is more than the limit: what is being opened, then what is idle, then what is busy.
    fn shrink(&mut self, sink: &mut impl Sink) {
        let limits = self.shared.limits;
        // Each is how many may be in flight on one at this stage.
        for (stage, most) in [(PlaceStage::Opening, 0), (PlaceStage::Open, 0), (PlaceStage::Open, usize::MAX)]
        {
            let is_of_kind = |place: &Place<C>| place.stage == stage && place.in_flight() <= most;
            for index in (0..self.places.len()).rev() {
                if self.places.in_use() <= limits.connections {
                    return;
                }
                if self.places.get(index).is_some_and(|place| is_of_kind(place)) {
                    self.places.dismiss(index, Ending::Surplus);
                    self.close_if_idle(index, sink);
                }
            }
        }
    }

    /// Closes a connection that was dismissed, if nothing is in flight on it; until then, what is takes a slot each, unless
    /// another connection takes its place.
    fn close_if_idle(&mut self, index: u32, sink: &mut impl Sink) {
        let Some(place) = self.places.get(index) else { return };
        let (in_flight, ending) = (place.in_flight(), place.ending);
        self.places.allow(index, if ending == Some(Ending::Surplus) { in_flight } else { 0 });
        self.unbind(index);
        if in_flight == 0
            && let Some((_, connected)) = self.places.vacate(index)
        {
            match connected {
                Some(_) => sink.closed(Closer::Loadgen),
                None => sink.not_opened(None),
            }
        }
        sink.roomier();
    }

    /// Gives a request to a connection with room.
    ///
    /// # Errors
    /// There is none: the request comes back.
    pub(super) fn submit(&mut self, mut arrival: Arrival, now: Nanos) -> Result<(), Arrival> {
        self.begin_pass();
        if self.bound.is_some() {
            self.submit_bound(arrival, now);
            return Ok(());
        }
        while let Some(index) = self.roomy.pop_front() {
            let Some(place) = self.places.get(index) else { continue };
            place.queued = false;
            let Occupant::Connection(connection) = &mut place.occupant else { continue };
            if place.stage != PlaceStage::Open {
                continue;
            }
            match connection.submit(arrival, now, &mut self.shared) {
                Ok(()) => {
                    place.left -= 1;
                    place.refill = place.refill.saturating_sub(1);
                    place.queued = connection.room(&self.shared.limits) > 0;
                    match place.refill {
                        _ if !place.queued => {}
                        // To the back, so that connections take turns.
                        0 => self.roomy.push_back(index),
                        // What became free together is sent together, and then answered together.
                        _ => self.roomy.push_front(index),
                    }
                    self.next_wake = earlier(self.next_wake, connection.next_wake(&self.shared.limits));
                    place.key.wake();
                    if place.left == 0 {
                        self.places.dismiss(index, Ending::Replaced);
                    }
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
        if self.next_due.max(self.next_look) <= self.shared.now {
            self.wake_due();
        }
        let mut woken = std::mem::take(&mut self.woken);
        if self.ready.take(&mut woken) {
            // The system may have had more to report.
            self.shared.is_cut_short |= woken.len() >= MAX_READY;
            let began = self.shared.now;
            let mut left = woken.drain(..);
            while let Some(index) = left.next() {
                self.drive_one(index, sink);
                // Whatever servers send, the loop looks at the time.
                if self.shared.is_cut_short && self.shared.clock.now().saturating_sub(began) > LONGEST_PASS {
                    self.ready.put_back(left);
                    break;
                }
            }
            sink.carried(std::mem::take(&mut self.shared.carried), self.shared.now);
        }
        self.woken = woken;
        self.passing = false;
        self.ready.end(cx);
    }

    /// Has those driven that have something to send that is due.
    #[cold]
    fn wake_due(&mut self) {
        self.next_due = Nanos::MAX;
        self.next_look = self.shared.now.saturating_add(DUE_INTERVAL);
        for index in 0..self.places.len() {
            let Some(Place { key, occupant: Occupant::Connection(connection), .. }) = self.places.get(index)
            else {
                continue;
            };
            match connection.next_due() {
                Some(at) if at <= self.shared.now => key.wake(),
                at => self.next_due = earlier(self.next_due, at),
            }
        }
    }

    /// Ends what has taken too long, connections that don't come about included.
    pub(super) fn expire(&mut self, now: Nanos, sink: &mut impl Sink) {
        if now < self.next_wake.max(self.next_expiry) {
            return;
        }
        self.next_expiry = now.saturating_add(EXPIRY_INTERVAL);
        self.begin_pass();
        self.next_wake = Nanos::MAX;
        let limits = self.shared.limits;
        self.expire_bound(now, sink);
        for index in 0..self.places.len() {
            let Some(Place { key, occupant, stage, since, until, .. }) = self.places.get(index) else {
                continue;
            };
            let is_opening = *stage == PlaceStage::Opening;
            let deadline = since.saturating_add(limits.connect_timeout);
            if is_opening && deadline <= now {
                let message = occupant.refusal().map_or_else(
                    || format!("{} within --connect-timeout", occupant.awaited()),
                    str::to_owned,
                );
                let failure = Failure::new(Cause::ConnectTimeout, message);
                self.gone(index, Closed::by_loadgen(failure), sink);
                continue;
            }
            self.next_wake = earlier(self.next_wake, is_opening.then_some(deadline));
            if let Occupant::Connection(connection) = occupant {
                let is_due = connection.next_wake(&limits).is_some_and(|at| at <= now);
                if is_due && connection.expire(now, &limits, sink) {
                    key.wake();
                }
                self.next_wake = earlier(self.next_wake, connection.next_wake(&limits));
                let (is_open, until) = (*stage == PlaceStage::Open, *until);
                if is_open && until <= now {
                    self.places.dismiss(index, Ending::Replaced);
                    self.close_if_idle(index, sink);
                } else if is_open {
                    self.next_wake = self.next_wake.min(until);
                }
            }
        }
    }

    /// Why none is open, if one is being opened.
    pub(super) fn unopened(&mut self) -> Option<String> {
        if self.places.open > 0 || self.places.opening == 0 {
            return None;
        }
        let refusal = (0..self.places.len()).find_map(|index| self.places.get(index)?.occupant.refusal());
        Some(refusal.map_or_else(|| format!("{} until the run ended", C::AWAITED), str::to_owned))
    }

    /// Ends everything.
    pub(super) fn abandon(&mut self, now: Nanos, sink: &mut impl Sink) {
        if let Some(bound) = &mut self.bound {
            for (arrival, since) in bound.take_all() {
                sink.ended(InFlight::new(arrival, since).ended(now, Outcome::Abandoned));
            }
        }
        for place in std::mem::take(&mut self.places).into_all() {
            if place.stage == PlaceStage::Opening {
                sink.not_opened(None);
            }
            if let Occupant::Connection(connection) = place.occupant {
                for mut in_flight in connection.into_in_flight() {
                    sink.ended(in_flight.ended(now, Outcome::Abandoned));
                }
                if place.opened {
                    sink.closed(Closer::Loadgen);
                }
            }
        }
        self.roomy.clear();
    }

    /// Whether something that had come was left unread since the last call.
    pub(super) fn was_cut_short(&mut self) -> bool {
        std::mem::take(&mut self.shared.is_cut_short)
    }

    /// How many requests may be in flight, within what the peers allow, where they have said it.
    pub(super) fn slots(&self) -> usize {
        let limits = &self.shared.limits;
        let unopened = limits.connections.saturating_sub(self.places.open);
        // Those that may not be opened yet don't count as room.
        let unknown = if self.connector.is_paced() { unopened.min(self.places.opening) } else { unopened };
        let each = limits.streams.saturating_mul(limits.messages);
        self.places.allowed.saturating_add(unknown.saturating_mul(each))
    }

    /// Whether the connections of the beginning are open, or have failed.
    pub(super) fn is_prepared(&self) -> bool {
        self.places.opening == 0
    }

    /// When it has to be looked at again at the latest; `waiting`: there is a backlog.
    pub(super) fn next_wake(&self, now: Nanos, waiting: bool) -> Nanos {
        let expiry = self.next_wake.max(self.next_expiry).min(self.next_due.max(self.next_look));
        let is_awaited = waiting || self.bound.as_ref().is_some_and(ConnectionTurns::is_awaited);
        match self.connector.next_attempt(is_awaited) {
            // What lies behind was made use of, or there was no need.
            Some(at) if at > now && (waiting || self.misses_some()) => at.min(expiry),
            _ => expiry,
        }
    }

    /// From now on nothing is woken, until the pass has ended.
    fn begin_pass(&mut self) {
        if !std::mem::replace(&mut self.passing, true) {
            self.ready.begin();
        }
    }

    fn drive_one(&mut self, index: u32, sink: &mut impl Sink) {
        let Some(place) = self.places.get(index) else { return };
        place.key.taken();
        let mut cx = Context::from_waker(place.key.waker());
        if let Occupant::Opening(opening) = &mut place.occupant {
            match opening.poll(&mut cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(Connected { stream, at, secured })) => {
                    (place.connected, place.secured) = (at, secured);
                    place.occupant =
                        Occupant::Connection(C::new(stream, self.shared.clock.now(), &self.shared.requests));
                }
                Poll::Ready(Err(failure)) => return self.gone(index, Closed::by_server(failure), sink),
            }
        }
        let is_dismissed = place.ending.is_some();
        let Occupant::Connection(connection) = &mut place.occupant else { return };
        let progress = connection.drive(&mut cx, &mut self.shared, sink);
        self.next_due = earlier(self.next_due, connection.next_due());
        match progress {
            ConnectionState::Opening => {}
            ConnectionState::Going if is_dismissed => self.close_if_idle(index, sink),
            ConnectionState::Going => self.going(index, sink),
            ConnectionState::Retiring => {
                self.unbind(index);
                if self.places.retire(index) {
                    // Those that wait need another connection.
                    sink.roomier();
                }
            }
            ConnectionState::Gone(closed) => self.gone(index, closed, sink),
        }
    }

    /// A connection takes requests; perhaps it did not before, or not as many.
    #[inline]
    fn going(&mut self, index: u32, sink: &mut impl Sink) {
        let Some(Place { occupant: Occupant::Connection(connection), stage, queued, refill, since, .. }) =
            self.places.get(index)
        else {
            return;
        };
        let limits = &self.shared.limits;
        let (allowed, room) = (connection.allowed(limits), connection.room(limits));
        self.next_wake = earlier(self.next_wake, connection.next_wake(limits));
        if room > 0 && !std::mem::replace(queued, true) {
            *refill = if *stage == PlaceStage::Open { room } else { 0 };
            self.roomy.push_back(index);
            sink.roomier();
        }
        if *stage == PlaceStage::Opening {
            self.connector.succeeded(*since);
            let now = self.shared.clock.now();
            let until = now.saturating_add(limits.age);
            if let Some(place) = self.places.get(index) {
                (place.left, place.until) = (limits.requests, until);
            }
            self.next_wake = self.next_wake.min(until);
            sink.opened(self.places.open(index, now));
        }
        if self.bound.is_some() {
            self.catch_up(index, sink);
            // It may have had its last one.
            if self.places.get(index).is_none_or(|place| place.stage != PlaceStage::Open) {
                return;
            }
        }
        if self.places.allow(index, allowed) {
            sink.roomier();
        }
    }

    /// The connection is over, and so is what was in flight on it.
    fn gone(&mut self, index: u32, Closed { by, why }: Closed, sink: &mut impl Sink) {
        let at = self.shared.clock.now();
        let since = self.places.get(index).map_or(at, |place| place.since);
        let Some((occupant, connected)) = self.places.vacate(index) else { return };
        let turn = self.unbind(index);
        let mut is_used = connected.is_some_and(|connected| at.saturating_sub(connected) >= LASTED);
        let has_answered = matches!(&occupant, Occupant::Connection(connection) if connection.is_used());
        let why = if has_answered { why } else { self.connector.explained(why) };
        if let Occupant::Connection(connection) = occupant {
            is_used |= connection.is_used();
            let mut was_idle = true;
            for mut in_flight in connection.into_in_flight() {
                sink.ended(in_flight.ended(at, Outcome::Failed(&why)));
                was_idle = false;
            }
            if was_idle && why.cause == Cause::Protocol {
                sink.unasked(&why);
            }
        }
        match connected {
            Some(_) => sink.closed(by),
            None => sink.not_opened(Some(&why)),
        }
        sink.roomier();
        // One that was of no use counts like one that could not be made: without the pause, a server that
        // turns everybody away would be met again without end.
        if is_used {
            self.connector.was_of_use();
        } else {
            self.connector.failed(at, since);
            self.failed(at, &why, turn, sink);
        }
    }

    /// A connection could not be made, or was of no use: what is for it alone fails, and whatever waits if there is no other.
    fn failed(&mut self, at: Nanos, why: &Failure, turn: Option<u32>, sink: &mut impl Sink) {
        if matches!(why.cause, Cause::OutOfFiles | Cause::OutOfPorts) && self.places.open > 0 {
            // What is open has to do from now on: those that wait get their turn.
            let most = self.places.in_use();
            self.shared.limits.connections = most;
            self.shared.limits.kept = self.shared.limits.kept.min(most);
            self.most = Some((most, why.clone()));
            // What waits for others is ended.
            self.next_wake = at;
            sink.limited(self.places.open, why);
        } else if self.places.in_use() == 0 {
            sink.unreachable(at, why);
        }
        self.fail_bound(turn, at, why, sink);
    }
}

fn earlier(at: Nanos, other: Option<Nanos>) -> Nanos {
    other.map_or(at, |other| at.min(other))
}
