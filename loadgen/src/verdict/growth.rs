//! Which part of requests' time grew while requests became due: a queue in front of what can't keep up.

use crate::{
    clock::nanos,
    recorder::{Parts, slope},
    summary::Summary,
};

/// A part of a request's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimePart {
    /// Due to picked up: loadgen's.
    Lag,
    /// Picked up to written: for a connection or a stream.
    Wait,
    /// Written to the end, where nothing reports more.
    Service,
    /// Written to seen by the server.
    Way,
    /// Seen by the server to replied.
    Server,
}

/// The part that grew most, if any did.
pub(super) fn fastest(summary: &Summary) -> Option<TimePart> {
    let trend = &summary.records.trend;
    let (width, window) = (trend.width(), nanos(summary.window()));
    let second_half: Vec<(f64, &Parts)> = (0..)
        .zip(trend.iter())
        .map(|(index, parts)| (index * width, parts))
        .filter(|(at, parts)| *at >= window / 2 && *at + width <= window && parts.sent > 0)
        .map(|(at, parts)| (at as f64, parts))
        .collect();
    let growth = |part: TimePart| {
        let points: Vec<_> =
            second_half.iter().filter_map(|(at, parts)| Some((*at, mean(part, parts)?))).collect();
        slope(&points).filter(|_| is_still_high(&points))
    };
    let fastest = |parts: &[TimePart]| {
        let all = parts.iter().filter_map(|part| Some((*part, growth(*part)?)));
        all.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(part, _)| part)
    };
    match fastest(&[TimePart::Lag, TimePart::Wait, TimePart::Service])? {
        // The server's instants say which of the two, where there are any.
        TimePart::Service => Some(fastest(&[TimePart::Way, TimePart::Server]).unwrap_or(TimePart::Service)),
        part => Some(part),
    }
}

fn mean(part: TimePart, parts: &Parts) -> Option<f64> {
    let (sum, count) = match part {
        TimePart::Lag => (parts.lag, parts.sent),
        TimePart::Wait => (parts.wait, parts.sent),
        TimePart::Service => (parts.service, parts.sent),
        TimePart::Way => (parts.way, parts.told),
        TimePart::Server => (parts.server, parts.told),
    };
    (count > 0).then(|| sum as f64 / count as f64)
}

/// Whether it is high at the end: a stall that is over, or being worked off, is not a growing queue.
fn is_still_high(points: &[(f64, f64)]) -> bool {
    let highest = points.iter().map(|(_, y)| *y).fold(0.0, f64::max);
    let last = points.iter().rev().take(2).map(|(_, y)| *y).sum::<f64>() / 2.0;
    last > highest / 2.0
}
