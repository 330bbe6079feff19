//! A comparison for people.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::Comparison;

impl Comparison {
    /// Writes it for people.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for sentence in self.sentences() {
            writeln!(out, "{sentence}")?;
        }
        writeln!(out, "Measured: {}\n", self.method())?;
        let (header, rows) = self.sides_table();
        table(&header, &rows, out)?;
        writeln!(out)?;
        let (header, rows) = self.taxes_table();
        table(&header, &rows, out)?;
        if !self.curve.is_empty() {
            writeln!(out)?;
            let (header, rows) = self.curve_table();
            table(&header, &rows, out)?;
        }
        let judgements = self.judgements();
        if !judgements.is_empty() {
            writeln!(out)?;
            judgements.iter().try_for_each(|judged| writeln!(out, "Threshold {judged}"))?;
        }
        let notes = self.faults.iter().map(|fault| format!("Not alike: {fault}"));
        let notes = notes.chain(self.unknown.iter().map(|unknown| format!("Unknown: {unknown}")));
        let notes: Vec<_> =
            notes.chain(self.warnings().into_iter().map(|warning| format!("Warning: {warning}"))).collect();
        if !notes.is_empty() {
            writeln!(out, "\n{}", notes.join("\n"))?;
        }
        Ok(())
    }
}

/// Columns as wide as what is in them; the first one and the last one are flush left.
fn table(header: &[Cow<'static, str>], rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = std::iter::once(&header).chain(rows).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        })
        .collect();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => line += &format!("{cell:<width$}"),
                _ if column + 1 == row.len() => line += &format!("  {cell}"),
                _ => line += &format!("  {cell:>width$}"),
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
