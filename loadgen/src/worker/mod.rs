//! The one loop: what is due is picked up, given to a connection, driven, and recorded.
//!
//! Protocols are kinds of [`connection`], pacing is in the schedule and the pacer: they meet in [`per_target`] and
//! nowhere else. One worker is one thread; what it records is its own until the run is over.

mod backlog;
mod behind;
mod conduct;
mod connection;
mod dial;
mod dispatcher;
mod exchange;
mod follow;
mod http1;
mod http2;
mod idle;
mod lateness;
mod opening;
mod other_protocol;
mod own;
mod per_target;
mod pool;
mod rates;
mod secured;
#[cfg(test)]
mod tests;
mod tunnel;
mod websocket;

use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use contract::id::Ids;
use follow::Following;
use lateness::{Lateness, Question};
pub(crate) use opening::negotiate;
use per_target::PerTarget;

use crate::{
    clock::{Clock, Nanos, nanos},
    control::{ASK_EVERY, Participant, Phase},
    pacer::Pacer,
    plan::Plan,
    recorder::{Recorder, Recording},
    resolve::Addresses,
    schedule::Part,
};

/// How often signals, progress and missing connections are looked at.
const TICK: Nanos = 10_000_000;

/// How often the loop goes round before the runtime has its turn.
const ROUNDS: usize = 16;

/// A worker that was kept from running for this time is named in the report.
const HELD_UP: Nanos = 10_000_000;

/// What a worker is to do.
#[derive(Debug)]
pub(crate) struct Order {
    /// The run.
    pub(crate) plan: Arc<Plan>,
    /// Where the plan's servers were found.
    pub(crate) addresses: Arc<[Addresses]>,
    /// The ids of the run's requests.
    pub(crate) ids: Ids,
    /// The run's clock.
    pub(crate) clock: Clock,
    /// What the wall clock shows when the run's clock shows zero, in nanoseconds since the Unix epoch.
    pub(crate) epoch: Nanos,
    /// Which worker this is, of how many.
    pub(crate) part: Part,
    /// What ties it to the other workers and to the conductor.
    pub(crate) participant: Participant,
}

/// What has come of a worker.
#[derive(Debug)]
pub(crate) struct WorkerResult {
    pub(crate) recorder: Recorder,
    /// How long the worker's thread was on a CPU, behind the warm-up.
    pub(crate) busy: Nanos,
    /// How long it was ready to run without a CPU, where the system says so.
    pub(crate) run_delay: Option<Nanos>,
    /// When the worker was done.
    pub(crate) end: Nanos,
    /// When its arrivals ended.
    pub(crate) arrivals_end: Nanos,
    /// Whether it was stopped before it was done.
    pub(crate) is_interrupted: bool,
}

/// Runs one worker to its end.
pub(crate) async fn run(order: Order) -> io::Result<WorkerResult> {
    Worker::new(order)?.run().await
}

struct Worker {
    targets: Vec<PerTarget>,
    recording: Recording,
    pacer: Pacer,
    clock: Clock,
    epoch: Nanos,
    plan: Arc<Plan>,
    part: Part,
    /// By how many numbers one of several targets may be ahead of another.
    slots: u64,
    participant: Participant,
    next_tick: Nanos,
    lateness: Lateness,
    /// When the last turn ended that another follows immediately.
    turn_ended: Nanos,
    /// Until when it sleeps at most.
    alarm: Nanos,
    /// Whether the first connections have been opened, or have failed.
    is_prepared: bool,
    /// How long outstanding replies are waited for after the arrivals.
    grace: Nanos,
    /// When what is due begins to be measured, behind the warm-up.
    measured_from: Nanos,
    /// The time of its thread then, on a CPU and without one.
    thread_before: Option<(Nanos, Option<Duration>)>,
    /// When the arrivals have ended.
    arrivals_end: Option<Nanos>,
    /// When the worker was done, and the time of its thread then: before it closed its connections.
    done: Option<(Nanos, Nanos)>,
    /// Whether it was stopped before it was done.
    is_interrupted: bool,
}

