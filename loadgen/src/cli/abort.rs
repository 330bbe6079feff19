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
pub(super) struct Watching {
    stop: SyncSender<()>,
    thread: Option<JoinHandle<Option<String>>>,
}

/// Watches a run that is observed.
pub(super) fn watch(thresholds: Vec<Threshold>, run: Handle) -> std::io::Result<Watching> {
    let (stop, stopped) = mpsc::sync_channel(1);
    let look = move || {
        while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let snapshot = run.snapshot();
            if let Some(crossed) = thresholds.iter().find(|threshold| threshold.is_crossed_so_far(&snapshot))
            {
                run.stop();
                return Some(crossed.to_string());
            }
        }
        None
    };
    let thread = thread::Builder::new().name("loadgen-abort".to_owned()).spawn(look)?;
    Ok(Watching { stop, thread: Some(thread) })
}

impl Watching {
    /// The run is over. The threshold that was crossed before that, if one was.
    pub(super) fn end(self) -> Option<String> {
        // The thread may be gone already.
        let _ = self.stop.try_send(());
        self.thread?.join().ok()?
    }
}
