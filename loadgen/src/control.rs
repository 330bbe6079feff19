//! What ties the workers of a run and their conductor: the phase, the start, and the figures so far. Runs that begin together
//! share the phase and the start.
//!
//! Workers only read the phase, and hand over their figures a few times a second if that is wanted: nothing here is
//! touched for each request.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use runtime::mutex::lock;

use crate::{
    clock::{Clock, Nanos, nanos},
    recorder::{Recorder, Snapshot},
};

/// How often a worker that is ready asks whether all are.
pub(crate) const ASK_EVERY: Nanos = 1_000_000;

/// The run begins so much after the last worker was ready: by then all others have asked.
const HEAD_START: Nanos = 2 * ASK_EVERY;

/// How long it takes until all workers know of something: they look every 10 ms.
const NOTICE: Duration = Duration::from_millis(25);

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

/// A handle on a run, for whichever thread: it stops the run and sees how far it is.
#[derive(Clone, Debug)]
pub struct Handle(Arc<RunControl>);

#[derive(Debug)]
struct RunControl {
    gate: Arc<StartGate>,
    /// How long after the gate has opened it begins.
    after: Nanos,
    /// Each worker's, as it was handed over last.
    figures: Box<[Mutex<Snapshot>]>,
    /// Runs whose figures are its figures, too.
    parts: Vec<Handle>,
}

/// What runs that begin together wait for.
#[derive(Debug)]
struct StartGate {
    clock: Clock,
    phase: AtomicU8,
    /// Whether it was stopped because all was done.
    is_done: AtomicBool,
    /// When something began and ended that the run is for.
    marks: [AtomicU64; 2],
    opening: Mutex<StartState>,
}

#[derive(Debug)]
struct StartState {
    /// Workers that are not ready, of all runs.
    missing: usize,
    at: Option<Nanos>,
}

impl Handle {
    /// Of a run with this number of workers.
    pub(crate) fn new(workers: usize, clock: Clock) -> Self {
        Self::at_gate(&StartGate::new(workers, clock), workers, Duration::ZERO, Vec::new())
    }

    /// Of runs that begin together and end by the same signal, each with its number of workers, and the time from when all workers
    /// are ready to its start.
    pub(crate) fn together(runs: &[(usize, Duration)], clock: Clock) -> Vec<Self> {
        let gate = StartGate::new(runs.iter().map(|(workers, _)| workers).sum(), clock);
        runs.iter().map(|(workers, after)| Self::at_gate(&gate, *workers, *after, Vec::new())).collect()
    }

    /// Of several runs that begin together, as one; none of none.
    pub(crate) fn of_all(runs: Vec<Self>) -> Option<Self> {
        let gate = Arc::clone(&runs.first()?.0.gate);
        Some(Self::at_gate(&gate, 0, Duration::ZERO, runs))
    }

    fn at_gate(gate: &Arc<StartGate>, workers: usize, after: Duration, parts: Vec<Self>) -> Self {
        Self(Arc::new(RunControl {
            gate: Arc::clone(gate),
            after: nanos(after),
            figures: (0..workers).map(|_| Mutex::default()).collect(),
            parts,
        }))
    }

    /// What each of the workers has of it, which hand over their figures as often as `every` says.
    pub(crate) fn participants(&self, every: Option<Duration>) -> impl Iterator<Item = Participant> {
        (0..self.0.figures.len()).map(move |index| Participant {
            handle: self.clone(),
            index,
            every: every.map(nanos),
            next: 0,
            is_ready: false,
        })
    }

    /// No more requests become due; those in flight finish.
    pub fn stop(&self) {
        self.0.gate.phase.fetch_max(Phase::Stop as u8, Relaxed);
    }

    /// All is done that the run was for: no more requests become due; those in flight finish.
    pub(crate) fn done(&self) {
        if self.phase() == Phase::Run {
            self.0.gate.is_done.store(true, Relaxed);
        }
        self.stop();
    }

