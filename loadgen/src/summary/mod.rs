//! What came of a run: the merged records, and what follows from them. As [JSON](Summary::write) it has all that a report
//! shows.

mod file;

use std::time::Duration;

pub use file::{InvalidRecords, VERSION};
use serde::{Deserialize, Serialize};

use crate::{
    clock::{Nanos, nanos},
    recorder::{Recorder, RunSettings},
};

/// The release lag at the 99th percentile beyond which the generator has not kept its own schedule.
pub const MAX_LAG_P99: Duration = Duration::from_millis(1);

/// The share of its time on a CPU beyond which a worker has no room left.
pub const MAX_BUSY: f64 = 0.95;

/// The share of the offered rate below which the target has not kept up.
pub const MIN_ACHIEVED: f64 = 0.99;

/// What a run's figures are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The figures say something about the target.
    Valid,
    /// loadgen itself was the limit.
    GeneratorLimited,
    /// The target did not keep up with the rate.
    TargetLimited,
}

impl Verdict {
    /// As the reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::GeneratorLimited => "generator-limited",
            Self::TargetLimited => "target-limited",
        }
    }
}

/// A run that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// What ran.
    pub run: RunSettings,
    /// What all workers recorded.
    pub records: Recorder,
    /// From the start to the last reply, or to the moment when the rest was given up.
    pub elapsed: Duration,
    /// How long requests became due.
    pub arrivals_lasted: Duration,
    /// The share of its time that the busiest worker was on a CPU, from 0 to 1.
    pub busiest_worker: f64,
    /// Whether the user cut it short.
    pub interrupted: bool,
}

impl Summary {
    /// Requests that became due, per second.
    #[must_use]
    pub fn offered_rate(&self) -> f64 {
        per_second(self.records.counts.offered, self.window())
    }

    /// Replies completed per second.
    ///
    /// With a rate, all replies over the time in which requests became due: how long the last ones took is no
    /// loss of rate. But if a queue grew, whose rest was answered later, those in the second half of that time.
    #[must_use]
    pub fn achieved_rate(&self) -> f64 {
        let completed = self.records.counts.completed();
        match self.steady_half() {
            _ if !self.is_open() => per_second(completed, self.elapsed),
            Some(half) if self.queue_grew() => per_second(self.records.completed_in_second_half, half),
            _ => per_second(completed, self.window()),
        }
    }

    /// The average number of requests in flight.
    #[must_use]
    pub fn mean_in_flight(&self) -> f64 {
        self.records.in_flight as f64 / 1e9 / seconds(self.elapsed)
    }

    /// Bytes of replies' bodies per second.
    #[must_use]
    pub fn body_bytes_per_second(&self) -> f64 {
        self.records.body_bytes as f64 / seconds(self.elapsed)
    }

