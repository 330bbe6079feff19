//! The course of a run as CSV (RFC 4180), a line for each interval: for spreadsheets and plots.

use std::io::{self, Write};

use super::{Report, loads};

/// The names of the columns.
pub const HEADER: &str = "start_seconds,offered,unsuccessful,completed,errors,p50_us,p99_us,max_us";

/// Writes the intervals; times are empty where no request succeeded.
///
/// # Errors
/// `out` can't be written to.
pub fn write(report: Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{HEADER}")?;
    intervals(report, "", 0.0, out)
}

/// The same of several rounds: each line begins with the number of its round.
///
/// # Errors
/// `out` can't be written to.
pub fn write_rounds(reports: &[Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "round,{HEADER}")?;
    (1..).zip(reports).try_for_each(|(round, report)| intervals(*report, &format!("{round},"), 0.0, out))
}

/// The same of several loads at the same time: each line begins with the name of its load, and its time is since the beginning
/// of all.
///
/// # Errors
/// `out` can't be written to.
pub fn write_loads(reports: &[Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "load,{HEADER}")?;
    reports.iter().try_for_each(|report| of_load(*report, "", out))
}

/// The same of rounds of several loads: each line begins with the number of its round and the name of its load.
///
/// # Errors
/// `out` can't be written to.
pub fn write_rounds_of_loads(reports: &[Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "round,load,{HEADER}")?;
    (1..).zip(loads::by_round(reports)).try_for_each(|(round, reports)| {
        reports.iter().try_for_each(|report| of_load(*report, &format!("{round},"), out))
    })
}

fn of_load(report: Report<'_>, before: &str, out: &mut dyn Write) -> io::Result<()> {
    let run = &report.summary.run;
    let start = run.start.unwrap_or_default().saturating_add(run.warmup.unwrap_or_default());
    let before = format!("{before}{},", quoted(loads::name(report.summary)));
    intervals(report, &before, start.as_secs_f64(), out)
}

/// A text that is one value, whatever it has.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn intervals(report: Report<'_>, before: &str, start: f64, out: &mut dyn Write) -> io::Result<()> {
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
            start + index as f64 * width,
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
    use crate::planted::{MILLI, Planted, PlantedEnd, SECOND, run};

    #[test]
    fn each_interval_is_a_line_whose_times_are_empty_without_a_success() {
        let summary = run("-r 10 -d 2s a:1", |_, at| Planted {
            service: 2 * MILLI,
            end: if at < SECOND { PlantedEnd::Status(200) } else { PlantedEnd::Status(503) },
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

    #[test]
    fn lines_of_loads_begin_with_a_name_and_are_of_one_time() {
        let mut summary = run("-r 10 -d 2s a:1", |_, _| Planted::default());
        summary.run.load_name = Some("a \"b\", c".to_owned());
        summary.run.start = Some(std::time::Duration::from_millis(1500));
        let mut out = Vec::new();
        write_loads(&[(&summary).into()], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], format!("load,{HEADER}"));
        assert!(lines[1].starts_with("\"a \"\"b\"\", c\",1.5,10,"), "{text}");
        assert!(lines[2].starts_with("\"a \"\"b\"\", c\",2.5,10,"), "{text}");
    }
}
