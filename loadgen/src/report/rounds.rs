//! What reports of several rounds have: a row for each, and the median and the range of all.

use super::Report;
use crate::{
    numbers::{decimal, success_percent, time},
    summary::Summary,
    verdict::{
        Time,
        change::{ChangedFigure, FIGURES, median},
    },
};

/// The names of the columns.
const HEADER: [&str; 7] = ["Round", "succeeded", "rate/s", "p50", "p90", "p99", "p99.9"];

/// The names of the columns, and a row for each round, then the median, the lowest and the highest of each figure that all rounds have.
/// Percentiles that no round has are left out.
pub(super) fn table(reports: &[Report<'_>]) -> (Vec<String>, Vec<Vec<String>>) {
    let rows = rows(reports);
    let is_said = |column: usize| rows.iter().any(|row| row[column] != "-");
    let columns: Vec<_> = (0..HEADER.len()).filter(|column| is_said(*column)).collect();
    let of = |row: &[String; 7]| columns.iter().map(|column| row[*column].clone()).collect();
    (of(&HEADER.map(str::to_owned)), rows.iter().map(of).collect())
}

/// One value of those of all rounds.
type OfRounds = fn(Vec<f64>) -> f64;

fn rows(reports: &[Report<'_>]) -> Vec<[String; 7]> {
    let mut rows: Vec<_> = (1..).zip(reports).map(|(number, report)| row(number, *report)).collect();
    let all = FIGURES.map(|(_, figure)| {
        let of = |report: &Report<'_>| figure.of(report.summary).map(|(_, value)| value);
        let values = reports.iter().map(of).collect::<Option<Vec<_>>>()?;
        Some((figure, values)).filter(|(_, values)| !values.is_empty())
    });
    let lowest = |values: Vec<f64>| values.into_iter().fold(f64::INFINITY, f64::min);
    let highest = |values: Vec<f64>| values.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let kinds = [("median", median as OfRounds), ("lowest", lowest), ("highest", highest)];
    for (name, of) in kinds {
        let [succeeded, rate, p50, p90, p99, p999] = all.each_ref().map(|all| match all {
            None => "-".to_owned(),
            Some((figure, values)) => shown(*figure, of(values.clone())),
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
        ChangedFigure::Succeeded => success_percent(value),
        ChangedFigure::Rate => decimal(value),
        ChangedFigure::Response(_) => time(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{MILLI, Planted, run};

    fn rounds(services: &[u64]) -> Vec<Summary> {
        let round = |service: &u64| {
            let service = *service * MILLI;
            run("-r 100 -d 2s a:1", move |_, _| Planted { service, ..Planted::default() })
        };
        services.iter().map(round).collect()
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle_as_that_of_a_comparison() {
        let rounds = rounds(&[10, 40, 20, 80]);
        let (header, rows) = table(&rounds.iter().map(Report::from).collect::<Vec<_>>());
        let p50 = header.iter().position(|name| name == "p50").unwrap();
        let found: Vec<_> = rows[4..].iter().map(|row| (row[0].as_str(), row[p50].as_str())).collect();
        assert_eq!(found, [("median", "30.0 ms"), ("lowest", "10.0 ms"), ("highest", "80.0 ms")]);
    }

    #[test]
    fn percentiles_that_no_round_has_are_left_out() {
        let (header, rows) = table(&rounds(&[10, 20]).iter().map(Report::from).collect::<Vec<_>>());
        assert_eq!(header, ["Round", "succeeded", "rate/s", "p50", "p90"]);
        assert!(rows.iter().all(|row| row.len() == header.len()), "{rows:?}");
    }
}
