//! What is due for one target, what waits, how many are in flight, and when there is something to do again.
//!
//! It knows no connection and keeps no figures: those go to the recorder.

mod free_slots;
mod results;

use std::{ops::Range, rc::Rc};

use self::free_slots::FreeSlots;
use super::{
    backlog::Backlog,
    follow::Following,
    own::{Only, Own},
};
use crate::{
    clock::Nanos,
    outcome::{Arrival, InFlight, Outcome},
    plan::{OnOverload, mix::Mix},
    recorder::Recording,
    schedule::{Arrivals, Due, Part},
};

pub(super) use self::results::Results;

/// Where a worker's requests come from.
#[derive(Debug)]
enum ArrivalSource {
    /// None yet, or none any more.
    Nothing,
    /// A schedule: what is due next, the arrivals after it, and when the next ones are picked up.
    Open { next: Option<Due>, later: Own, on_overload: OnOverload, pick_up_at: Nanos },
    /// One for each free slot, as long as any are left and `until` has not come. Those that are due before `counted_from` are
    /// not among those that are left.
    Closed { left: u64, number: u64, step: u64, counted_from: Nanos, until: Nanos, free: FreeSlots },
}

/// How late requests of a schedule may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late {
    /// One that could not be sent for longer than this after it was due is dropped.
    pub(super) most: Nanos,
    /// One is picked up this much later than it was due, with all that are due meanwhile, if there are any.
    pub(super) together: Nanos,
}

/// When what is due next in a schedule that begins at `start` is picked up: as much later as it may be, if another one is due by then.
#[inline]
fn pick_up_at(next: Option<Due>, later: &Own, start: Nanos, together: Nanos) -> Nanos {
    let Some(due) = next else { return 0 };
    let latest = due.at.saturating_add(together);
    let are_others_due = together > 0 && later.clone().next().is_some_and(|other| other.at <= latest);
    start.saturating_add(if are_others_due { latest } else { due.at })
}

/// The maximum number that are picked up at the same time: what is picked up later than another has waited for its sending.
const BATCH: usize = 64;

#[derive(Debug)]
pub(super) struct Dispatcher {
    backlog: Backlog,
    source: ArrivalSource,
    start: Nanos,
    in_flight: usize,
    max_in_flight: usize,
    /// How late those of a schedule may be.
    late: Late,
    /// Whether what is exchanged is kept.
    captures: bool,
    /// Which request each arrival sends, if there are several.
    mix: Option<Mix>,
    /// Which arrivals are for its target, if there are several.
    only: Option<Only>,
    /// In a closed loop with several targets, no number beyond is picked up.
    ahead: u64,
    /// When that let the next number be picked up: what waited for its turn until then was not due.
    let_go: Nanos,
    /// Whether something has happened since it was last asked.
    moved: bool,
    /// Redirects that are followed, and the index of its target.
    following: Option<(Rc<Following>, usize)>,
}

impl Dispatcher {
    pub(super) fn new(max_in_flight: usize, captures: bool, mix: Mix, only: Option<Only>) -> Self {
        Self {
            backlog: Backlog::default(),
            source: ArrivalSource::Nothing,
            start: 0,
            in_flight: 0,
            max_in_flight,
            late: Late { most: Nanos::MAX, together: 0 },
            captures,
            mix: Some(mix).filter(Mix::is_mixed),
            only,
            ahead: u64::MAX,
            let_go: 0,
            moved: false,
            following: None,
        }
    }

    /// With redirects that are followed, of the target with this index.
    pub(super) fn following(self, following: Option<Rc<Following>>, site: usize) -> Self {
        Self { following: following.map(|following| (following, site)), ..self }
    }

    /// Takes what other targets have for this one.
    #[inline]
    pub(super) fn take_over(&mut self) {
        if self.following.is_some() {
            self.take_over_followed();
        }
    }

    #[cold]
    fn take_over_followed(&mut self) {
        let Some((following, site)) = &self.following else { return };
        let arriving = following.arriving(*site);
        let at_home = arriving.arrivals.iter().filter(|arrival| following.home(arrival) == *site).count();
        // A chain that began here was in flight all along: from here it waits, or is over.
        self.in_flight -= at_home + arriving.ended.len();
        self.moved |= !arriving.ended.is_empty();
        if let ArrivalSource::Closed { free, .. } = &mut self.source {
            arriving.ended.iter().for_each(|at| free.add(*at));
        }
        arriving.arrivals.into_iter().for_each(|arrival| self.backlog.push_front(arrival));
    }

    /// Requests become due by a schedule that begins at `start`.
    pub(super) fn start_open(
        &mut self,
        arrivals: Arrivals,
        on_overload: OnOverload,
        late: Late,
        start: Nanos,
    ) {
        self.late = late;
        let arrivals = Own::new(arrivals, self.only.clone());
        self.backlog.follow(arrivals.clone(), start);
        let mut later = arrivals;
        let next = later.next();
        let pick_up_at = pick_up_at(next, &later, start, late.together);
        self.source = ArrivalSource::Open { next, later, on_overload, pick_up_at };
        self.start = start;
    }

