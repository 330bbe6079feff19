//! How much was asked for and how much came back, per second.
//!
//! Which replies count, and over which time, is decided here alone, and the same for replies, bytes and messages.

use std::{ops::Range, time::Duration};

use super::{Summary, seconds};
use crate::{
    clock::{Nanos, nanos},
    recorder::{Bin as _, Parts, slope},
};

/// Fewer bins of what came back are too coarse for a rate.
const MIN_BINS: Nanos = 20;

/// Requests that were due within less time can't show whether their times grew: it is too few bins of the trend.
const SHORTEST: Nanos = 60_000_000;

/// A deviation of this many standard deviations from what is usual is significant.
const SIGNIFICANT: f64 = 4.0;

/// What rates are of.
enum Counted {
    /// All that came, whenever it did, for each second of this time.
    All(Duration),
    /// What came within this part of the run.
    Within(Range<Nanos>),
}

impl Summary {
    /// Requests that became due, per second.
    #[must_use]
    pub fn offered_rate(&self) -> f64 {
        self.records.counts.offered as f64 / seconds(self.offered_in())
    }

    /// The time that requests became due in, to the end of the interval that the last one opens where they are evenly spaced: the first one
    /// is due immediately, and two requests in three seconds are 0.5/s, and not 0.67/s, if that is the rate.
    fn offered_in(&self) -> Duration {
        let run = &self.run;
        let is_even = !run.poisson && run.stages.is_none() && run.replay.is_none();
        let rate = run.rate_per_second.filter(|rate| is_even && *rate > 0.0);
        let intervals = rate.map(|rate| self.records.counts.offered as f64 / rate);
        let intervals = intervals.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        self.window().max(intervals.unwrap_or_default())
    }

    /// Replies completed per second.
    ///
    /// In an open loop, those to the requests that were due, over the time in which they were: a target that is slow and
    /// steady has lost nothing. If it fell behind, those completed within that time, moved by the
    /// median response time: they show what it serves. In a closed loop, those until the last request was sent. In either,
    /// those of the [whole run](Self::is_rate_over_all) if that was short. Never what came behind a straggler, over all the
    /// time that it took.
    #[must_use]
    pub fn achieved_rate(&self) -> f64 {
        self.per_second(self.records.counts.completed() as f64, |part| {
            let (completed, _) = self.records.flow.between(part.start, part.end);
            completed
        })
    }

    /// The same over the time in which requests are counted as in flight: Little's law holds within one and the same time.
    pub(super) fn rate_beside_in_flight(&self) -> f64 {
        match self.counted() {
            Counted::All(_) => self.records.counts.completed() as f64 / seconds(self.counted_in_flight()),
            Counted::Within(_) => self.achieved_rate(),
        }
    }

    /// Bytes of replies' bodies per second: as many replies as the [achieved rate](Self::achieved_rate) has, of as many bytes
    /// as came for each; if none was completed, the bytes that came while requests became due.
    #[must_use]
    pub fn body_bytes_per_second(&self) -> f64 {
        let (all, completed) = (self.records.body_bytes as f64, self.records.counts.completed());
        if completed == 0 {
            let (_, bytes) = self.records.flow.between(0, nanos(self.window()));
            return bytes / seconds(self.window());
        }
        self.achieved_rate() * all / completed as f64
    }

    /// Messages of gRPC calls that came, per second, of the same time as replies; none of other runs.
    #[must_use]
    pub fn messages_per_second(&self) -> Option<f64> {
        let calls = self.records.calls.as_deref()?;
        Some(
            self.per_second(calls.messages_received as f64, |part| {
                calls.received_between(part.start, part.end)
            }),
        )
    }

    /// Whether rates are over the whole run: a closed loop whose requests were sent in less than two median response times, or
    /// any whose requests were sent in too short a time to say more.
    #[must_use]
    pub fn is_rate_over_all(&self) -> bool {
        let window = nanos(self.window());
        match self.is_open() {
            true => window < SHORTEST,
            false => {
                let sent_until = self.sent_until();
                let is_short = sent_until < self.median_reply().saturating_mul(2);
                is_short || sent_until < MIN_BINS * self.records.flow.width()
            }
        }
    }

    /// When the last request of a closed loop was sent: when the slots of a slow target are all taken, nothing is sent for a
    /// response time before requests end. If that is longer, the target stood still.
    fn sent_until(&self) -> Nanos {
        let window = nanos(self.window());
        let usual = self.median_reply().saturating_mul(5) / 4 + self.records.flow.width();
        let until = self.records.availability.last_due().map_or(window, |due| due.min(window));
        if window - until <= usual { until } else { window }
    }

    /// Of what came, in all or within a part of the run, as much as counts, per second.
    fn per_second(&self, all: f64, within: impl Fn(Range<Nanos>) -> f64) -> f64 {
        match self.counted() {
            Counted::All(time) => all / seconds(time),
            Counted::Within(part) => {
                let time = Duration::from_nanos(part.end - part.start);
                within(part) / seconds(time)
            }
        }
    }

