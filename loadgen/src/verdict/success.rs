//! The sentence on what came of the requests.

use crate::{
    clock::nanos,
    numbers::{count, seconds, several, success_percent},
    outcome::Cause,
    summary::Summary,
};

const DROPPED: &str = "dropped while --max-in-flight was reached";
const DROPPED_LATE: &str = "dropped after --max-lag";

/// What came of the requests, with the figures that this rests on and the most common failure.
pub(super) fn sentence(summary: &Summary) -> String {
    let counts = &summary.records.counts;
    if summary.interrupted {
        return interrupted(summary);
    }
    let (succeeded, offered) = (counts.succeeded, counts.offered - summary.cut_short());
    if counts.offered == 0 {
        return "failed: no request was due".to_owned();
    }
    if succeeded == offered {
        let unsolicited = summary.records.sockets.as_deref().map_or(0, |sockets| sockets.unsolicited);
        let unexpected = match summary.records.unmet.replies() {
            0 if unsolicited == 1 => ", but one message came unsolicited".to_owned(),
            0 if unsolicited > 0 => format!(", but {} messages came unsolicited", count(unsolicited)),
            0 => String::new(),
            1 => ", but one reply was not as expected".to_owned(),
            replies => format!(", but {} replies were not as expected", count(replies)),
        };
        return match offered {
            1 => format!("succeeded: the one request was answered{unexpected}"),
            _ => format!("succeeded: all {} requests{unexpected}", count(offered)),
        };
    }
    let why = most_common(summary, not_replied(summary)).map(|(why, _)| why).unwrap_or_default();
    if succeeded == 0 {
        return format!("failed: no request succeeded: {why}");
    }
    let ratio = success_percent(summary.success_ratio());
    format!(
        "{}: {} of {} requests ({ratio}); the most common failure: {why}",
        summary.outcome().as_str(),
        count(succeeded),
        count(offered)
    )
}

/// What came of a run that the user or a threshold cut short: what was not sent or not waited for is not a failure.
fn interrupted(summary: &Summary) -> String {
    let counts = &summary.records.counts;
    let ended = counts.sent() - counts.unanswered;
    let how = match &summary.aborted_by {
        Some(by) => format!(" by --abort-on, as {by}"),
        None => String::new(),
    };
    if counts.offered == 0 {
        let when = if summary.run.warmup.is_some() { " in the warm-up" } else { "" };
        return format!("interrupted{when}{how}: no request was due");
    }
    let mut text = format!(
        "interrupted after {}{how}: {} of {} succeeded",
        seconds(nanos(summary.elapsed)),
        count(counts.succeeded),
        several(ended, "request", "requests")
    );
    for (number, what) in [
        (counts.unanswered, "not waited for"),
        (counts.not_sent, "not sent"),
        (counts.dropped - counts.dropped_late, DROPPED),
        (counts.dropped_late, DROPPED_LATE),
    ] {
        if number > 0 {
            text += &format!(", {} {what}", count(number));
        }
    }
    match most_common(summary, [0; 4]) {
        Some((why, _)) if counts.succeeded < ended => format!("{text}; the most common failure: {why}"),
        _ => text,
    }
}

/// What kept most of the requests from success, and how many; this many were dropped, dropped late, not sent, and unanswered.
fn most_common(summary: &Summary, not_replied: [u64; 4]) -> Option<(String, u64)> {
    let records = &summary.records;
    let replies =
        records.statuses().filter(|(status, _)| !summary.run.expects(*status)).map(|(status, replies)| {
            (format!("status {status} ({})", several(replies, "reply", "replies")), replies)
        });
    let unmet = records.unmet.iter().map(|(expected, seen)| {
        let replies = several(seen.count, "reply", "replies");
        (format!("expected {expected}, and found {} ({replies})", seen.example), seen.count)
    });
    let calls = records.calls.iter().flat_map(|calls| calls.errors.iter()).map(|(code, seen)| {
        let said = if seen.example.is_empty() { String::new() } else { format!(": {}", seen.example) };
        (format!("{} ({}){said}", code.name(), several(seen.count, "call", "calls")), seen.count)
    });
    let others = without_reply(summary, not_replied);
    replies.chain(unmet).chain(calls).chain(others).max_by_key(|(_, number)| *number)
}

/// What kept most of the requests without a reply from one.
pub(super) fn most_common_without_reply(summary: &Summary) -> Option<String> {
    without_reply(summary, not_replied(summary)).max_by_key(|(_, number)| *number).map(|(why, _)| why)
}

/// How many were dropped, dropped late, not sent, and unanswered.
fn not_replied(summary: &Summary) -> [u64; 4] {
    let counts = &summary.records.counts;
    let dropped = counts.dropped - counts.dropped_late;
    [dropped, counts.dropped_late, summary.not_sent(), counts.unanswered]
}

fn without_reply(
    summary: &Summary,
    [dropped, dropped_late, not_sent, unanswered]: [u64; 4],
) -> impl Iterator<Item = (String, u64)> {
    let records = &summary.records;
    let failures =
        records.failures.iter().map(|(cause, seen)| (failure(summary, cause, &seen.example), seen.count));
    let why_not_sent = match &records.unopened {
        Some(why) => {
            format!("not sent before the run ended: {why}, from {}", summary.run.tried().join(" and "))
        }
        None => "not sent before the run ended".to_owned(),
    };
    let others = [
        (dropped, DROPPED),
        (dropped_late, DROPPED_LATE),
        (not_sent, why_not_sent.as_str()),
        (unanswered, "unanswered when the run ended"),
    ]
    .map(|(number, what)| (format!("{} {what}", several(number, "request", "requests")), number));
    failures.chain(others)
}

fn failure(summary: &Summary, cause: Cause, example: &str) -> String {
    let addresses = summary.run.tried().join(" and ");
    match cause {
        _ if addresses.is_empty() => format!("{cause}: {example}"),
        Cause::Refused => format!("connection refused by {addresses}"),
        Cause::ConnectTimeout => format!("{example}, from {addresses}"),
        Cause::Timeout => format!("{example}, from {addresses}"),
        cause => format!("{cause}: {example} ({addresses})"),
    }
}
