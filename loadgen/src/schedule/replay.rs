//! Requests at times that are given one by one, such as those of a log.

use std::{sync::Arc, time::Duration};

use super::{Due, Part};
use crate::clock::Nanos;

/// Arrivals at given times. A clone shares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// In order.
    due: Arc<[Nanos]>,
    /// How many of them there are to be.
    total: u64,
    part: Part,
    /// How many of this part have been due.
    given: u64,
}

impl Replay {
    /// These, in nanoseconds after the start and in order, ended by `total` arrivals or by `length`.
    #[must_use]
    pub fn new(due: Arc<[Nanos]>, total: Option<u64>, length: Option<Duration>) -> Self {
        debug_assert!(due.is_sorted(), "a schedule is in order");
        let within =
            length.map_or(due.len(), |length| due.partition_point(|at| u128::from(*at) < length.as_nanos()));
        let total = total.unwrap_or(u64::MAX).min(within as u64);
        Self { due, total, part: Part::WHOLE, given: 0 }
    }

    pub(super) fn part(&self, part: Part) -> Self {
        Self { part: self.part.part(part), given: 0, ..self.clone() }
    }

    /// To the last one, and a mean interval behind that.
    pub(super) fn window(&self) -> Duration {
        let all = &self.due[..self.total as usize];
        let last = all.last().copied().unwrap_or(0);
        let interval = last / (all.len() as u64).saturating_sub(1).max(1);
        Duration::from_nanos(last.saturating_add(interval)).max(Duration::from_millis(1))
    }

    pub(super) fn expected_by(&self, at: Nanos) -> u64 {
        self.due[..self.total as usize].partition_point(|due| *due < at) as u64
    }
}

impl Iterator for Replay {
    type Item = Due;

    #[inline]
    fn next(&mut self) -> Option<Due> {
        let number = self.part.number(self.given).filter(|number| *number < self.total)?;
        self.given += 1;
        Some(Due { number, at: self.due[number as usize] })
    }

    #[inline]
    fn nth(&mut self, skipped: usize) -> Option<Due> {
        self.given = self.given.saturating_add(skipped as u64);
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_together_are_the_whole_and_it_ends_as_is_said() {
        let due: Arc<[Nanos]> = [0, 10, 10, 30, 1000].into();
        let whole = Replay::new(Arc::clone(&due), None, None);
        assert_eq!(whole.clone().map(|due| due.at).collect::<Vec<_>>(), *due);
        for of in 1..8 {
            let parts = (0..of).flat_map(|index| whole.part(Part::new(index, of)));
            let mut all: Vec<_> = parts.map(|due| (due.number, due.at)).collect();
            all.sort_unstable();
            assert_eq!(all, whole.clone().map(|due| (due.number, due.at)).collect::<Vec<_>>(), "{of}");
        }
        assert_eq!(Replay::new(Arc::clone(&due), Some(3), None).count(), 3);
        assert_eq!(Replay::new(Arc::clone(&due), None, Some(Duration::from_nanos(30))).count(), 3);
        assert_eq!((whole.expected_by(10), whole.expected_by(11), whole.expected_by(Nanos::MAX)), (1, 3, 5));
        assert_eq!(whole.part(Part::WHOLE).nth(3), Some(Due { number: 3, at: 30 }));
        assert_eq!(whole.window(), Duration::from_millis(1));
    }
}
