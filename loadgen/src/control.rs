//! What ties the workers to the conductor: the phase of the run, the start, and the board for progress.
//!
//! Workers only read the phase, and write their own place on the board a few times a second: nothing here is
//! touched for each request.

use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
};

use crate::{
    clock::Nanos,
    recorder::{Recorder, Snapshot},
};

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Requests become due.
    Run,
    /// No more become due; those in flight finish.
    Stop,
    /// What is in flight is given up.
    Abort,
}

/// The strings of a run; also what a caller stops it with.
#[derive(Debug)]
pub struct Control {
    phase: AtomicU8,
    start: Mutex<Start>,
    changed: Condvar,
    board: Vec<Place>,
    /// Nanoseconds between two entries on the board; 0: nobody reads it.
    board_every: Nanos,
}

#[derive(Debug, Default)]
struct Start {
    ready: usize,
    at: Option<Nanos>,
}

#[derive(Debug, Default)]
struct Place {
    written: AtomicU64,
    snapshot: Mutex<Option<Snapshot>>,
}

impl Control {
    /// For so many workers, of whom progress is wanted every `board_every` nanoseconds, or never with 0.
    #[must_use]
    pub fn new(workers: usize, board_every: Nanos) -> Self {
        Self {
            phase: AtomicU8::new(0),
            start: Mutex::default(),
            changed: Condvar::new(),
            board: (0..workers).map(|_| Place::default()).collect(),
            board_every,
        }
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Run,
            1 => Phase::Stop,
            _ => Phase::Abort,
        }
    }

    /// Goes one phase further, and returns the new one.
    pub fn interrupt(&self) -> Phase {
        // Beyond 1 all values are the same phase, and nobody presses Ctrl+C 250 times.
        let _ = self.phase.fetch_update(Relaxed, Relaxed, |phase| Some((phase + 1).min(2)));
        self.phase()
    }

    /// A worker is ready. Blocks until all are, and returns when the run began.
    pub(crate) fn wait_for_start(&self) -> Nanos {
        let mut start = self.lock();
        start.ready += 1;
        self.changed.notify_all();
        loop {
            if let Some(at) = start.at {
                return at;
            }
            start = self.changed.wait(start).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Blocks until `is_over` or all workers are ready, then starts them.
    pub(crate) fn start_all(&self, now: impl Fn() -> Nanos, is_over: impl Fn() -> bool) -> Nanos {
        let mut start = self.lock();
        while start.ready < self.board.len() && !is_over() {
            let waited = self.changed.wait_timeout(start, std::time::Duration::from_millis(20));
            start = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let at = now();
        start.at = Some(at);
        self.changed.notify_all();
        at
    }

    /// Whether the workers have been started.
    pub(crate) fn has_started(&self) -> bool {
        self.lock().at.is_some()
    }

    /// Whether a worker is to enter its figures on the board.
    pub(crate) fn wants_progress(&self, worker: usize, now: Nanos) -> bool {
        self.board_every != 0 && now >= self.board[worker].written.load(Relaxed) + self.board_every && {
            self.board[worker].written.store(now, Relaxed);
            true
        }
    }

    /// Enters a worker's figures on the board.
    pub(crate) fn publish(&self, worker: usize, recorder: &Recorder) {
        if self.board_every != 0 {
            let mut place = self.board[worker].snapshot.lock().unwrap_or_else(PoisonError::into_inner);
            recorder.snapshot(place.get_or_insert_with(Snapshot::default));
        }
    }

    /// The figures of all workers together.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut all = Snapshot::default();
        for place in &self.board {
            if let Some(part) = place.snapshot.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
                all.merge(part);
            }
        }
        all
    }

    fn lock(&self) -> MutexGuard<'_, Start> {
        self.start.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
