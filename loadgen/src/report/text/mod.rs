//! The report for people: at most 80 columns.
//!
//! The first line says what one has to know; the rest is in the order in which questions come up.

mod bins;
pub mod loads;
mod long;
pub mod rounds;
mod times;
mod verification;

use std::{
    io::{self, Write},
    time::Duration,
};

use crate::{
    numbers::{bytes, count, decimal, seconds, time},
    recorder::{Connections, Sockets, Span},
    report::{
        Detail, Report,
        escape::{printable, shortened},
        headline, what_ran,
    },
    summary::Summary,
    verdict::{Judged, RunOutcome},
};

/// The widest line, in columns.
const WIDTH: usize = 80;

/// The maximum number of backends that are listed.
const MAX_BACKENDS: usize = 20;

/// How a report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    #[default]
    Plain,
    /// With the colours of a terminal.
    Coloured,
}

impl Style {
    /// Green where all requests succeeded, yellow where some did not, red where the run has failed.
    fn outcome(self, summary: &Summary, text: &str) -> String {
        let colour = match (self, summary.outcome()) {
            (Self::Plain, _) => return text.to_owned(),
            (Self::Coloured, RunOutcome::Succeeded) if summary.failed() == 0 => "32",
            (Self::Coloured, RunOutcome::Succeeded) => "33",
            (Self::Coloured, RunOutcome::Failed) => "1;31",
        };
        format!("\x1b[{colour}m{text}\x1b[0m")
    }
}

/// Writes the report.
///
/// # Errors
/// `out` can't be written to.
pub fn write(report: Report<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let summary = report.summary;
    let first = wrapped_within(&headline(summary), 0, 2, WIDTH);
    writeln!(out, "{}", style.outcome(summary, &first))?;
    verdict(summary, style, out)?;
    thresholds(report.judged, out)?;
    what_ran(summary, out)?;
    verification::write(summary, out)?;
    accounting(summary, out)?;
    rates(summary, out)?;
    times::write(summary, out)?;
    bins::write(&summary.records.times.response, report.normalization, out)?;
    statuses(summary, out)?;
    calls(summary, out)?;
    sockets(summary, out)?;
    failures(summary, out)?;
    unmet(summary, out)?;
    requests(summary, out)?;
    backends(summary, out)?;
    if report.detail == Detail::Long { long::write(summary, out) } else { Ok(()) }
}

fn verdict(summary: &Summary, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let [outcome, limit] = summary.verdict();
    writeln!(out, "{}", style.outcome(summary, &wrapped(&format!("Verdict: {outcome}"))))?;
    writeln!(out, "{}", wrapped(&format!("Limit: {limit}")))?;
    if let Some(validity) = summary.validity() {
        writeln!(out, "{}", wrapped(&format!("Measurement: {validity}")))?;
    }
    for warning in summary.warnings() {
        writeln!(out, "{}", wrapped(&format!("Warning: {warning}")))?;
    }
    writeln!(out)
}

fn thresholds(judged: &[Judged], out: &mut dyn Write) -> io::Result<()> {
    if judged.is_empty() {
        return Ok(());
    }
    writeln!(out, "{:<30}{:<14}found", "Threshold", "result")?;
    for Judged { threshold, found, judgement, .. } in judged {
        let threshold = printable(threshold);
        let own_line = if threshold.chars().count() < 28 { String::new() } else { format!("\n  {:<28}", "") };
        let found = wrapped_within(found, 44, 44, WIDTH);
        writeln!(out, "  {threshold:<28}{own_line}{:<14}{found}", judgement.as_str())?;
    }
    writeln!(out)
}

fn what_ran(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", what_was_loaded("", summary))?;
    writeln!(out, "{}\n", wrapped(&what_ran::load(summary)))
}

/// The method, the target and what was spoken there, behind a few words, with as much of a long URL as fits.
fn what_was_loaded(before: &str, summary: &Summary) -> String {
    let run = &summary.run;
    let whole = format!("{before}{}", what_ran::target(summary));
    let others = whole.chars().count() - run.target.chars().count();
    let room = if run.targets > 1 { 0 } else { WIDTH.saturating_sub(others) };
    let target = if room < WIDTH / 2 { run.target.clone() } else { shortened(&run.target, room) };
    let words = format!("{before}{} {target} over {}", run.method, run.protocol);
    let words: Vec<_> = words.split(' ').map(|word| shortened(word, WIDTH - 4)).collect();
    wrapped_within(&words.join(" "), 0, 2, WIDTH)
}

fn accounting(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Requests")?;
    for (depth, name, value) in what_ran::counts(summary) {
        let name = format!("{:indent$}{name}", "", indent = depth * 2);
        writeln!(out, "  {name:<28}{:>14}", count(value))?;
    }
    if let Some(warmup) = summary.warmup_said() {
        writeln!(out, "{}", wrapped(&warmup))?;
    }
    writeln!(out)
}

