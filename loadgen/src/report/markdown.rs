//! The report as Markdown with tables (GitHub's), for the summary of a CI job.

use std::io::{self, Write};

pub(super) use super::escape::markdown as escaped;
use super::{
    Detail, Report, happened, headline, heads, loads, long, rounds,
    times::{self, TimesRow},
    verification, what_ran,
};
use crate::{
    numbers::{count, plural, time},
    summary::Summary,
    verdict::{Judged, QUANTILES},
};

/// The maximum number of backends that are listed.
const MAX_BACKENDS: usize = 20;

/// Writes the report.
///
/// # Errors
/// `out` can't be written to.
pub fn write(report: Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let summary = report.summary;
    writeln!(out, "**{}**\n", escaped(&headline(summary)))?;
    verdict(summary, out)?;
    thresholds(report.judged, out)?;
    let happened = happened::lines(summary);
    for line in &happened {
        writeln!(out, "- {}", escaped(line))?;
    }
    if !happened.is_empty() {
        writeln!(out)?;
    }
    findings(summary, out)?;
    let counts = what_ran::counts(summary).map(|(_, name, value)| [name.to_owned(), count(value)]);
    table(&["Requests", "Number"], counts, out)?;
    times(summary, out)?;
    let statuses = summary.records.statuses().map(|(status, replies)| [status.to_string(), count(replies)]);
    table(&["Status", "Responses"], statuses, out)?;
    let calls = summary.records.calls.iter();
    let expected = calls.clone().flat_map(|calls| calls.expected.iter());
    let expected = expected.map(|(code, seen)| (format!("{} (expected)", code.name()), seen));
    let errors =
        calls.flat_map(|calls| calls.errors.iter()).map(|(code, seen)| (code.name().to_owned(), seen));
    let calls = expected.chain(errors).map(|(name, seen)| [name, count(seen.count), seen.example.clone()]);
    table(&["gRPC status", "Calls", "Example"], calls, out)?;
    let sockets = summary.records.sockets.iter().flat_map(|sockets| {
        let unanswered = ("pings without a pong", sockets.pings_unanswered());
        [("lost", sockets.lost), ("wrong", sockets.wrong), ("unsolicited", sockets.unsolicited), unanswered]
    });
    let sockets = sockets.filter(|(_, number)| *number > 0);
    let sockets = sockets.map(|(kind, number)| [kind.to_owned(), count(number)]);
    table(&["WebSocket", "Messages"], sockets, out)?;
    let failures = summary.records.failures.iter();
    let failures = failures.map(|(cause, seen)| [cause.to_string(), count(seen.count), seen.example.clone()]);
    table(&["Failure", "Requests", "Example"], failures, out)?;
    let unmet = summary.records.unmet.iter();
    let unmet = unmet.map(|(expected, seen)| [expected.to_owned(), count(seen.count), seen.example.clone()]);
    table(&["Unmet expectation", "Responses", "Example"], unmet, out)?;
    requests(summary, out)?;
    backends(summary, out)?;
    if report.detail == Detail::Long {
        table(&["Figure", "Value", "What it is"], long::figures(summary), out)?;
        let (rows, left_out) = long::intervals(summary);
        table(&long::INTERVALS, rows, out)?;
        writeln!(out, "{}\n", long::LEGEND)?;
        if left_out > 0 {
            writeln!(out, "and {left_out} more intervals, as a report in CSV has them\n")?;
        }
    }
    Ok(())
}

