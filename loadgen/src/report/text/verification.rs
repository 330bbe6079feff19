//! What was proven of a run, as text.

use std::io::{self, Write};

use super::wrapped;
use crate::{report::verification::sentences, summary::Summary};

/// Writes it, if it was wanted.
pub(super) fn write(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let Some(found) = summary.verification.as_deref() else { return Ok(()) };
    let sentences = sentences(found);
    let [first, rest @ ..] = &sentences[..] else { return Ok(()) };
    writeln!(out, "{}", wrapped(&format!("Verification: {first}")))?;
    for sentence in rest {
        for line in wrapped(&printable(sentence)).lines() {
            writeln!(out, "  {line}")?;
        }
    }
    writeln!(out)
}

/// Without what a server that chose a name could do to a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
