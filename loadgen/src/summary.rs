//! What came of a run: the merged records, and what follows from them.

use std::time::Duration;

use crate::{
    clock::{Nanos, nanos},
    plan::{Plan, Shape},
    recorder::Recorder,
    schedule::Schedule,
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
#[derive(Clone, Debug)]
pub struct Summary {
    /// What ran.
    pub plan: Plan,
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
    /// With a rate these are the replies completed while requests became due, and as many as were due to be
    /// in flight at its end at the median response time: so that neither a late reply nor a short run counts
    /// against the target, and a queue that grows does.
    #[must_use]
    pub fn achieved_rate(&self) -> f64 {
        let counts = &self.records.counts;
        let Shape::Open { .. } = self.plan.load.shape else {
            return per_second(counts.completed(), self.elapsed);
        };
        let window = self.window();
        let median = Duration::from_nanos(self.records.times.response.value_at_quantile(0.5));
        let in_flight = self.offered_rate() * median.as_secs_f64();
        let steady = per_second(self.records.completed_by_arrivals_end, window) + in_flight / seconds(window);
        steady.min(per_second(counts.completed(), window))
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
        let open = matches!(self.plan.load.shape, Shape::Open { .. });
        if lag > nanos(MAX_LAG_P99) || self.busiest_worker > MAX_BUSY {
            Verdict::GeneratorLimited
        } else if open && self.achieved_rate() < self.offered_rate() * MIN_ACHIEVED {
            Verdict::TargetLimited
        } else {
            Verdict::Valid
        }
    }

    /// One sentence on the verdict.
    #[must_use]
    pub fn verdict_reason(&self) -> String {
        let busy = self.busiest_worker * 100.0;
        let open = matches!(self.plan.load.shape, Shape::Open { .. });
        match self.verdict() {
            Verdict::Valid => "loadgen kept its schedule and the target kept up".to_owned(),
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

    /// How long requests were to become due: as planned, unless they ended earlier.
    fn window(&self) -> Duration {
        match self.plan.load.shape {
            Shape::Open { rate, .. } if !self.interrupted => {
                Schedule::constant(rate, self.plan.load.total, self.plan.load.duration, (0, 1))
                    .window()
                    .unwrap_or(self.arrivals_lasted)
            }
            _ => self.arrivals_lasted,
        }
    }
}

fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / seconds(time)
}

/// Never zero, so that it can be divided by.
fn seconds(time: Duration) -> f64 {
    time.as_secs_f64().max(1e-9)
}
