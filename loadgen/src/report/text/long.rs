//! What `--detail long` adds to the report.

use std::io::{self, Write};

use super::{WIDTH, wrapped, wrapped_within};
use crate::{
    report::long::{INTERVALS, LEGEND, figures, intervals},
    summary::Summary,
};

/// Writes it.
pub(super) fn write(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    for [name, value, what] in figures(summary) {
        writeln!(out, "{name:<24}{value:<16}{}", wrapped_within(&what, 40, 40, WIDTH))?;
    }
    writeln!(out)?;
    let (rows, left_out) = intervals(summary);
    if rows.is_empty() {
        return Ok(());
    }
    for [from, cells @ ..] in std::iter::once(INTERVALS.map(str::to_owned)).chain(rows) {
        writeln!(out, "{from:<10}{}", cells.map(|cell| format!("{cell:>10}")).concat())?;
    }
    if left_out > 0 {
        writeln!(out, "and {left_out} more, as --report FILE.csv has them")?;
    }
    writeln!(out, "{}\n", wrapped(LEGEND))
}
