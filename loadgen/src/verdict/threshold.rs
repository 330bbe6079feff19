//! What a run's figures are held against: `p(99)<200ms`, and whether they are known well enough to be.
//! `docs/thresholds.md` has the grammar.

use std::fmt;

use contract::quantity::{self, LONGEST_TIME};
use grpc::Code;

use super::{Time, band};
use crate::{
    clock::{Nanos, nanos},
    comparison::Comparator,
    numbers::{count, decimal, time},
    outcome::ExpectedStatus,
    recorder::Snapshot,
    summary::Summary,
};

/// What is accepted, for messages.
const ACCEPTED: &str = "response.p(99), service., wait. or lag. with p(50), error_rate, rate, unanswered, count(503), count(2xx) or \
                        count(UNAVAILABLE), \
                        then <, <=, > or >=, then a value, like 'p(99)<200ms', 'error_rate<1%' or 'rate>=1000'";

/// Fewer requests that have ended are not a reason to end a run.
const MIN_ENDED: u64 = 20;

/// A bound on one figure of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    figure: BoundFigure,
    comparison: Comparator,
    /// In nanoseconds, as a share, per second or as a count.
    value: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum BoundFigure {
    Response(f64),
    Service(f64),
    Wait(f64),
    Lag(f64),
    ErrorRate,
    Rate,
    Unanswered,
    Count(ExpectedStatus),
    Calls(Code),
}

/// What came of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It was kept, however late loadgen itself was.
    Passed,
    /// It was crossed, also without loadgen's own delay.
    Failed,
    /// The figure is not known well enough.
    NotJudged,
}

impl Judgement {
    /// As reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotJudged => "not judged",
        }
    }
}

/// A threshold, what was found, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The threshold as it was given.
    pub threshold: String,
    /// The figure.
    pub found: String,
    /// What came of it.
    pub judgement: Judgement,
    /// Whether it is about a time.
    pub is_time: bool,
}

impl std::str::FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text)
            .ok_or_else(|| format!("invalid threshold '{}'; accepted: {ACCEPTED}", text.escape_debug()))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str) -> Option<Threshold> {
    let (figure, comparison, value) = Comparator::split(text)?;
    let figure = parse_figure(figure)?;
    let value = match &figure {
        BoundFigure::Response(_) | BoundFigure::Service(_) | BoundFigure::Wait(_) | BoundFigure::Lag(_) => {
            nanos(quantity::duration_or_seconds(value, LONGEST_TIME)?) as f64
        }
        BoundFigure::ErrorRate => match value.strip_suffix('%') {
            Some(percent) => quantity::decimal_within(percent.trim_end(), &(0.0..=100.0))? / 100.0,
            None => quantity::decimal_within(value, &(0.0..=1.0))?,
        },
        BoundFigure::Rate => {
            quantity::decimal_within(value.strip_suffix("/s").unwrap_or(value).trim_end(), &(0.0..=1e12))?
        }
        BoundFigure::Unanswered | BoundFigure::Count(_) | BoundFigure::Calls(_) => {
            quantity::count(value).filter(|count| *count <= 1 << 53)? as f64
        }
    };
    let mut text = text.trim().to_owned();
    let is_time = matches!(
        figure,
        BoundFigure::Response(_) | BoundFigure::Service(_) | BoundFigure::Wait(_) | BoundFigure::Lag(_)
    );
    if is_time && text.ends_with(|c: char| c.is_ascii_digit()) {
        // Others take a number for milliseconds.
        text.push('s');
    }
    Some(Threshold { text, figure, comparison, value })
}

