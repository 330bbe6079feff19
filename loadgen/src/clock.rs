//! The run's clock: nanoseconds since one instant that all workers share.
//!
//! A `u64` of nanoseconds is half the size of an `Instant`, and lasts for five centuries.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use contract::ledger::Host;

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

    /// What the clock that all processes of this host share showed when this one showed zero.
    #[must_use]
    pub(crate) fn shared_epoch(&self) -> Nanos {
        // Kept from running in between, it shows too little.
        let looks = (0..5).map(|_| runtime::monotonic::now_ns().saturating_sub(self.now()));
        looks.max().unwrap_or_default()
    }

    /// The time now.
    #[must_use]
    pub(crate) fn now(&self) -> Nanos {
        nanos(self.origin.elapsed())
    }
}

/// Whose clock that is; none where that is not said.
#[inline]
pub(crate) fn shared_by() -> Option<Host> {
    static HOST: OnceLock<Option<Host>> = OnceLock::new();
    let told = || runtime::monotonic::shared_by().map(|(boot, namespace)| Host::of(&boot, &namespace));
    *HOST.get_or_init(told)
}

/// A duration in nanoseconds, saturating.
#[must_use]
pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
