//! Slots of a closed loop that wait for their next request.

use std::collections::VecDeque;

use crate::clock::Nanos;

/// Slots whose exchange has ended, by when it did: their next request is due then. Oldest first, those of the same time
/// together.
#[derive(Debug, Default)]
pub(super) struct FreeSlots {
    by_time: VecDeque<(Nanos, usize)>,
    all: usize,
}

impl FreeSlots {
    /// One more.
    #[inline]
    pub(super) fn add(&mut self, at: Nanos) {
        self.all += 1;
        match self.by_time.back_mut() {
            Some((last, count)) if *last == at => *count += 1,
            _ => self.by_time.push_back((at, 1)),
        }
    }

    /// At most `most` of those that became free first at the same time, and when.
    #[inline]
    pub(super) fn take(&mut self, most: usize) -> Option<(Nanos, usize)> {
        let (at, count) = self.by_time.front_mut()?;
        let (at, taken) = (*at, most.min(*count));
        *count -= taken;
        self.all -= taken;
        if *count == 0 {
            self.by_time.pop_front();
        }
        Some((at, taken))
    }

    /// No more than this: slots may have gone with their connections.
    pub(super) fn keep(&mut self, most: usize) {
        while self.all > most {
            self.take(self.all - most);
        }
    }
}
