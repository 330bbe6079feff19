//! The end of a proxy in a test, which its threads await while they hold something back.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Whether it has ended; all clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending(Arc<(Mutex<bool>, Condvar)>);

impl Ending {
    /// Ends it, and wakes all threads that wait.
    pub(crate) fn end(&self) {
        let (has_ended, waiting) = &*self.0;
        *has_ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        waiting.notify_all();
    }

    /// Whether it has ended.
    pub(crate) fn has_come(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it ends, at most for this time; whether it has ended.
    pub(crate) fn comes_within(&self, time: Duration) -> bool {
        let (has_ended, waiting) = &*self.0;
        let has_ended = has_ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = waiting.wait_timeout_while(has_ended, time, |has_ended| !*has_ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn it_is_awaited_for_as_long_as_asked_and_no_longer_once_it_has_come() {
        let ending = Ending::default();
        let began = Instant::now();
        assert!(!ending.comes_within(Duration::from_millis(2)) && !ending.has_come());
        assert!(began.elapsed() >= Duration::from_millis(2));
        let waiting = ending.clone();
        let waiting = std::thread::spawn(move || waiting.comes_within(Duration::MAX));
        ending.end();
        assert!(waiting.join().unwrap() && ending.has_come());
    }
}
