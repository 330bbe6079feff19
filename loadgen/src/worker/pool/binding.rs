//! What a pool does where each request is for one of its connections.

use super::{ConnectionTurns, Ending, Occupant, Place, PlaceStage, Pool, earlier};
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
            && place.stage == PlaceStage::Open
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
        let deadline = if self.most.is_some() { now } else { now.saturating_add(limits.timeout) };
        self.next_wake = self.next_wake.min(deadline).min(late);
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
            let Some(Place { occupant: Occupant::Connection(connection), stage: PlaceStage::Open, .. }) =
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
    fn end_impossible(&mut self, now: Nanos, sink: &mut impl Sink) {
        if let Some(bound) = &mut self.bound
            && let Some((_, why)) = &self.most
            && self.places.in_use() >= self.shared.limits.connections
        {
            for (arrival, since) in bound.take_stranded() {
                sink.ended(InFlight::new(arrival, since).ended(now, Outcome::Failed(why)));
            }
        }
    }

    /// How many requests wait for the connection that they are for.
    pub(crate) fn waiting(&self) -> usize {
        self.bound.as_ref().map_or(0, ConnectionTurns::waiting)
    }

    /// Opens connections that are missing, and requests are for.
    #[inline]
    pub(crate) fn want_bound(&mut self, now: Nanos) {
        if self.misses_some() {
            self.want(0, now);
            self.want_awaited(now);
        }
    }

    /// Opens those that requests wait for, though it is too early for the others.
    fn want_awaited(&mut self, now: Nanos) {
        while self.misses_some()
            && self.bound.as_mut().is_some_and(ConnectionTurns::misses_awaited)
            && let Some(index) = self.begin(now, true)
            && let Some(bound) = &mut self.bound
        {
            bound.opening_awaited(index);
        }
    }

    /// Ends what has waited for its connection for too long.
    pub(super) fn expire_bound(&mut self, now: Nanos, sink: &mut impl Sink) {
        let limits = self.shared.limits;
        self.end_impossible(now, sink);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::Parser as _;
    use contract::id::Ids;
    use transport::Address;

    use super::*;
    use crate::{
        cli::Args,
        clock::Clock,
        outcome::{Cause, Ended},
        plan::Plan,
        recorder::Carried,
        schedule::Part,
        worker::{
            connection::{Closed, Closer, Opened},
            opening::{Beginning, Connector},
            websocket::{OverHttp1, SocketMessages},
        },
    };

    /// The numbers of requests that ended, and why they failed.
    #[derive(Default)]
    struct Seen {
        ended: Vec<(u64, Option<Cause>)>,
        dropped: Vec<u64>,
        is_unreachable: bool,
    }

    impl Sink for Seen {
        fn ended(&mut self, ended: Ended<'_>) {
            let cause = match ended.outcome {
                Outcome::Failed(failure) => Some(failure.cause),
                Outcome::TimedOut => Some(Cause::Timeout),
                Outcome::Replied | Outcome::Abandoned => None,
            };
            self.ended.push((ended.in_flight.arrival.number, cause));
        }

        fn dropped_late(&mut self, arrival: &Arrival, _at: Nanos) {
            self.dropped.push(arrival.number);
        }

        fn unreachable(&mut self, _at: Nanos, _failure: &Failure) {
            self.is_unreachable = true;
        }

        fn instance(&mut self, _name: &[u8]) -> u16 {
            0
        }

        fn resend(&mut self, _arrival: Arrival) {}
        fn put_back(&mut self, _arrival: Arrival) {}
        fn roomier(&mut self) {}
        fn limited(&mut self, _connections: usize, _failure: &Failure) {}
        fn unasked(&mut self, _failure: &Failure) {}
        fn opened(&mut self, _opened: Opened) {}
        fn closed(&mut self, _by: Closer) {}
        fn not_opened(&mut self, _why: Option<&Failure>) {}
        fn handshaking(&mut self) {}
        fn handshaken(&mut self, _since: Nanos, _at: Nanos, _is_first: bool) {}
        fn first_message(&mut self, _due: Nanos, _time: Nanos) {}
        fn message(&mut self, _due: Nanos, _time: Nanos) {}
        fn unsolicited(&mut self, _at: Nanos, _what: impl FnOnce() -> String) {}
        fn pinged(&mut self, _at: Nanos) {}
        fn pong(&mut self, _sent: Nanos, _time: Nanos) {}
        fn carried(&mut self, _carried: Carried, _now: Nanos) {}
    }

    const SECOND: Nanos = 1_000_000_000;

    /// Three connections that are opening, and for which message 0 to 5 wait, since 0.
    fn opening() -> Pool<OverHttp1> {
        let plan = Plan::try_from(&Args::try_parse_from(["loadgen", "-r", "1", "ws://a"]).unwrap()).unwrap();
        let (ids, clock) = (Ids { run: 1, load: 0 }, Clock::starting_now());
        let addresses = Arc::<[Address]>::from([Address::Tcp(([127, 0, 0, 1], 9).into())]).into();
        let connector = Connector::new(addresses, Beginning::default(), Part::WHOLE, None, clock);
        let limits = Limits {
            is_verified: false,
            piece: 0,
            connections: 3,
            kept: 3,
            streams: 1,
            messages: 10,
            timeout: 9 * SECOND,
            connect_timeout: 99 * SECOND,
            requests: u64::MAX,
            age: u64::MAX,
            lag: 5 * SECOND,
        };
        let messages =
            SocketMessages::new(&plan, plan.message().unwrap(), plan.texts(ids, 0, 1), Part::WHOLE);
        let pool = Pool::new(messages, ids, connector, limits, clock);
        let mut pool = pool.bound(Some(ConnectionTurns::new(3, Part::WHOLE)));
        pool.want(3, 0);
        assert_eq!((pool.places.opening, pool.slots()), (3, 30), "ten messages may be in flight on each");
        for number in 0..6 {
            pool.submit(Arrival::new(number, number * SECOND, 0), 0).unwrap();
        }
        assert_eq!(pool.waiting(), 6);
        pool
    }

    fn fails(pool: &mut Pool<OverHttp1>, index: u32, cause: Cause) -> Seen {
        let mut seen = Seen::default();
        pool.gone(index, Closed::by_server(Failure::new(cause, "it fails")), &mut seen);
        seen
    }

    #[test]
    fn a_connection_that_fails_takes_along_only_its_own_messages() {
        let mut pool = opening();
        let seen = fails(&mut pool, 1, Cause::Refused);
        assert_eq!(seen.ended, [(1, Some(Cause::Refused)), (4, Some(Cause::Refused))]);
        assert!(!seen.is_unreachable);
        // It is missed, and opened again as soon as that may be, whether or not other requests wait.
        let wake = pool.next_wake(0, false);
        assert_eq!(Some(wake), pool.connector.next_attempt(false));
        pool.want_bound(wake);
        assert_eq!(pool.places.opening, 3);
        // When the last one has failed, there is none to wait for.
        pool.submit(Arrival::new(7, 7, 7), 0).unwrap();
        for index in [0, 1] {
            assert!(!fails(&mut pool, index, Cause::Refused).is_unreachable);
        }
        pool.submit(Arrival::new(9, 9, 9), 0).unwrap();
        let seen = fails(&mut pool, 2, Cause::Refused);
        let mut numbers: Vec<_> = seen.ended.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        assert_eq!((numbers, seen.is_unreachable, pool.waiting()), (vec![2, 5, 9], true, 0));
    }

    #[test]
    fn messages_for_connections_that_this_process_cannot_open_fail_immediately() {
        let mut pool = opening();
        // The first is open; another finds no more files.
        pool.places.open(0, 0);
        assert_eq!(fails(&mut pool, 1, Cause::OutOfFiles).ended.len(), 2);
        pool.submit(Arrival::new(10, 10, 10), 0).unwrap();
        pool.submit(Arrival::new(11, 11, 11), 0).unwrap();
        let mut seen = Seen::default();
        pool.expire(pool.next_wake(0, false), &mut seen);
        assert_eq!(seen.ended, [(10, Some(Cause::OutOfFiles))], "11 waits for one that opens");
        assert!(!pool.misses_some());
        // One that is lost is replaced, and no other.
        fails(&mut pool, 2, Cause::Reset);
        assert!(pool.misses_some());
        pool.want_bound(u64::MAX >> 1);
        let bound = pool.bound.as_ref().unwrap();
        let places = [1, 2].map(|number| bound.place_of(&Arrival::new(number, 0, 0)).is_some());
        assert_eq!(places, [false, true]);
    }

    #[test]
    fn what_waits_too_long_is_dropped_if_it_was_due_too_long_ago_or_times_out() {
        let mut pool = opening();
        let mut seen = Seen::default();
        assert!(pool.next_wake(0, false) <= 5 * SECOND + 1, "it is looked at then");
        pool.expire(5 * SECOND, &mut seen);
        assert_eq!((seen.dropped.len(), seen.ended.len()), (0, 0));
        pool.expire(8 * SECOND, &mut seen);
        assert_eq!(seen.dropped, [0, 1, 2], "due before 3 s");
        pool.expire(9 * SECOND, &mut seen);
        assert_eq!(seen.dropped, [0, 1, 2, 3], "more than 5 s late");
        assert_eq!(seen.ended, [4, 5].map(|number| (number, Some(Cause::Timeout))));
        assert_eq!(pool.waiting(), 0);
    }
}
