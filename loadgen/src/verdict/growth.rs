//! Which part of requests' time grew while requests became due: a queue in front of what can't keep up.

use crate::{clock::nanos, recorder::Parts, summary::Summary};

/// A part of a request's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Due to picked up: loadgen's.
    Lag,
    /// Picked up to written: for a connection or a stream.
    Wait,
    /// Written to the end, where nobody tells more.
    Service,
    /// Written to seen by the server.
    Way,
    /// Seen by the server to replied.
    Server,
}

/// A part grows if, in the second half, it gains at least this share of the time that passes: that much less is served than
/// is offered.
const MIN_GROWTH: f64 = 0.01;

/// And that is at least this many times the error of that slope.
const MIN_SIGNIFICANCE: f64 = 4.0;

/// The smallest number of bins that a slope with an error is told from.
const MIN_BINS: usize = 6;

/// The part that grew most, if any did.
pub(super) fn fastest(summary: &Summary) -> Option<Part> {
    let trend = &summary.records.trend;
    let (width, window) = (trend.width(), nanos(summary.window()));
    let second_half: Vec<(f64, &Parts)> = (0..)
        .zip(trend.iter())
        .map(|(index, parts)| (index * width, parts))
        .filter(|(at, parts)| *at >= window / 2 && *at + width <= window && parts.sent > 0)
        .map(|(at, parts)| (at as f64, parts))
        .collect();
    let growth = |part: Part| {
        let points: Vec<_> =
            second_half.iter().filter_map(|(at, parts)| Some((*at, mean(part, parts)?))).collect();
        slope(&points).filter(|_| is_still_high(&points))
    };
    let fastest = |parts: &[Part]| {
        let all = parts.iter().filter_map(|part| Some((*part, growth(*part)?)));
        all.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(part, _)| part)
    };
    match fastest(&[Part::Lag, Part::Wait, Part::Service])? {
        // The server's instants tell which of the two, where they do.
        Part::Service => Some(fastest(&[Part::Way, Part::Server]).unwrap_or(Part::Service)),
        part => Some(part),
    }
}

fn mean(part: Part, parts: &Parts) -> Option<f64> {
    let (sum, count) = match part {
        Part::Lag => (parts.lag, parts.sent),
        Part::Wait => (parts.wait, parts.sent),
        Part::Service => (parts.service, parts.sent),
        Part::Way => (parts.way, parts.told),
        Part::Server => (parts.server, parts.told),
    };
    (count > 0).then(|| sum as f64 / count as f64)
}

/// Whether it is high at the end: a stall that is over, or being worked off, is no queue that grows.
fn is_still_high(points: &[(f64, f64)]) -> bool {
    let highest = points.iter().map(|(_, y)| *y).fold(0.0, f64::max);
    let last = points.iter().rev().take(2).map(|(_, y)| *y).sum::<f64>() / 2.0;
    last > highest / 2.0
}

/// How much each point is above the one before for each unit between them, by least squares; none if that is not
/// [enough](MIN_GROWTH), or may be noise.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < MIN_BINS {
        return None;
    }
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut squares, mut products) = (0.0, 0.0);
    for (x, y) in points {
        squares += (x - mean_x) * (x - mean_x);
        products += (x - mean_x) * (y - mean_y);
    }
    let slope = products / squares;
    let rest = points.iter().map(|(x, y)| (y - mean_y - slope * (x - mean_x)).powi(2)).sum::<f64>();
    let error = (rest / (count - 2.0) / squares).sqrt();
    (slope > MIN_GROWTH && slope > MIN_SIGNIFICANCE * error).then_some(slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(y: impl Fn(f64) -> f64) -> Option<f64> {
        let points: Vec<_> = (0..64).map(|x| (f64::from(x), y(f64::from(x)))).collect();
        slope(&points)
    }

    #[test]
    fn a_queue_grows_steadily_and_noise_does_not() {
        let noise = |x: f64| (x * 12.9898).sin() * 43758.5453 % 1.0;
        assert!(of(|x| 5.0 + 0.2 * x).is_some_and(|slope| (slope - 0.2).abs() < 1e-9));
        assert!(of(|x| 5.0 + 0.2 * x + noise(x)).is_some());
        assert!(of(|x| 5.0 + 30.0 * noise(x)).is_none());
        assert!(of(|_| 5.0).is_none());
        assert!(of(|x| 5.0 - 0.2 * x).is_none());
        assert!(of(|x| 5.0 + 0.001 * x).is_none(), "less than one in a hundred");
        assert!(of(|x| if x == 63.0 { 40.0 } else { 1.0 }).is_none(), "one stall at the end is no queue");
        assert!(slope(&[(0.0, 0.0), (1.0, 1.0)]).is_none(), "too few");
    }
}
