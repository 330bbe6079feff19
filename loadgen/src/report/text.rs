//! The report for people.

use std::io::{self, Write};

use hdrhistogram::Histogram;

use crate::{
    clock::{Nanos, nanos},
    summary::Summary,
};

/// The widest bar of the histogram, in characters.
const BAR: usize = 40;

/// The most backends that are listed.
const MAX_BACKENDS: usize = 20;

/// Writes the report.
///
/// # Errors
/// `out` can't be written to.
pub fn write(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    what_ran(summary, out)?;
    accounting(summary, out)?;
    rates(summary, out)?;
    times(summary, out)?;
    histogram(&summary.records.times.response, out)?;
    statuses(summary, out)?;
    failures(summary, out)?;
    backends(summary, out)?;
    for warning in summary.warnings() {
        writeln!(out, "Warning: {warning}")?;
    }
    writeln!(out, "Verdict: {}: {}", summary.verdict().as_str(), summary.verdict_reason())
}

fn what_ran(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let run = &summary.run;
    let shape = match run.rate_per_second {
        Some(rate) => format!("{} requests/s", decimal(rate)),
        None => "as fast as replies come".to_owned(),
    };
    let total = run.total.map(|total| format!(", {} requests", count(total))).unwrap_or_default();
    let duration = run.duration.map(|time| format!(", for {}", seconds(nanos(time)))).unwrap_or_default();
    let streams = if run.streams > 1 { format!(" with {} streams each", run.streams) } else { String::new() };
    writeln!(out, "{} {} over {}: {shape}{total}{duration}", run.method, run.target, run.protocol)?;
    let several = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    writeln!(
        out,
        "{}{streams}, {}, took {}{}\n",
        several(run.connections, "connection"),
        several(run.workers, "worker"),
        seconds(nanos(summary.elapsed)),
        if summary.interrupted { ", INTERRUPTED" } else { "" }
    )
}

fn accounting(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let counts = &summary.records.counts;
    writeln!(out, "Requests")?;
    for (depth, name, value, always) in [
        (0, "offered", counts.offered, true),
        (1, "sent", counts.sent(), true),
        (2, "completed", counts.completed(), true),
        (3, "succeeded", counts.succeeded, true),
        (3, "client errors (4xx)", counts.client_errors, false),
        (3, "server errors (5xx)", counts.server_errors, false),
        (2, "transport failed", counts.transport_failed, false),
        (2, "timed out", counts.timed_out, false),
        (2, "unanswered", counts.unanswered, false),
        (1, "dropped", counts.dropped, false),
        (1, "not sent", counts.not_sent, false),
        (0, "sent again", counts.resent, false),
    ] {
        if always || value > 0 {
            let name = format!("{:indent$}{name}", "", indent = depth * 2);
            writeln!(out, "  {name:<28}{:>14}", count(value))?;
        }
    }
    writeln!(out)
}

fn rates(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let rows = [
        ("Offered rate", format!("{}/s", decimal(summary.offered_rate()))),
        ("Achieved rate", format!("{}/s", decimal(summary.achieved_rate()))),
        ("Bodies received", format!("{}/s", bytes(summary.body_bytes_per_second()))),
        ("In flight, on average", decimal(summary.mean_in_flight())),
        ("Longest gap without success", seconds(nanos(summary.longest_gap()))),
        ("Busiest worker", format!("{:.0}%", summary.busiest_worker * 100.0)),
    ];
    for (name, value) in rows {
        writeln!(out, "{name:<30}{value:>14}")?;
    }
    writeln!(out)
}

/// Percentiles of the report: name and quantile.
pub(super) const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];

fn times(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let times = &summary.records.times;
    write!(out, "{:<10}{:>10}{:>10}", "Time", "min", "mean")?;
    for (name, _) in QUANTILES {
        write!(out, "{name:>10}")?;
    }
    writeln!(out, "{:>10}", "max")?;
    for (name, histogram) in [
        ("response", &times.response),
        ("service", &times.service),
        ("wait", &times.wait),
        ("lag", &times.lag),
    ] {
        write!(out, "{name:<10}")?;
        if histogram.is_empty() {
            writeln!(out, "{:>10}", "-")?;
            continue;
        }
        write!(out, "{:>10}{:>10}", time(histogram.min() as f64), time(histogram.mean()))?;
        for (_, quantile) in QUANTILES {
            write!(out, "{:>10}", time(histogram.value_at_quantile(quantile) as f64))?;
        }
        writeln!(out, "{:>10}", time(histogram.max() as f64))?;
    }
    writeln!(out)
}

