//! Several rounds of a run: a line for each.

use std::io::{self, Write};

use super::{Style, thresholds, what_was_loaded, wrapped};
use crate::{
    numbers::plural,
    report::{Report, headline, rounds::table},
};

/// Writes the figures of each round, and what a person has to know beyond.
///
/// # Errors
/// `out` can't be written to.
pub fn write(reports: &[Report<'_>], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let [first, ..] = reports else { return Ok(()) };
    let rounds = format!("{} of ", plural(reports.len() as u64, "round"));
    writeln!(out, "{}\n", what_was_loaded(&rounds, first.summary))?;
    let (header, rows) = table(reports);
    for row in std::iter::once(header).chain(rows) {
        let [name, cells @ ..] = row.as_slice() else { continue };
        let cells: String = cells.iter().map(|cell| format!("{cell:>12}")).collect();
        writeln!(out, "{name:<8}{cells}")?;
    }
    writeln!(out)?;
    for (number, report) in (1..).zip(reports) {
        let line = wrapped(&format!("Round {number}: {}", headline(report.summary)));
        writeln!(out, "{}", style.outcome(report.summary, &line))?;
        let [_, limit] = report.summary.verdict();
        writeln!(out, "{}", wrapped(&format!("Limit: {limit}")))?;
        if let Some(found) = report.summary.verification.as_deref() {
            super::verification::write_findings(found, out)?;
        }
        for warning in report.summary.warnings() {
            writeln!(out, "{}", wrapped(&format!("Warning: {warning}")))?;
        }
        if !report.judged.is_empty() {
            thresholds(report.judged, out)?;
        }
    }
    Ok(())
}
