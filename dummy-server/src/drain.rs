//! The end of a server: phases from the first signal to the exit, and their deadlines.
//!
//! Serving -> Leaving (not ready, still accepting) -> Closing (no listeners; what is in flight ends) ->
//! Aborted (all is dropped). This file decides when; connections decide how.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

/// How far the end has come. It only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// No end in sight.
    Serving,
    /// Not ready, but everything is still served.
    Leaving,
    /// Listeners close; connections end after what is in flight.
    Closing,
    /// Connections are dropped.
    Aborted,
}

/// A handle with which a server is ended, and by which its parts learn of it. Clones are the same handle.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// A copy of the phase for the request path, which must not take a lock.
    phase: AtomicU8,
    /// Somebody asked for the abort, rather than the deadline.
    aborted: AtomicBool,
    watch: watch::Sender<Phase>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A handle for one server.
    #[must_use]
    pub fn new() -> Self {
        let phase = AtomicU8::new(Phase::Serving as u8);
        let aborted = AtomicBool::new(false);
        Self(Arc::new(Shared { phase, aborted, watch: watch::Sender::new(Phase::Serving) }))
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

    /// Waits until the phase is `phase` or later.
    pub async fn reached(&self, phase: Phase) {
        // The sender lives in self, so the wait can't fail.
        let _ = self.0.watch.subscribe().wait_for(|now| *now >= phase).await;
    }

    pub(crate) fn advance(&self, phase: Phase) {
        self.0.watch.send_if_modified(|now| {
            let forward = phase > *now;
            if forward {
                *now = phase;
                self.0.phase.store(phase as u8, Ordering::Relaxed);
            }
            forward
        });
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
