//! How busy dummy-server's workers were, as replies tell it on request.

use contract::timing::WorkerLoad;
use serde::{Deserialize, Serialize};

use super::plausible::LARGEST;

/// Sums over the replies that told how busy the worker was that sent them: one of many replies, so that a busy worker weighs
/// as much as it had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerLoad {
    /// Replies that told.
    pub told: u64,
    /// Sum of the shares of a CPU that the worker's thread had, in thousandths.
    cpu_permille: u64,
    /// Sum of how late the worker's timer was, in nanoseconds.
    turn_lag: u64,
    /// The longest of them.
    longest_turn_lag: u64,
}

impl ServerLoad {
    /// A reply has told.
    pub(super) fn tell(&mut self, load: WorkerLoad) {
        self.told += 1;
        self.cpu_permille += u64::from(load.cpu_permille);
        self.turn_lag = self.turn_lag.saturating_add(load.turn_lag_ns);
        self.longest_turn_lag = self.longest_turn_lag.max(load.turn_lag_ns);
    }

    /// Adds what another worker was told.
    pub(super) fn merge(&mut self, other: &Self) {
        self.told += other.told;
        self.cpu_permille += other.cpu_permille;
        self.turn_lag = self.turn_lag.saturating_add(other.turn_lag);
        self.longest_turn_lag = self.longest_turn_lag.max(other.longest_turn_lag);
    }

    /// Nothing was told.
    pub(super) fn is_untold(&self) -> bool {
        self.told == 0
    }

    /// The mean share of a CPU that the worker had, from 0 to 1; none if nothing was told.
    #[must_use]
    pub fn cpu(&self) -> Option<f64> {
        (self.told > 0).then(|| self.cpu_permille as f64 / self.told as f64 / 1000.0)
    }

    /// How late the worker's timer was, in nanoseconds: on average, and at most.
    #[must_use]
    pub fn turn_lag(&self) -> Option<(f64, u64)> {
        (self.told > 0).then(|| (self.turn_lag as f64 / self.told as f64, self.longest_turn_lag))
    }

    pub(super) fn is_plausible(&self) -> bool {
        self.told <= LARGEST >> 10 && self.cpu_permille <= self.told * 1000
    }
}
