//! What is seen while a run goes on, on standard error: on a terminal a line that is redrawn, else a line a
//! second.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::mpsc,
    thread,
    time::Duration,
};

use contract::quantity::rounded;

use crate::{
    control::Handle,
    numbers::{count, time},
    plan::Load,
    recorder::Snapshot,
};

const ON_A_TERMINAL: Duration = Duration::from_millis(100);
const ELSEWHERE: Duration = Duration::from_secs(1);

/// How progress is shown.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    terminal: bool,
    total: Option<u64>,
    window: Option<Duration>,
}

/// Progress being shown.
#[derive(Debug)]
pub(super) struct Watching {
    stop: mpsc::SyncSender<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Progress {
    /// Of a run with this load.
    #[must_use]
    pub(super) fn of(load: &Load) -> Self {
        let (total, window) = match load.arrivals() {
            Some(arrivals) => (arrivals.count(), arrivals.window()),
            None => (load.total, load.duration),
        };
        Self { terminal: io::stderr().is_terminal(), total, window }
    }

    /// How often it is shown.
    #[must_use]
    pub(super) fn every(&self) -> Duration {
        if self.terminal { ON_A_TERMINAL } else { ELSEWHERE }
    }

    pub(super) fn watch(self, run: Handle) -> Watching {
        let (stop, stopped) = mpsc::sync_channel(1);
        let show = move || {
            let mut before = (Duration::ZERO, 0);
            while stopped.recv_timeout(self.every()) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Nothing is sent yet.
                let Some(elapsed) = run.elapsed() else { continue };
                let snapshot = run.snapshot();
                self.show(&self.line(&snapshot, elapsed, before));
                before = (elapsed, snapshot.counts.completed());
            }
            self.clear();
        };
        // Without the thread there is no progress, and the run goes on.
        let thread = thread::Builder::new().name("loadgen-progress".to_owned()).spawn(show).ok();
        Watching { stop, thread }
    }

    fn line(&self, snapshot: &Snapshot, elapsed: Duration, before: (Duration, u64)) -> String {
        let counts = &snapshot.counts;
        let done = counts.completed() + counts.transport_failed + counts.timed_out;
        let since = (elapsed.saturating_sub(before.0)).as_secs_f64().max(1e-3);
        let rate = counts.completed().saturating_sub(before.1) as f64 / since;
        let total = self.total.map(|total| format!("/{}", count(total))).unwrap_or_default();
        let mut line = format!(
            "{}{total} done, {}/s, {} errors",
            count(done),
            count(rounded(rate.floor())),
            count(counts.errors())
        );
        if !snapshot.response.is_empty() {
            line += &format!(", p99 {}", time(snapshot.response.value_at_quantile(0.99) as f64));
        }
        if let Some(left) = self.time_left(elapsed, done) {
            line += &format!(", {left:.0}s left");
        }
        line
    }

    fn time_left(&self, elapsed: Duration, done: u64) -> Option<f64> {
        match (self.window, self.total) {
            (Some(window), _) => Some(window.saturating_sub(elapsed).as_secs_f64()),
            (None, Some(total)) if done > 0 => {
                Some(elapsed.as_secs_f64() / done as f64 * total.saturating_sub(done) as f64)
            }
            _ => None,
        }
    }

    fn show(&self, line: &str) {
        if self.terminal {
            put(&format!("\r\x1b[2K{line}"));
        } else {
            note(line);
        }
    }

    fn clear(&self) {
        if self.terminal {
            put("\r\x1b[2K");
        }
    }
}

impl Watching {
    /// Shows no more.
    pub(super) fn end(self) {
        // The thread may be gone already.
        let _ = self.stop.try_send(());
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

/// Writes a line to standard error.
pub fn note(line: &str) {
    put(&format!("{line}\n"));
}

/// A standard error that is closed is no reason to stop.
fn put(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_how_far_it_is() {
        let progress = Progress { terminal: false, total: Some(5000), window: Some(Duration::from_secs(5)) };
        let mut snapshot = Snapshot::default();
        snapshot.counts.succeeded = 2000;
        snapshot.counts.timed_out = 3;
        snapshot.response.record(1_500_000).unwrap();
        let line = progress.line(&snapshot, Duration::from_secs(2), (Duration::from_secs(1), 1000));
        assert_eq!(line, "2,003/5,000 done, 1,000/s, 3 errors, p99 1.50 ms, 3s left");
    }

    #[test]
    fn without_an_end_in_time_the_time_left_follows_from_what_is_done() {
        let progress = Progress { terminal: false, total: Some(100), window: None };
        let mut snapshot = Snapshot::default();
        assert!(!progress.line(&snapshot, Duration::from_secs(1), (Duration::ZERO, 0)).contains("left"));
        snapshot.counts.succeeded = 25;
        assert!(progress.line(&snapshot, Duration::from_secs(1), (Duration::ZERO, 0)).ends_with("3s left"));
    }
}
