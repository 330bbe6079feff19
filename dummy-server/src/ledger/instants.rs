//! Instants of requests by the clock that all processes of the host share.
//!
//! No clock is read for them: they are those that every exchange reads anyway (of the wall clock, once for all heads that one
//! read of a socket brought, and once for each reply), laid on the monotonic clock. Both run at the same rate and differ in steps
//! alone, so that it is enough to compare them now and then.

use std::cell::Cell;

use contract::ledger::{Host, Instants};

use crate::clock::now_ns;

/// How long both clocks are taken to agree as they did, in nanoseconds.
const EVERY: u64 = 10_000_000;
/// Two readings of the wall clock that are at most this far apart had nothing in between, in nanoseconds.
const CLOSE: u64 = 1000;
const TRIES: usize = 5;

/// How the clocks agree.
#[derive(Debug)]
pub(super) struct SharedClock {
    host: Option<Host>,
    /// The monotonic clock less the wall clock, modulo 2^64.
    ahead: Cell<u64>,
    /// When that was looked at, by the wall clock.
    looked: Cell<u64>,
}

impl Default for SharedClock {
    fn default() -> Self {
        let host = runtime::monotonic::shared_by().map(|(boot, namespace)| Host::of(&boot, &namespace));
        Self { host, ahead: Cell::new(0), looked: Cell::new(0) }
    }
}

impl SharedClock {
    /// Of a request that was seen and replied to then, by the wall clock; none where that has stepped back meanwhile.
    #[inline]
    pub(super) fn instants(&self, received_ns: u64, replied_ns: u64) -> Option<Instants> {
        // One that has stepped back makes this a very long time.
        if replied_ns.wrapping_sub(self.looked.get()) > EVERY {
            self.look();
        }
        let server = replied_ns.checked_sub(received_ns).filter(|server| *server < Instants::LONGEST)?;
        let seen = received_ns.wrapping_add(self.ahead.get()) & Instants::INSTANT;
        Some(Instants { host: self.host, seen, server })
    }

    #[cold]
    fn look(&self) {
        let mut closest = u64::MAX;
        for _ in 0..TRIES {
            let before = now_ns();
            let monotonic = runtime::monotonic::now_ns();
            let apart = now_ns().wrapping_sub(before);
            if apart < closest {
                closest = apart;
                self.ahead.set(monotonic.wrapping_sub(before.wrapping_add(apart / 2)));
                self.looked.set(before);
            }
            if apart <= CLOSE {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_lie_between_readings_of_the_shared_clock() {
        let clock = SharedClock::default();
        let before = runtime::monotonic::now_ns();
        let received = now_ns();
        let replied = now_ns();
        let instants = clock.instants(received, replied).unwrap();
        let after = runtime::monotonic::now_ns();
        // As far off as the readings were apart that it was compared by.
        let seen = instants.seen.wrapping_sub(before & Instants::INSTANT) & Instants::INSTANT;
        let within = |time: u64| time.wrapping_add(100_000) & Instants::INSTANT <= after - before + 200_000;
        assert!(within(seen), "{seen} of {}", after - before);
        assert_eq!(instants.server, replied - received);
    }

    #[test]
    fn a_wall_clock_that_steps_back_says_nothing_of_requests_under_way_and_is_compared_again() {
        let clock = SharedClock::default();
        let now = now_ns();
        assert!(clock.instants(now, now - 1).is_none());
        assert!(clock.instants(now - Instants::LONGEST, now).is_none());
        let looked = clock.looked.get();
        assert!(clock.instants(looked - 5, looked - 4).is_some());
        assert!(clock.looked.get() > looked, "it was before the last look");
    }
}