fn parse_figure(text: &str) -> Option<BoundFigure> {
    let within = |text: &str, name: &str| -> Option<String> {
        Some(text.strip_prefix(name)?.trim_start().strip_prefix('(')?.strip_suffix(')')?.trim().to_owned())
    };
    match text {
        "error_rate" => return Some(BoundFigure::ErrorRate),
        "rate" => return Some(BoundFigure::Rate),
        "unanswered" => return Some(BoundFigure::Unanswered),
        _ => {}
    }
    if let Some(status) = within(text, "count") {
        let code = Code::from_name(&status).map(BoundFigure::Calls);
        return code.or_else(|| ExpectedStatus::of_replies(&status).map(BoundFigure::Count));
    }
    let (of, percentile) =
        text.split_once('.').filter(|(of, _)| !of.contains('(')).unwrap_or(("response", text));
    let percentile = quantity::decimal_within(&within(percentile, "p")?, &(0.0..=100.0))?;
    match of {
        "response" => Some(BoundFigure::Response(percentile)),
        "service" => Some(BoundFigure::Service(percentile)),
        "wait" => Some(BoundFigure::Wait(percentile)),
        "lag" => Some(BoundFigure::Lag(percentile)),
        _ => None,
    }
}

impl Threshold {
    /// Holds a run against it.
    #[must_use]
    pub fn judge(&self, summary: &Summary) -> Judged {
        let (records, counts) = (&summary.records, &summary.records.counts);
        match &self.figure {
            BoundFigure::Response(percentile) => self.judge_response(summary, percentile / 100.0),
            BoundFigure::Service(percentile) => self.judge_times(&records.times.service, percentile / 100.0),
            BoundFigure::Wait(percentile) => self.judge_times(&records.times.wait, percentile / 100.0),
            BoundFigure::Lag(percentile) => self.judge_times(&records.times.lag, percentile / 100.0),
            BoundFigure::ErrorRate if counts.offered == 0 => {
                self.judged(Judgement::NotJudged, "no requests".to_owned())
            }
            BoundFigure::ErrorRate => {
                let left = summary.left_unsent();
                let share = (counts.unsuccessful() - left) as f64 / (counts.offered - left) as f64;
                self.judge_exact(share, format!("{:.3}%", share * 100.0))
            }
            BoundFigure::Rate => {
                let rate = summary.achieved_rate();
                // It is of a time in whole nanoseconds.
                let bound = self.value;
                let found = if (rate - bound).abs() <= bound * 1e-6 { bound } else { rate };
                self.judge_exact(found, format!("{}/s", decimal(rate)))
            }
            BoundFigure::Unanswered => {
                let unanswered = counts.unanswered + counts.timed_out + summary.not_sent();
                self.judge_exact(unanswered as f64, count(unanswered))
            }
            BoundFigure::Calls(code) => {
                let calls = records.calls.as_deref().map_or(0, |calls| calls.ended_with(*code));
                self.judge_exact(calls as f64, count(calls))
            }
            BoundFigure::Count(statuses) => {
                let of = records.statuses().filter(|(status, _)| statuses.contains(*status));
                let replies = of.map(|(_, replies)| replies).sum::<u64>();
                self.judge_exact(replies as f64, count(replies))
            }
        }
    }

    /// Whether it can be known while a run goes on that it is crossed.
    #[must_use]
    pub fn can_abort(&self) -> bool {
        let is_upper = self.comparison.is_upper();
        is_upper
            && matches!(
                self.figure,
                BoundFigure::Response(_) | BoundFigure::ErrorRate | BoundFigure::Unanswered
            )
    }

    /// Whether it bounds from above something that grows with the load.
    pub(super) fn is_upper_bound(&self) -> bool {
        let is_upper = matches!(self.comparison, Comparator::Below | Comparator::AtMost);
        is_upper && !matches!(self.figure, BoundFigure::Rate)
    }

    /// With fewer requests than this it is not judged; infinite if it never is.
    pub(super) fn min_requests(&self) -> f64 {
        match self.figure {
            BoundFigure::Response(percentile)
            | BoundFigure::Service(percentile)
            | BoundFigure::Wait(percentile)
            | BoundFigure::Lag(percentile) => band::min_requests(percentile / 100.0),
            BoundFigure::ErrorRate
            | BoundFigure::Rate
            | BoundFigure::Unanswered
            | BoundFigure::Count(_)
            | BoundFigure::Calls(_) => 1.0,
        }
    }

