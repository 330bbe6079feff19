//! Writes what came of a run, for people or for programs. Each format has a `write` for one run, one for
//! several rounds, and one for several loads at the same time.

pub mod compare;
pub mod csv;
pub mod diff;
mod escape;
pub mod find_max;
mod happened;
mod heads;
pub mod heyyall;
pub mod json;
pub mod loads;
mod long;
pub mod markdown;
mod normalized;
pub mod probe;
mod rounds;
mod split;
pub mod text;
mod times;
mod verification;
mod what_ran;

use std::num::NonZeroU32;

use self::escape::printable;
use crate::{
    numbers::{count, decimal, success_percent, time},
    summary::Summary,
    verdict::{Judged, Time},
};

/// What is reported of.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The run.
    pub summary: &'a Summary,
    /// The thresholds that it was held against.
    pub judged: &'a [Judged],
    /// How much of it text and Markdown show.
    pub detail: Detail,
    /// Up to which multiple of the shortest response time the histogram of text has bins of the same width, beside one for all
    /// that is beyond; none: it has bins that suit all times.
    pub normalization: Option<NonZeroU32>,
}

/// How much a report for people shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// What one has to know.
    #[default]
    Short,
    /// Also where the time went, whether the figures agree with each other, and how it went second by second.
    Long,
}

impl<'a> From<&'a Summary> for Report<'a> {
    /// Without thresholds.
    fn from(summary: &'a Summary) -> Self {
        Self { summary, judged: &[], detail: Detail::Short, normalization: None }
    }
}

/// What one has to know, in one line.
pub(crate) fn headline(summary: &Summary) -> String {
    let interrupted = if summary.interrupted { "interrupted, " } else { "" };
    let mut line = vec![
        format!("{interrupted}{} succeeded", success_percent(summary.success_ratio())),
        format!("{}/s", decimal(summary.achieved_rate())),
    ];
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        // Without a success it is how soon requests failed, which is taken for a latency.
        let has_time = summary.records.counts.succeeded > 0;
        let Some(percentile) = summary.percentile(quantile).filter(|_| has_time) else { continue };
        line.push(match percentile.time {
            _ if percentile.is_n_too_small => continue,
            Time::AtLeast(at_least) => format!("{name} >= {}", time(at_least as f64)),
            Time::Band { response, undelayed } => {
                let (high, low) = (time(response as f64), time(undelayed as f64));
                if high == low { format!("{name} {high}") } else { format!("{name} {low} to {high}") }
            }
        });
    }
    line.push(format!("{} failed", count(summary.failed())));
    let unmet = summary.records.unmet.replies();
    if unmet > 0 {
        line.push(format!("{} not as expected", count(unmet)));
    }
    line.join(", ")
}
