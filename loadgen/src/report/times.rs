//! The table of times, row by row: the same for text and Markdown.

use hdrhistogram::Histogram;

use crate::{
    numbers::{count, time},
    recorder::Calls,
    summary::Summary,
    verdict::{QUANTILES, Time},
};

/// A row of the table.
pub(super) struct TimesRow {
    /// What it is.
    pub(super) name: String,
    /// Whether it is about a part of the row above it, or another view of that.
    pub(super) is_part: bool,
    /// How many times it is of, where that is worth saying.
    pub(super) number: Option<u64>,
    /// At each of [`QUANTILES`], and the longest.
    pub(super) cells: [String; QUANTILES.len()],
    pub(super) longest: String,
}

/// All rows; none without a response.
pub(super) fn rows(summary: &Summary) -> Vec<TimesRow> {
    let times = &summary.records.times;
    if summary.records.counts.completed() == 0 {
        return Vec::new();
    }
    let mut rows = Vec::new();
    if !times.response.is_empty() {
        rows.extend(offered(summary));
    }
    let part = |name: &str, histogram| TimesRow { is_part: true, ..of(name, histogram) };
    let mut parts = Vec::new();
    if !times.unsuccessful.is_empty() && !times.response.is_empty() {
        parts.push(("successes".to_owned(), &times.response));
    }
    for class in 1..=5 {
        let replies = summary.times_of_class(class);
        if class != 2 || replies.len() != times.response.len() {
            parts.push((format!("{class}xx"), replies));
        }
    }
    let has_times = |histogram: &Histogram<u64>| !histogram.is_empty() && histogram.max() > 0;
    rows.extend(parts.iter().filter(|(_, times)| has_times(times)).map(|(name, times)| part(name, times)));
    let whole = [("service", &times.service), ("wait", &times.wait), ("lag", &times.lag)];
    let calls = summary.records.calls.iter();
    let of_calls =
        calls.flat_map(|calls| [("1st message", &calls.first_message), ("message", &calls.message)]);
    let of_sockets = summary.records.sockets.iter().map(|sockets| ("ping", &sockets.pings));
    let whole = whole.into_iter().chain(of_calls).chain(of_sockets);
    rows.extend(whole.filter(|(_, times)| has_times(times)).map(|(name, times)| of(name, times)));
    rows
}

/// Which percentiles say nothing, and what the rows are.
pub(super) fn notes(summary: &Summary) -> Vec<String> {
    let is_too_small = |quantile: f64| summary.percentile(quantile).is_some_and(|found| found.is_n_too_small);
    let small: Vec<_> =
        QUANTILES.iter().filter(|(_, quantile)| is_too_small(*quantile)).map(|(name, _)| *name).collect();
    let mut notes = Vec::new();
    if !small.is_empty() && !summary.records.times.response.is_empty() {
        notes.push(format!("n too small for {}: fewer than ten were slower", small.join(", ")));
    }
    if !summary.run.is_open_loop() {
        let up_to = if summary.run.stages.is_some() { "up to " } else { "" };
        let outstanding = count(summary.run.outstanding() as u64);
        notes
            .push(format!("at {up_to}{outstanding} outstanding: times at other numbers are not comparable."));
    }
    notes.push(LEGEND.to_owned());
    let has = |histogram: fn(&Calls) -> &Histogram<u64>| {
        summary.records.calls.as_deref().is_some_and(|calls| !histogram(calls).is_empty())
    };
    if has(|calls| &calls.first_message) {
        notes.push("1st message: due to the first response of a stream.".to_owned());
    }
    if has(|calls| &calls.message) {
        notes.push("message: from when the n-th message was due to the n-th response.".to_owned());
    }
    if summary.records.sockets.as_deref().is_some_and(|sockets| !sockets.pings.is_empty()) {
        notes.push("ping: from a ping to its pong.".to_owned());
    }
    notes
}

/// What the rows are that any run has.
const LEGEND: &str = "response: due to last byte, of all offered requests; one that did not succeed is slower than any that did. \
                      undelayed: the same without what loadgen itself may have delayed. service: sent to last byte, of successes. \
                      wait: picked up to sent. lag: due to picked up.";

/// Response time over all offered requests, and what it would be without loadgen's own delay where that is known.
fn offered(summary: &Summary) -> Vec<TimesRow> {
    let times = &summary.records.times;
    let found = QUANTILES.map(|(_, quantile)| summary.percentile(quantile).map(|found| found.time));
    let cells = found.map(|found| match found {
        None => String::new(),
        Some(Time::Band { response, .. }) => time(response as f64),
        Some(Time::AtLeast(at_least)) => format!(">{}", time(at_least as f64)),
    });
    let undelayed = found.map(|found| match found {
        Some(Time::Band { undelayed, .. }) => time(undelayed as f64),
        Some(Time::AtLeast(_)) | None => String::new(),
    });
    let longest = time(times.response.max().max(times.unsuccessful.max()) as f64);
    let longest = if times.unsuccessful.is_empty() { longest } else { format!(">{longest}") };
    let response = TimesRow { name: "response".to_owned(), is_part: false, number: None, cells, longest };
    let has_any = undelayed.iter().any(|cell| !cell.is_empty());
    let undelayed = TimesRow {
        name: "undelayed".to_owned(),
        is_part: true,
        number: None,
        cells: undelayed,
        longest: String::new(),
    };
    std::iter::once(response).chain(has_any.then_some(undelayed)).collect()
}

fn of(name: &str, histogram: &Histogram<u64>) -> TimesRow {
    TimesRow {
        name: name.to_owned(),
        is_part: false,
        number: Some(histogram.len()),
        cells: QUANTILES.map(|(_, quantile)| time(histogram.value_at_quantile(quantile) as f64)),
        longest: time(histogram.max() as f64),
    }
}
