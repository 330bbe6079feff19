//! Requests that are due and wait for a slot.
//!
//! Those of the schedule are kept as batches that were picked up together, and read again from a clone of the arrivals
//! that lags behind: a long queue costs memory by the wake-ups it took, and at most [`MAX_BATCHES`], whatever the
//! schedule; where arrivals are dropped beyond a limit, at most as many as that limit. Those that are retried, and those of a closed loop, wait in front, and are at
//! most as many as may be in flight.

use std::collections::VecDeque;

use super::own::Own;
use crate::{clock::Nanos, outcome::Arrival};

/// The maximum number of batches kept apart. Beyond, the last one is lengthened, and its later requests count as picked up when due.
const MAX_BATCHES: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct Backlog {
    single: VecDeque<Arrival>,
    batches: VecDeque<Batch>,
    waiting: u64,
    /// Those that wait and those after them, from `start` on.
    lagging: Option<Own>,
    start: Nanos,
    /// How many were left out since the last batch.
    skipped: usize,
}

#[derive(Debug)]
struct Batch {
    /// How many arrivals in front of it were left out.
    skip: usize,
    count: u64,
    picked: Nanos,
}

impl Backlog {
    /// What is pushed from now on comes from these arrivals, the first of which is due at `start` or later.
    pub(super) fn follow(&mut self, arrivals: Own, start: Nanos) {
        (self.lagging, self.start) = (Some(arrivals), start);
    }

    /// Adds the next arrival of the schedule.
    #[inline]
    pub(crate) fn push_scheduled(&mut self, picked: Nanos) {
        self.waiting += 1;
        let full = self.batches.len() == MAX_BATCHES;
        match self.batches.back_mut() {
            Some(batch) if (batch.picked == picked || full) && self.skipped == 0 => batch.count += 1,
            _ => self.batches.push_back(Batch { skip: std::mem::take(&mut self.skipped), count: 1, picked }),
        }
    }

    /// Leaves out the next arrival of the schedule.
    #[inline]
    pub(crate) fn skip_scheduled(&mut self) {
        self.skipped += 1;
    }

    /// Adds one by itself.
    pub(crate) fn push_single(&mut self, arrival: Arrival) {
        self.single.push_back(arrival);
    }

    /// Puts one back in front that could not be sent.
    pub(crate) fn push_front(&mut self, arrival: Arrival) {
        self.single.push_front(arrival);
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.single.len() + usize::try_from(self.waiting).unwrap_or(usize::MAX)
    }

    /// Takes the one that has waited longest.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Arrival> {
        if let Some(single) = self.single.pop_front() {
            return Some(single);
        }
        let batch = self.batches.front_mut()?;
        let due = self.lagging.as_mut()?.nth(std::mem::take(&mut batch.skip))?;
        let at = self.start.saturating_add(due.at);
        let picked = batch.picked.max(at);
        batch.count -= 1;
        if batch.count == 0 {
            self.batches.pop_front();
        }
        self.waiting -= 1;
        Some(Arrival::new(due.number, at, picked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Arrivals, Constant, Part};

    /// Number `n` is due `n` nanoseconds after 7.
    fn every_nanosecond(backlog: &mut Backlog, part: Part) {
        let arrivals = Arrivals::Constant(Constant::new(1e9, None, None)).part(part);
        backlog.follow(Own::new(arrivals, None), 7);
    }

    #[test]
    fn retries_come_first_and_then_the_longest_waiting() {
        let mut backlog = Backlog::default();
        every_nanosecond(&mut backlog, Part::new(0, 10));
        for picked in [17, 17, 30] {
            backlog.push_scheduled(picked);
        }
        backlog.push_single(Arrival::new(99, 1, 1));
        assert_eq!(backlog.len(), 4);
        let order: Vec<_> =
            std::iter::from_fn(|| backlog.pop()).map(|a| (a.number, a.due, a.picked)).collect();
        assert_eq!(order, [(99, 1, 1), (0, 7, 17), (10, 17, 17), (20, 27, 30)]);
        assert_eq!(backlog.len(), 0);
    }

    #[test]
    fn skipped_arrivals_are_left_out_and_no_others() {
        let mut backlog = Backlog::default();
        every_nanosecond(&mut backlog, Part::WHOLE);
        for (number, is_kept) in [true, false, false, true, true, false, true].into_iter().enumerate() {
            match is_kept {
                true => backlog.push_scheduled(100),
                false => backlog.skip_scheduled(),
            }
            // Whether it is taken immediately or waits.
            if number == 1 {
                assert_eq!(backlog.pop().map(|arrival| arrival.number), Some(0));
            }
        }
        let left: Vec<_> = std::iter::from_fn(|| backlog.pop()).map(|arrival| arrival.number).collect();
        assert_eq!(left, [3, 4, 6]);
    }

    #[test]
    fn a_long_queue_is_bounded_in_memory_and_loses_nothing() {
        let mut backlog = Backlog::default();
        every_nanosecond(&mut backlog, Part::WHOLE);
        let many = MAX_BATCHES as u64 * 3;
        for number in 0..many {
            backlog.push_scheduled(7 + number);
        }
        assert_eq!((backlog.len() as u64, backlog.batches.len()), (many, MAX_BATCHES));
        let all: Vec<_> = std::iter::from_fn(|| backlog.pop()).collect();
        assert!(all.iter().enumerate().all(|(n, a)| a.number == n as u64 && a.picked == a.due));
        assert_eq!(all.len() as u64, many);
    }
}
