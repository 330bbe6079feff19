//! The end of a server: phases from the first signal to the exit, and their deadlines.
//!
//! Serving -> Leaving (not ready, still accepting) -> Closing (no listeners; what is in flight ends) ->
//! Aborted (all is dropped). This file decides when; connections decide how.

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use runtime::mutex::lock;
use tokio::sync::watch;

/// How far the end has come. It only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Nothing has begun the drain.
    Serving,
    /// Not ready, but everything is still served.
    Leaving,
    /// Listeners close; connections end after what is in flight.
    Closing,
    /// Connections are dropped.
    Aborted,
}

/// A handle with which a server is ended, and by which its parts learn of it. Clones are the same handle.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The request path, which must not take a lock, reads it too.
    phase: AtomicU8,
    /// Somebody asked for the abort, rather than the deadline.
    aborted: AtomicBool,
    /// Connections are reset at the abort, as if the machine had gone.
    killed: AtomicBool,
    unhealthy: AtomicBool,
    /// Wakes what waits for the phase or the health to change.
    changed: watch::Sender<()>,
    /// What ends with it, and may end before it.
    parts: Mutex<Vec<Weak<Self>>>,
}

impl Shutdown {
    /// A handle for one server.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle for one of several servers of a process: it follows this one through the phases, and may be ahead of it.
    pub(crate) fn part(&self) -> Self {
        let mut parts = lock(&self.0.parts);
        parts.retain(|part| part.strong_count() > 0);
        // With the lock held: a phase that is not seen here is passed on when the lock is free.
        let part = Self::new();
        part.advance(self.phase());
        parts.push(Arc::downgrade(&part.0));
        part
    }

    /// Begins the drain; again, it does nothing.
    pub fn begin(&self) {
        self.advance(Phase::Leaving);
    }

    /// Ends immediately: whatever is in flight is cut off.
    pub fn abort(&self) {
        self.0.aborted.store(true, Ordering::Relaxed);
        self.advance(Phase::Aborted);
    }

    /// Ends immediately, and resets every connection.
    pub(crate) fn kill(&self) {
        self.0.killed.store(true, Ordering::Relaxed);
        self.advance(Phase::Aborted);
    }

    /// Whether [`Self::kill`] was called.
    pub(crate) fn was_killed(&self) -> bool {
        self.0.killed.load(Ordering::Relaxed)
    }

    /// Whether [`Self::abort`] was called.
    #[must_use]
    pub fn was_aborted(&self) -> bool {
        self.0.aborted.load(Ordering::Relaxed)
    }

    /// The current phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Relaxed) {
            0 => Phase::Serving,
            1 => Phase::Leaving,
            2 => Phase::Closing,
            _ => Phase::Aborted,
        }
    }

    /// Whether new requests are welcome.
    #[must_use]
    pub(crate) fn is_ready(&self) -> bool {
        self.phase() == Phase::Serving && !self.0.unhealthy.load(Ordering::Relaxed)
    }

    /// Sets whether it counts as healthy: an unhealthy server still serves.
    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.0.unhealthy.store(!healthy, Ordering::Relaxed);
        self.0.changed.send_replace(());
    }

    /// Waits until [`Self::is_ready`] differs from `told`; None when listeners close before that.
    pub(crate) async fn readiness_after(&self, told: bool) -> Option<bool> {
        let mut ready = told;
        self.until(|| {
            ready = self.is_ready();
            ready != told || self.phase() >= Phase::Closing
        })
        .await;
        (ready != told).then_some(ready)
    }

    /// Waits until the phase is `phase` or later.
    pub async fn reached(&self, phase: Phase) {
        self.until(|| self.phase() >= phase).await;
    }

    async fn until(&self, mut is_so: impl FnMut() -> bool) {
        // The sender lives in self, so the wait can't fail.
        let _ = self.0.changed.subscribe().wait_for(|()| is_so()).await;
    }

    pub(crate) fn advance(&self, phase: Phase) {
        if self.0.phase.fetch_max(phase as u8, Ordering::Relaxed) < phase as u8 {
            self.0.changed.send_replace(());
            let parts = lock(&self.0.parts);
            for part in parts.iter().filter_map(Weak::upgrade) {
                Self(part).advance(phase);
            }
        }
    }

    /// Walks through the phases once the drain has begun. Returns when the server was aborted; the caller
    /// drops this future when the last connection has ended.
    pub(crate) async fn run(&self, delay: Duration, timeout: Duration) {
        self.reached(Phase::Leaving).await;
        tokio::select! {
            () = tokio::time::sleep(delay) => self.advance(Phase::Closing),
            () = self.reached(Phase::Aborted) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(timeout) => self.advance(Phase::Aborted),
            () = self.reached(Phase::Aborted) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn paused<F: Future<Output = ()>>(test: F) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap().block_on(test);
    }

    #[test]
    fn phases_follow_delay_and_timeout() {
        paused(async {
            let shutdown = Shutdown::new();
            let start = Instant::now();
            let watch = async {
                shutdown.begin();
                assert_eq!(shutdown.phase(), Phase::Leaving);
                shutdown.reached(Phase::Closing).await;
                assert_eq!(start.elapsed().as_secs(), 3);
                shutdown.reached(Phase::Aborted).await;
                assert_eq!(start.elapsed().as_secs(), 13);
            };
            tokio::join!(watch, shutdown.run(Duration::from_secs(3), Duration::from_secs(10)));
        });
    }

    #[test]
    fn a_part_follows_the_whole_and_may_be_ahead_of_it() {
        let whole = Shutdown::new();
        let (first, second) = (whole.part(), whole.part());
        first.kill();
        assert_eq!((first.phase(), second.phase()), (Phase::Aborted, Phase::Serving));
        assert!(first.was_killed() && !whole.was_aborted() && whole.phase() == Phase::Serving);
        whole.begin();
        assert_eq!((first.phase(), second.phase(), whole.part().phase()), {
            (Phase::Aborted, Phase::Leaving, Phase::Leaving)
        });
    }

    #[test]
    fn what_is_unhealthy_serves_and_is_not_ready() {
        paused(async {
            let shutdown = Shutdown::new();
            shutdown.set_healthy(false);
            assert!(!shutdown.is_ready() && shutdown.phase() == Phase::Serving);
            assert_eq!(shutdown.readiness_after(true).await, Some(false));
            shutdown.set_healthy(true);
            assert_eq!(shutdown.readiness_after(false).await, Some(true));
            shutdown.begin();
            assert_eq!(shutdown.readiness_after(true).await, Some(false));
            shutdown.advance(Phase::Closing);
            assert_eq!(shutdown.readiness_after(false).await, None);
        });
    }

    #[test]
    fn an_abort_ends_the_wait_immediately() {
        paused(async {
            let shutdown = Shutdown::new();
            shutdown.begin();
            shutdown.abort();
            shutdown.begin();
            shutdown.run(Duration::from_secs(3), Duration::from_secs(10)).await;
            assert_eq!(shutdown.phase(), Phase::Aborted);
        });
    }
}