    /// Part `part` of a closed loop: a request is due for each free slot, until `total` of all parts together were from the
    /// beginning of `counted` on, or its end has come.
    pub(super) fn start_closed(&mut self, total: Option<u64>, counted: Range<Nanos>, part: Part) {
        let mut left = total.map_or(u64::MAX, |total| part.share(total));
        let (mut number, step) = (part.index(), part.of());
        pass_over(self.only.as_ref(), &mut number, step, &mut left);
        let Range { start, end } = counted;
        let free = FreeSlots::default();
        self.source = ArrivalSource::Closed { left, number, step, counted_from: start, until: end, free };
        self.start = start;
    }

    /// Picks up a batch of what is due by `now`; `slots` is how many requests the pool can have in flight. True: more may be
    /// due.
    pub(super) fn pick_up(&mut self, now: Nanos, slots: usize, recording: &mut Recording) -> bool {
        let room = slots.min(self.max_in_flight);
        let mut count = 0;
        match &mut self.source {
            ArrivalSource::Nothing => {}
            ArrivalSource::Open { pick_up_at, .. } if now < *pick_up_at => {}
            ArrivalSource::Open { next, later, on_overload, pick_up_at } => {
                while let Some(due) =
                    next.filter(|due| count < BATCH && self.start.saturating_add(due.at) <= now)
                {
                    let at = self.start.saturating_add(due.at);
                    recording.picked_up(at, now, 1);
                    let is_late = now - at > self.late.most;
                    let is_full =
                        *on_overload == OnOverload::Drop && self.in_flight + self.backlog.len() >= room;
                    if is_late || is_full {
                        let request = self.mix.as_ref().map_or(0, |mix| mix.choice(due.number).request);
                        recording.records().dropped(request, at, now, is_late);
                        self.backlog.skip_scheduled();
                    } else {
                        self.backlog.push_scheduled(now);
                    }
                    *next = later.next();
                    count += 1;
                }
                // What a full batch has left is picked up with it.
                let is_left = next.is_some_and(|due| self.start.saturating_add(due.at) <= now);
                let together = if is_left { 0 } else { self.late.together };
                *pick_up_at = self::pick_up_at(*next, later, self.start, together);
            }
            ArrivalSource::Closed { left, number, step, counted_from, until, free } => {
                let slots = room.saturating_sub(self.in_flight + self.backlog.len());
                free.keep(slots);
                let most = if now < *counted_from {
                    slots.min(BATCH)
                } else if now < *until {
                    slots.min(BATCH).min(usize::try_from(*left).unwrap_or(BATCH))
                } else {
                    0
                };
                while count < most && *number <= self.ahead {
                    let at_once = if self.only.is_some() { 1 } else { most - count };
                    // The first request of a slot is due when there is one.
                    let (due, several) = free.take(at_once).unwrap_or((now, at_once));
                    let due = due.max(self.let_go);
                    let is_counted = due >= *counted_from;
                    let mut taken = 0;
                    while taken < several && (*left > 0 || !is_counted) {
                        let arrival = Arrival { captured: self.captures, ..Arrival::new(*number, due, now) };
                        self.backlog.push_single(arrival);
                        *number += *step;
                        *left -= u64::from(is_counted);
                        pass_over(self.only.as_ref(), number, *step, left);
                        taken += 1;
                    }
                    recording.picked_up(due, now, taken as u64);
                    count += several;
                }
            }
        }
        count == BATCH
    }

    /// The number that is picked up next in a closed loop, if there is one.
    pub(super) fn next_number(&self, now: Nanos) -> Option<u64> {
        match &self.source {
            ArrivalSource::Closed { number, .. } if self.has_more(now) => Some(*number),
            _ => None,
        }
    }