    /// The longest time without a success.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        Duration::from_nanos(self.records.successes.longest_gap(nanos(self.elapsed)))
    }

    /// What the figures are worth.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let lag: Nanos = self.records.times.lag.value_at_quantile(0.99);
        if lag > nanos(MAX_LAG_P99) || self.busiest_worker > MAX_BUSY {
            Verdict::GeneratorLimited
        } else if self.too_few_completed() || (self.is_open() && self.queue_grew()) {
            Verdict::TargetLimited
        } else {
            Verdict::Valid
        }
    }

    /// Fewer than [`MIN_ACHIEVED`] of all requests, whatever became of the others.
    fn too_few_completed(&self) -> bool {
        let counts = &self.records.counts;
        (counts.completed() as f64) < counts.offered as f64 * MIN_ACHIEVED
    }

    /// Fewer than [`MIN_ACHIEVED`] in the second half, and by more requests than come and go by chance: what is
    /// in flight differs from one moment to the next by about the root of its mean.
    fn queue_grew(&self) -> bool {
        let Some(half) = self.steady_half() else { return false };
        let offered = self.offered_rate() * seconds(half);
        let short = offered - self.records.completed_in_second_half as f64;
        let by_chance = 3.0 + 3.0 * self.mean_in_flight().sqrt();
        short > offered * (1.0 - MIN_ACHIEVED) && short > by_chance
    }

    /// Half the time in which requests became due, if that is long enough for a steady state.
    fn steady_half(&self) -> Option<Duration> {
        let window = self.run.window.filter(|_| !self.interrupted)?;
        let quickest = Duration::from_nanos(self.records.times.response.min());
        (window > 4 * quickest).then_some(window / 2)
    }

    fn is_open(&self) -> bool {
        self.run.is_open_loop()
    }

    /// One sentence on the verdict.
    #[must_use]
    pub fn verdict_reason(&self) -> String {
        let busy = self.busiest_worker * 100.0;
        let open = self.is_open();
        match self.verdict() {
            Verdict::Valid => "loadgen kept its schedule and the target kept up".to_owned(),
            Verdict::TargetLimited if self.too_few_completed() => format!(
                "{} of {} requests were not answered completely",
                self.records.counts.offered - self.records.counts.completed(),
                self.records.counts.offered
            ),
            Verdict::TargetLimited => format!(
                "the target completed {:.1}% of the offered rate",
                self.achieved_rate() / self.offered_rate() * 100.0
            ),
            Verdict::GeneratorLimited if self.busiest_worker <= MAX_BUSY => {
                "requests were released more than 1 ms late: times include loadgen's own delay".to_owned()
            }
            Verdict::GeneratorLimited if open => {
                format!("a worker was busy {busy:.0}% of the time: lower the rate or add workers")
            }
            Verdict::GeneratorLimited => {
                format!("a worker was busy {busy:.0}% of the time: the target may be faster than this shows")
            }
        }
    }

    /// What the user should know beside the figures.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some((connections, why)) = &self.records.limited {
            warnings.push(format!("stopped at {connections} connections: {why}"));
        }
        if let Some((connections, what)) = &self.records.unasked {
            warnings.push(format!(
                "protocol error: connections closed while no request was in flight on them: {connections} ({what})"
            ));
        }
        // RFC 9110 section 15: a client should treat them as 5xx.
        let invalid: Vec<_> = self.records.statuses().filter(|(status, _)| *status >= 600).collect();
        if !invalid.is_empty() {
            let replies: u64 = invalid.iter().map(|(_, count)| count).sum();
            let statuses: Vec<_> = invalid.iter().map(|(status, _)| status.to_string()).collect();
            warnings.push(format!(
                "replies with an invalid status (600 to 999), counted as 5xx: {replies} (status {})",
                statuses.join(", ")
            ));
        }
        warnings
    }

    /// How long requests were to become due: as planned, unless they ended earlier.
    fn window(&self) -> Duration {
        self.run.window.filter(|_| !self.interrupted).unwrap_or(self.arrivals_lasted)
    }
}

fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / seconds(time)
}

