//! A comparison as Markdown with tables (GitHub's), for the summary of a CI job.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::Comparison;
use crate::report::escape::markdown as escaped;

impl Comparison {
    /// Writes it as Markdown.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn markdown(&self, out: &mut dyn Write) -> io::Result<()> {
        for sentence in self.sentences() {
            writeln!(out, "**{}**\n", escaped(&sentence))?;
        }
        writeln!(out, "{}\n", escaped(&self.method()))?;
        for (header, rows) in [self.sides_table(), self.taxes_table()] {
            table(&header, &rows, out)?;
        }
        if !self.curve.is_empty() {
            let (header, rows) = self.curve_table();
            table(&header, &rows, out)?;
        }
        for (what, notes) in [
            ("Threshold", &self.judgements()),
            ("Not alike", &self.faults),
            ("Unknown", &self.unknown),
            ("Warning", &self.warnings()),
        ] {
            for note in notes {
                writeln!(out, "- {what}: {}", escaped(note))?;
            }
        }
        Ok(())
    }
}

fn table(header: &[Cow<'static, str>], rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "| {} |", header.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" | "))?;
    writeln!(out, "|{}", "---|".repeat(header.len()))?;
    for row in rows {
        writeln!(out, "| {} |", row.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" | "))?;
    }
    writeln!(out)
}
