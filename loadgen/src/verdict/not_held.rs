//! Why a rate was not held although no part of requests' time grew.
//!
//! Only what lies in the time that the rate is of, and is long or frequent enough to explain what is missing, is named.

use super::success::most_common_without_reply;
use crate::{
    clock::nanos,
    numbers::{count, several, time},
    summary::Summary,
};

/// What is shorter goes unnoticed by users.
const SHORTEST: u64 = 100_000_000;

/// As the end of a sentence.
pub(super) fn reason(summary: &Summary) -> String {
    let window = nanos(summary.window());
    let per_nano = summary.offered_rate() / 1e9;
    let missing = per_nano * window as f64 - summary.achieved_rate() * window as f64 / 1e9;
    let explains = |requests: f64| requests >= missing / 2.0;
    let gap = [summary.longest_outage(), summary.longest_stall_of_window()];
    let gap = gap.into_iter().flatten().map(|span| span.length).max().filter(|length| *length > SHORTEST);
    if let Some(length) = gap.filter(|length| explains(*length as f64 * per_nano)) {
        return format!("the target stood still or failed for {}", time(length as f64));
    }
    let counts = &summary.records.counts;
    let without_reply = counts.offered.saturating_sub(counts.completed() + summary.cut_short());
    if without_reply > 0 && explains(without_reply as f64) {
        let why = most_common_without_reply(summary).unwrap_or_default();
        let requests = several(counts.offered - summary.cut_short(), "request", "requests");
        return format!("{} of {requests} got no reply: {why}", count(without_reply));
    }
    if summary.fell_behind() {
        return "the target, or a proxy in front of it, fell behind".to_owned();
    }
    "replies came later at the end than before, too few of them to tell why".to_owned()
}