impl Worker {
    fn new(order: Order) -> io::Result<Self> {
        let following = Following::of(&order.plan, order.ids, order.epoch, order.part.of());
        let target = |site| PerTarget::new(&order, site, following.clone());
        Ok(Self {
            targets: (0..order.plan.sites().len()).map(target).collect(),
            recording: Recording::of(&order.plan, order.ids),
            pacer: Pacer::new(order.clock)?,
            clock: order.clock,
            epoch: order.epoch,
            slots: {
                let load = order.plan.load();
                let all = (load.connections.get() as u64).saturating_mul(load.streams.get() as u64);
                order.part.share(all).max(1).saturating_mul(order.part.of())
            },
            part: order.part,
            participant: order.participant,
            next_tick: 0,
            lateness: Lateness::default(),
            turn_ended: 0,
            alarm: 0,
            is_prepared: false,
            // The one that was sent last is to reach its timeout.
            grace: nanos(order.plan.load().timeout).saturating_add(3 * TICK),
            plan: order.plan,
            measured_from: 0,
            thread_before: None,
            arrivals_end: None,
            done: None,
            is_interrupted: false,
        })
    }

    async fn run(mut self) -> io::Result<WorkerResult> {
        let start = tokio::task::unconstrained(poll_fn(|cx| self.prepare(cx))).await;
        let load = self.plan.load();
        let window = load.planned();
        self.measured_from = start.saturating_add(nanos(load.warmup));
        self.recording.records().start(self.measured_from, window.map(nanos), self.epoch);
        self.recording.records().share_clock(|| self.clock.shared_epoch());
        for target in &mut self.targets {
            target.start(load, self.part, start);
        }
        // Stopped before it begins, it does not wait for that.
        let begun = start.min(self.clock.now());
        self.next_tick = begun;
        // What lies before the run is not measured.
        let _ = runtime::polls::take();
        (self.turn_ended, self.alarm) = (begun, begun);
        self.begin_to_measure(begun);
        tokio::task::unconstrained(poll_fn(|cx| self.turn(cx))).await;
        let (end, cpu) = self.done.unwrap_or_else(|| (self.clock.now(), thread_cpu_time()));
        // Cut short in the warm-up, nothing was measured.
        let (cpu_before, delay_before) = self.thread_before.unwrap_or((cpu, None));
        let busy = cpu.saturating_sub(cpu_before);
        let delay = runtime::polls::run_delay().zip(delay_before);
        let run_delay = delay.map(|(after, before)| nanos(after.saturating_sub(before)));
        let waiting = self.waiting();
        self.participant.publish(self.recording.records(), waiting);
        let arrivals_end = self.arrivals_end.unwrap_or(end);
        let is_interrupted = self.is_interrupted;
        let recorder = self.recording.into_records();
        Ok(WorkerResult { recorder, busy, run_delay, end, arrivals_end, is_interrupted })
    }

