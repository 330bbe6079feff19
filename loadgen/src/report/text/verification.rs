//! What a command did to requests, and what was proven of a run, as text.

use std::io::{self, Write};

use super::wrapped;
use crate::{
    report::{happened, heads, printable, verification::sentences},
    summary::Summary,
    verify::Verification,
};

/// Writes both, as far as they were wanted.
pub(super) fn write(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let happened = happened::lines(summary);
    if let [first, rest @ ..] = &happened[..] {
        writeln!(out, "{}", wrapped(&printable(&format!("During: {first}"))))?;
        for line in rest {
            for line in wrapped(line).lines() {
                writeln!(out, "  {line}")?;
            }
        }
        writeln!(out)?;
    }
    let Some(found) = summary.verification.as_deref() else { return Ok(()) };
    write_findings(found, out)?;
    writeln!(out)
}

/// Writes what was proven.
pub(super) fn write_findings(found: &Verification, out: &mut dyn Write) -> io::Result<()> {
    let sentences = sentences(found);
    let [first, rest @ ..] = &sentences[..] else { return Ok(()) };
    writeln!(out, "{}", wrapped(&format!("Verification: {first}")))?;
    for sentence in rest {
        for line in wrapped(&printable(sentence)).lines() {
            writeln!(out, "  {line}")?;
        }
    }
    for heads::Section { title, lines } in found.heads.iter().flat_map(|heads| heads::sections(heads)) {
        let end = if lines.is_empty() { "" } else { ":" };
        writeln!(out, "\n{}", wrapped(&printable(&format!("{title}{end}"))))?;
        for line in lines {
            for line in wrapped(&printable(&line)).lines() {
                writeln!(out, "  {line}")?;
            }
        }
    }
    Ok(())
}
