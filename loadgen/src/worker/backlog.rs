//! Requests that are due and wait for a slot.
//!
//! Those of the schedule are kept as runs of consecutive indices, a run for each wake-up, so that a long queue
//! costs memory by the wake-ups it took and never more than [`MAX_RUNS`]. Those that are sent again, and those
//! of a closed loop, wait in front, and are at most as many as may be in flight.

use std::collections::VecDeque;

use crate::{clock::Nanos, outcome::Arrival};

/// The most runs kept apart. Beyond, a run is lengthened, and its later requests count as picked up when due.
const MAX_RUNS: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct Backlog {
    single: VecDeque<Arrival>,
    runs: VecDeque<Run>,
    waiting: u64,
}

#[derive(Debug)]
struct Run {
    first: u64,
    count: u64,
    picked: Nanos,
}

impl Backlog {
    /// Adds the schedule's arrival `index`, the one after the last that was added.
    pub(crate) fn push_scheduled(&mut self, index: u64, picked: Nanos) {
        self.waiting += 1;
        let full = self.runs.len() == MAX_RUNS;
        match self.runs.back_mut() {
            Some(run) if (run.picked == picked || full) && run.first + run.count == index => run.count += 1,
            _ => self.runs.push_back(Run { first: index, count: 1, picked }),
        }
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

    /// Takes the one that has waited longest. `scheduled` gives number and due time of an index.
    pub(crate) fn pop(&mut self, scheduled: impl Fn(u64) -> (u64, Nanos)) -> Option<Arrival> {
        if let Some(single) = self.single.pop_front() {
            return Some(single);
        }
        let run = self.runs.front_mut()?;
        let (number, due) = scheduled(run.first);
        let picked = run.picked.max(due);
        run.first += 1;
        run.count -= 1;
        if run.count == 0 {
            self.runs.pop_front();
        }
        self.waiting -= 1;
        Some(Arrival::new(number, due, picked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_waiting_comes_first_and_those_sent_again_before_all() {
        let mut backlog = Backlog::default();
        for (index, picked) in [(0, 5), (1, 5), (2, 30)] {
            backlog.push_scheduled(index, picked);
        }
        backlog.push_single(Arrival::new(99, 1, 1));
        assert_eq!(backlog.len(), 4);
        let arrival = |index| (index * 10, index);
        let order: Vec<_> =
            std::iter::from_fn(|| backlog.pop(arrival)).map(|a| (a.number, a.picked)).collect();
        assert_eq!(order, [(99, 1), (0, 5), (10, 5), (20, 30)]);
        assert_eq!(backlog.len(), 0);
    }

    #[test]
    fn a_long_queue_is_bounded_in_memory_and_loses_nothing() {
        let mut backlog = Backlog::default();
        let many = MAX_RUNS as u64 * 3;
        for index in 0..many {
            backlog.push_scheduled(index, index);
        }
        assert_eq!((backlog.len() as u64, backlog.runs.len()), (many, MAX_RUNS));
        let all: Vec<_> = std::iter::from_fn(|| backlog.pop(|index| (index, index))).collect();
        assert!(all.iter().enumerate().all(|(n, a)| a.number == n as u64 && a.picked == a.due));
        assert_eq!(all.len() as u64, many);
    }
}
