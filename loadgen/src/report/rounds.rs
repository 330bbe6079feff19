//! What reports of several rounds have: a row for each, and the median and the range of all.

use super::Report;
use crate::{
    numbers::{decimal, success, time},
    summary::Summary,
    verdict::{
        Time,
        change::{ChangedFigure, FIGURES},
    },
};

/// The names of the columns.
pub(super) const HEADER: [&str; 7] = ["Round", "succeeded", "rate/s", "p50", "p90", "p99", "p99.9"];

/// A row for each round, then the median, the lowest and the highest of each figure that all rounds have.
pub(super) fn rows(reports: &[Report<'_>]) -> Vec<[String; 7]> {
    let mut rows: Vec<_> = (1..).zip(reports).map(|(number, report)| row(number, *report)).collect();
    let sorted = FIGURES.map(|(_, figure)| {
        let of = |report: &Report<'_>| figure.of(report.summary).map(|(_, value)| value);
        let mut values = reports.iter().map(of).collect::<Option<Vec<_>>>()?;
        values.sort_by(f64::total_cmp);
        Some((figure, values))
    });
    let last = reports.len().saturating_sub(1);
    // Of an even number, the lower one of the two in the middle: it was measured.
    for (name, index) in [("median", last / 2), ("lowest", 0), ("highest", last)] {
        let [succeeded, rate, p50, p90, p99, p999] = sorted.each_ref().map(|sorted| match sorted {
            None => "-".to_owned(),
            Some((figure, values)) => shown(*figure, values[index]),
        });
        rows.push([name.to_owned(), succeeded, rate, p50, p90, p99, p999]);
    }
    rows
}

fn row(number: usize, report: Report<'_>) -> [String; 7] {
    let summary = report.summary;
    let at = |quantile| percentile(summary, quantile);
    [
        number.to_string(),
        shown(ChangedFigure::Succeeded, summary.success_ratio()),
        shown(ChangedFigure::Rate, summary.achieved_rate()),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
    ]
}

/// How long the request of this rank took, where that is known.
pub(super) fn percentile(summary: &Summary, quantile: f64) -> String {
    match summary.percentile(quantile).map(|found| (found.is_n_too_small, found.time)) {
        None | Some((true, _)) => "-".to_owned(),
        Some((_, Time::Band { response, .. })) => time(response as f64),
        Some((_, Time::AtLeast(at_least))) => format!(">={}", time(at_least as f64)),
    }
}

/// A value of a figure.
pub(super) fn shown(figure: ChangedFigure, value: f64) -> String {
    match figure {
        ChangedFigure::Succeeded => success(value),
        ChangedFigure::Rate => decimal(value),
        ChangedFigure::Response(_) => time(value),
    }
}
