//! Several loads at the same time: a line for each, and then the report of each.

use std::io::{self, Write};

use super::{Style, wrapped};
use crate::{
    numbers::plural,
    report::{
        Report,
        loads::{HEADER, by_load, by_round, heading, rows},
        printable,
    },
};

/// The widest name in the table, in characters.
const NAME: usize = 16;

/// Writes the figures of all, and the report of each.
///
/// # Errors
/// `out` can't be written to.
pub fn write(reports: &[Report<'_>], style: Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} at the same time\n", plural(reports.len() as u64, "load"))?;
    let header = HEADER.map(str::to_owned);
    for row in std::iter::once(header).chain(rows(reports)) {
        let [name, from, offered, failed, cells @ ..] = row;
        let cells = cells.map(|cell| format!("{cell:>10}")).concat();
        let line = format!("{:<17}{from:>11}{offered:>11}{failed:>11}{cells}", cut(&name));
        writeln!(out, "{}", line.trim_end())?;
    }
    for report in reports {
        writeln!(out, "\n{}\n", wrapped(&heading(report.summary)))?;
        super::write(*report, style, out)?;
    }
    Ok(())
}

/// Writes the rounds of each load, load by load.
///
/// # Errors
/// `out` can't be written to.
pub fn write_rounds(reports: &[Report<'_>], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let all = by_load(reports);
    let rounds = plural(by_round(reports).len() as u64, "round");
    writeln!(out, "{rounds} of {} at the same time", plural(all.len() as u64, "load"))?;
    for reports in all {
        let [first, ..] = reports.as_slice() else { continue };
        writeln!(out, "\n{}\n", wrapped(&heading(first.summary)))?;
        super::rounds::write(&reports, style, out)?;
    }
    Ok(())
}

/// A name as far as it fits.
fn cut(name: &str) -> String {
    let name = printable(name);
    if name.chars().count() <= NAME {
        return name;
    }
    name.chars().take(NAME - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        planted::{MILLI, Planted, run},
        summary::Summary,
    };

    #[test]
    fn each_load_has_a_line_and_a_report_and_lines_fit_a_terminal() {
        let of = |name: &str, start: Option<u64>, line: &str| {
            let mut summary: Summary = run(line, |_, _| Planted { service: MILLI, ..Planted::default() });
            summary.run.load_name = Some(name.to_owned());
            summary.run.start = start.map(std::time::Duration::from_secs);
            summary
        };
        let all = [
            of("steady", None, "-r 100 -d 2s a:1"),
            of(&"wide ".repeat(25), Some(31_535_999), "-r 10000 -d 1s a:1"),
        ];
        let reports: Vec<_> = all.iter().map(Report::from).collect();
        let mut out = Vec::new();
        write(&reports, Style::Plain, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let lines: Vec<_> = words.collect();
        assert_eq!(lines[0], "2 loads at the same time");
        assert_eq!(lines[2], "Load from offered failed rate/s p50 p99");
        assert_eq!(lines[3], "steady 0 s 200 0 100 1.00 ms -");
        assert!(lines[4].starts_with("wide wide wid... "), "{text}");
        assert_eq!(lines[5], "all 10,200 0");
        assert!(lines.contains(&"Load steady, from the beginning".to_owned()), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
