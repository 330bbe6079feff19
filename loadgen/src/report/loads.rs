//! What reports of several loads at the same time have: a row for each, and what is offered, succeeded and failed of all.

use super::{Report, rounds::percentile};
use crate::{
    clock::nanos,
    numbers::{count, decimal, seconds},
    recorder::Counts,
    summary::Summary,
};

/// The names of the columns.
pub(super) const HEADER: [&str; 7] = ["Load", "from", "offered", "failed", "rate/s", "p50", "p99"];

/// Whether these are reports of several loads at the same time, and not of rounds.
#[must_use]
pub fn are_loads(reports: &[Report<'_>]) -> bool {
    !reports.is_empty() && reports.iter().all(|report| report.summary.run.load_name.is_some())
}

/// The reports of each round of several loads: one ends where the first load comes again.
pub(super) fn by_round<'r, 'a>(reports: &'r [Report<'a>]) -> std::slice::Chunks<'r, Report<'a>> {
    reports.chunks(loads_in_round(reports))
}

/// The reports of each load, in order, round by round.
pub(super) fn by_load<'a>(reports: &[Report<'a>]) -> Vec<Vec<Report<'a>>> {
    let count = loads_in_round(reports).min(reports.len());
    (0..count).map(|load| reports.iter().skip(load).step_by(count).copied().collect()).collect()
}

/// Whether these loads went on more than once.
#[must_use]
pub fn are_rounds(reports: &[Report<'_>]) -> bool {
    by_round(reports).len() > 1
}

fn loads_in_round(reports: &[Report<'_>]) -> usize {
    let [first, others @ ..] = reports else { return 1 };
    let again = others.iter().position(|report| name(report.summary) == name(first.summary));
    again.map_or(reports.len(), |index| index + 1)
}

/// What the load is called.
pub(super) fn name(summary: &Summary) -> &str {
    summary.run.load_name.as_deref().unwrap_or_default()
}

/// The name of a load and when it began, as a heading.
pub(super) fn heading(summary: &Summary) -> String {
    match summary.run.start {
        None => format!("Load {}, from the beginning", name(summary)),
        Some(start) => format!("Load {}, from {} on", name(summary), seconds(nanos(start))),
    }
}

/// A row for each load, and one of all.
pub(super) fn rows(reports: &[Report<'_>]) -> Vec<[String; 7]> {
    let mut rows: Vec<_> = reports.iter().map(|report| row(report.summary)).collect();
    let all = total(reports);
    let nothing = String::new;
    rows.push([
        "all".to_owned(),
        nothing(),
        count(all.offered),
        count(all.unsuccessful()),
        nothing(),
        nothing(),
        nothing(),
    ]);
    rows
}

/// What happened to the requests of all.
pub(super) fn total(reports: &[Report<'_>]) -> Counts {
    reports.iter().fold(Counts::default(), |mut all, report| {
        all.merge(&report.summary.records.counts);
        all
    })
}

fn row(summary: &Summary) -> [String; 7] {
    let counts = &summary.records.counts;
    [
        name(summary).to_owned(),
        summary.run.start.map_or_else(|| "0 s".to_owned(), |start| seconds(nanos(start))),
        count(counts.offered),
        count(counts.unsuccessful()),
        decimal(summary.achieved_rate()),
        percentile(summary, 0.5),
        percentile(summary, 0.99),
    ]
}