    /// Something begins (0) or ends (1) that the run is for: in a moment, when all workers know of it; that moment.
    pub(crate) fn mark(&self, which: usize) -> Duration {
        self.0.gate.marks[which].store(self.0.gate.clock.now() + nanos(NOTICE), Relaxed);
        NOTICE
    }

    /// When that was, by the run's clock.
    pub(crate) fn marks(&self) -> [Nanos; 2] {
        self.0.gate.marks.each_ref().map(|mark| mark.load(Relaxed))
    }

    /// No more requests become due, and those in flight are given up.
    pub fn abort(&self) {
        self.0.gate.phase.fetch_max(Phase::Abort as u8, Relaxed);
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.gate.phase.load(Relaxed) {
            0 => Phase::Run,
            1 => Phase::Stop,
            _ => Phase::Abort,
        }
    }

    /// Whether it was cut short by its user.
    pub(crate) fn is_interrupted(&self) -> bool {
        match self.phase() {
            Phase::Run => false,
            Phase::Stop => !self.0.gate.is_done.load(Relaxed),
            Phase::Abort => true,
        }
    }

    /// How long ago the run began; none before that.
    #[must_use]
    pub fn elapsed(&self) -> Option<Duration> {
        let start = self.start()?;
        self.0.gate.clock.now().checked_sub(start).map(Duration::from_nanos)
    }

    /// The figures so far, of a run that is [observed](crate::Run::observe); else zeros.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut all = Snapshot::default();
        for part in &self.0.figures {
            all.merge(&lock(part));
        }
        for part in &self.0.parts {
            all.merge(&part.snapshot());
        }
        all
    }

    /// Whether these figures are all of a time when no more requests became due.
    pub(crate) fn is_stopped(&self, snapshot: &Snapshot) -> bool {
        snapshot.stopped >= self.workers()
    }

    /// When the run begins, by its clock, once that is known.
    pub(crate) fn start(&self) -> Option<Nanos> {
        let opened = self.0.gate.lock().at?;
        Some(opened.saturating_add(self.0.after))
    }

    fn workers(&self) -> usize {
        self.0.parts.iter().map(Self::workers).sum::<usize>() + self.0.figures.len()
    }
}

impl StartGate {
    fn new(missing: usize, clock: Clock) -> Arc<Self> {
        let opening = Mutex::new(StartState { missing, at: None });
        let marks = [Nanos::MAX; 2].map(AtomicU64::new);
        Arc::new(Self { clock, phase: AtomicU8::new(0), is_done: AtomicBool::new(false), marks, opening })
    }

    fn lock(&self) -> MutexGuard<'_, StartState> {
        lock(&self.opening)
    }

    /// A worker is ready, or has ended: the last one sets the beginning of the run.
    fn ready(&self) {
        let mut opening = self.lock();
        opening.missing = opening.missing.saturating_sub(1);
        if opening.missing == 0 {
            opening.at.get_or_insert(self.clock.now() + HEAD_START);
        }
    }

    /// Nobody is waited for any longer.
    fn open(&self) {
        self.lock().at.get_or_insert(self.clock.now());
    }
}

/// What a worker has of a run. One that is dropped before it was ready aborts the run and does not block the others.
#[derive(Debug)]
pub(crate) struct Participant {
    handle: Handle,
    index: usize,
    every: Option<Nanos>,
    /// When figures are handed over again.
    next: Nanos,
    is_ready: bool,
}

impl Participant {
    /// The phase now.
    pub(crate) fn phase(&self) -> Phase {
        self.handle.phase()
    }

