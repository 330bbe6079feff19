//! The course of a run as CSV (RFC 4180), a line for each interval: for spreadsheets and plots.

use std::io::{self, Write};

use super::Report;

/// The names of the columns.
pub const HEADER: &str = "start_seconds,offered,unsuccessful,completed,errors,p50_us,p99_us,max_us";

/// Writes the intervals; times are empty where no request succeeded.
///
/// # Errors
/// `out` can't be written to.
pub fn write(report: Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{HEADER}")?;
    intervals(report, "", out)
}

/// The same of several rounds: each line begins with the number of its round.
///
/// # Errors
/// `out` can't be written to.
pub fn write_rounds(reports: &[Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "round,{HEADER}")?;
    (1..).zip(reports).try_for_each(|(round, report)| intervals(*report, &format!("{round},"), out))
}

fn intervals(report: Report<'_>, before: &str, out: &mut dyn Write) -> io::Result<()> {
    let intervals = &report.summary.records.intervals;
    let width = intervals.width() as f64 / 1e9;
    for (index, interval) in intervals.iter().enumerate() {
        let response = &interval.response;
        let times = if response.is_empty() {
            ",,".to_owned()
        } else {
            let [p50, p99] = [0.5, 0.99].map(|quantile| response.value_at_quantile(quantile) as f64 / 1e3);
            format!("{p50},{p99},{}", response.max() as f64 / 1e3)
        };
        writeln!(
            out,
            "{before}{},{},{},{},{},{times}",
            index as f64 * width,
            interval.offered,
            interval.unsuccessful,
            interval.completed,
            interval.errors,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{End, MILLI, Planted, SECOND, run};

    #[test]
    fn each_interval_is_a_line_whose_times_are_empty_without_a_success() {
        let summary = run("-r 10 -d 2s a:1", |_, at| Planted {
            service: 2 * MILLI,
            end: if at < SECOND { End::Status(200) } else { End::Status(503) },
            ..Planted::default()
        });
        let mut out = Vec::new();
        write((&summary).into(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], HEADER);
        assert!(lines[1].starts_with("0,10,0,10,0,") && !lines[1].ends_with(','), "{text}");
        assert!(lines[2].starts_with("1,10,10,10,10,,"), "{text}");
        assert!(lines.iter().all(|line| line.split(',').count() == 8), "{text}");
    }
}
