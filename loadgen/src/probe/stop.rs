//! What ends a probe early.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Ends a probe from another thread: what was found so far is reported.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_stopped: AtomicBool,
    told: Notify,
}

impl Stop {
    /// Ends it.
    pub fn stop(&self) {
        self.0.is_stopped.store(true, Ordering::Release);
        // Kept until somebody waits for it.
        self.0.told.notify_one();
    }

    /// Whether it was ended.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.is_stopped.load(Ordering::Acquire)
    }

    /// Waits for that; for one waiter at a time.
    pub(super) async fn stopped(&self) {
        while !self.is_stopped() {
            self.0.told.notified().await;
        }
    }
}
