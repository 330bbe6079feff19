//! When requests arrived: written by the responder's thread, once for each wake-up, and taken by the harness.

use std::{
    iter,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// Maximum number of arrivals kept; further ones are not noted.
const MAX_NOTED: usize = 4_000_000;
/// Arrivals that there is room for before memory has to be moved: the row's, and more.
const ROOM: usize = 200_000;

/// Arrivals that nothing has taken yet.
#[derive(Clone, Debug)]
pub(super) struct Noted(Arc<Mutex<Vec<u64>>>);

impl Default for Noted {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Vec::with_capacity(ROOM))))
    }
}

impl Noted {
    /// Notes that `count` requests have arrived by `instant`.
    pub(super) fn add(&self, instant: u64, count: usize) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.min(MAX_NOTED - list.len());
        list.extend(iter::repeat_n(instant, count));
    }

    /// What was noted since this was last asked.
    pub(super) fn take(&self) -> Vec<u64> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *list, Vec::with_capacity(ROOM))
    }
}

/// Nanoseconds since an arbitrary start.
pub(super) fn now() -> u64 {
    let time = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_maximum_is_noted() {
        let noted = Noted::default();
        noted.add(5, MAX_NOTED - 1);
        noted.add(7, 3);
        noted.add(8, 1);
        let list = noted.take();
        assert_eq!((list.len(), list.last()), (MAX_NOTED, Some(&7)));
        assert!(noted.take().is_empty());
    }
}
