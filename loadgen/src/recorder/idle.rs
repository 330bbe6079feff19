//! What happened to connections that were kept open beside the load, without requests.

use serde::{Deserialize, Serialize};

use super::failures::example;

/// Idle connections, which nothing else counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    /// How many there were to be.
    pub wanted: u64,
    /// Opened, also in the place of one that was closed.
    pub opened: u64,
    /// Attempts to open one that failed: each is followed by another one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Attempts that were given up, because the run was over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub given_up: u64,
    /// Closed or reset by the server, or because it announced that it would.
    pub closed_by_server: u64,
    /// Closed by loadgen, because the server broke the protocol: not those that were open when the run ended.
    pub closed_by_loadgen: u64,
    /// Why there were not as many, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Idle {
    /// How many are open; after a run, how many were when it ended.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.opened.saturating_sub(self.closed_by_server).saturating_sub(self.closed_by_loadgen)
    }

    pub(crate) fn failed(&mut self, why: &str) {
        self.failure.get_or_insert_with(|| example(why));
    }

    /// Counts one that was not opened, and why, if it was not given up.
    pub(crate) fn not_opened(&mut self, why: Option<&str>) {
        match why {
            Some(why) => {
                self.failed += 1;
                self.failed(why);
            }
            None => self.given_up += 1,
        }
    }

    /// How often one was tried to open, whatever came of it.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.opened + self.failed + self.given_up
    }

    /// All that is counted.
    pub(super) fn counts(&self) -> [u64; 6] {
        let Self { wanted, opened, failed, given_up, closed_by_server, closed_by_loadgen, .. } = *self;
        [wanted, opened, failed, given_up, closed_by_server, closed_by_loadgen]
    }

    /// Adds what another worker has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { wanted, opened, failed, given_up, closed_by_server, closed_by_loadgen, failure } = other;
        self.wanted += wanted;
        self.opened += opened;
        self.failed += failed;
        self.given_up += given_up;
        self.closed_by_server += closed_by_server;
        self.closed_by_loadgen += closed_by_loadgen;
        if self.failure.is_none() {
            self.failure.clone_from(failure);
        }
    }
}
