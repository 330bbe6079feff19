//! As Markdown: a table, and below it what is not kept.

use std::io::{self, Write};

use super::{super::escape::markdown as escaped, label, sentence};
use crate::probe::{Matrix, found::State};

/// For the summary of a CI job.
///
/// # Errors
/// Those of the writer.
pub fn markdown(matrix: &Matrix, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "| Case |")?;
    for column in &matrix.columns {
        write!(out, " {} |", escaped(&column.name))?;
    }
    writeln!(out, "\n|---|{}", "---|".repeat(matrix.columns.len()))?;
    for row in &matrix.rows {
        write!(out, "| {} |", escaped(label(row).trim_start()))?;
        for cell in &row.cells {
            match cell.state {
                State::Broken => write!(out, " **broken** |")?,
                State::Unasked => write!(out, " **could not be asked** |")?,
                state => write!(out, " {} |", state.name())?,
            }
        }
        writeln!(out)?;
    }
    for (at, column) in matrix.columns.iter().enumerate() {
        let differing = matrix.rows.iter().filter(|row| !row.cells[at].state.is_silent());
        let lines: Vec<String> = differing
            .map(|row| {
                format!("- {}: {}", escaped(label(row).trim_start()), escaped(&sentence(&row.cells[at])))
            })
            .collect();
        if !lines.is_empty() || column.note.is_some() {
            let note = column.note.as_ref().map(|note| format!("{}\n\n", escaped(note))).unwrap_or_default();
            writeln!(out, "\n### {}\n\n{note}{}", escaped(&column.name), lines.join("\n"))?;
        }
    }
    Ok(())
}
