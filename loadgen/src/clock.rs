//! The run's clock: nanoseconds since one instant that all workers share.
//!
//! A `u64` of nanoseconds is half the size of an `Instant`, and lasts for five centuries.

use std::time::{Duration, Instant, SystemTime};

/// Nanoseconds since the clock's own beginning.
pub type Nanos = u64;

/// Reads the monotonic clock as nanoseconds since the instant it was made. Copies agree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that shows zero now.
    #[must_use]
    pub(crate) fn starting_now() -> Self {
        Self { origin: Instant::now() }
    }

    /// What it showed at an instant.
    #[must_use]
    pub(crate) fn at(&self, instant: Instant) -> Nanos {
        nanos(instant.saturating_duration_since(self.origin))
    }

    /// What the wall clock, in nanoseconds since the Unix epoch, showed when this one showed zero.
    #[must_use]
    pub(crate) fn epoch(&self) -> Nanos {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        nanos(wall).saturating_sub(self.now())
    }

    /// The time now.
    #[must_use]
    pub(crate) fn now(&self) -> Nanos {
        nanos(self.origin.elapsed())
    }
}

/// A duration in nanoseconds, saturating.
#[must_use]
pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
