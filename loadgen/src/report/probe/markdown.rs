//! As Markdown: a table, and below it what is not kept.

use std::io::{self, Write};

use super::{label, sentence};
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
        if !lines.is_empty() {
            writeln!(out, "\n### {}\n\n{}", escaped(&column.name), lines.join("\n"))?;
        }
    }
    Ok(())
}

/// So that nothing of it is read as Markdown or HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '~' | '!' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_as_markdown() {
        assert_eq!(escaped("a|b\n<i>*x*"), r"a\|b &lt;i&gt;\*x\*");
    }
}
