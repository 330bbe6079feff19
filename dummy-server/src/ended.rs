//! The ends of a process's threads: whatever caused one, `Running::join` learns of it.
//!
//! Servers may end and start again before the process does, so what is kept is counts and no list of events.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use runtime::mutex::lock;
use tokio::sync::watch;

use crate::drain::{Phase, Shutdown};

/// How long workers may take to end after the drain's time is up. One that is stuck does not keep the process.
const GRACE: Duration = Duration::from_secs(1);

/// How all workers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With this number of open connections, which were cut off.
    All(usize),
    /// Some have not ended when the drain's time was up.
    Stuck,
    /// A thread has panicked.
    Panicked,
}

/// What is known of a process's threads. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Ends(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Of the process.
    shutdown: Shutdown,
    threads: Mutex<Threads>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Threads {
    /// Workers that have not ended.
    workers: usize,
    /// Connections that were open when workers ended in the drain of the process.
    cut: usize,
    has_panicked: bool,
}

impl Ends {
    pub(crate) fn new(shutdown: Shutdown) -> Self {
        let threads = Mutex::default();
        Self(Arc::new(Inner { shutdown, threads, changed: Condvar::new() }))
    }

    /// Counts a worker in; `alive` is how many there are of its server. To be taken along by its thread, and to be the result
    /// of that: what is left when the thread is gone is dropped last.
    pub(crate) fn worker(&self, alive: &Arc<watch::Sender<usize>>) -> WorkerEnd {
        lock(&self.0.threads).workers += 1;
        alive.send_modify(|alive| *alive += 1);
        WorkerEnd { ends: self.clone(), alive: Arc::clone(alive) }
    }

    /// Runs another thread.
    pub(crate) async fn thread(self, run: impl Future<Output = ()>) {
        let _guard = PanicNotice(self);
        run.await;
    }

    /// Has the phases of the process noticed by what waits.
    pub(crate) async fn watch(self) {
        for phase in [Phase::Leaving, Phase::Aborted] {
            self.0.shutdown.reached(phase).await;
            self.change(|_| ());
        }
    }

    /// Waits until the process is to end and all workers have ended, or until the time to wait is up.
    pub(crate) fn wait(&self) -> Ending {
        let mut deadline = None::<Instant>;
        let mut threads = lock(&self.0.threads);
        loop {
            let phase = self.0.shutdown.phase();
            if threads.has_panicked {
                return Ending::Panicked;
            }
            if threads.workers == 0 && phase > Phase::Serving {
                return Ending::All(threads.cut);
            }
            if phase < Phase::Aborted {
                threads = self.0.changed.wait(threads).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let left = deadline
                .get_or_insert_with(|| Instant::now() + GRACE)
                .saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::error!(
                    workers = threads.workers,
                    "workers have not ended when the drain's time was up"
                );
                return Ending::Stuck;
            }
            let waited = self.0.changed.wait_timeout(threads, left);
            threads = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Threads)) {
        change(&mut lock(&self.0.threads));
        self.0.changed.notify_all();
    }
}

/// Counts a worker out when it is dropped.
#[derive(Debug)]
pub(crate) struct WorkerEnd {
    ends: Ends,
    alive: Arc<watch::Sender<usize>>,
}

impl WorkerEnd {
    /// Runs a worker; its result is the number of connections that were open.
    pub(crate) async fn run(self, run: impl Future<Output = usize>) -> Self {
        let open = run.await;
        // A server that ends by itself takes nothing from the drain of the process.
        if self.ends.0.shutdown.phase() > Phase::Serving {
            lock(&self.ends.0.threads).cut += open;
        }
        self
    }
}

impl Drop for WorkerEnd {
    fn drop(&mut self) {
        self.ends.change(|threads| {
            threads.workers -= 1;
            threads.has_panicked |= std::thread::panicking();
        });
        self.alive.send_modify(|alive| *alive -= 1);
    }
}

/// Says that its thread has panicked, if it has.
struct PanicNotice(Ends);

impl Drop for PanicNotice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.change(|threads| threads.has_panicked = true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (Shutdown, Ends) {
        let shutdown = Shutdown::new();
        (shutdown.clone(), Ends::new(shutdown))
    }

    /// Runs a worker on its own thread, and waits for the end of the server of which it is the only one.
    fn run_worker<F: Future<Output = usize>>(ends: &Ends, run: impl FnOnce() -> F + Send + 'static) {
        let alive = Arc::new(watch::Sender::new(0));
        let end = ends.worker(&alive);
        let mut left = alive.subscribe();
        drop(runtime::worker::spawn("test", None, move || end.run(run())).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(left.wait_for(|left| *left == 0)).unwrap();
    }

    #[test]
    fn connections_that_were_open_at_the_end_of_the_process_are_counted() {
        let (shutdown, ends) = ends();
        run_worker(&ends, || async { 5 });
        shutdown.begin();
        run_worker(&ends, || async { 7 });
        assert_eq!(ends.wait(), Ending::All(7), "those of a server that ended before are not");
    }

    #[test]
    fn a_worker_has_ended_when_nothing_of_its_thread_is_left() {
        struct Slow(Arc<Mutex<bool>>);
        impl Drop for Slow {
            fn drop(&mut self) {
                std::thread::yield_now();
                *self.0.lock().unwrap() = true;
            }
        }
        let (_shutdown, ends) = ends();
        let dropped = Arc::new(Mutex::new(false));
        let slow = Slow(Arc::clone(&dropped));
        run_worker(&ends, || async move {
            // A task that never ends is dropped with its runtime.
            tokio::task::spawn_local(async move {
                let _slow = slow;
                std::future::pending::<()>().await;
            });
            0
        });
        assert!(*dropped.lock().unwrap());
    }

    #[test]
    fn a_panic_of_any_thread_is_reported() {
        let (_shutdown, one) = ends();
        run_worker(&one, || async { panic!("in a test") });
        assert_eq!(one.wait(), Ending::Panicked);
        let (shutdown, other) = ends();
        let thread = other.clone().thread(async { panic!("in a test") });
        let _ = runtime::worker::spawn("test", None, move || thread).unwrap().join();
        assert_eq!(other.wait(), Ending::Panicked);
        shutdown.begin();
        let (shutdown, none) = ends();
        shutdown.begin();
        let thread = none.clone().thread(async {});
        runtime::worker::spawn("test", None, move || thread).unwrap().join().unwrap();
        assert_eq!(none.wait(), Ending::All(0));
    }

    #[test]
    fn a_worker_that_does_not_end_is_not_waited_for_beyond_the_drain() {
        let (shutdown, ends) = ends();
        let alive = Arc::new(watch::Sender::new(0));
        let _stuck = ends.worker(&alive);
        shutdown.abort();
        assert_eq!((ends.wait(), *alive.borrow()), (Ending::Stuck, 1));
    }
}
