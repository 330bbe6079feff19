//! A worker's books: what is due, what waits, what is in flight, and what became of it.

use super::{Order, backlog::Backlog, engine::Sink};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Ended, Failure, InFlight, Outcome},
    recorder::Recorder,
    schedule::Schedule,
};

/// Where a worker's requests come from.
#[derive(Debug)]
pub(super) enum Source {
    /// None yet, or no more.
    Nothing,
    /// A schedule.
    Open { schedule: Schedule, next: u64, drop_on_overload: bool },
    /// One for each free slot, as long as any are left and `until` has not come.
    Closed { left: u64, number: u64, step: u64, until: Nanos },
}

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) recorder: Recorder,
    pub(super) backlog: Backlog,
    /// Whether something has happened that the loop has to act on.
    pub(super) moved: bool,
    source: Source,
    /// The schedule outlives its source: it tells when those that wait were due.
    schedule: Option<Schedule>,
    start: Nanos,
    in_flight: usize,
    max_in_flight: usize,
    /// Whether what is exchanged is kept.
    captures: bool,
}

impl Desk {
    pub(super) fn new(order: &Order, max_in_flight: usize) -> Self {
        Self {
            recorder: Recorder::new(order.ids),
            backlog: Backlog::default(),
            moved: false,
            source: Source::Nothing,
            schedule: None,
            start: 0,
            in_flight: 0,
            max_in_flight,
            captures: order.plan.captures,
        }
    }

    pub(super) fn start(&mut self, source: Source, start: Nanos, window: Option<Nanos>) {
        if let Source::Open { schedule, .. } = &source {
            self.schedule = Some(*schedule);
        }
        self.source = source;
        self.start = start;
        self.recorder.start(start, window);
    }

    /// Picks up what is due by `now`; `slots` is how many the engine can have at work.
    pub(super) fn pick_up(&mut self, now: Nanos, slots: usize) {
        let room = slots.min(self.max_in_flight);
        match &mut self.source {
            Source::Nothing => {}
            Source::Open { schedule, next, drop_on_overload } => {
                while let Some((_, due)) = schedule.arrival(*next)
                    && self.start + due <= now
                {
                    let due = self.start + due;
                    self.recorder.picked_up(due, now);
                    if *drop_on_overload && self.in_flight + self.backlog.len() >= room {
                        self.recorder.dropped();
                    } else {
                        self.backlog.push_scheduled(*next, now);
                    }
                    *next += 1;
                }
            }
            Source::Closed { left, number, step, until } => {
                while *left > 0 && now < *until && self.in_flight + self.backlog.len() < room {
                    let arrival = Arrival { captured: self.captures, ..Arrival::new(*number, now, now) };
                    self.recorder.picked_up(now, now);
                    self.backlog.push_single(arrival);
                    *number += *step;
                    *left -= 1;
                }
            }
        }
    }

    /// Whether something waits and may be sent.
    pub(super) fn may_send(&self) -> bool {
        self.in_flight < self.max_in_flight && self.backlog.len() > 0
    }

    /// How many more may be in flight.
    pub(super) fn room(&self) -> usize {
        self.max_in_flight - self.in_flight
    }

    /// Takes the next one to be sent.
    pub(super) fn next(&mut self) -> Option<Arrival> {
        let arrival = self.take()?;
        self.in_flight += 1;
        Some(arrival)
    }

    fn take(&mut self) -> Option<Arrival> {
        let (schedule, start) = (self.schedule, self.start);
        self.backlog.pop(|index| {
            let arrival = schedule.and_then(|schedule| schedule.arrival(index));
            let (number, due) = arrival.unwrap_or_default();
            (number, start + due)
        })
    }

    /// Whether requests will still become due.
    pub(super) fn has_more(&self, now: Nanos) -> bool {
        match &self.source {
            Source::Nothing => false,
            Source::Open { schedule, next, .. } => schedule.arrival(*next).is_some(),
            Source::Closed { left, until, .. } => *left > 0 && now < *until,
        }
    }

    /// When the next one becomes due, where that is known beforehand.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        match &self.source {
            Source::Open { schedule, next, .. } => Some(self.start + schedule.arrival(*next)?.1),
            Source::Closed { left: 1.., until, .. } if *until != Nanos::MAX => Some(*until),
            _ => None,
        }
    }

    /// Whether nothing waits and nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.backlog.len() == 0
    }

    /// Nothing more becomes due, and what waits is not sent.
    pub(super) fn stop(&mut self) {
        self.source = Source::Nothing;
        while let Some(arrival) = self.take() {
            let in_flight = InFlight::new(arrival, self.start);
            self.recorder.ended(in_flight.ended(self.start, Outcome::Abandoned));
        }
    }
}

impl Sink for Desk {
    fn ended(&mut self, ended: Ended<'_>) {
        self.in_flight -= 1;
        self.moved = true;
        self.recorder.ended(ended);
    }

    fn again(&mut self, arrival: Arrival) {
        self.in_flight -= 1;
        self.moved = true;
        self.recorder.resent();
        self.backlog.push_single(arrival);
    }

    fn unreachable(&mut self, at: Nanos, failure: &Failure) {
        while let Some(arrival) = self.take() {
            self.moved = true;
            self.recorder.ended(InFlight::new(arrival, at).ended(at, Outcome::Failed(failure)));
        }
    }

    fn roomier(&mut self) {
        self.moved = true;
    }

    fn limited(&mut self, connections: usize, failure: &Failure) {
        self.recorder.limited(connections, &failure.message);
    }

    fn unasked(&mut self, failure: &Failure) {
        self.recorder.unasked(&failure.message);
    }

    fn instance(&mut self, name: &[u8]) -> u16 {
        self.recorder.instance(name)
    }

    fn received(&mut self, bytes: u64) {
        self.recorder.received(bytes);
    }
}
