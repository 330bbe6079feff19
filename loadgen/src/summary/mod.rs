//! What came of a run: the merged records, and what follows from them. As [JSON](Summary::write) it has all that a report
//! shows.

mod file;
mod loads;
mod merge;
mod parts;
mod rates;
mod rounds;

use std::time::Duration;

use hdrhistogram::Histogram;

pub use file::{InvalidRecords, VERSION};
pub use loads::{Loads, RoundsOfLoads};
pub use merge::CannotMerge;
pub use parts::{Little, MeanParts};
pub use rounds::{KeptReport, MAX_ROUNDS, Rounds};
use serde::{Deserialize, Serialize};

use crate::{
    clock::{Nanos, nanos},
    recorder::{Origin, Recorder, RunSettings, Span},
    verify::Verification,
};

/// The share of its time in which a worker was busy is of at least this time: in less, that it started is most of what it did.
pub(crate) const SHORTEST_SHARE: Duration = Duration::from_millis(100);

/// At how many times requests have to fail within an outage that is warned of, each of them a bit of [`Availability`].
///
/// [`Availability`]: crate::recorder::Availability
const MIN_FAILED: usize = 5;

/// A run that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Where it comes from.
    pub origin: Origin,
    /// What ran.
    pub run: RunSettings,
    /// What all workers recorded.
    pub records: Recorder,
    /// From the start to the last reply, or to the moment when the rest was given up.
    pub elapsed: Duration,
    /// How long requests became due.
    pub arrivals_lasted: Duration,
    /// The share of its time that the busiest worker was on a CPU, from 0 to 1: of the time in which requests became due, and what it
    /// took beyond that.
    pub busiest_worker: f64,
    /// The share of its time that a worker was ready to run without a CPU, at most, from 0 to 1, of the same time; none where the
    /// system does not say.
    pub run_delay: Option<f64>,
    /// Whether the user cut it short.
    pub interrupted: bool,
    /// What cut it short by `--abort-on`, such as "p(99)<1s was crossed", if that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted_by: Option<String>,
    /// What happened meanwhile, if something was to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened: Option<Box<Happened>>,
    /// What was proven, if that was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Box<Verification>>,
}

/// A command that ran while requests were sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Happened {
    /// The program, without arguments, which may be secret.
    pub command: String,
    /// What it exited with; none if it was ended by a signal, or could not be run.
    pub code: Option<i32>,
    /// When it began, since the run did.
    pub from: Duration,
    /// When it ended, since the run began.
    pub to: Duration,
    /// Whether requests succeeded again for as long as was asked for, before the run ended.
    pub recovered: bool,
}

impl Summary {
    /// For how long a command of the run still ran when no more requests became due; none where it did not, or the run was stopped.
    #[must_use]
    pub fn outlasted_by(&self) -> Option<Duration> {
        let happened = self.happened.as_deref().filter(|_| !self.interrupted)?;
        happened.to.checked_sub(self.arrivals_lasted).filter(|behind| !behind.is_zero())
    }

    /// Response times of replies with a status of this class, 1 to 5: what is beyond counts as 5.
    #[must_use]
    pub fn times_of_class(&self, class: usize) -> &Histogram<u64> {
        let times = &self.records.times;
        let are_successes = class == 2 && self.run.expected_status.is_none();
        if are_successes { &times.response } else { times.of_class(class) }
    }

    /// The average number of requests in flight while requests became due.
    #[must_use]
    pub fn mean_in_flight(&self) -> f64 {
        self.records.in_flight as f64 / 1e9 / seconds(self.counted_in_flight())
    }

    /// The time in which requests are counted as in flight.
    fn counted_in_flight(&self) -> Duration {
        self.run.window.map_or(self.elapsed, |window| window.min(self.elapsed))
    }

    /// The longest run of consecutive arrivals without a success; none if each succeeded, or one at nearly the same time.
    #[must_use]
    pub fn longest_outage(&self) -> Option<Span> {
        self.records.availability.longest_outage(nanos(self.window()))
    }

    /// The longest time without a completed reply while at least one request was outstanding.
    #[must_use]
    pub fn longest_stall(&self) -> Option<Span> {
        self.records.availability.longest_stall()
    }

    /// The same while requests became due, behind the median response time, before which no reply is to be expected.
    #[must_use]
    pub fn longest_stall_of_window(&self) -> Option<Span> {
        self.records.availability.longest_stall_within(&(self.median_reply()..nanos(self.window())))
    }

    /// The longest stall, if it is out of the ordinary: a steady target that is slow does not stall, and no target does
    /// while loadgen itself is kept from running.
    #[must_use]
    pub fn notable_stall(&self) -> Option<Span> {
        let (held_up, _) = self.records.held_up;
        self.longest_stall().filter(|stall| self.is_notable(stall.length.saturating_sub(held_up)))
    }