/// Writes the figures of each of several rounds.
///
/// # Errors
/// `out` can't be written to.
pub fn write_rounds(reports: &[Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    let [first, ..] = reports else { return Ok(()) };
    let rounds = plural(reports.len() as u64, "round");
    let title = format!("{rounds} of {}", what_ran::target(first.summary));
    writeln!(out, "**{}**\n", escaped(&title))?;
    let (header, rows) = rounds::table(reports);
    table_of(&header, rows, out)?;
    for (number, report) in (1..).zip(reports) {
        writeln!(out, "Round {number}: {}\n", escaped(&headline(report.summary)))?;
        verdict(report.summary, out)?;
        findings(report.summary, out)?;
        thresholds(report.judged, out)?;
    }
    Ok(())
}

/// What was proven of a run, if that was wanted.
fn findings(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let Some(found) = summary.verification.as_deref() else { return Ok(()) };
    for sentence in verification::sentences(found) {
        writeln!(out, "- {}", escaped(&sentence))?;
    }
    writeln!(out)?;
    for heads::Section { title, lines } in found.heads.iter().flat_map(|heads| heads::sections(heads)) {
        writeln!(out, "{}\n", escaped(&title))?;
        for line in &lines {
            writeln!(out, "- {}", escaped(line))?;
        }
        if !lines.is_empty() {
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Writes the figures of several loads at the same time, and the report of each.
///
/// # Errors
/// `out` can't be written to.
pub fn write_loads(reports: &[Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "**{} at the same time**\n", plural(reports.len() as u64, "load"))?;
    table(&loads::HEADER, loads::rows(reports), out)?;
    for report in reports {
        writeln!(out, "## {}\n", escaped(&loads::heading(report.summary)))?;
        write(*report, out)?;
    }
    Ok(())
}

/// Writes the rounds of each of several loads, load by load.
///
/// # Errors
/// `out` can't be written to.
pub fn write_rounds_of_loads(reports: &[Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    for reports in loads::by_load(reports) {
        let [first, ..] = reports.as_slice() else { continue };
        writeln!(out, "## {}\n", escaped(&loads::heading(first.summary)))?;
        write_rounds(&reports, out)?;
    }
    Ok(())
}

fn verdict(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let [outcome, limit] = summary.verdict();
    let [target, load] = [what_ran::target(summary), what_ran::load(summary)];
    let lines = [("Target", target), ("Load", load), ("Verdict", outcome), ("Limit", limit)];
    let measurement = summary.validity().map(|validity| ("Measurement", validity));
    let warnings = summary.warnings().into_iter().map(|warning| ("Warning", warning));
    let warmup = summary.warmup_said().map(|warmup| ("Requests", warmup));
    for (name, text) in lines.into_iter().chain(warmup).chain(measurement).chain(warnings) {
        writeln!(out, "- {name}: {}", escaped(&text))?;
    }
    writeln!(out)
}

fn thresholds(judged: &[Judged], out: &mut dyn Write) -> io::Result<()> {
    let rows = judged.iter().map(|Judged { threshold, found, judgement, .. }| {
        [threshold.clone(), judgement.as_str().to_owned(), found.clone()]
    });
    table(&["Threshold", "Result", "Found"], rows, out)
}

fn times(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<_> = times::rows(summary).into_iter().map(of_times).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let names = QUANTILES.map(|(name, _)| name.to_owned());
    table(&named("Time".to_owned(), names, "max".to_owned()), rows, out)?;
    for note in times::notes(summary) {
        writeln!(out, "{}\n", escaped(&note))?;
    }
    Ok(())
}

fn of_times(row: TimesRow) -> [String; 8] {
    let name = match row.number.filter(|_| row.is_part) {
        Some(number) => format!("{} ({})", row.name, count(number)),
        None => row.name,
    };
    named(name, row.cells, row.longest)
}

/// A row with its name.
fn named(name: String, cells: [String; 6], longest: String) -> [String; 8] {
    let [p50, p75, p90, p95, p99, p99_9] = cells;
    [name, p50, p75, p90, p95, p99, p99_9, longest]
}

fn requests(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let rows = summary.records.requests.iter().map(|own| {
        let at = |quantile| match own.response.is_empty() {
            true => "-".to_owned(),
            false => time(own.response.value_at_quantile(quantile) as f64),
        };
        let counts = [own.offered, own.succeeded, own.failed(), own.unmet].map(count);
        let [offered, succeeded, failed, unmet] = counts;
        [own.name.clone(), offered, succeeded, failed, unmet, at(0.5), at(0.99)]
    });
    table(&["Request", "Offered", "Succeeded", "Failed", "Unmet", "p50", "p99"], rows, out)
}

fn backends(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let all = summary.records.backends.sorted();
    let all: Vec<_> = all.into_iter().filter(|backend| !backend.response.is_empty()).collect();
    let rows = all.iter().take(MAX_BACKENDS).map(|backend| {
        let at = |quantile| time(backend.response.value_at_quantile(quantile) as f64);
        [backend.name.clone(), count(backend.response.len()), at(0.5), at(0.99)]
    });
    table(&["Backend", "Responses", "p50", "p99"], rows, out)?;
    if all.len() > MAX_BACKENDS {
        writeln!(out, "and {} more backends\n", all.len() - MAX_BACKENDS)?;
    }
    Ok(())
}

/// Writes a table; without rows, none.
pub(super) fn table<const N: usize>(
    header: &[impl AsRef<str>; N],
    rows: impl IntoIterator<Item = [String; N]>,
    out: &mut dyn Write,
) -> io::Result<()> {
    table_of(header, rows, out)
}

/// The same of as many columns as the header has.
fn table_of(
    header: &[impl AsRef<str>],
    rows: impl IntoIterator<Item = impl AsRef<[String]>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "| {} |", header.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" | "))?;
    writeln!(out, "|{}", " --- |".repeat(header.len()))?;
    for row in rows {
        let cells: Vec<_> = row.as_ref().iter().map(|cell| escaped(cell)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        outcome::{Cause, Failure},
        planted::{MILLI, Planted, PlantedEnd, run},
        verdict::Threshold,
    };

    fn markdown(report: Report<'_>) -> String {
        let mut out = Vec::new();
        write(report, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_part_is_there_and_each_row_has_the_cells_of_its_table() {
        let refused = Failure::new(Cause::Refused, "connection refused by a|b <b>".to_owned());
        let summary = run("-r 100 -d 2s a:1", |n, _| Planted {
            service: MILLI,
            read_lag: MILLI / 2,
            end: match n {
                0 => PlantedEnd::Failed(refused.clone()),
                1 => PlantedEnd::Status(503),
                _ => PlantedEnd::Status(200),
            },
            ..Planted::default()
        });
        let threshold: Threshold = "error_rate<1%".parse().unwrap();
        let judged = [threshold.judge(&summary)];
        let text = markdown(Report {
            summary: &summary,
            judged: &judged,
            detail: Detail::Long,
            normalization: None,
        });
        for part in [
            "**99% succeeded, ",
            "- Verdict: ",
            "| error\\_rate\\<1% | failed | 1.000% |",
            "- Load: open loop, 100 requests/s, for 2.00 s: ",
            "| offered | 200 |\n| sent | 200 |\n| completed | 199 |\n| succeeded | 198 |\n| server errors (5xx) | 1 |",
            "| transport failed | 1 |",
            "| Time | p50 | p75 | p90 | p95 | p99 | p99.9 | max |",
            "| response | 1.00 ms |",
            "| undelayed | 500 us |",
            "\n\nn too small for p99, p99.9: fewer than ten were slower\n",
            "\n\nresponse: due to last byte",
            "| 503 | 1 |",
            "| refused | 1 | connection refused by a\\|b \\<b\\> |",
        ] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        let mut cells = None;
        for line in text.lines() {
            let found = line.replace("\\|", "").matches('|').count();
            assert!(found == 0 || cells.is_none_or(|cells| cells == found), "{line}");
            cells = Some(found).filter(|found| *found > 0);
        }
        assert!(!markdown((&summary).into()).contains("Threshold"), "no table without rows");
    }

    #[test]
    fn names_that_servers_choose_are_shown_as_they_are_and_stay_in_their_cell() {
        assert_eq!(escaped("<img src=x>|[a](b)\n`c`"), "\\<img src=x\\>\\|\\[a\\](b) \\`c\\`");
        assert_eq!(escaped("\\|"), "\\\\\\|");
        assert_eq!(escaped("web-1.example"), "web-1.example");
    }
}