    /// Numbers beyond this one are left for later: those of other targets are behind.
    pub(super) fn go_up_to(&mut self, most: u64, now: Nanos) {
        if let ArrivalSource::Closed { number, .. } = &self.source
            && (self.ahead..most).contains(&(*number).saturating_sub(1))
        {
            self.let_go = now;
        }
        self.ahead = most;
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// How many more may be in flight.
    pub(super) fn room(&self) -> usize {
        self.max_in_flight - self.in_flight
    }

    /// Sends what waits and may be in flight by `submit`, until that gives one back; what has waited for too long by `now` is
    /// dropped.
    pub(super) fn send(
        &mut self,
        now: Nanos,
        recording: &mut Recording,
        mut submit: impl FnMut(Arrival) -> Result<(), Arrival>,
    ) {
        while self.in_flight < self.max_in_flight
            && let Some(arrival) = self.backlog.pop()
        {
            let arrival = assigned(self.mix.as_ref(), arrival);
            if self.is_late(&arrival, now) {
                recording.records().dropped(arrival.request, arrival.due, now, true);
                continue;
            }
            if let Err(arrival) = submit(arrival) {
                return self.backlog.push_front(arrival);
            }
            self.in_flight += 1;
        }
    }

    /// Drops what has waited for too long, and can't be sent.
    pub(super) fn drop_late(&mut self, now: Nanos, recording: &mut Recording) {
        if self.late.most == Nanos::MAX {
            return;
        }
        while let Some(arrival) = self.backlog.pop() {
            if !self.is_late(&arrival, now) {
                return self.backlog.push_front(arrival);
            }
            self.moved = true;
            let request = assigned(self.mix.as_ref(), arrival).request;
            recording.records().dropped(request, arrival.due, now, true);
        }
    }

    /// Whether a request that was never sent has waited for too long.
    #[inline]
    fn is_late(&self, arrival: &Arrival, now: Nanos) -> bool {
        now.saturating_sub(arrival.due) > self.late.most && arrival.resends == 0 && arrival.chain == 0
    }

    /// Whether requests will still become due.
    pub(super) fn has_more(&self, now: Nanos) -> bool {
        match &self.source {
            ArrivalSource::Nothing => false,
            ArrivalSource::Open { next, .. } => next.is_some(),
            ArrivalSource::Closed { left, until, counted_from, .. } => {
                now < *counted_from || (*left > 0 && now < *until)
            }
        }
    }

    /// When the next one is picked up, where that is known beforehand.
    pub(super) fn next_due(&self, now: Nanos) -> Option<Nanos> {
        match &self.source {
            ArrivalSource::Open { next, pick_up_at, .. } => next.map(|_| *pick_up_at),
            // Behind its end, nothing more becomes due.
            ArrivalSource::Closed { left: 1.., until, .. } if *until != Nanos::MAX && *until > now => {
                Some(*until)
            }
            _ => None,
        }
    }

    /// Whether nothing waits and nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.backlog.len() == 0
    }

    /// Whether something has happened since the last call that is to be acted on.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Nothing more becomes due, and what waits is not sent, nor what was due by now and has not been picked up. What only waits
    /// to be sent together with others was not to be picked up yet, and is not offered.
    pub(super) fn stop(&mut self, now: Nanos, recording: &mut Recording) {
        if let ArrivalSource::Open { next: Some(due), later, pick_up_at, .. } =
            std::mem::replace(&mut self.source, ArrivalSource::Nothing)
            && pick_up_at <= now
        {
            for due in std::iter::once(due).chain(later) {
                let at = self.start.saturating_add(due.at);
                if at > now {
                    break;
                }
                recording.picked_up(at, now, 1);
                let arrival = assigned(self.mix.as_ref(), Arrival::new(due.number, at, now));
                recording.ended(InFlight::new(arrival, now).ended(now, Outcome::Abandoned));
            }
        }
        // What follows a redirect has been sent before, and may end.
        self.end_waiting(|arrival| arrival.chain == 0, self.start, Outcome::Abandoned, recording);
    }

    /// The same of what was sent before, too.
    pub(super) fn abandon(&mut self, now: Nanos, recording: &mut Recording) {
        self.stop(now, recording);
        self.end_waiting(|_| true, now, Outcome::Abandoned, recording);
    }

    /// Ends those that wait and are to end.
    fn end_waiting(
        &mut self,
        ends: impl Fn(&Arrival) -> bool,
        at: Nanos,
        outcome: Outcome<'_>,
        recording: &mut Recording,
    ) {
        let mut kept = Vec::new();
        while let Some(arrival) = self.backlog.pop() {
            if !ends(&arrival) {
                kept.push(arrival);
                continue;
            }
            let mut arrival = assigned(self.mix.as_ref(), arrival);
            self.moved = true;
            if arrival.chain > 0 {
                self.leave(&mut arrival, at);
            }
            recording.ended(InFlight::new(arrival, at).ended(at, outcome));
        }
        kept.into_iter().rev().for_each(|arrival| self.backlog.push_front(arrival));
    }

    /// A chain ends that is not in flight here. Its arrival is that of the last attempt.
    fn leave(&mut self, arrival: &mut Arrival, at: Nanos) {
        let Some((following, site)) = &self.following else { return };
        let home = following.home(arrival);
        arrival.resends = following.attempt(arrival);
        following.close(arrival);
        if home == *site {
            if let ArrivalSource::Closed { free, .. } = &mut self.source {
                free.add(at);
            }
        } else {
            following.hand_over(home, |arriving| arriving.ended.push(at));
        }
    }
}

/// Goes on to the next number that is for this target, of those that are left.
#[inline]
fn pass_over(only: Option<&Only>, number: &mut u64, step: u64, left: &mut u64) {
    let Some(only) = only else { return };
    while *left > 0 && !only.has(*number) {
        let further = only.next(*number).min(*left);
        *number = number.saturating_add(step.saturating_mul(further));
        *left -= further;
    }
}

/// With the request that it sends.
#[inline]
fn assigned(mix: Option<&Mix>, arrival: Arrival) -> Arrival {
    match mix {
        None => arrival,
        Some(mix) => Arrival { request: mix.choice(arrival.number).request, ..arrival },
    }
}