fn rates(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let records = &summary.records;
    let span =
        |span: Option<Span>| span.map(|span| format!("{} at {}", seconds(span.length), seconds(span.start)));
    let connections = &records.connections;
    let opened = match connections.reopened {
        0 => count(connections.opened),
        reopened => format!("{} ({} to replace others)", count(connections.opened), count(reopened)),
    };
    let is_open_loop = summary.run.is_open_loop();
    let has_replies = records.counts.completed() > 0;
    let rows = [
        ("Offered rate", is_open_loop.then(|| format!("{}/s", decimal(summary.offered_rate())))),
        ("Achieved rate", has_replies.then(|| format!("{}/s", decimal(summary.achieved_rate())))),
        (
            "Messages sent, received",
            records.calls.as_deref().filter(|calls| calls.messages_sent > 0).map(|calls| {
                let rate = decimal(summary.messages_per_second().unwrap_or_default());
                format!("{}, {} ({rate}/s)", count(calls.messages_sent), count(calls.messages_received))
            }),
        ),
        (
            "Bodies received",
            (records.body_bytes > 0).then(|| {
                let rate = bytes(summary.body_bytes_per_second());
                format!("{}, {rate}/s", bytes(records.body_bytes as f64))
            }),
        ),
        (
            "Bytes sent, received",
            (records.bytes_sent + records.bytes_received > 0).then(|| {
                format!("{}, {}", bytes(records.bytes_sent as f64), bytes(records.bytes_received as f64))
            }),
        ),
        ("Connections opened", (connections.opened > 0).then_some(opened)),
        ("Failed to open", (connections.failed > 0).then(|| attempts(connections))),
        ("WebSockets opened", records.sockets.as_deref().and_then(opened_sockets)),
        (
            "TLS handshakes",
            (!connections.handshake.is_empty()).then(|| handshakes(connections, summary.elapsed)),
        ),
        ("TLS", agreed(connections)),
        (
            "Closed by the server",
            (connections.closed_by_server > 0).then(|| count(connections.closed_by_server)),
        ),
        (
            "Idle connections",
            connections.idle.as_deref().map(|idle| {
                let failure =
                    idle.failure.as_deref().filter(|_| idle.open() < idle.wanted || idle.failed > 0);
                let failure = failure.map(|why| format!(" ({why})")).unwrap_or_default();
                let failed = match idle.failed {
                    0 => String::new(),
                    failed => format!(", {} of {} attempts failed", count(failed), count(idle.attempts())),
                };
                let [open, wanted, closed] = [idle.open(), idle.wanted, idle.closed_by_server].map(count);
                format!("{open} of {wanted} open at the end, {closed} closed by the server{failed}{failure}")
            }),
        ),
        ("In flight, on average", (records.in_flight > 0).then(|| decimal(summary.mean_in_flight()))),
        ("Longest outage", span(summary.longest_outage().filter(|_| records.counts.succeeded > 0))),
        ("Longest stall", span(summary.notable_stall())),
        ("Busiest worker", Some(format!("{:.0}% of a CPU", summary.busiest_worker * 100.0))),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            writeln!(out, "{name:<24}{}", wrapped_within(&value, 24, 24, WIDTH))?;
        }
    }
    writeln!(out)
}

/// How many attempts to open a connection failed, and why the first one did.
fn attempts(connections: &Connections) -> String {
    let failure = connections.failure.as_deref().unwrap_or("for an unknown reason");
    format!("{} of {} attempts ({failure})", count(connections.failed), count(connections.attempts()))
}

/// How many WebSockets were opened, how fast, and how long that took.
fn opened_sockets(sockets: &Sockets) -> Option<String> {
    let Sockets { handshakes, opened, .. } = sockets;
    let mut text = match (*handshakes, opened.len()) {
        (0, _) => return None,
        (handshakes, number) if handshakes == number => count(number),
        (handshakes, number) => format!("{} of {} handshakes", count(number), count(handshakes)),
    };
    if let Some((first, rate)) = sockets.first_opened() {
        let which =
            if first == opened.len() { String::new() } else { format!("the first {} at ", count(first)) };
        text += &format!(", {which}{}/s", decimal(rate));
    }
    if !opened.is_empty() {
        let [p50, p99] = [0.5, 0.99].map(|quantile| time(opened.value_at_quantile(quantile) as f64));
        text += &format!(", handshake p50 {p50}, p99 {p99}");
    }
    Some(text)
}