    /// Whether it is crossed by what has ended so far, also without loadgen's own delay.
    #[must_use]
    pub fn is_crossed_so_far(&self, snapshot: &Snapshot) -> bool {
        let counts = &snapshot.counts;
        let ended = counts.offered.saturating_sub(counts.outstanding());
        match &self.figure {
            _ if ended < MIN_ENDED => false,
            BoundFigure::ErrorRate => {
                let share = ended.saturating_sub(counts.succeeded) as f64 / ended as f64;
                !self.comparison.holds(share, self.value)
            }
            BoundFigure::Unanswered => !self.comparison.holds(counts.timed_out as f64, self.value),
            BoundFigure::Response(percentile) => {
                let times = [&snapshot.response, &snapshot.undelayed];
                let failed = ended.saturating_sub(counts.succeeded);
                let found = times.map(|times| band::at_rank(times, failed, percentile / 100.0));
                found.into_iter().all(|found| match found {
                    Some((_, true)) | None => false,
                    Some((Some(found), _)) => !self.comparison.holds(found as f64, self.value),
                    Some((None, _)) => !self.comparison.holds(f64::INFINITY, self.value),
                })
            }
            _ => false,
        }
    }

    fn judge_exact(&self, found: f64, shown: String) -> Judged {
        let kept = self.comparison.holds(found, self.value);
        self.judged(if kept { Judgement::Passed } else { Judgement::Failed }, shown)
    }

    /// By the band: kept at both of its ends, or at neither, or not known.
    fn judge_response(&self, summary: &Summary, quantile: f64) -> Judged {
        let Some(percentile) = summary.percentile(quantile) else {
            return self.judged(Judgement::NotJudged, "no requests".to_owned());
        };
        let (low, high, shown) = match percentile.time {
            Time::Band { response, undelayed } if response == undelayed => {
                (response as f64, response as f64, time(response as f64))
            }
            Time::Band { response, undelayed } => {
                let (from, to) = (time(undelayed as f64), time(response as f64));
                let shown = if from == to { to } else { format!("{from} to {to}") };
                (undelayed as f64, response as f64, shown)
            }
            Time::AtLeast(_) => {
                // A failure is worse than any time, and not a time that was long enough.
                let low = if self.comparison.is_upper() { f64::INFINITY } else { 0.0 };
                (low, f64::INFINITY, "a request that did not succeed".to_owned())
            }
        };
        if percentile.is_n_too_small {
            return self.judged(Judgement::NotJudged, format!("{shown} (n too small)"));
        }
        let (at_low, at_high) =
            (self.comparison.holds(low, self.value), self.comparison.holds(high, self.value));
        let judgement = match (at_low, at_high) {
            (true, true) => Judgement::Passed,
            (false, false) if !summary.is_held_up_at(quantile) => Judgement::Failed,
            // What was due while loadgen itself was held up was sent in a burst, and waited for itself.
            _ => Judgement::NotJudged,
        };
        self.judged(judgement, shown)
    }

    fn judge_times(&self, histogram: &hdrhistogram::Histogram<Nanos>, quantile: f64) -> Judged {
        match band::at_rank(histogram, 0, quantile) {
            Some((Some(found), false)) => self.judge_exact(found as f64, time(found as f64)),
            Some((found, _)) => {
                let found = time(found.unwrap_or(0) as f64);
                self.judged(Judgement::NotJudged, format!("{found} (n too small)"))
            }
            None => self.judged(Judgement::NotJudged, "no requests".to_owned()),
        }
    }

