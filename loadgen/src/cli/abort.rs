//! Stops a run as soon as a threshold of `--abort-on` is crossed.

use std::{
    sync::mpsc::{self, RecvTimeoutError, SyncSender},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{control::Handle, verdict::Threshold};

/// How often the figures are looked at.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// A run being watched.
#[derive(Debug)]
pub(super) struct AbortWatch {
    stop: SyncSender<()>,
    thread: Option<JoinHandle<Option<Crossed>>>,
}

/// A threshold that was crossed.
#[derive(Debug)]
pub(super) struct Crossed {
    /// It, as it was given.
    pub(super) threshold: String,
    /// By which of the runs, by index.
    pub(super) run: usize,
}

/// Watches runs that are observed, each by itself; what ends one ends all that go on together with it.
pub(super) fn watch(thresholds: Vec<Threshold>, runs: Vec<Handle>) -> std::io::Result<AbortWatch> {
    let (stop, stopped) = mpsc::sync_channel(1);
    let look = move || {
        while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            for (index, run) in runs.iter().enumerate() {
                let snapshot = run.snapshot();
                let crossed = thresholds.iter().find(|threshold| threshold.is_crossed_so_far(&snapshot));
                if let Some(crossed) = crossed {
                    run.stop();
                    return Some(Crossed { threshold: crossed.to_string(), run: index });
                }
            }
        }
        None
    };
    let thread = thread::Builder::new().name("loadgen-abort".to_owned()).spawn(look)?;
    Ok(AbortWatch { stop, thread: Some(thread) })
}

impl AbortWatch {
    /// The runs are over. The threshold that was crossed before that, if one was.
    pub(super) fn end(self) -> Option<Crossed> {
        // The thread may be gone already.
        let _ = self.stop.try_send(());
        self.thread?.join().ok()?
    }
}
