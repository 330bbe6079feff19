//! What a probe has found, for people and for programs: a table of states, and behind each what happened.

mod html;
mod markdown;

use std::io::{self, Write};

pub use self::{html::html, markdown::markdown};
use super::printable;
use crate::probe::{
    CASES, Case, Matrix,
    found::{CaseRow, Cell, Roles, State},
};

/// The JSON Schema of what programs get.
pub const SCHEMA: &str = include_str!("../../../probe.schema.json");

/// The cases, a line for each.
///
/// # Errors
/// Those of the writer.
pub fn list(out: &mut dyn Write) -> io::Result<()> {
    for case in CASES {
        writeln!(out, "{:>2}  {:<16} {}", case.number, case.name, case.title)?;
    }
    Ok(())
}

/// What a case asks.
///
/// # Errors
/// Those of the writer.
pub fn explain(case: &Case, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}  {}: {}\n", case.number, case.name, case.title)?;
    writeln!(out, "{}\n\n{}\n", case.asks, case.why)?;
    if !case.issues.is_empty() {
        writeln!(out, "Public issues: {}\n", case.issues.join(", "))?;
    }
    writeln!(out, "Variants: {}", case.variants.join(", "))?;
    if case.is_described {
        writeln!(
            out,
            "It is a matter of configuration: what is found is described and not judged. Asked with --all, or --only."
        )?;
    } else if case.rules.is_empty() {
        writeln!(out, "No MUST is about it: whatever comes of it is described, and never broken.")?;
    }
    for rule in case.rules {
        let role = match rule.roles {
            Roles::Both => "",
            Roles::Gateways => " It binds gateways, and not proxies (--role=proxy).",
            Roles::Proxies => " It binds proxies (--role=proxy), and not gateways.",
        };
        writeln!(out, "Broken if it is against {}: \"{}\"{role}", rule.section, rule.quote)?;
    }
    Ok(())
}

/// For programs, as `probe.schema.json` describes it.
///
/// # Errors
/// Those of the writer.
pub fn json(matrix: &Matrix, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, matrix)?;
    writeln!(out)
}

/// For people: a table, and what is not kept.
///
/// # Errors
/// Those of the writer.
pub fn text(matrix: &Matrix, out: &mut dyn Write) -> io::Result<()> {
    let labels: Vec<String> = matrix.rows.iter().map(label).collect();
    let first = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = matrix
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = matrix.rows.iter().map(|row| row.cells[at].state.name().len());
            cells.chain([column.name.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    write!(out, "{:first$}", "")?;
    for (column, width) in matrix.columns.iter().zip(&widths) {
        write!(out, "  {:width$}", column.name)?;
    }
    writeln!(out)?;
    for (row, label) in matrix.rows.iter().zip(&labels) {
        let mut line = format!("{label:first$}");
        for (cell, width) in row.cells.iter().zip(&widths) {
            line.push_str(&format!("  {:width$}", cell.state.name()));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    for (at, column) in matrix.columns.iter().enumerate() {
        let behind = if column.upstream.is_empty() {
            String::new()
        } else {
            format!("; behind it {}", printable(&column.upstream.join(", ")))
        };
        let note = column.note.as_ref().map(|note| format!("; {}", printable(note))).unwrap_or_default();
        let spoken = match &column.protocols[..] {
            [] => "nothing could be asked".to_owned(),
            protocols => protocols.join(" and "),
        };
        writeln!(out, "\n{} ({}): {spoken}{behind}{note}", column.name, column.url)?;
        let is_any = |state| matrix.rows.iter().any(|row| row.cells[at].state == state);
        let mut all_kept = is_any(State::Kept) && !is_any(State::NotAsked);
        for (row, label) in matrix.rows.iter().zip(&labels) {
            let cell = &row.cells[at];
            if cell.state.is_silent() {
                continue;
            }
            all_kept &= row.is_described;
            writeln!(out, "  {}: {}", label, sentence(cell))?;
            if let Some(curl) = &cell.curl {
                writeln!(out, "      {curl}")?;
            }
        }
        if all_kept {
            writeln!(out, "  All that applies is kept.")?;
        }
    }
    if matrix.interrupted {
        writeln!(out, "\nInterrupted: the rest was not asked.")?;
    }
    writeln!(out, "\nTranscripts are in --report=FILE.html and FILE.json; --explain CASE says what is asked.")
}

/// The name of a row.
fn label(row: &CaseRow) -> String {
    format!("{:>2} {} {} {}", row.case, row.name, row.variant, row.protocol)
}

/// What a cell says may quote a server: this many characters of it are shown.
const MAX_SHOWN: usize = 1000;

/// What a cell says, with the rule that it is about.
fn sentence(cell: &Cell) -> String {
    let rule = match &cell.rule {
        None => String::new(),
        Some(rule) if cell.breaks_a_must => format!(" ({}: \"{}\")", rule.section, rule.quote),
        Some(rule) if rule.roles == Roles::Gateways => {
            format!(" (a MUST for gateways, which a proxy is not: {})", rule.section)
        }
        Some(rule) => format!(" (a MUST for proxies, which a gateway is not: {})", rule.section),
    };
    let what: String = cell.what.chars().take(MAX_SHOWN).collect();
    let disputed = cell.disputed.as_ref().map(|link| format!("; disputed: {link}")).unwrap_or_default();
    format!("{}: {}{rule}{}", cell.state.name(), printable(&what), printable(&disputed))
}
