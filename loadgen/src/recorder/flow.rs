//! What came back, by the millisecond: replies and bytes, so that the rate of any part of the run can be computed.

use serde::{Deserialize, Serialize};

use super::binned::{Bin, Binned};
use crate::clock::Nanos;

/// What came back over time: by the millisecond for four seconds, more coarsely beyond.
pub type Flow = Binned<Returned, 1_000_000, 4096>;

/// What came back within a bin. As a list it is short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Returned {
    /// Replies that were completed.
    pub completed: u64,
    /// Bytes of replies' bodies.
    pub bytes: u64,
}

impl From<(u64, u64)> for Returned {
    fn from((completed, bytes): (u64, u64)) -> Self {
        Self { completed, bytes }
    }
}

impl From<Returned> for (u64, u64) {
    fn from(returned: Returned) -> Self {
        (returned.completed, returned.bytes)
    }
}

impl Bin for Returned {
    fn merge(&mut self, other: &Self) {
        self.completed += other.completed;
        self.bytes += other.bytes;
    }
}

impl Flow {
    /// Replies and bytes that came back from `from` to `to`, of a bin at the edge as much as lies within.
    #[must_use]
    pub fn between(&self, from: Nanos, to: Nanos) -> (f64, f64) {
        let width = self.width();
        let (mut completed, mut bytes) = (0.0, 0.0);
        for (index, bin) in (0..).zip(self.iter()) {
            let start = index * width;
            let within = to.min(start + width).saturating_sub(from.max(start));
            let share = within as f64 / width as f64;
            completed += bin.completed as f64 * share;
            bytes += bin.bytes as f64 * share;
        }
        (completed, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_at_the_edge_counts_by_its_share() {
        let mut flow = Flow::default();
        for milli in 0..10_000_u64 {
            flow.at(milli * 1_000_000).merge(&Returned { completed: 2, bytes: 10 });
        }
        for (from, to) in [(0, 10_000), (1, 10_000), (333, 777), (5000, 5001), (7, 7)] {
            let (completed, bytes) = flow.between(from * 1_000_000, to * 1_000_000);
            let expected = (to - from) as f64 * 2.0;
            assert!((completed - expected).abs() < 1e-6 && (bytes - 5.0 * expected).abs() < 1e-6);
        }
    }
}
