//! The table of times, with a legend.

use std::io::{self, Write};

use hdrhistogram::Histogram;

use crate::{
    numbers::{count, time},
    recorder::Calls,
    summary::Summary,
    verdict::{QUANTILES, Time},
};

pub(super) fn write(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let times = &summary.records.times;
    if summary.records.counts.completed() == 0 {
        return Ok(());
    }
    write!(out, "{:<13}", "Time")?;
    for (name, _) in QUANTILES {
        write!(out, "{name:>9}")?;
    }
    writeln!(out, "{:>10}", "max")?;
    if !times.response.is_empty() {
        offered(summary, out)?;
    }
    if !times.unsuccessful.is_empty() && !times.response.is_empty() {
        row("  successes", &times.response, out)?;
    }
    for class in 1..=5 {
        let replies = summary.times_of_class(class);
        let is_shown = !replies.is_empty() && (class != 2 || replies.len() != times.response.len());
        if is_shown {
            row(&format!("  {class}xx"), replies, out)?;
        }
    }
    row("service", &times.service, out)?;
    row("wait", &times.wait, out)?;
    row("lag", &times.lag, out)?;
    if let Some(calls) = summary.records.calls.as_deref() {
        row("1st message", &calls.first_message, out)?;
        row("message", &calls.message, out)?;
    }
    if let Some(sockets) = summary.records.sockets.as_deref() {
        row("ping", &sockets.pings, out)?;
    }
    let is_too_small = |quantile: f64| summary.percentile(quantile).is_some_and(|found| found.is_n_too_small);
    let small: Vec<_> =
        QUANTILES.iter().filter(|(_, quantile)| is_too_small(*quantile)).map(|(name, _)| *name).collect();
    if !small.is_empty() && !times.response.is_empty() {
        writeln!(out, "n too small for {}: fewer than ten were slower", small.join(", "))?;
    }
    if !summary.run.is_open_loop() {
        let up_to = if summary.run.stages.is_some() { "up to " } else { "" };
        let outstanding = count(summary.run.outstanding() as u64);
        writeln!(out, "at {up_to}{outstanding} outstanding: times at other numbers are not comparable.")?;
    }
    let has = |histogram: fn(&Calls) -> &Histogram<u64>| {
        summary.records.calls.as_deref().is_some_and(|calls| !histogram(calls).is_empty())
    };
    write!(out, "{LEGEND}")?;
    if has(|calls| &calls.first_message) {
        writeln!(out, "1st message: due to the first response of a stream.")?;
    }
    if has(|calls| &calls.message) {
        writeln!(out, "message: from when the n-th message was due to the n-th response.")?;
    }
    if summary.records.sockets.as_deref().is_some_and(|sockets| !sockets.pings.is_empty()) {
        writeln!(out, "ping: from a ping to its pong.")?;
    }
    writeln!(out)
}

/// What the rows are; the last one ends the table.
const LEGEND: &str = "\
response: due to last byte, of all offered requests; one that did not succeed is
slower than any that did. undelayed: the same without what loadgen itself may
have delayed. service: sent to last byte, of successes. wait: picked up to sent.
lag: due to picked up.
";

/// Response time over all offered requests, and what it would be without loadgen's own delay where that differs.
fn offered(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let times = &summary.records.times;
    let mut undelayed = Vec::new();
    write!(out, "{:<13}", "response")?;
    for (_, quantile) in QUANTILES {
        let cell = match summary.percentile(quantile).map(|found| found.time) {
            None => String::new(),
            Some(Time::Band { response, undelayed: low }) => {
                undelayed.push(time(low as f64));
                time(response as f64)
            }
            Some(Time::AtLeast(at_least)) => {
                undelayed.push(String::new());
                format!(">{}", time(at_least as f64))
            }
        };
        write!(out, "{cell:>9}")?;
    }
    let longest = times.response.max().max(times.unsuccessful.max());
    let longest = match times.unsuccessful.is_empty() {
        true => time(longest as f64),
        false => format!(">{}", time(longest as f64)),
    };
    writeln!(out, "{longest:>10}")?;
    if undelayed.iter().any(|cell| !cell.is_empty()) {
        write!(out, "{:<13}", "  undelayed")?;
        undelayed.iter().try_for_each(|cell| write!(out, "{cell:>9}"))?;
        writeln!(out)?;
    }
    Ok(())
}

fn row(name: &str, histogram: &Histogram<u64>, out: &mut dyn Write) -> io::Result<()> {
    if histogram.is_empty() || histogram.max() == 0 {
        return Ok(());
    }
    // With how many there are, as far as there is room.
    let counted = format!("{name} {}", count(histogram.len()));
    let name = if name.starts_with("  ") && counted.len() < 13 { counted } else { name.to_owned() };
    write!(out, "{name:<13}")?;
    for (_, quantile) in QUANTILES {
        write!(out, "{:>9}", time(histogram.value_at_quantile(quantile) as f64))?;
    }
    writeln!(out, "{:>10}", time(histogram.max() as f64))
}

#[cfg(test)]
mod tests {
    use crate::planted::{Planted, run};

    #[test]
    fn times_of_a_closed_loop_say_at_how_many_outstanding_requests() {
        let text = |is_open: bool| {
            let mut summary = run("-r 100 -d 2s a:1", |_, _| Planted::default());
            summary.run.rate_per_second = summary.run.rate_per_second.filter(|_| is_open);
            let mut text = Vec::new();
            super::write(&summary, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert!(text(false).contains("\nat 100 outstanding: times at other numbers are not comparable.\n"));
        assert!(!text(true).contains("outstanding"));
    }
}
