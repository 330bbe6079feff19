//! Which bounds on what can be in flight requests have waited for.

use serde::{Deserialize, Serialize};

/// Which bounds were reached while requests waited to be sent. If none was, they waited for the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// As many requests were in flight as there could be.
    pub in_flight: bool,
    /// There were as many connections as there could be, and none of them had room.
    pub connections: bool,
    /// Connections were opened no faster than they may be.
    #[serde(default)]
    pub pace: bool,
}

impl Reached {
    /// Whether any was.
    #[must_use]
    pub fn is_any(self) -> bool {
        self.in_flight || self.connections || self.pace
    }

    /// Adds what another worker, or another target of it, has reached.
    pub(crate) fn merge(&mut self, other: Self) {
        self.in_flight |= other.in_flight;
        self.connections |= other.connections;
        self.pace |= other.pace;
    }
}