    fn counted(&self) -> Counted {
        let window = nanos(self.window());
        if self.is_rate_over_all() {
            // A run ends with its last reply, which may be before the end of the last interval.
            Counted::All(self.elapsed.max(self.offered_in()))
        } else if !self.is_open() {
            Counted::Within(0..self.sent_until())
        } else if self.fell_behind() {
            let moved = self.moved();
            Counted::Within(moved..moved.saturating_add(window))
        } else {
            Counted::All(self.offered_in())
        }
    }

    /// Whether the target was behind when requests were no longer due: their times had grown, or more replies than usual were
    /// still to come, or what was outstanding had grown to the end.
    ///
    /// How many are to come in a steady state is how many became due in a response time. That one is of the first
    /// half, so that what the last ones waited for is not taken for usual.
    pub(crate) fn fell_behind(&self) -> bool {
        let (trend, flow, window) = (&self.records.trend, &self.records.flow, nanos(self.window()));
        let bins: Vec<(Nanos, &Parts)> = (0..)
            .map(|index| index * trend.width())
            .zip(trend.iter())
            .filter(|(at, _)| *at < window)
            .collect();
        let was_sent = bins.iter().filter(|(_, parts)| parts.sent > 0);
        let points: Vec<_> = was_sent.map(|(at, parts)| (*at as f64, mean(parts))).collect();
        if slope(&points).is_some() || self.outstanding_grew() {
            return true;
        }
        let mut first = Parts::default();
        bins.iter().filter(|(at, _)| *at < window / 2).for_each(|(_, parts)| first.merge(parts));
        let all = trend.sum();
        let usual = mean(if first.sent > 0 { &first } else { &all });
        let since = window as f64 - usual;
        let width = trend.width() as f64;
        let last: f64 = bins
            .iter()
            .map(|(at, parts)| parts.sent as f64 * ((*at as f64 + width - since) / width).clamp(0.0, 1.0))
            .sum();
        let completed = self.records.counts.completed() as f64;
        let expected = completed * last / all.sent.max(1) as f64;
        // By whole bins: in the one at the edge, all may have come before it.
        let (in_time, _) = flow.between(0, window.saturating_add(flow.width()));
        completed - in_time > expected + SIGNIFICANT * (expected + 1.0).sqrt()
    }

    /// Whether what was outstanding grew over the second half of the window, in its last quarter about as fast as in the one before,
    /// although replies came: in whichever order a target answers. Times can't show that unless it is the order of requests: those that are
    /// left behind are then as many among the first requests as among the last.
    fn outstanding_grew(&self) -> bool {
        let (trend, flow, window) = (&self.records.trend, &self.records.flow, nanos(self.window()));
        // Where the rate itself grows, what is outstanding grows with it.
        let is_steady = self.run.stages.is_none() && self.run.replay.is_none();
        let quarter = if is_steady { window / 4 } else { 0 };
        // By whole bins, which both have the same of.
        let width = trend.width().max(flow.width()).max(1);
        let quarter = quarter - quarter % width;
        if quarter == 0 {
            return false;
        }
        let sent = |from: Nanos, to: Nanos| -> f64 {
            let bins = (0..).map(|index| index * trend.width()).zip(trend.iter());
            bins.filter(|(at, _)| (from..to).contains(at)).map(|(_, parts)| parts.sent as f64).sum()
        };
        let grew = |from: Nanos, to: Nanos| (sent(from, to), sent(from, to) - flow.between(from, to).0);
        let (_, before) = grew(2 * quarter, 3 * quarter);
        let (_, last) = grew(3 * quarter, 4 * quarter);
        let (due, both) = grew(2 * quarter, 4 * quarter);
        let (completed, _) = flow.between(0, 4 * quarter);
        let came = completed >= sent(0, 4 * quarter) / 10.0;
        came && last >= before * 0.75 && both > SIGNIFICANT * (due + 1.0).sqrt() && both > due / 50.0
    }

    /// By how much the time that rates are of lies behind the one in which requests became due, for a target that fell behind.
    fn moved(&self) -> Nanos {
        let mut median = self.median_reply();
        if let Some(together) = self.run.coalesce {
            // The last of them go out together, that much later than the first one of them was due.
            let service = self.records.times.service.value_at_quantile(0.5);
            median = median.max(nanos(together).saturating_add(service));
        }
        // By whole bins: the edge of a bin at which nothing happened else cuts what happened at the other.
        median - median % self.records.flow.width()
    }

    /// The median response time of those that succeeded, or of all replies if none did.
    pub(super) fn median_reply(&self) -> Nanos {
        let times = &self.records.times;
        let all = std::iter::once(&times.response).chain((1..=5).map(|class| times.of_class(class)));
        all.filter(|histogram| !histogram.is_empty())
            .map(|histogram| histogram.value_at_quantile(0.5))
            .next()
            .unwrap_or(0)
    }
}

/// The mean response time of those that were sent, in nanoseconds.
fn mean(parts: &Parts) -> f64 {
    let sum = parts.lag.saturating_add(parts.wait).saturating_add(parts.service);
    sum as f64 / parts.sent.max(1) as f64
}
