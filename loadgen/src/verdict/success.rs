//! The sentence on what came of the requests.

use crate::{numbers::count, outcome::Cause, summary::Summary};

/// What came of the requests, with the figures that this rests on and the most common failure.
pub(super) fn sentence(summary: &Summary) -> String {
    let counts = &summary.records.counts;
    let (succeeded, offered) = (counts.succeeded, counts.offered);
    if offered == 0 {
        return "failed: no request was due".to_owned();
    }
    if succeeded == offered {
        return match offered {
            1 => "succeeded: the one request was answered".to_owned(),
            _ => format!("succeeded: all {} requests", count(offered)),
        };
    }
    let why = most_common(summary).map(|(why, _)| why).unwrap_or_default();
    if succeeded == 0 {
        return format!("failed: no request succeeded: {why}");
    }
    let ratio = share(summary.success_ratio());
    format!(
        "{}: {} of {} requests ({ratio}); the most common failure: {why}",
        summary.outcome().as_str(),
        count(succeeded),
        count(offered)
    )
}

/// Never rounded up to all of them.
fn share(ratio: f64) -> String {
    let percent = (ratio * 1e5).floor() / 1e3;
    let text = format!("{percent:.3}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What kept most of the requests from success, and how many.
fn most_common(summary: &Summary) -> Option<(String, u64)> {
    let (records, counts) = (&summary.records, &summary.records.counts);
    let replies =
        records.statuses().filter(|(status, _)| !summary.run.expects(*status)).map(|(status, replies)| {
            (format!("status {status} ({})", several(replies, "reply", "replies")), replies)
        });
    let failures =
        records.failures.iter().map(|(cause, seen)| (failure(summary, cause, &seen.example), seen.count));
    let others = [
        (counts.dropped, "dropped while --max-in-flight was reached"),
        (counts.not_sent, "not sent before the run ended"),
        (counts.unanswered, "unanswered when the run ended"),
    ]
    .map(|(number, what)| (format!("{} {what}", several(number, "request", "requests")), number));
    replies.chain(failures).chain(others).max_by_key(|(_, number)| *number)
}

fn several(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

fn failure(summary: &Summary, cause: Cause, example: &str) -> String {
    let addresses = summary.run.addresses.join(" and ");
    match cause {
        _ if addresses.is_empty() => format!("{cause}: {example}"),
        Cause::Refused => format!("connection refused by {addresses}"),
        Cause::ConnectTimeout => format!("{example}, from {addresses}"),
        Cause::Timeout => format!("{example}, from {addresses}"),
        cause => format!("{cause}: {example} ({addresses})"),
    }
}