/// How many handshakes there were, and how long they took.
fn handshakes(connections: &Connections, elapsed: Duration) -> String {
    let at = |quantile| time(connections.handshake.value_at_quantile(quantile) as f64);
    format!(
        "{} ({} resumed), {}/s, p50 {}, p99 {}",
        count(connections.handshake.len()),
        count(connections.resumed),
        count((connections.handshake.len() as f64 / elapsed.as_secs_f64().max(1e-9)) as u64),
        at(0.5),
        at(0.99)
    )
}

/// What most handshakes have agreed on.
fn agreed(connections: &Connections) -> Option<String> {
    let (most, _) = connections.agreed.iter().max_by_key(|(_, count)| **count)?;
    let others = connections.agreed.len() - 1;
    Some(if others == 0 { most.clone() } else { format!("{most}, and {others} other ways") })
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

fn calls(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let Some(calls) = summary.records.calls.as_deref() else { return Ok(()) };
    if summary.records.counts.completed() == 0 {
        return Ok(());
    }
    writeln!(out, "gRPC status")?;
    if calls.ok > 0 {
        writeln!(out, "  {:<28}{:>14}", "OK", count(calls.ok))?;
    }
    for (code, seen) in calls.expected.iter() {
        let name = format!("{} (expected)", code.name());
        writeln!(out, "  {name:<28}{:>14}", count(seen.count))?;
    }
    for (code, seen) in calls.errors.iter() {
        writeln!(out, "  {:<28}{:>14}", code.name(), count(seen.count))?;
        let said = if seen.example.is_empty() { "no message" } else { &seen.example };
        for line in wrapped(&format!("{said} (request {})", seen.request_id)).lines() {
            writeln!(out, "    {}", line.trim_start())?;
        }
    }
    writeln!(out)
}

/// Messages on WebSockets that went another way than there and back.
fn sockets(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let Some(sockets) = summary.records.sockets.as_deref() else { return Ok(()) };
    let unanswered = sockets.pings_unanswered();
    let kinds = [
        ("lost", sockets.lost),
        ("wrong", sockets.wrong),
        ("unsolicited", sockets.unsolicited),
        ("pings without a pong", unanswered),
    ];
    if kinds.iter().all(|(_, number)| *number == 0) {
        return Ok(());
    }
    writeln!(out, "WebSocket messages")?;
    for (kind, number) in kinds.iter().filter(|(_, number)| *number > 0) {
        writeln!(out, "  {kind:<28}{:>14}", count(*number))?;
    }
    if sockets.unsolicited > 0 {
        for line in wrapped(&format!("unsolicited: {}", sockets.example)).lines() {
            writeln!(out, "    {}", line.trim_start())?;
        }
    }
    writeln!(out)
}

fn failures(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let mut any = false;
    for (cause, seen) in summary.records.failures.iter() {
        if !any {
            writeln!(out, "Failures")?;
            any = true;
        }
        writeln!(out, "  {:<28}{:>14}", cause.to_string(), count(seen.count))?;
        for line in wrapped(&format!("{} (request {})", seen.example, seen.request_id)).lines() {
            writeln!(out, "    {}", line.trim_start())?;
        }
    }
    if any { writeln!(out) } else { Ok(()) }
}

/// What the plan expected and did not get.
fn unmet(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    if summary.records.unmet.is_empty() {
        return Ok(());
    }
    writeln!(out, "Unmet expectations")?;
    for (expected, seen) in summary.records.unmet.iter() {
        let shown = wrapped(&format!("{} of: {expected}", count(seen.count)));
        writeln!(out, "  {}", shown.replace('\n', "\n  "))?;
        let example = format!("found: {} (request {})", seen.example, seen.request_id);
        for line in wrapped(&example).lines() {
            writeln!(out, "    {}", line.trim_start())?;
        }
    }
    writeln!(out)
}

/// What happened to each of several requests.
fn requests(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    if summary.records.requests.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{:<30}{:>12}{:>9}{:>9}{:>10}{:>10}",
        "Request", "offered", "failed", "unmet", "p50", "p99"
    )?;
    for own in summary.records.requests.iter() {
        let at = |quantile| match own.response.is_empty() {
            true => "-".to_owned(),
            false => time(own.response.value_at_quantile(quantile) as f64),
        };
        let name = shortened(&own.name, 27);
        writeln!(
            out,
            "  {name:<28}{:>12}{:>9}{:>9}{:>10}{:>10}",
            count(own.offered),
            count(own.failed()),
            count(own.unmet),
            at(0.5),
            at(0.99)
        )?;
    }
    writeln!(out)
}