/// Never zero, so that it can be divided by.
fn seconds(time: Duration) -> f64 {
    time.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use contract::id::Ids;

    use super::*;
    use crate::{
        cli::Args,
        outcome::{Arrival, InFlight, Outcome},
        plan::Plan,
        recorder::Counts,
        schedule::Due,
    };

    const MILLI: Nanos = 1_000_000;

    /// A run of `line`, in which request `n` was picked up `lag` late and took `service(n)`.
    fn run(line: &str, lag: Nanos, service: impl Fn(u64) -> Nanos) -> Summary {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        let plan = Plan::try_from(&Args::try_parse_from(words).unwrap()).unwrap();
        let (arrivals, window) = (plan.load().arrivals().unwrap().clone(), plan.load().window().unwrap());
        let mut records = Recorder::new(Ids { run: 0, load: 0 });
        records.start(0, Some(nanos(window)));
        let mut end = 0;
        for Due { number, at: due } in arrivals {
            let written = due + lag;
            let at = written + service(number);
            records.picked_up(due, written, 1);
            let arrival = Arrival { written: Some(written), ..Arrival::new(number, due, written) };
            let mut in_flight = InFlight::new(arrival, written);
            in_flight.reply.status = 200;
            records.ended(in_flight.ended(at, Outcome::Replied));
            end = end.max(at);
        }
        Summary {
            run: RunSettings::of(&plan),
            records,
            elapsed: Duration::from_nanos(end),
            arrivals_lasted: window,
            busiest_worker: 0.5,
            interrupted: false,
        }
    }

    #[test]
    fn a_steady_target_is_valid_however_slow_and_however_short_the_run() {
        for (line, service) in [
            ("-r 1000 -t 5000 a:1", MILLI),
            ("-r 1000 -t 1000 a:1", 100 * MILLI),
            ("-r 1000 -t 5 a:1", 10 * MILLI),
            ("-r 100 -d 1s a:1", 2000 * MILLI),
            ("-r 1 -t 1 a:1", 500 * MILLI),
            ("-r 50 -t 10 a:1", 30 * MILLI),
        ] {
            let summary = run(line, 10_000, |_| service);
            assert_eq!(summary.verdict(), Verdict::Valid, "{line}: {}", summary.verdict_reason());
        }
        let one_straggler = run("-r 1000 -d 1s a:1", 0, |n| if n == 999 { 500 * MILLI } else { MILLI });
        assert_eq!(one_straggler.verdict(), Verdict::Valid);
    }

    #[test]
    fn a_queue_that_grows_is_the_targets_limit() {
        // It serves 800 a second, then half of what is offered.
        for per_request in [MILLI * 5 / 4, 2 * MILLI] {
            let summary = run("-r 1000 -d 3s a:1", 0, |n| MILLI + n * (per_request - MILLI));
            assert_eq!(summary.verdict(), Verdict::TargetLimited);
            let served = 1e9 / per_request as f64;
            assert!((summary.achieved_rate() - served).abs() < served * 0.02, "{}", summary.achieved_rate());
        }
    }

    #[test]
    fn more_than_one_in_a_hundred_without_a_reply_is_the_targets_limit() {
        let gone = |failed: u64| {
            let mut summary = run("-r 1000 -t 1000 a:1", 0, |_| MILLI);
            summary.records.counts.succeeded -= failed;
            summary
        };
        let take: [fn(&mut Counts) -> &mut u64; 5] = [
            |counts| &mut counts.transport_failed,
            |counts| &mut counts.timed_out,
            |counts| &mut counts.unanswered,
            |counts| &mut counts.dropped,
            |counts| &mut counts.not_sent,
        ];
        let closed = Plan::builder("a:1").total(1000).build().unwrap();
        for place in take {
            for (failed, verdict) in [(10, Verdict::Valid), (11, Verdict::TargetLimited)] {
                let mut summary = gone(failed);
                *place(&mut summary.records.counts) = failed;
                assert!(summary.records.counts.add_up());
                assert_eq!(summary.verdict(), verdict, "{:?}", summary.records.counts);
                assert!((summary.achieved_rate() - (1000 - failed) as f64).abs() < 0.01);
                summary.run = RunSettings::of(&closed);
                assert_eq!(summary.verdict(), verdict, "without a rate");
            }
        }
        let mut summary = gone(11);
        summary.records.counts.timed_out = 11;
        assert_eq!(summary.verdict_reason(), "11 of 1000 requests were not answered completely");
    }

    #[test]
    fn what_loadgen_itself_delays_is_the_generators_limit() {
        let late = run("-r 1000 -d 1s a:1", 2 * MILLI, |_| MILLI);
        assert_eq!(late.verdict(), Verdict::GeneratorLimited);
        let busy = Summary { busiest_worker: 0.96, ..run("-r 1000 -d 1s a:1", 0, |_| MILLI) };
        assert_eq!(busy.verdict(), Verdict::GeneratorLimited);
        assert!(busy.verdict_reason().contains("96%"));
    }

    #[test]
    fn rates_and_averages_follow_from_the_records() {
        let summary = run("-r 1000 -d 1s a:1", 0, |_| 20 * MILLI);
        assert!((summary.offered_rate() - 1000.0).abs() < 0.1);
        assert!((summary.mean_in_flight() - 20.0).abs() < 0.5, "{}", summary.mean_in_flight());
        assert_eq!(summary.longest_gap(), Duration::from_millis(20));
    }
}
