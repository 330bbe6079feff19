//! What a worker has counted and timed. Owned by the worker, merged when all are done; its size doesn't grow
//! with the number of requests.

mod backends;
mod by_status;
mod connections;
mod counts;
mod encoded;
mod failures;
mod intervals;
mod plausible;
mod recording;
mod settings;
mod successes;
mod times;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use backends::{Backend, Backends};
use by_status::STATUSES;
pub use connections::Connections;
use contract::id::Ids;
pub use counts::Counts;
pub use failures::{Failures, Seen};
pub use intervals::{Interval, Intervals};
pub(crate) use recording::Recording;
pub use settings::RunSettings;
pub use successes::Successes;
use times::add;
pub use times::{Snapshot, Times};

use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Ended, Exchange, InFlight, Outcome},
};

/// The longest time that a histogram tells apart: an hour, in nanoseconds.
pub const LONGEST: Nanos = 3_600_000_000_000;

/// When and how a request was answered completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Replied {
    due: Nanos,
    picked: Nanos,
    written: Option<Nanos>,
    at: Nanos,
    status: u16,
    instance: Option<u16>,
}

impl From<&Ended<'_>> for Replied {
    #[inline]
    fn from(ended: &Ended<'_>) -> Self {
        let InFlight { arrival: Arrival { due, picked, written, .. }, ref reply, .. } = ended.in_flight;
        Self { due, picked, written, at: ended.at, status: reply.status, instance: reply.instance }
    }
}

/// What a worker, or after merging a run, has recorded.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorder {
    /// Where the requests have ended.
    pub counts: Counts,
    /// How long they took.
    pub times: Times,
    /// Replies by status.
    #[serde(with = "by_status")]
    statuses: Vec<u64>,
    /// Why requests failed.
    pub failures: Failures,
    /// Who answered.
    pub backends: Backends,
    /// How it went, second by second.
    pub intervals: Intervals,
    /// What became of connections.
    pub connections: Connections,
    /// When requests succeeded.
    pub successes: Successes,
    /// The first time that no more connections were allowed: how many there were, and why.
    pub limited: Option<(usize, String)>,
    /// Connections that were closed because they broke the protocol while no request was at work on them, and what the
    /// first one did.
    pub unasked: Option<(u64, String)>,
    /// Bytes of replies' bodies.
    pub body_bytes: u64,
    /// Nanoseconds in flight of all requests together.
    pub in_flight: u128,
    /// How many completed in the second half of the time in which requests were to become due.
    pub completed_in_second_half: u64,
    /// What was exchanged, if it is to be shown.
    #[serde(skip)]
    pub(crate) exchange: Option<Box<Exchange>>,
    #[serde(skip)]
    second_half: Range<Nanos>,
    #[serde(with = "run_and_load")]
    ids: Ids,
    #[serde(skip)]
    start: Nanos,
}

/// Ids as the numbers of run and load.
mod run_and_load {
    use contract::id::Ids;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(ids: &Ids, to: S) -> Result<S::Ok, S::Error> {
        (ids.run, ids.load).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Ids, D::Error> {
        <(u32, u8)>::deserialize(from).map(|(run, load)| Ids { run, load })
    }
}

impl Recorder {
    /// An empty recorder of the run with these ids.
    #[must_use]
    pub fn new(ids: Ids) -> Self {
        Self {
            counts: Counts::default(),
            times: Times::default(),
            statuses: vec![0; STATUSES],
            failures: Failures::default(),
            backends: Backends::default(),
            intervals: Intervals::default(),
            connections: Connections::default(),
            successes: Successes::default(),
            limited: None,
            unasked: None,
            body_bytes: 0,
            in_flight: 0,
            completed_in_second_half: 0,
            exchange: None,
            second_half: 0..0,
            ids,
            start: 0,
        }
    }

    /// The ids of the run's requests.
    #[must_use]
    pub fn ids(&self) -> Ids {
        self.ids
    }

    /// Replies by status, those seen alone.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        (0..).zip(self.statuses.iter().copied()).filter(|(_, count)| *count > 0)
    }

    /// The run begins; `window` is how long requests are to become due, if that is known.
    pub(crate) fn start(&mut self, start: Nanos, window: Option<Nanos>) {
        self.start = start;
        self.second_half = window.map_or(0..0, |window| start + window / 2..start.saturating_add(window));
    }

    /// So many requests that were due at the same time were picked up.
    pub(crate) fn picked_up(&mut self, due: Nanos, now: Nanos, count: u64) {
        self.counts.offered += count;
        self.times.lag.saturating_record_n(now.saturating_sub(due).min(LONGEST), count);
        self.intervals.at(due.saturating_sub(self.start)).offered += count;
    }

