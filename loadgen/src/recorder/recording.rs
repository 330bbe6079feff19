//! What a worker records with: requests that were due, sent and answered at the same times with the same result, as those
//! of a burst are, are counted and then recorded together.
//!
//! It has no figures of its own: whatever reads the records gets them with all that was counted.

use contract::id::Ids;

use super::{Carried, Recorder, record::Replied};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Ended, Outcome},
    plan::Plan,
};

/// Records, and what has happened again and again and is not in them yet.
#[derive(Debug)]
pub(crate) struct Recording {
    records: Recorder,
    last: Option<Replied>,
    /// How often.
    count: u64,
    /// What is read now has not been there before.
    ready_since: Nanos,
}

impl Recording {
    /// Of the run with these ids.
    #[cfg(test)]
    pub(crate) fn new(ids: Ids, expected: crate::outcome::ExpectedStatus) -> Self {
        Self { records: Recorder::new(ids, expected), last: None, count: 0, ready_since: 0 }
    }

    /// Of a plan's run with these ids.
    pub(crate) fn of(plan: &Plan, ids: Ids) -> Self {
        Self { records: Recorder::of(plan, ids), last: None, count: 0, ready_since: 0 }
    }

    /// What is read from now on has not been there before this time.
    pub(crate) fn reading(&mut self, ready_since: Nanos) {
        self.ready_since = ready_since;
    }

    /// A request has ended.
    #[inline]
    pub(crate) fn ended(&mut self, ended: Ended<'_>) {
        let Arrival { captured, due, .. } = ended.in_flight.arrival;
        let is_warmup = self.records.is_warmup(due);
        if let Some(verified) = &mut self.records.verified {
            if !is_warmup {
                verified.split.ended(&ended);
            }
            verified.ended(&ended, self.records.ids);
        }
        let is_call_error = ended.in_flight.reply.call_error().is_some();
        let is_replied = matches!(ended.outcome, Outcome::Replied);
        let is_usual = is_replied && !captured && !is_call_error && !is_warmup;
        if !is_usual {
            let ready_since = self.ready_since;
            return self.records().ended(ended, ready_since);
        }
        self.records.reported(&ended);
        if let Some(fault) = ended.fault() {
            self.records.unmet(&ended.in_flight.arrival, &fault);
        }
        let replied = Some(Replied::new(&ended, self.ready_since));
        if replied != self.last {
            self.settle();
            self.last = replied;
        }
        self.count += 1;
    }

    /// A number of requests that were due at the same time were picked up.
    #[inline]
    pub(crate) fn picked_up(&mut self, due: Nanos, now: Nanos, count: u64) {
        self.records.picked_up(due, now, count);
    }

    /// Numbers the instance of this name.
    #[inline]
    pub(crate) fn instance(&mut self, name: &[u8]) -> u16 {
        self.records.instance(name)
    }

    /// What connections carried until now since this was called last.
    pub(crate) fn carried(&mut self, carried: Carried, now: Nanos) {
        self.records.carried(carried, now);
    }

    /// The first response of a call has come, `time` after the call was due.
    pub(crate) fn first_message(&mut self, due: Nanos, time: Nanos) {
        self.records.first_message(due, time);
    }

    /// The response to a message has come, `time` after the message was due.
    pub(crate) fn message(&mut self, due: Nanos, time: Nanos) {
        self.records.message(due, time);
    }

    /// The records, complete.
    pub(crate) fn records(&mut self) -> &mut Recorder {
        self.settle();
        &mut self.records
    }

    /// The records at the end.
    pub(crate) fn into_records(mut self) -> Recorder {
        self.settle();
        if self.records.warmup.is_some() {
            self.records.backends.forget_those_without_replies();
        }
        self.records
    }

    fn settle(&mut self) {
        if let Some(replied) = self.last.take() {
            self.records.replied(&replied, std::mem::take(&mut self.count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{ExpectedStatus, InFlight};

    const IDS: Ids = Ids { run: 1, load: 0 };

    #[test]
    fn what_is_recorded_together_is_the_same_as_one_by_one() {
        let (mut together, mut apart) =
            (Recording::new(IDS, ExpectedStatus::default()), Recorder::new(IDS, ExpectedStatus::default()));
        // Bursts of several sizes, which differ from the one before in one thing.
        let bursts = [
            (3, 10, Some(20), 100, 200, None),
            (1, 11, Some(20), 100, 200, None),
            (4, 11, None, 100, 200, None),
            (2, 11, None, 101, 200, None),
            (5, 11, None, 101, 503, None),
            (9, 11, None, 101, 503, Some(0)),
        ];
        apart.instance(b"one");
        assert_eq!(together.instance(b"one"), 0);
        for (count, picked, written, at, status, instance) in bursts {
            for number in 0..count {
                let arrival = Arrival { written, ..Arrival::new(number, 5, picked) };
                let mut in_flight = InFlight::new(arrival, picked);
                (in_flight.reply.status, in_flight.reply.instance) = (status, instance);
                together.ended(in_flight.ended(at, Outcome::Replied));
                apart.ended(in_flight.ended(at, Outcome::Replied), 0);
            }
        }
        let together = together.into_records();
        assert_eq!(together.counts, apart.counts);
        assert_eq!(together.in_flight, apart.in_flight);
        assert_eq!(together.statuses, apart.statuses);
        let times = |recorder: &Recorder| {
            let times = &recorder.times;
            [&times.response, &times.undelayed, &times.service, &times.wait].map(Clone::clone)
        };
        assert_eq!(times(&together), times(&apart));
        let by_second = |recorder: &Recorder| {
            recorder.intervals.iter().map(|i| (i.completed, i.errors, i.response.len())).collect::<Vec<_>>()
        };
        assert_eq!(by_second(&together), by_second(&apart));
        let answered = |recorder: &Recorder| recorder.backends.sorted()[0].response.len();
        assert_eq!((answered(&together), answered(&apart)), (9, 9));
    }

    #[test]
    fn whatever_reads_the_records_finds_what_was_counted() {
        let mut recording = Recording::new(IDS, ExpectedStatus::default());
        for (number, count) in [(0, 1), (1, 2), (2, 3)] {
            let mut in_flight = InFlight::new(Arrival::new(number, 0, 0), 0);
            in_flight.reply.status = 200;
            recording.ended(in_flight.ended(9, Outcome::Replied));
            assert_eq!(recording.records().counts.succeeded, count);
        }
    }
}