fn backends(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let all = summary.records.backends.sorted();
    // One may have been named by responses that never ended.
    let all: Vec<_> = all.into_iter().filter(|backend| !backend.response.is_empty()).collect();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "{:<42}{:>14}{:>10}{:>10}", "Backend", "replies", "p50", "p99")?;
    for backend in all.iter().take(MAX_BACKENDS) {
        let at = |quantile| time(backend.response.value_at_quantile(quantile) as f64);
        writeln!(
            out,
            "  {:<40}{:>14}{:>10}{:>10}",
            shortened(&backend.name, 39),
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

/// In lines that leave a few columns free, those after the first one indented.
pub(super) fn wrapped(text: &str) -> String {
    wrapped_within(text, 0, 2, WIDTH - 4)
}

/// In lines of at most `width` columns, of which the first one begins in column `begin` and the others behind `indent` spaces. A word
/// that is longer has its own line. Nothing of it does anything to a terminal.
pub(super) fn wrapped_within(text: &str, begin: usize, indent: usize, width: usize) -> String {
    let (mut lines, mut column) = (String::new(), begin);
    // A number stays with its unit.
    let mut after_digit = false;
    let text = printable(text);
    let breaks = text.split(|c: char| {
        let is_break = c == ' ' && !after_digit;
        after_digit = c.is_ascii_digit();
        is_break
    });
    for (index, word) in breaks.enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > width {
            lines.push('\n');
            lines.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if index > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use serde_json::json;

    use super::*;
    use crate::{
        planted::{MICRO, Planted, PlantedEnd, run},
        recorder::{Backend, Backends},
        verdict::Threshold,
    };

    fn written(summary: &Summary, detail: Detail) -> String {
        let mut out = Vec::new();
        write(Report { detail, ..summary.into() }, Style::Plain, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_fit_a_terminal_however_long_a_url_a_name_or_a_threshold_is() {
        let long = "x".repeat(200);
        let mut summary = run(&format!("-r 100 -d 20s http://a:1/{long}"), |n, _| Planted {
            read_lag: 100 * MICRO,
            service: 123_456 * MICRO,
            end: PlantedEnd::Status(if n < 300 { 503 } else { 200 }),
            ..Planted::default()
        });
        summary.records.connections.failed = 1;
        summary.records.connections.failure = Some(long.clone());
        summary.records.backends = backends(&["b".repeat(128)], &summary);
        let threshold: Threshold = format!("p(98.{:0<30})<1ms", 9).parse().unwrap();
        let judged = [threshold.judge(&summary)];
        let mut out = Vec::new();
        write(Report { judged: &judged, detail: Detail::Long, ..(&summary).into() }, Style::Plain, &mut out)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("GET http://a:1/xxx") && text.contains("xxx over HTTP/1.1\n"), "{text}");
        assert!(text.contains("  bbb") && text.contains("a request that did not succeed"), "{text}");
        for line in text.lines().filter(|line| !line.contains(&long)) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    /// Instances with these names, each of which answered all successes.
    fn backends(names: &[String], summary: &Summary) -> Backends {
        let times = serde_json::to_value(&summary.records.backends).unwrap();
        assert_eq!(times, json!([]));
        let of =
            |histogram| serde_json::to_value(Backend { name: String::new(), response: histogram }).unwrap();
        let mut coarse = Histogram::new(2).unwrap();
        coarse.add(&summary.records.times.response).unwrap();
        let all: Vec<_> = names
            .iter()
            .map(|name| {
                let mut one = of(if name == "silent" { Histogram::new(2).unwrap() } else { coarse.clone() });
                one["name"] = json!(name);
                one
            })
            .collect();
        serde_json::from_value(json!(all)).unwrap()
    }

    #[test]
    fn names_that_servers_choose_do_nothing_to_a_terminal_and_those_without_a_reply_are_no_rows() {
        let mut summary = run("-r 10 -d 1s a:1", |_, _| Planted::default());
        let names = ["a\u{202e}b\tc\u{1b}[2J", "silent"].map(str::to_owned);
        summary.records.backends = backends(&names, &summary);
        let text = written(&summary, Detail::Short);
        assert!(text.contains(r"  a\u{202e}b c\u{1b}[2J"), "{text}");
        assert!(!text.contains("silent"), "{text}");
    }

    #[test]
    fn one_of_a_kind_is_not_in_the_plural() {
        let text = written(&run("-r 1 -n 1 a:1", |_, _| Planted::default()), Detail::Short);
        assert!(text.contains("open loop, 1 request/s, 1 request: "), "{text}");
    }

    #[test]
    fn long_sentences_are_broken_into_lines() {
        let text = "word ".repeat(60);
        assert!(wrapped(text.trim()).lines().all(|line| line.len() <= WIDTH));
        assert_eq!(wrapped(text.trim()).split_whitespace().count(), 60);
        let long = format!("a {} b", "x".repeat(200));
        assert_eq!(wrapped(&long).lines().count(), 3);
    }
}
