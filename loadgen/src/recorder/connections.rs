//! What became of connections: how many were opened, how long that took, and which end closed them.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{LONGEST, encoded};
use crate::clock::Nanos;

/// Digits that the histograms keep.
const DIGITS: u8 = 2;

/// What became of connections. After a run, each that was opened has been closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// Opened, and ready for requests.
    pub opened: u64,
    /// Those of them that took the place of one that was closed.
    pub reopened: u64,
    /// Closed or reset by the server, or because it announced that it would.
    pub closed_by_server: u64,
    /// Closed by loadgen: for a timeout, because the server broke the protocol, or because the run was over.
    pub closed_by_loadgen: u64,
    /// How long TCP took to connect, in nanoseconds.
    #[serde(with = "encoded::coarse")]
    pub tcp: Histogram<u64>,
    /// How long it took from then until requests could be sent, in nanoseconds: over HTTP/2, until SETTINGS came.
    #[serde(with = "encoded::coarse")]
    pub setup: Histogram<u64>,
}

impl Default for Connections {
    fn default() -> Self {
        let histogram =
            || Histogram::new(DIGITS).unwrap_or_else(|error| unreachable!("{DIGITS} digits: {error}"));
        Self {
            opened: 0,
            reopened: 0,
            closed_by_server: 0,
            closed_by_loadgen: 0,
            tcp: histogram(),
            setup: histogram(),
        }
    }
}

impl Connections {
    /// All that is counted.
    pub(super) fn counts(&self) -> [u64; 4] {
        [self.opened, self.reopened, self.closed_by_server, self.closed_by_loadgen]
    }

    /// Counts one that is ready; `again`: in the place of one that was closed.
    pub(crate) fn opened(&mut self, again: bool, tcp: Nanos, setup: Nanos) {
        self.opened += 1;
        self.reopened += u64::from(again);
        for (histogram, time) in [(&mut self.tcp, tcp), (&mut self.setup, setup)] {
            let recorded = histogram.record(time.min(LONGEST));
            debug_assert!(recorded.is_ok(), "{recorded:?}: it grows as needed");
        }
    }

    /// Adds what another worker has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { opened, reopened, closed_by_server, closed_by_loadgen, tcp, setup } = other;
        self.opened += opened;
        self.reopened += reopened;
        self.closed_by_server += closed_by_server;
        self.closed_by_loadgen += closed_by_loadgen;
        for (histogram, more) in [(&mut self.tcp, tcp), (&mut self.setup, setup)] {
            let added = histogram.add(more);
            debug_assert!(added.is_ok(), "{added:?}");
        }
    }
}
