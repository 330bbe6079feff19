//! What became of connections that were kept open beside the load, without requests.

use serde::{Deserialize, Serialize};

/// Idle connections, which nothing else counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    /// How many there were to be.
    pub wanted: u64,
    /// Opened, also in the place of one that was closed.
    pub opened: u64,
    /// Closed or reset by the server, or because it announced that it would.
    pub closed_by_server: u64,
    /// Closed by loadgen, because the server broke the protocol: not those that were open when the run ended.
    pub closed_by_loadgen: u64,
    /// Why there were not as many, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Idle {
    /// How many are open; after a run, how many were when it ended.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.opened.saturating_sub(self.closed_by_server).saturating_sub(self.closed_by_loadgen)
    }

    pub(crate) fn failed(&mut self, why: &str) {
        self.failure.get_or_insert_with(|| why.to_owned());
    }

    /// All that is counted.
    pub(super) fn counts(&self) -> [u64; 4] {
        [self.wanted, self.opened, self.closed_by_server, self.closed_by_loadgen]
    }

    /// Adds what another worker has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { wanted, opened, closed_by_server, closed_by_loadgen, failure } = other;
        self.wanted += wanted;
        self.opened += opened;
        self.closed_by_server += closed_by_server;
        self.closed_by_loadgen += closed_by_loadgen;
        if self.failure.is_none() {
            self.failure.clone_from(failure);
        }
    }
}
