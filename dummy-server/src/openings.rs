//! Counters of what comes before HTTP on a connection: handshakes of TLS.

use transport::tls::{Facts, Reason, Version};

use crate::stats::Counter;

/// The counters of one worker.
#[derive(Debug, Default)]
pub(crate) struct Openings {
    /// By version, and whether the session was resumed.
    handshakes: [[Counter; 2]; Version::ALL.len()],
    failures: [Counter; Reason::ALL.len()],
}

impl Openings {
    /// Counts a handshake.
    pub(crate) fn handshake(&self, facts: &Facts) {
        self.handshakes[facts.version as usize][usize::from(facts.resumed)].add(1);
    }

    /// Counts one that has failed.
    pub(crate) fn failure(&self, reason: Reason) {
        self.failures[reason as usize].add(1);
    }

    /// How many such handshakes there were.
    #[must_use]
    pub(crate) fn handshakes(&self, version: Version, resumed: bool) -> u64 {
        self.handshakes[version as usize][usize::from(resumed)].get()
    }

    /// How many have failed for this reason.
    #[must_use]
    pub(crate) fn failures(&self, reason: Reason) -> u64 {
        self.failures[reason as usize].get()
    }
}