    fn judged(&self, judgement: Judgement, found: String) -> Judged {
        let is_time = matches!(
            self.figure,
            BoundFigure::Response(_) | BoundFigure::Service(_) | BoundFigure::Wait(_) | BoundFigure::Lag(_)
        );
        Judged { threshold: self.text.clone(), found, judgement, is_time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{Planted, PlantedEnd, run};

    #[test]
    fn a_percentile_that_did_not_succeed_is_not_shown_as_a_time() {
        let summary = run("-r 100 -d 10s a:1", |n, _| Planted {
            end: PlantedEnd::Status(if n % 5 == 0 { 503 } else { 200 }),
            ..Planted::default()
        });
        for (text, judgement, found) in [
            ("p(90)<1s", Judgement::Failed, "a request that did not succeed"),
            ("p(98.9)<1s", Judgement::Failed, "a request that did not succeed"),
            ("p(90)>1us", Judgement::NotJudged, "a request that did not succeed"),
            ("p(99.9)<1s", Judgement::NotJudged, "a request that did not succeed (n too small)"),
            ("p(50)<1s", Judgement::Passed, "1.00 ms"),
        ] {
            let judged = text.parse::<Threshold>().unwrap().judge(&summary);
            assert_eq!((judged.judgement, judged.found.as_str()), (judgement, found), "{text}");
        }
    }

    #[test]
    fn thresholds_are_read_as_people_write_them() {
        for (text, figure, comparison, value) in [
            ("p(99)<200ms", BoundFigure::Response(99.0), Comparator::Below, 2e8),
            (" response.p( 99.9 ) <= 1.5s ", BoundFigure::Response(99.9), Comparator::AtMost, 1.5e9),
            ("service.p(50)<0.25s", BoundFigure::Service(50.0), Comparator::Below, 2.5e8),
            ("wait.p(0)>1us", BoundFigure::Wait(0.0), Comparator::Above, 1e3),
            ("lag.p(100)>=1ms", BoundFigure::Lag(100.0), Comparator::AtLeast, 1e6),
            ("error_rate<1%", BoundFigure::ErrorRate, Comparator::Below, 0.01),
            ("error_rate <= 0.5", BoundFigure::ErrorRate, Comparator::AtMost, 0.5),
            ("rate>=1000/s", BoundFigure::Rate, Comparator::AtLeast, 1000.0),
            ("unanswered<1", BoundFigure::Unanswered, Comparator::Below, 1.0),
            (
                "count(5xx)<=3",
                BoundFigure::Count(ExpectedStatus::none().with("5xx").unwrap()),
                Comparator::AtMost,
                3.0,
            ),
        ] {
            let threshold: Threshold = text.parse().unwrap();
            let expected = Threshold { text: text.trim().to_owned(), figure, comparison, value };
            assert_eq!(threshold, expected, "{text}");
        }
    }

    #[test]
    fn every_example_of_the_documentation_is_accepted() {
        let text = include_str!("../../../docs/thresholds.md");
        let examples: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert!(examples.len() >= 9, "{examples:?}");
        for example in examples {
            assert!(example.parse::<Threshold>().is_ok(), "{example}");
        }
    }

    #[test]
    fn a_time_without_a_unit_is_shown_in_seconds() {
        for (text, shown) in
            [("p(99)<200", "p(99)<200s"), ("lag.p(50)<=0.5", "lag.p(50)<=0.5s"), ("rate>5", "rate>5")]
        {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn anything_else_is_answered_with_what_is_accepted() {
        for text in [
            "",
            "<",
            "p(99)",
            "p(99)<",
            "p(99)<fast",
            "p(101)<1s",
            "p(-1)<1s",
            "p(NaN)<1s",
            "p<1s",
            "q(99)<1s",
            "body.p(99)<1s",
            "response.<1s",
            "p(99)=1s",
            "p(99)<1s<2s",
            "error_rate<101%",
            "error_rate<1.01",
            "rate<-1",
            "rate<inf",
            "count()<1",
            "count(600)<1",
            "count(503)<1.5",
            "unanswered<99999999999999999999",
            "p(99)<-1s",
            "p(99)<9000h",
            "(((((((((",
            "p(99)<1s\u{1b}[2J",
        ] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.contains("'p(99)<200ms'") && !error.contains('\u{1b}'), "{text}: {error}");
        }
    }
}