    /// Whether it was cut short by its user.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.handle.is_interrupted()
    }

    /// When something began and ended that the run is for.
    pub(crate) fn marks(&self) -> [Nanos; 2] {
        self.handle.marks()
    }

    /// The worker is ready. When the run begins; none as long as others are not ready. A worker goes on with its
    /// connections until then, so it asks again and again instead of being blocked. One that is stopped does not wait.
    pub(crate) fn ready(&mut self) -> Option<Nanos> {
        if !std::mem::replace(&mut self.is_ready, true) {
            self.handle.0.gate.ready();
        }
        if self.phase() != Phase::Run {
            self.handle.0.gate.open();
        }
        self.handle.start()
    }

    /// Hands over the worker's figures if that is due; `waiting` requests are due and not sent.
    pub(crate) fn publish_if_due(&mut self, now: Nanos, recorder: &Recorder, waiting: u64) {
        if let Some(every) = self.every
            && now >= self.next
        {
            self.next = now.saturating_add(every);
            self.publish(recorder, waiting);
        }
    }

    /// Hands over the worker's figures if anybody wants them.
    pub(crate) fn publish(&self, recorder: &Recorder, waiting: u64) {
        if self.every.is_some() {
            let mut place = lock(&self.handle.0.figures[self.index]);
            recorder.snapshot(&mut place);
            place.waiting = waiting;
            place.stopped = usize::from(self.phase() != Phase::Run);
        }
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        // Without it, the others would send less than was planned.
        if !self.is_ready || std::thread::panicking() {
            self.handle.abort();
        }
        if !self.is_ready {
            self.handle.0.gate.ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_when_all_are_ready_and_not_before() {
        let handle = Handle::new(2, Clock::starting_now());
        let mut participants = handle.participants(None);
        let (mut one, mut other) = (participants.next().unwrap(), participants.next().unwrap());
        assert!(participants.next().is_none());
        assert_eq!((one.ready(), one.ready(), handle.elapsed()), (None, None, None));
        let at = other.ready();
        assert!(at.is_some() && one.ready() == at && handle.start() == at);
    }

    #[test]
    fn runs_that_begin_together_do_so_when_all_workers_of_all_are_ready() {
        let runs = [(1, Duration::ZERO), (2, Duration::from_secs(5))];
        let handles = Handle::together(&runs, Clock::starting_now());
        let mut all: Vec<_> = handles.iter().flat_map(|handle| handle.participants(None)).collect();
        assert_eq!((all[0].ready(), all[1].ready(), handles[1].start()), (None, None, None));
        let later = all[2].ready().unwrap();
        assert_eq!((all[1].ready(), all[0].ready()), (Some(later), Some(later - 5_000_000_000)));
        let whole = Handle::of_all(handles).unwrap();
        assert_eq!((whole.start(), whole.workers()), (all[0].ready(), 3));
        whole.stop();
        assert!(all.iter().all(|one| one.phase() == Phase::Stop), "what stops one stops all");
    }

    #[test]
    fn a_run_that_is_stopped_before_it_begins_waits_for_no_worker_of_another() {
        let runs = [(1, Duration::ZERO), (2, Duration::from_secs(3600))];
        let handles = Handle::together(&runs, Clock::starting_now());
        let mut later: Vec<_> = handles[1].participants(None).collect();
        // The first run's worker is never ready.
        assert_eq!(later[0].ready(), None);
        handles[0].stop();
        let start = later[0].ready();
        assert!(start.is_some() && later[1].ready() == start && handles[1].elapsed().is_none());
    }

    #[test]
    fn a_worker_that_ends_early_aborts_the_run_and_does_not_block_the_others() {
        let handle = Handle::new(3, Clock::starting_now());
        let mut participants: Vec<_> = handle.participants(None).collect();
        let mut last = participants.pop().unwrap();
        drop(participants);
        assert!(last.ready().is_some());
        assert_eq!(handle.phase(), Phase::Abort);
    }

    #[test]
    fn a_worker_that_panics_ends_the_run() {
        let handle = Handle::new(1, Clock::starting_now());
        let participant = handle.participants(None).next().unwrap();
        let panicked = std::thread::spawn(move || {
            let _participant = participant;
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.join().is_err());
        assert_eq!((handle.phase(), handle.start().is_some()), (Phase::Abort, true));
    }

    #[test]
    fn a_run_that_is_given_up_is_not_merely_stopped() {
        let handle = Handle::new(0, Clock::starting_now());
        assert_eq!(handle.phase(), Phase::Run);
        handle.stop();
        assert_eq!(handle.phase(), Phase::Stop);
        handle.abort();
        handle.stop();
        assert_eq!(handle.phase(), Phase::Abort);
    }
}
