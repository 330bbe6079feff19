//! The parts of a request's time, by when it was due, so that it can be seen which of them grew.

use serde::{Deserialize, Serialize};

use super::binned::{Bin, Binned};
use crate::clock::Nanos;

/// Parts of requests' times: in bins of ten milliseconds, doubled beyond 1.28 s.
pub type Trend = Binned<Parts, 10_000_000, 128>;

/// A part grows if, in the second half, it gains at least this share of the time that passes: that much less is served than
/// is offered.
const MIN_GROWTH: f64 = 0.01;

/// And that is at least this many times the error of that slope.
const MIN_SIGNIFICANCE: f64 = 4.0;

/// The smallest number of bins that a slope with an error is computed from.
const MIN_BINS: usize = 6;

/// Sums over the requests that were due within a bin. As a list it is short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 7]", into = "[u64; 7]")]
pub struct Parts {
    /// Requests that were sent.
    pub sent: u64,
    /// Nanoseconds from due to picked up.
    pub lag: u64,
    /// Nanoseconds from picked up to written.
    pub wait: u64,
    /// Nanoseconds from written to the end.
    pub service: u64,
    /// Of them, those whose reply said when the server saw the request and when it replied.
    pub told: u64,
    /// Nanoseconds from written to seen, of those.
    pub way: u64,
    /// Nanoseconds from seen to replied, of those.
    pub server: u64,
}

impl Parts {
    /// A number of requests with the same times.
    #[inline]
    pub(super) fn add(&mut self, lag: Nanos, wait: Nanos, service: Nanos, count: u64) {
        self.sent += count;
        self.lag = self.lag.saturating_add(lag.saturating_mul(count));
        self.wait = self.wait.saturating_add(wait.saturating_mul(count));
        self.service = self.service.saturating_add(service.saturating_mul(count));
    }

    /// The reply to one of them has said when it was seen and replied to.
    pub(super) fn tell(&mut self, way: Nanos, server: Nanos) {
        self.told += 1;
        self.way = self.way.saturating_add(way);
        self.server = self.server.saturating_add(server);
    }
}

impl Trend {
    /// Of the whole run.
    #[must_use]
    pub fn sum(&self) -> Parts {
        let mut all = Parts::default();
        self.iter().for_each(|parts| all.merge(parts));
        all
    }
}

impl From<[u64; 7]> for Parts {
    fn from([sent, lag, wait, service, told, way, server]: [u64; 7]) -> Self {
        Self { sent, lag, wait, service, told, way, server }
    }
}

impl From<Parts> for [u64; 7] {
    fn from(parts: Parts) -> Self {
        let Parts { sent, lag, wait, service, told, way, server } = parts;
        [sent, lag, wait, service, told, way, server]
    }
}

impl Bin for Parts {
    fn merge(&mut self, other: &Self) {
        self.add(0, 0, 0, other.sent);
        self.told += other.told;
        for (mine, theirs) in [
            (&mut self.lag, other.lag),
            (&mut self.wait, other.wait),
            (&mut self.service, other.service),
            (&mut self.way, other.way),
            (&mut self.server, other.server),
        ] {
            *mine = mine.saturating_add(theirs);
        }
    }
}

/// How much each point is above the one before for each unit between them, by least squares; none if that is not
/// [enough](MIN_GROWTH), or may be noise.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
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
        assert!(
            of(|x| if x == 63.0 { 40.0 } else { 1.0 }).is_none(),
            "a stall at the end is not a growing queue"
        );
        assert!(slope(&[(0.0, 0.0), (1.0, 1.0)]).is_none(), "too few");
    }
}