    /// Opens the first connections, which are looked after until all workers are ready; ready when the run begins, which it
    /// gives, or is stopped before that.
    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Nanos> {
        loop {
            let now = self.clock.now();
            let mut is_prepared = true;
            for target in &mut self.targets {
                is_prepared &= target.prepare(cx, now, &mut self.recording);
            }
            self.is_prepared |= is_prepared || self.participant.phase() != Phase::Run;
            self.next_tick = now + TICK;
            if self.is_prepared {
                match self.participant.ready() {
                    Some(start) if start <= now || self.participant.phase() != Phase::Run => {
                        return Poll::Ready(start);
                    }
                    // It may be stopped before that.
                    Some(start) => self.next_tick = start.min(now + TICK),
                    None => self.next_tick = now + ASK_EVERY,
                }
            }
            if self.pacer.poll(cx, self.next_wake(now)).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Goes round until there is nothing to do now; ready once the run is over.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let question = self.question();
        self.lateness.begin(question);
        self.recording.reading(self.lateness.ready_since());
        if self.lateness.held_up() >= HELD_UP && self.thread_before.is_some() {
            self.recording.records().held_up(self.lateness.held_up());
        }
        let turned = self.rounds(cx);
        let is_cut_short = self.targets.iter_mut().any(PerTarget::take_cut_short);
        self.lateness.end(is_cut_short);
        turned
    }

    fn rounds(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            if now >= self.next_tick {
                self.housekeeping(now);
            }
            let mut moved = false;
            let frontier = self.keep_together(now);
            let is_alone = self.targets.len() < 2;
            for target in &mut self.targets {
                // The turns of others take time.
                let now = if is_alone { now } else { self.clock.now() };
                moved |= target.turn(cx, now, &self.lateness, &mut self.recording);
            }
            // None is always the last.
            self.targets.rotate_left(usize::from(!is_alone));
            // What one of several has picked up is the turn of another.
            moved |= frontier.is_some() && self.keep_together(now) != frontier;
            if self.is_over(now) {
                return Poll::Ready(());
            }
            self.alarm = self.next_wake(now);
            if !moved && self.pacer.poll(cx, self.alarm).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        self.turn_ended = self.clock.now();
        Poll::Pending
    }

    /// In a closed loop, none of several targets is ahead of the others by more numbers than there are slots, so that each
    /// request has its share. The lowest number that is to be picked up next; none with one target.
    fn keep_together(&mut self, now: Nanos) -> Option<u64> {
        if self.targets.len() < 2 {
            return None;
        }
        let lowest = self.targets.iter().filter_map(|target| target.next_number(now)).min()?;
        for target in &mut self.targets {
            target.go_up_to(lowest.saturating_add(self.slots), now);
        }
        Some(lowest)
    }

    /// What the runtime asked the system before this turn.
    fn question(&self) -> Question {
        let at = |at: Nanos| Question { asked: at, answered: at, slept: false, run_delay: 0, alarm: at };
        // With a task that is woken already, the runtime asks without saying so: it did between the two turns.
        let Some(poll) = runtime::polls::take() else { return at(self.turn_ended) };
        Question {
            asked: self.clock.at(poll.asked),
            answered: self.clock.at(poll.answered),
            slept: poll.slept(),
            run_delay: nanos(poll.run_delay.unwrap_or_default()),
            alarm: self.alarm,
        }
    }

    /// What need not be looked at on every round.
    fn housekeeping(&mut self, now: Nanos) {
        self.next_tick = now + TICK;
        self.begin_to_measure(now);
        let phase = self.participant.phase();
        let participant = &self.participant;
        self.recording.records().mark(|| participant.marks());
        for target in &mut self.targets {
            match phase {
                Phase::Run => target.look_after(now, &mut self.recording),
                Phase::Stop => {
                    target.stop(now, &mut self.recording);
                    target.look_after(now, &mut self.recording);
                }
                Phase::Abort => target.abandon(now, &self.lateness, &mut self.recording),
            }
        }
        let waiting = self.waiting();
        self.participant.publish_if_due(now, self.recording.records(), waiting);
    }

    /// The warm-up is over, if it is: what the thread did until now does not count.
    fn begin_to_measure(&mut self, now: Nanos) {
        if now >= self.measured_from && self.thread_before.is_none() {
            self.thread_before = Some((thread_cpu_time(), runtime::polls::run_delay()));
        }
    }

    /// Requests that are due and wait to be sent.
    fn waiting(&self) -> u64 {
        self.targets.iter().map(|target| target.waiting() as u64).sum()
    }

    fn is_over(&mut self, now: Nanos) -> bool {
        if self.targets.iter().any(|target| target.has_more(now)) {
            return false;
        }
        let since = *self.arrivals_end.get_or_insert(now);
        if !self.targets.iter().all(PerTarget::is_idle)
            && self.lateness.seen(true) < since.saturating_add(self.grace)
        {
            return false;
        }
        self.done = Some((self.clock.now(), thread_cpu_time()));
        self.is_interrupted = self.participant.is_interrupted();
        for target in &mut self.targets {
            target.abandon(now, &self.lateness, &mut self.recording);
        }
        true
    }

    fn next_wake(&self, now: Nanos) -> Nanos {
        self.targets.iter().map(|target| target.next_wake(now)).fold(self.next_tick, Nanos::min)
    }
}

/// Nanoseconds that this thread has been on a CPU. Where that is unknown, a worker never counts as busy.
fn thread_cpu_time() -> Nanos {
    runtime::cpus::time_of_this_thread_ns().unwrap_or_default()
}
