//! How many connections a closed loop has, by stages.

use std::{sync::Arc, time::Duration};

use contract::quantity::rounded;

use crate::clock::{Nanos, nanos};

/// A stage of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionStage {
    /// How long it lasts.
    pub length: Duration,
    /// Connections at its start.
    pub from: usize,
    /// Connections at its end; in between as many as lie on a straight line.
    pub to: usize,
}

/// Connections over time. A clone shares the stages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionStages(Arc<[ConnectionStage]>);

impl ConnectionStages {
    /// These stages, one after the other.
    #[must_use]
    pub fn new(stages: &[ConnectionStage]) -> Self {
        Self(stages.into())
    }

    /// How many there are to be `at` nanoseconds after the start; behind the end, as many as at the end.
    #[must_use]
    pub fn at(&self, at: Nanos) -> usize {
        let mut left = at;
        for stage in self.0.iter() {
            let length = nanos(stage.length);
            if left < length {
                let way = left as f64 / length as f64;
                let more = |distance: usize| rounded(distance as f64 * way) as usize;
                return if stage.to >= stage.from {
                    stage.from + more(stage.to - stage.from)
                } else {
                    stage.from - more(stage.from - stage.to)
                };
            }
            left -= length;
        }
        self.0.last().map_or(0, |last| last.to)
    }

    /// The maximum number that there are at any time.
    #[must_use]
    pub fn most(&self) -> usize {
        self.0.iter().map(|stage| stage.from.max(stage.to)).max().unwrap_or(0)
    }

    /// How long all of it is.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.0.iter().fold(Duration::ZERO, |all, stage| all.saturating_add(stage.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_lie_on_the_lines_of_the_stages() {
        let stage = |seconds, from, to| ConnectionStage { length: Duration::from_secs(seconds), from, to };
        let stages =
            ConnectionStages::new(&[stage(10, 5, 5), stage(10, 5, 25), stage(1, 0, 0), stage(4, 8, 0)]);
        for (millis, expected) in [
            (0, 5),
            (9999, 5),
            (10_000, 5),
            (10_249, 5),
            (10_250, 6),
            (15_000, 15),
            (19_999, 25),
            (20_000, 0),
            (21_000, 8),
            (23_000, 4),
            (25_000, 0),
            (u64::MAX / 1_000_000, 0),
        ] {
            assert_eq!(stages.at(millis * 1_000_000), expected, "at {millis} ms");
        }
        assert_eq!((stages.most(), stages.length()), (25, Duration::from_secs(25)));
        let largest = ConnectionStages::new(&[stage(31_536_000, 0, 1_000_000)]);
        assert_eq!(largest.at(31_536_000_000_000_000 - 1), 1_000_000);
    }
}