    pub(crate) fn dropped(&mut self) {
        self.counts.dropped += 1;
    }

    pub(crate) fn resent(&mut self) {
        self.counts.resent += 1;
    }

    pub(crate) fn limited(&mut self, connections: usize, why: &str) {
        self.limited.get_or_insert_with(|| (connections, why.to_owned()));
    }

    pub(crate) fn unasked(&mut self, what: &str) {
        self.unasked.get_or_insert_with(|| (0, what.to_owned())).0 += 1;
    }

    pub(crate) fn instance(&mut self, name: &[u8]) -> u16 {
        self.backends.number(name)
    }

    /// So many more bytes of bodies have come, of replies that may still be running.
    pub(crate) fn received(&mut self, bytes: u64) {
        self.body_bytes += bytes;
    }

    pub(crate) fn ended(&mut self, ended: Ended<'_>) {
        let (arrival, at) = (ended.in_flight.arrival, ended.at);
        let Arrival { due, picked, written, .. } = arrival;
        match ended.outcome {
            Outcome::Replied => self.replied(&Replied::from(&ended), 1),
            Outcome::Abandoned => {
                self.sent(picked, written, at, 1);
                *if written.is_some() { &mut self.counts.unanswered } else { &mut self.counts.not_sent } += 1;
            }
            Outcome::Failed(failure) => {
                self.sent(picked, written, at, 1);
                self.counts.transport_failed += 1;
                self.failed(&arrival, at, failure.cause, &failure.message);
            }
            Outcome::TimedOut => {
                self.sent(picked, written, at, 1);
                self.counts.timed_out += 1;
                self.times.response.saturating_record(at.saturating_sub(due).min(LONGEST));
                self.failed(&arrival, at, Cause::Timeout, "no complete reply within --timeout");
            }
        }
        if arrival.captured {
            self.exchange = Some(Box::new(ended.into()));
        }
    }

    fn sent(&mut self, picked: Nanos, written: Option<Nanos>, at: Nanos, count: u64) {
        if let Some(written) = written {
            self.times.wait.saturating_record_n(written.saturating_sub(picked).min(LONGEST), count);
            self.in_flight += u128::from(at.saturating_sub(written)) * u128::from(count);
        }
    }

    fn replied(&mut self, replied: &Replied, count: u64) {
        let Replied { due, picked, written, at, status, instance } = *replied;
        self.sent(picked, written, at, count);
        let response = at.saturating_sub(due);
        let service = at.saturating_sub(written.unwrap_or(picked));
        self.times.response.saturating_record_n(response.min(LONGEST), count);
        self.times.service.saturating_record_n(service.min(LONGEST), count);
        self.statuses[usize::from(status).min(STATUSES - 1)] += count;
        self.completed_in_second_half += if self.second_half.contains(&at) { count } else { 0 };
        let since_start = at.saturating_sub(self.start);
        match status {
            ..400 => {
                self.counts.succeeded += count;
                self.successes.mark(since_start);
            }
            400..500 => self.counts.client_errors += count,
            _ => self.counts.server_errors += count,
        }
        self.intervals.at(since_start).replied(response, status >= 500, count);
        if let Some(instance) = instance {
            self.backends.replied(instance, response, count);
        }
    }

    fn failed(&mut self, arrival: &Arrival, at: Nanos, cause: Cause, message: &str) {
        self.intervals.at(at.saturating_sub(self.start)).errors += 1;
        self.failures.count(cause, message, &arrival.id(self.ids));
    }

