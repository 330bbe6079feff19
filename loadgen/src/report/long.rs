//! What `--detail long` adds: where the time went, whether the figures agree, and the course of the run.

use crate::{
    numbers::{count, decimal, time},
    recorder::ReportedTimes,
    summary::Summary,
};

/// The maximum number of intervals that are listed; CSV has all of them.
const MAX_INTERVALS: usize = 60;

/// The parts of requests in a sample are those of all if the means of their times differ by no more than this share.
const FARTHEST: f64 = 0.1;

/// Names of the columns of [`intervals`].
pub(super) const INTERVALS: [&str; 8] =
    ["From", "offered", "failed", "completed", "errors", "p50", "p99", "max"];

/// Figures with a name and, where it is needed, what they are.
pub(super) fn figures(summary: &Summary) -> Vec<[String; 3]> {
    let mut rows = Vec::new();
    let mut row =
        |name: &str, value: String, what: &str| rows.push([name.to_owned(), value, what.to_owned()]);
    if let Some(parts) = summary.mean_parts() {
        row("Mean lag", time(parts.lag), "due to picked up");
        row("Mean wait", time(parts.wait), "picked up to sent");
        row("Mean service", time(parts.service), "sent to the end");
    }
    let reported = &summary.records.server_report;
    let sampled = reported.mean_times();
    let contradicts =
        |times: &ReportedTimes| summary.mean_parts().is_some_and(|all| !is_alike(times, all.service));
    if let Some(times) = sampled.filter(contradicts) {
        let what = format!("not like all: those sampled took {}", time(times.server + times.outside));
        row("  in the server", "unknown".to_owned(), &what);
    } else if let Some(times) = sampled {
        row("  in the server", time(times.server), "as dummy-server reports, of a sample");
        row("  outside of it", time(times.outside), "the rest of the same requests' time");
        match times.way {
            Some(way) => row("  on the way there", time(way), "sent to seen, between two clocks"),
            None => row("  on the way there", "unknown".to_owned(), "its clock and this one differ"),
        }
    }
    if let Some(little) = summary.little() {
        row("Little's check", decimal(little.in_flight), "in flight, on average");
        let difference = little.difference() * 100.0;
        let meaning = if difference > 10.0 { ": not steady" } else { "" };
        row(
            "  rate x mean service",
            decimal(little.expected()),
            &format!(
                "{}/s x {}, {difference:.1}% apart{meaning}",
                decimal(little.rate),
                time(little.service)
            ),
        );
    }
    if let Some(load) = reported.mean_load() {
        row(
            "dummy-server's CPU",
            format!("{:.0}% of a CPU", load.cpu * 100.0),
            "of the workers that replied",
        );
        let longest = format!("at most {}", time(load.longest_turn_lag as f64));
        row("dummy-server's timers", format!("{} late", time(load.turn_lag)), &longest);
    }
    if let Some(delay) = summary.run_delay {
        row("Without a CPU", format!("{:.1}%", delay * 100.0), "of the run, as loadgen waited for one");
    }
    rows
}

/// Whether the mean time of requests in a sample is about that of all. A few replies stand for many, so that some slow ones may miss it.
fn is_alike(sampled: &ReportedTimes, all: f64) -> bool {
    (sampled.server + sampled.outside - all).abs() <= FARTHEST * all
}

/// What the columns of [`intervals`] are.
pub(super) const LEGEND: &str = "offered, failed and times (of successes): by when requests were due; completed and errors: by when they ended";

/// The intervals of the run, latency by when requests were due, and how many were left out.
pub(super) fn intervals(summary: &Summary) -> (Vec<[String; 8]>, usize) {
    let intervals = &summary.records.intervals;
    let width = intervals.width();
    let rows: Vec<_> = (0..)
        .zip(intervals.iter())
        .take(MAX_INTERVALS)
        .map(|(index, interval)| {
            let response = &interval.response;
            let at = |quantile| match response.is_empty() {
                true => String::new(),
                false => time(response.value_at_quantile(quantile) as f64),
            };
            [
                format!("{}s", index * width / 1_000_000_000),
                count(interval.offered),
                count(interval.unsuccessful),
                count(interval.completed),
                count(interval.errors),
                at(0.5),
                at(0.99),
                at(1.0),
            ]
        })
        .collect();
    let left_out = intervals.iter().count() - rows.len();
    (rows, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{MICRO, MILLI, Planted, run};

    #[test]
    fn parts_of_a_sample_are_shown_where_it_took_as_long_as_all() {
        let shown = |sampled: u64, others: u64| {
            let summary = run("-r 100 -d 4s a:1", |n, _| Planted {
                service: if n % 10 == 0 { sampled } else { others },
                server: (n % 10 == 0).then_some((10 * MICRO, 60 * MICRO)),
                ..Planted::default()
            });
            figures(&summary)
        };
        let of = |rows: &[[String; 3]], name: &str| rows.iter().find(|row| row[0].trim() == name).cloned();
        let alike = shown(MILLI, MILLI);
        assert_eq!(of(&alike, "in the server").unwrap()[1], "50.0 us");
        assert!(of(&alike, "outside of it").is_some());
        let apart = shown(20 * MILLI, MILLI);
        let [_, value, what] = of(&apart, "in the server").unwrap();
        assert_eq!((value.as_str(), what.as_str()), ("unknown", "not like all: those sampled took 20.0 ms"));
        assert!(of(&apart, "outside of it").is_none());
    }
}
