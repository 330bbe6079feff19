//! A request from when it is due until it has ended: what the worker, the recorder and the reports all speak of.
//!
//! Data alone: nothing here reads a socket or a clock, or knows how a protocol frames what it carries.

pub(crate) mod encoding;
mod exchange;
pub(crate) mod expectation;
mod expected;
mod failure;
mod reply;
mod token;
mod zstandard;

pub(crate) use exchange::{Exchange, Incomplete};
pub use expected::ExpectedStatus;
pub use failure::Cause;
pub(crate) use failure::Failure;
pub(crate) use reply::{CallEnd, Head, Reply, Reported, Watch};
pub(crate) use token::{Damage, TokenCheck, TokenEcho};

use contract::id::{self, Ids};
use expectation::Fault;

use crate::clock::Nanos;

/// A request that is due, from being picked up until it has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Its number in the whole run.
    pub(crate) number: u64,
    /// The index of the plan's request that it sends.
    pub(crate) request: u32,
    /// When it was due.
    pub(crate) due: Nanos,
    /// When the loop took it up.
    pub(crate) picked: Nanos,
    /// When the last byte of its head was first given to the kernel.
    pub(crate) written: Option<Nanos>,
    /// How often it was resent.
    pub(crate) resends: u8,
    /// The number of the chain of redirects that it follows; 0 before the first.
    pub(crate) chain: u16,
    /// Whether what is exchanged is kept, to be shown.
    pub(crate) captured: bool,
}

/// One request in this many is sampled, and each of the first ones up to this number.
const SAMPLE_EVERY: u64 = 256;

impl Arrival {
    /// How often a request is resent at most, after it was refused or its connection closed unseen.
    pub(crate) const MAX_RESENDS: u8 = 3;

    /// How often a request is resent at most after GOAWAY, which sends away a whole connection's streams at a time,
    /// however few the server lets finish.
    pub(crate) const MAX_SENT_AWAY: u8 = 16;

    /// Its id, and that of this attempt to send it.
    #[inline]
    pub(crate) fn id(&self, ids: Ids) -> id::Text {
        ids.of(self.number, self.resends).text()
    }

    /// Whether it is what was sent first: not resent, and no redirect that is followed.
    #[inline]
    pub(crate) fn is_first(&self) -> bool {
        self.resends == 0 && self.chain == 0
    }

    /// Whether what its reply says of the server's instants is looked at: of the first ones, and of some of the others, which
    /// is enough to see what grows.
    #[inline]
    fn is_sampled(&self) -> bool {
        // What a server reports of the last reply of a chain is not about the others.
        (self.number < SAMPLE_EVERY || self.number % SAMPLE_EVERY == SAMPLE_EVERY - 1) && self.chain == 0
    }

    /// How many requests this one stands for if it is sampled: itself, or the block that it is the last of. What is left at the
    /// end of a run makes no block, and is not counted as one.
    pub(crate) fn weight(&self) -> u64 {
        if self.number < SAMPLE_EVERY { 1 } else { SAMPLE_EVERY }
    }

    /// One that was due and has been picked up.
    pub(crate) fn new(number: u64, due: Nanos, picked: Nanos) -> Self {
        Self { number, request: 0, due, picked, written: None, resends: 0, chain: 0, captured: false }
    }
}

/// A request on its connection, and what has come of its reply. It ends once.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// The request.
    pub(crate) arrival: Arrival,
    /// When it was given to the connection.
    pub(crate) submitted: Nanos,
    /// What has come so far.
    pub(crate) reply: Reply,
}

impl InFlight {
    /// Without any reply yet.
    #[inline]
    pub(crate) fn new(arrival: Arrival, submitted: Nanos) -> Self {
        Self { arrival, submitted, reply: Reply::new(arrival.captured, arrival.is_sampled()) }
    }

    /// Another one in the same place, without any reply yet: faster than one that is made elsewhere and moved here.
    #[inline]
    pub(crate) fn replace(&mut self, arrival: &Arrival, submitted: Nanos) {
        self.arrival = *arrival;
        self.submitted = submitted;
        self.reply.reset(arrival.captured, arrival.is_sampled());
    }

    /// It has ended, and its place waits for another.
    #[inline]
    pub(crate) fn let_go(&mut self) {
        self.reply.let_go();
    }

    /// What is looked at in its reply beyond what is in all.
    #[inline]
    pub(crate) fn watch(&mut self, watch: Option<&Watch>) {
        if let Some(watch) = watch {
            self.reply.watch(watch);
            if self.arrival.chain > 0 {
                // The timeout is for the whole chain.
                self.submitted = self.arrival.written.unwrap_or(self.submitted);
            }
        }
    }

    /// When it has taken longer than `timeout`.
    #[inline]
    pub(crate) fn deadline(&self, timeout: Nanos) -> Nanos {
        self.submitted.saturating_add(timeout)
    }

    /// It has ended.
    #[inline]
    pub(crate) fn ended<'a>(&'a mut self, at: Nanos, outcome: Outcome<'a>) -> Ended<'a> {
        Ended { in_flight: self, at, outcome }
    }

    /// The request to be sent once more, unless it was resent `most` times already.
    ///
    /// # Errors
    /// It was: it has to end.
    pub(crate) fn resend(self, most: u8) -> Result<Arrival, Self> {
        if self.arrival.resends >= most {
            return Err(self);
        }
        Ok(Arrival { resends: self.arrival.resends + 1, ..self.arrival })
    }
}

/// What happened to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'a> {
    /// The reply is complete.
    Replied,
    /// It failed below HTTP.
    Failed(&'a Failure),
    /// It took longer than the timeout.
    TimedOut,
    /// The run ended first.
    Abandoned,
}

/// The end of a request, which lies where it lay: moving it would take longer than most of what is done with it.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) in_flight: &'a mut InFlight,
    pub(crate) at: Nanos,
    pub(crate) outcome: Outcome<'a>,
}

impl Ended<'_> {
    /// What of its reply is not as the plan expects, if it is complete.
    #[inline]
    pub(crate) fn fault(&self) -> Option<Fault> {
        let reply = &self.in_flight.reply;
        let check = reply.check()?;
        let response = self.at.saturating_sub(self.in_flight.arrival.due);
        matches!(self.outcome, Outcome::Replied)
            .then(|| check.fault(reply.status, reply.code, reply.length, response))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_for_all_requests_and_never_for_more_than_there_are() {
        let mut stood_for = 0;
        for number in 0..100_000 {
            let arrival = Arrival::new(number, 0, 0);
            stood_for += if arrival.is_sampled() { arrival.weight() } else { 0 };
            assert!(stood_for <= number + 1 && stood_for + SAMPLE_EVERY > number, "{number}: {stood_for}");
        }
    }

    #[test]
    fn the_timeout_is_for_the_whole_chain() {
        let watch = Watch::of(None, true);
        let deadline = |chain, written| {
            let arrival = Arrival { chain, written, ..Arrival::new(0, 0, 0) };
            let mut in_flight = InFlight::new(arrival, 50);
            in_flight.watch(watch.as_deref());
            in_flight.deadline(100)
        };
        assert_eq!((deadline(0, None), deadline(1, Some(7)), deadline(1, None)), (150, 107, 150));
        // An attempt that was put back has begun a chain no earlier.
        assert_eq!(deadline(0, Some(7)), 150);
    }
}