/// Bins at 1, 2 and 5 of each power of ten, from the smallest to the largest response time.
fn histogram(response: &Histogram<u64>, out: &mut dyn Write) -> io::Result<()> {
    if response.is_empty() {
        return Ok(());
    }
    let bins = bins(response);
    let highest = bins.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    writeln!(out, "Response time up to")?;
    for (bound, in_bin) in bins {
        let bar = "#".repeat((in_bin as u128 * BAR as u128).div_ceil(u128::from(highest)) as usize);
        writeln!(out, "  {:>10} {:>14} {bar}", bound_name(bound), count(in_bin))?;
    }
    writeln!(out)
}

/// Upper bound and count of each bin.
fn bins(response: &Histogram<u64>) -> Vec<(Nanos, u64)> {
    let bounds = (3..).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let mut bins: Vec<(Nanos, u64)> = Vec::new();
    let mut values = response.iter_recorded().peekable();
    for bound in bounds {
        let mut in_bin = 0;
        while let Some(value) = values.next_if(|value| value.value_iterated_to() <= bound) {
            in_bin += value.count_at_value();
        }
        if in_bin > 0 || !bins.is_empty() {
            bins.push((bound, in_bin));
        }
        if values.peek().is_none() {
            break;
        }
    }
    bins
}

fn bound_name(bound: Nanos) -> String {
    let (unit, name) = match bound {
        0..1_000_000 => (1000, "us"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    format!("{} {name}", bound / unit)
}

fn statuses(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let mut any = false;
    for (status, replies) in summary.records.statuses() {
        if !any {
            writeln!(out, "Status")?;
            any = true;
        }
        writeln!(out, "  {status:<28}{:>14}", count(replies))?;
    }
    if any { writeln!(out) } else { Ok(()) }
}

fn failures(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let mut any = false;
    for (cause, seen) in summary.records.failures.iter() {
        if !any {
            writeln!(out, "Failures")?;
            any = true;
        }
        writeln!(out, "  {:<28}{:>14}", cause.to_string(), count(seen.count))?;
        writeln!(out, "    {} (request {})", seen.example, seen.request_id)?;
    }
    if any { writeln!(out) } else { Ok(()) }
}

fn backends(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let all = summary.records.backends.sorted();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "{:<30}{:>14}{:>10}{:>10}", "Backend", "replies", "p50", "p99")?;
    for backend in all.iter().take(MAX_BACKENDS) {
        let at = |quantile| time(backend.response.value_at_quantile(quantile) as f64);
        writeln!(
            out,
            "  {:<28}{:>14}{:>10}{:>10}",
            backend.name,
            count(backend.response.len()),
            at(0.5),
            at(0.99)
        )?;
    }
    if all.len() > MAX_BACKENDS {
        writeln!(out, "  and {} more", all.len() - MAX_BACKENDS)?;
    }
    writeln!(out)
}

/// A number with a comma for each thousand.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate: whole, or with two decimals if it isn't.
fn decimal(value: f64) -> String {
    let hundredths = contract::quantity::rounded(value * 100.0);
    match hundredths % 100 {
        0 => count(hundredths / 100),
        rest => format!("{}.{rest:02}", count(hundredths / 100)),
    }
}

/// Nanoseconds with a unit and three digits.
pub(crate) fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ..1e6 => (ns / 1e3, "us"),
        ..1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

fn seconds(ns: Nanos) -> String {
    time(ns as f64)
}

fn bytes(value: f64) -> String {
    let (value, unit) = match value {
        ..1e3 => (value, "B"),
        ..1e6 => (value / 1e3, "kB"),
        ..1e9 => (value / 1e6, "MB"),
        _ => (value / 1e9, "GB"),
    };
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1000.0, 0.5, 1234.567].map(decimal), ["1,000", "0.50", "1,234.57"]);
        assert_eq!(
            [0.0, 850.0, 12_345.0, 1_500_000.0, 123e6, 12.3e9].map(time),
            ["0.00 us", "0.85 us", "12.3 us", "1.50 ms", "123 ms", "12.3 s"]
        );
        assert_eq!([10.0, 2500.0, 3e9].map(bytes), ["10.0 B", "2.5 kB", "3.0 GB"]);
    }

    #[test]
    fn bins_are_logarithmic_and_hold_everything() {
        let mut response = Histogram::<u64>::new(3).unwrap();
        for value in [1500, 1600, 4000, 90_000, 3_000_000_000] {
            response.record(value).unwrap();
        }
        let bins = bins(&response);
        assert_eq!((bins[0], bins[1], bins[2]), ((2000, 2), (5000, 1), (10_000, 0)));
        assert_eq!(bins.last(), Some(&(5_000_000_000, 1)));
        assert_eq!(bins.iter().map(|(_, count)| count).sum::<u64>(), 5);
    }
}
