//! Whether the target was there all the time: outages, by the requests that were due, and stalls, by what was outstanding.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::bits::Bits;
use crate::clock::Nanos;

/// What is marked over time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Availability {
    /// When requests were due that succeeded.
    good: Bits,
    /// When requests were due that did not.
    bad: Bits,
    /// When any request was outstanding.
    outstanding: Bits,
    /// When any reply was completed.
    completed: Bits,
}

/// A part of the run, in nanoseconds since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub start: Nanos,
    /// How long it was.
    pub length: Nanos,
}

impl Availability {
    /// A request that was due then has come to its end.
    #[inline]
    pub(crate) fn due(&mut self, due: Nanos, has_succeeded: bool) {
        let bits = if has_succeeded { &mut self.good } else { &mut self.bad };
        bits.set(due);
    }

    /// A request was outstanding from one time to the other.
    #[inline]
    pub(super) fn outstanding(&mut self, from: Nanos, to: Nanos) {
        self.outstanding.set_range(from, to);
    }

    /// A reply was completed.
    #[inline]
    pub(super) fn completed(&mut self, at: Nanos) {
        self.completed.set(at);
    }

    /// The same as of a start that lies so much earlier.
    pub(super) fn delay(&mut self, by: Nanos) {
        let Self { good, bad, outstanding, completed } = self;
        [good, bad, outstanding, completed].into_iter().for_each(|bits| bits.delay(by));
    }

    /// Adds what another worker has marked.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { good, bad, outstanding, completed } = other;
        self.good.merge(good);
        self.bad.merge(bad);
        self.outstanding.merge(outstanding);
        self.completed.merge(completed);
    }

    /// The longest run of consecutive arrivals without a success: from when the first of them was due to when the next one
    /// that succeeded was, or to `end`, when arrivals ended; a bit's width more or less. A time without arrivals is none, and what was never sent
    /// says nothing of the target.
    #[must_use]
    pub fn longest_outage(&self, end: Nanos) -> Option<Span> {
        let (width, pairs) = self.good.beside(&self.bad);
        let mut longest = Longest::default();
        for (at, (good, bad)) in (0..).map(|index| index * width).zip(pairs) {
            match (good, bad) {
                (true, _) => longest.end(at),
                (false, true) => longest.begin(at),
                (false, false) => {}
            }
        }
        longest.end(end);
        longest.longest
    }

    /// In how many bits within this part of the run requests were due that failed.
    pub(crate) fn failed_within(&self, part: Span) -> usize {
        let (width, pairs) = self.good.beside(&self.bad);
        let bits = (0..).map(|index| index * width).zip(pairs);
        let within = bits.filter(|(at, _)| (part.start..part.start.saturating_add(part.length)).contains(at));
        within.filter(|(_, (_, bad))| *bad).count()
    }

    /// The end of the bit in which the last request was due.
    pub(crate) fn last_due(&self) -> Option<Nanos> {
        let (width, pairs) = self.good.beside(&self.bad);
        let last = (1..).zip(pairs).filter(|(_, (good, bad))| *good || *bad).last();
        last.map(|(end, _)| end * width)
    }

    /// The longest time without a completed reply while at least one request was outstanding; a bit's width more or less.
    #[must_use]
    pub fn longest_stall(&self) -> Option<Span> {
        self.longest_stall_within(&(0..Nanos::MAX))
    }

    /// The same of a part of the run: of what lies in it alone.
    #[must_use]
    pub fn longest_stall_within(&self, part: &Range<Nanos>) -> Option<Span> {
        let (width, pairs) = self.outstanding.beside(&self.completed);
        let mut longest = Longest::default();
        let mut end = 0;
        for (at, (outstanding, completed)) in (0..).map(|index| index * width).zip(pairs) {
            if outstanding && !completed && part.contains(&at) {
                longest.begin(at);
            } else {
                longest.end(at);
            }
            end = at + width;
        }
        longest.end(end);
        longest.longest
    }
}

#[derive(Default)]
struct Longest {
    since: Option<Nanos>,
    longest: Option<Span>,
}

impl Longest {
    fn begin(&mut self, at: Nanos) {
        self.since.get_or_insert(at);
    }

    fn end(&mut self, at: Nanos) {
        let Some(start) = self.since.take() else { return };
        let span = Span { start, length: at.saturating_sub(start) };
        if self.longest.is_none_or(|longest| span.length > longest.length) {
            self.longest = Some(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn of_due(dues: &[(u64, bool)]) -> Availability {
        let mut availability = Availability::default();
        dues.iter().for_each(|(at, good)| availability.due(at * SECOND, *good));
        availability
    }

    fn outage(dues: &[(u64, bool)]) -> Option<(u64, u64)> {
        let span = of_due(dues).longest_outage(10 * SECOND);
        span.map(|span| (span.start / SECOND, span.length / SECOND))
    }

    #[test]
    fn an_outage_is_from_the_first_arrival_that_fails_to_the_next_that_succeeds() {
        assert_eq!(outage(&[]), None);
        assert_eq!(outage(&[(0, true), (9, true)]), None, "one a second, or in nine, is no outage");
        assert_eq!(outage(&[(0, true), (2, false), (5, true)]), Some((2, 3)));
        assert_eq!(outage(&[(0, true), (2, false), (3, false), (7, true), (8, false)]), Some((2, 5)));
        assert_eq!(outage(&[(0, true), (7, false)]), Some((7, 3)), "to the end of arrivals");
        assert_eq!(outage(&[(0, false)]), Some((0, 10)));
        // At the same time as one that succeeds: nothing was out.
        assert_eq!(outage(&[(4, false), (4, true)]), None);
    }

    #[test]
    fn the_last_request_is_known_whatever_came_of_it() {
        assert_eq!(Availability::default().last_due(), None);
        for has_succeeded in [true, false] {
            let last = of_due(&[(0, true), (7, has_succeeded)]).last_due().unwrap();
            assert!((7 * SECOND + 1..=7 * SECOND + 1_000_000).contains(&last), "{last}");
        }
    }

    #[test]
    fn workers_fill_each_others_outages() {
        let mut one = of_due(&[(0, true), (1, false), (3, false), (5, true)]);
        one.merge(&of_due(&[(2, true)]));
        let span = one.longest_outage(10 * SECOND).unwrap();
        assert_eq!((span.start, span.length), (3 * SECOND, 2 * SECOND));
    }

    #[test]
    fn a_stall_is_a_time_in_which_something_was_outstanding_and_nothing_completed() {
        let mut availability = Availability::default();
        assert_eq!(availability.longest_stall(), None);
        for second in [1, 2, 3, 8] {
            availability.outstanding(second * SECOND, second * SECOND + SECOND / 10);
            availability.completed(second * SECOND + SECOND / 10);
        }
        let milli = 1_000_000;
        assert_eq!(availability.longest_stall().unwrap().length, 100 * milli);
        // One is outstanding all the time, which changes nothing before the others have stopped.
        availability.outstanding(SECOND, 9 * SECOND);
        let span = availability.longest_stall().unwrap();
        assert_eq!(span, Span { start: 3101 * milli, length: 4999 * milli });
        let within = |from, to| availability.longest_stall_within(&(from * SECOND..to * SECOND)).unwrap();
        assert_eq!(within(5, 7), Span { start: 5 * SECOND, length: 2 * SECOND });
        assert_eq!(within(1, 3), Span { start: 1101 * milli, length: 999 * milli }, "a shorter one");
    }
}
