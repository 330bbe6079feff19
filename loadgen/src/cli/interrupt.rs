//! Ctrl+C: the first stops arrivals, the second aborts. SIGTERM, and SIGHUP of a terminal that has gone, are the same.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use runtime::{mutex::lock, signals};

use super::progress::note;
use crate::control::{Handle, Phase};

/// What was interrupted, and what is.
#[derive(Clone, Debug)]
pub(super) struct Interrupts(Arc<Mutex<Followed>>);

#[derive(Debug)]
struct Followed {
    run: Handle,
    is_interrupted: bool,
}

/// Watches for Ctrl+C, SIGTERM and SIGHUP from now on, on its own thread.
///
/// # Errors
/// The thread or its runtime can't be made.
pub(super) fn watch(run: Handle) -> io::Result<Interrupts> {
    let interrupts = Interrupts(Arc::new(Mutex::new(Followed { run, is_interrupted: false })));
    let watched = interrupts.clone();
    on_each(move || watched.obey())?;
    Ok(interrupts)
}

/// The same, for what is not a run: `obey` is called for each signal.
///
/// # Errors
/// The thread or its runtime can't be made.
pub(super) fn on_each(mut obey: impl FnMut() + Send + 'static) -> io::Result<()> {
    signals::on_each("loadgen-signals", ends_by_hangup(), move |_| obey())
}

impl Interrupts {
    /// Another run begins, unless the one before it was interrupted: false.
    pub(super) fn follow(&self, run: Handle) -> bool {
        let mut followed = self.lock();
        followed.run = run;
        !followed.is_interrupted
    }

    /// Whether there was a signal.
    pub(super) fn is_interrupted(&self) -> bool {
        self.lock().is_interrupted
    }

    fn lock(&self) -> MutexGuard<'_, Followed> {
        lock(&self.0)
    }

    fn obey(&self) {
        let mut followed = self.lock();
        followed.is_interrupted = true;
        let run = &followed.run;
        if run.phase() != Phase::Run {
            run.abort();
            return;
        }
        run.stop();
        if run.elapsed().is_some() {
            note("stopping: waiting for what is in flight; press Ctrl+C again to abort");
        }
    }
}

/// Whether SIGHUP would end this process: a handler would take from `nohup` what it is for.
fn ends_by_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit. Where there is no such file, nothing is changed.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 0)
}
