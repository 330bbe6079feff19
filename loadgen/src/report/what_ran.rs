//! What was run and how many requests there were, in words: the same for text and Markdown.

use crate::{
    clock::nanos,
    numbers::{plural, seconds},
    summary::Summary,
};

/// The method, the target and what was spoken there.
pub(super) fn target(summary: &Summary) -> String {
    let run = &summary.run;
    format!("{} {} over {}", run.method, run.target, run.protocol)
}

/// How requests came to be due, over what, and for how long.
pub(super) fn load(summary: &Summary) -> String {
    let run = &summary.run;
    let shape = run.load();
    let total = run.total.map(|total| format!(", {}", plural(total, "request"))).unwrap_or_default();
    let duration = run.duration.map(|time| format!(", for {}", seconds(nanos(time)))).unwrap_or_default();
    let streams = match run.streams {
        1 => String::new(),
        streams if run.pipelines() => format!(" with {streams} pipelined requests each"),
        streams => format!(" with {streams} streams each"),
    };
    let interrupted = if summary.interrupted { ", INTERRUPTED" } else { "" };
    let warmup =
        run.warmup.map(|time| format!(", after {} of warm-up", seconds(nanos(time)))).unwrap_or_default();
    format!(
        "{shape}{total}{duration}{warmup}: {}{streams}, {}, took {}{interrupted}",
        plural(run.connections as u64, "connection"),
        plural(run.workers as u64, "worker"),
        seconds(nanos(summary.elapsed)),
    )
}

/// What became of the requests: how far each count is part of one above it, its name, and the number. Counts of nothing are left out,
/// except the first two.
pub(super) fn counts(summary: &Summary) -> impl Iterator<Item = (usize, &'static str, u64)> {
    let counts = &summary.records.counts;
    [
        (0, "offered", counts.offered, true),
        (1, "sent", counts.sent(), true),
        (2, "completed", counts.completed(), false),
        (3, "succeeded", counts.succeeded, false),
        (3, "redirects (3xx)", counts.redirects, false),
        (3, "client errors (4xx)", counts.client_errors, false),
        (3, "server errors (5xx)", counts.server_errors, false),
        (3, "call errors (gRPC)", counts.call_errors, false),
        (2, "transport failed", counts.transport_failed, false),
        (2, "timed out", counts.timed_out, false),
        (2, "unanswered", counts.unanswered, false),
        (1, "dropped", counts.dropped, false),
        (2, "too late (--max-lag)", counts.dropped_late, false),
        (1, "not sent", counts.not_sent, false),
        (0, "retried", counts.resent, false),
        (0, "redirects followed", counts.redirects_followed, false),
        (0, "not followed: elsewhere, invalid", counts.redirects_elsewhere, false),
        (0, "not followed: --follow", counts.redirects_beyond, false),
        (0, "not as expected (unmet)", summary.records.unmet.replies(), false),
    ]
    .into_iter()
    .filter(|(_, _, value, always)| *always || *value > 0)
    .map(|(depth, name, value, _)| (depth, name, value))
}