    /// The longest outage, if it is out of the ordinary, and requests failed at several times within it.
    #[must_use]
    pub fn notable_outage(&self) -> Option<Span> {
        let (held_up, _) = self.records.held_up;
        let is_long = |outage: &Span| {
            let failed = self.records.availability.failed_within(*outage);
            self.is_notable(outage.length.saturating_sub(held_up)) && failed >= MIN_FAILED
        };
        self.longest_outage().filter(|outage| self.records.counts.succeeded > 0 && is_long(outage))
    }

    /// Whether a time without replies is out of the ordinary.
    pub(crate) fn is_notable(&self, time: Nanos) -> bool {
        let usual = self.records.times.service.value_at_quantile(0.5);
        time > usual.saturating_mul(3).max(100_000_000)
    }

    /// Stragglers, and how long the last one took beyond the time in which requests were sent; none where nothing took unusually
    /// long.
    #[must_use]
    pub fn tail(&self) -> Option<(u64, Nanos)> {
        let (sent_until, end) = (nanos(self.arrivals_lasted), nanos(self.elapsed));
        let usual = self.records.times.response.value_at_quantile(0.5).saturating_mul(3).max(1_000_000_000);
        let length = end.saturating_sub(sent_until);
        if length <= usual {
            return None;
        }
        // Whole bins alone: that at the edge has usual ones, too.
        let width = self.records.flow.width().max(1);
        let edge = sent_until.saturating_add(usual).div_ceil(width).saturating_mul(width);
        let (before, _) = self.records.flow.between(0, edge);
        let late = contract::quantity::rounded(self.records.counts.completed() as f64 - before);
        (late > 0).then_some((late, length))
    }

    /// What came of the requests that were due in the warm-up, in words; none without one.
    pub(crate) fn warmup_said(&self) -> Option<String> {
        let time = self.run.warmup?;
        let counts = self.records.warmup.unwrap_or_default();
        let number = crate::numbers::count;
        let mut said = format!(
            "Warm-up of {}, not counted above: {} sent, {} succeeded",
            crate::numbers::seconds(nanos(time)),
            number(counts.sent()),
            number(counts.succeeded)
        );
        for (count, what) in [(counts.dropped, "dropped"), (counts.not_sent, "not sent")] {
            if count > 0 {
                said += &format!(", {} {what}", number(count));
            }
        }
        Some(said)
    }

    fn is_open(&self) -> bool {
        self.run.is_open_loop()
    }

    /// What the user should know beside the figures.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.run.is_protocol_assumed && self.records.counts.completed() > 0 {
            let why = "HTTP/1.1 was spoken, as the server could not be asked for its protocol when the run began: \
                       --http2 or --http1.1 says it, --wait-for-target waits for the server";
            warnings.push(why.to_owned());
        }
        if let Some((connections, why)) = &self.records.limited {
            warnings.push(format!("stopped at {connections} connections: {why}"));
        }
        if self.is_rate_over_all() && self.records.counts.completed() > 0 {
            warnings.push("the rate is that of the whole run: it was too short to tell more".to_owned());
        }
        if let Some((stragglers, time)) = self.tail() {
            let stragglers = match stragglers {
                1 => "1 straggler".to_owned(),
                many => format!("{} stragglers", crate::numbers::count(many)),
            };
            let time = crate::numbers::time(time as f64);
            warnings.push(format!("{stragglers} took up to {time} after the last request was sent"));
        }
        let had_replies = self.records.counts.completed() > 0;
        let stall = self.notable_stall().filter(|_| had_replies);
        if let Some(stall) = stall {
            let (length, start) =
                (crate::numbers::seconds(stall.length), crate::numbers::seconds(stall.start));
            warnings.push(format!("no reply for {length} at {start}, while requests were in flight"));
        }
        // Requests that failed because of a stall are reported with the stall.
        let is_longer = |outage: &Span| stall.is_none_or(|stall| outage.length > 2 * stall.length);
        if let Some(outage) = self.notable_outage().filter(is_longer) {
            let (length, start) =
                (crate::numbers::seconds(outage.length), crate::numbers::seconds(outage.start));
            warnings.push(format!("no request succeeded for {length} from {start}"));
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
    pub(crate) fn window(&self) -> Duration {
        self.run.window.filter(|_| self.is_open() && !self.interrupted).unwrap_or(self.arrivals_lasted)
    }
}

/// Never zero, so that it can be divided by.
fn seconds(time: Duration) -> f64 {
    time.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests;