    /// Adds what another worker of the run has recorded.
    pub fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        add(&mut self.times.response, &other.times.response);
        add(&mut self.times.service, &other.times.service);
        add(&mut self.times.wait, &other.times.wait);
        add(&mut self.times.lag, &other.times.lag);
        for (count, more) in self.statuses.iter_mut().zip(&other.statuses) {
            *count += more;
        }
        self.failures.merge(&other.failures);
        self.backends.merge(&other.backends);
        self.intervals.merge(&other.intervals);
        self.successes.merge(&other.successes);
        self.connections.merge(&other.connections);
        self.limited = match (self.limited.take(), &other.limited) {
            (Some((mine, why)), Some((theirs, _))) => Some((mine + theirs, why)),
            (mine, theirs) => mine.or_else(|| theirs.clone()),
        };
        if let Some((more, what)) = &other.unasked {
            self.unasked.get_or_insert_with(|| (0, what.clone())).0 += more;
        }
        if let Some(exchange) = &other.exchange {
            self.exchange = Some(exchange.clone());
        }
        self.body_bytes += other.body_bytes;
        self.in_flight += other.in_flight;
        self.completed_in_second_half += other.completed_in_second_half;
    }

    /// Brings a snapshot for progress up to date.
    pub(crate) fn snapshot(&self, snapshot: &mut Snapshot) {
        snapshot.counts = self.counts;
        let set = snapshot.response.set_to(&self.times.response);
        debug_assert!(set.is_ok(), "{set:?}");
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::outcome::Failure;

    fn record_anything(recorder: &mut Recorder, random: &mut StdRng, number: u64) {
        let due = random.random_range(0..20_000_000_000);
        let picked = due + random.random_range(0..1_000_000);
        recorder.picked_up(due, picked, 1);
        let written = random.random_bool(0.9).then(|| picked + random.random_range(0..1_000_000));
        let at = picked + random.random_range(1_000_000..2_000_000_000);
        let mut in_flight = InFlight::new(Arrival { written, ..Arrival::new(number, due, picked) }, picked);
        let failure = Failure::new(Cause::RstStream(random.random_range(0..14)), "reset");
        let outcome = match random.random_range(0..8) {
            0 => return recorder.dropped(),
            1 => Outcome::Abandoned,
            2 => Outcome::TimedOut,
            3 => Outcome::Failed(&failure),
            _ => {
                in_flight.reply.status = random.random_range(200..600);
                in_flight.reply.instance = Some(recorder.instance(&[b'a' + random.random_range(0..4)]));
                Outcome::Replied
            }
        };
        recorder.ended(in_flight.ended(at, outcome));
    }

    #[test]
    fn whatever_happens_adds_up_and_merging_is_recording_in_one_place() {
        let ids = Ids { run: 1, load: 0 };
        for seed in 0..20 {
            let mut parts = vec![Recorder::new(ids); 3];
            let mut whole = Recorder::new(ids);
            for number in 0..500 {
                let seed = seed * 1000 + number;
                record_anything(&mut parts[number as usize % 3], &mut StdRng::seed_from_u64(seed), number);
                record_anything(&mut whole, &mut StdRng::seed_from_u64(seed), number);
            }
            let mut merged = Recorder::new(ids);
            for part in &parts {
                assert!(part.counts.add_up(), "{:?}", part.counts);
                merged.merge(part);
            }
            assert!(merged.counts.add_up());
            assert_eq!(merged.counts, whole.counts);
            assert_eq!(merged.times.response, whole.times.response);
            assert_eq!(merged.times.lag, whole.times.lag);
            assert_eq!(merged.statuses, whole.statuses);
            assert_eq!(merged.in_flight, whole.in_flight);
            assert_eq!(
                merged.successes.longest_gap(30_000_000_000),
                whole.successes.longest_gap(30_000_000_000)
            );
            let totals = |recorder: &Recorder| {
                recorder.failures.iter().map(|(cause, seen)| (cause, seen.count)).collect::<Vec<_>>()
            };
            assert_eq!(totals(&merged), totals(&whole));
            let backends = |recorder: &Recorder| {
                recorder
                    .backends
                    .sorted()
                    .into_iter()
                    .map(|b| (b.name.clone(), b.response.len()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(backends(&merged), backends(&whole));
            let completed = |recorder: &Recorder| recorder.intervals.iter().map(|i| i.completed).sum::<u64>();
            assert_eq!(
                (completed(&merged), completed(&whole)),
                (whole.counts.completed(), whole.counts.completed())
            );
        }
    }

    #[test]
    fn a_timeout_enters_response_time_at_its_age_and_a_failure_does_not() {
        let mut recorder = Recorder::new(Ids { run: 0, load: 0 });
        let arrival = Arrival { written: Some(3000), ..Arrival::new(0, 1000, 2000) };
        let in_flight = || InFlight::new(arrival, 2000);
        recorder.picked_up(1000, 2000, 1);
        recorder.ended(in_flight().ended(700_001_000, Outcome::TimedOut));
        recorder.picked_up(1000, 2000, 1);
        let failure = Failure::new(Cause::Reset, "reset");
        recorder.ended(in_flight().ended(5000, Outcome::Failed(&failure)));
        assert_eq!(recorder.times.response.len(), 1);
        assert!(recorder.times.response.equivalent(recorder.times.response.max(), 700_000_000));
        assert_eq!((recorder.times.service.len(), recorder.times.wait.len()), (0, 2));
    }
}
