//! Ctrl+C: the first stops arrivals, the second aborts.

use std::{io, thread};

use super::progress::note;
use crate::control::{Handle, Phase};

/// Watches for Ctrl+C and SIGTERM from now on, on a thread of its own.
///
/// # Errors
/// The thread or its runtime can't be made.
pub(super) fn watch(run: Handle) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    // Before anything is done that a signal would be the end of.
    let signals = {
        let _guard = runtime.enter();
        Signals::new()?
    };
    thread::Builder::new()
        .name("loadgen-signals".to_owned())
        .spawn(move || runtime.block_on(obey(signals, &run)))?;
    Ok(())
}

async fn obey(mut signals: Signals, run: &Handle) {
    while signals.next().await.is_some() {
        if run.phase() != Phase::Run {
            run.abort();
            continue;
        }
        run.stop();
        if run.elapsed().is_some() {
            note("stopping: waiting for what is in flight; press Ctrl+C again to abort");
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Option<()> {
        tokio::select! {
            interrupt = self.interrupt.recv() => interrupt,
            terminate = self.terminate.recv() => terminate,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Option<()> {
        tokio::signal::ctrl_c().await.ok()
    }
}
