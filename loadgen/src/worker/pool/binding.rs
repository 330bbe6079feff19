//! What a pool does where each request is for one of its connections.

use super::{Bound, Ending, Occupant, Place, Pool, Stage, earlier};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Failure, InFlight, Outcome},
    worker::connection::{Connection, Limits, Sink},
};

impl<C: Connection> Pool<C> {
    /// Gives a request to the connection that it is for, or has it wait for that.
    pub(super) fn submit_bound(&mut self, mut arrival: Arrival, now: Nanos) {
        let Some(bound) = &mut self.bound else { return };
        if let Some(index) = bound.place_of(&arrival)
            && let Some(place) = self.places.get(index)
            && place.stage == Stage::Open
            && let Occupant::Connection(connection) = &mut place.occupant
        {
            match connection.submit(arrival, now, &mut self.shared) {
                Ok(()) => return self.submitted(index),
                Err(back) => arrival = back,
            }
        }
        bound.wait(arrival, now);
        let limits = &self.shared.limits;
        let late = arrival.due.saturating_add(limits.lag).saturating_add(1);
        self.next_wake = self.next_wake.min(now.saturating_add(limits.timeout)).min(late);
    }

    /// A connection that requests are for has taken one.
    pub(super) fn submitted(&mut self, index: u32) {
        let Some(place) = self.places.get(index) else { return };
        place.left -= 1;
        let is_last = place.left == 0;
        place.key.wake();
        if let Occupant::Connection(connection) = &place.occupant {
            self.next_wake = earlier(self.next_wake, connection.next_wake(&self.shared.limits));
        }
        if is_last {
            self.places.dismiss(index, Ending::Replaced);
            self.unbind(index);
        }
    }

    /// A connection takes no more of the requests that are for it; its turn, if it had one.
    pub(super) fn unbind(&mut self, index: u32) -> Option<u32> {
        self.bound.as_mut()?.closed(index, self.most.is_some())
    }

    /// Gives a connection what waits for it; what has waited for too long is dropped.
    pub(super) fn catch_up(&mut self, index: u32, sink: &mut impl Sink) {
        let (now, lag) = (self.shared.now, self.shared.limits.lag);
        loop {
            let Some(Place { occupant: Occupant::Connection(connection), stage: Stage::Open, .. }) =
                self.places.get(index)
            else {
                return;
            };
            let Some(bound) = &mut self.bound else { return };
            let Some((arrival, since)) = bound.next_for(index) else { return };
            if now.saturating_sub(arrival.due) > lag {
                sink.dropped_late(&arrival, now);
                continue;
            }
            if let Err(arrival) = connection.submit(arrival, now, &mut self.shared) {
                return bound.put_back(index, arrival, since);
            }
            self.submitted(index);
        }
    }

    /// Whether connections are missing that requests are for.
    pub(super) fn misses_some(&self) -> bool {
        let Limits { connections, kept, .. } = self.shared.limits;
        self.bound.is_some() && self.places.in_use() < kept.min(connections)
    }

    /// Ends what waits for connections that this process can't open.
    pub(super) fn end_impossible(&mut self, sink: &mut impl Sink) {
        if let Some(bound) = &mut self.bound
            && let Some((_, why)) = &self.most
            && self.places.in_use() >= self.shared.limits.connections
        {
            for (arrival, since) in bound.take_stranded() {
                sink.ended(InFlight::new(arrival, since).ended(self.shared.now, Outcome::Failed(why)));
            }
        }
    }

    /// How many requests wait for the connection that they are for.
    pub(crate) fn waiting(&self) -> usize {
        self.bound.as_ref().map_or(0, Bound::waiting)
    }

    /// Opens connections that are missing, and requests are for.
    #[inline]
    pub(crate) fn want_bound(&mut self, now: Nanos) {
        if self.misses_some() {
            self.want(0, now);
        }
    }

    /// Ends what has waited for its connection for too long.
    pub(super) fn expire_bound(&mut self, now: Nanos, sink: &mut impl Sink) {
        let limits = self.shared.limits;
        if let Some(bound) = &mut self.bound {
            let late = bound.take_late(now.checked_sub(limits.timeout), now.checked_sub(limits.lag));
            for (arrival, since, is_overdue) in late {
                match is_overdue {
                    true => sink.dropped_late(&arrival, now),
                    false => sink.ended(InFlight::new(arrival, since).ended(now, Outcome::TimedOut)),
                }
            }
            if let Some((since, due)) = bound.oldest() {
                let late = due.saturating_add(limits.lag).saturating_add(1);
                self.next_wake = self.next_wake.min(since.saturating_add(limits.timeout)).min(late);
            }
        }
    }

    /// A connection failed, and with it what is for it alone: what has this turn, or whatever waits if there is no other.
    pub(super) fn fail_bound(&mut self, turn: Option<u32>, at: Nanos, why: &Failure, sink: &mut impl Sink) {
        if let Some(bound) = &mut self.bound {
            let is_last = self.places.in_use() == 0;
            let all = if is_last { bound.take_stranded() } else { Vec::new() };
            for (arrival, since) in turn.map(|turn| bound.take_of(turn)).into_iter().flatten().chain(all) {
                sink.ended(InFlight::new(arrival, since).ended(at, Outcome::Failed(why)));
            }
        }
    }
}
