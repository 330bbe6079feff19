//! What came of WebSockets beyond their messages: what came unasked, what never came back, and how long pings took.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    LONGEST, encoded,
    failures::example,
    times::{add, histogram},
};
use crate::clock::Nanos;

/// What came of WebSockets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sockets {
    /// Messages that were sent and whose echoes did not come: in time, before the connection ended, or before the run did (those
    /// count as unanswered as well).
    pub lost: u64,
    /// Messages that came back other than they were sent.
    pub wrong: u64,
    /// Messages that came and are no echo of any that was sent, or the second one.
    pub unsolicited: u64,
    /// The first one of these, as far as it is shown.
    pub example: String,
    /// Pings that were sent.
    pub pings_sent: u64,
    /// From pings to their pongs, in nanoseconds: as many as were answered.
    #[serde(with = "encoded::fine")]
    pub pings: Histogram<u64>,
}

impl Default for Sockets {
    fn default() -> Self {
        Self { lost: 0, wrong: 0, unsolicited: 0, example: String::new(), pings_sent: 0, pings: histogram() }
    }
}

impl Sockets {
    /// A message came unasked.
    pub(super) fn unsolicited(&mut self, what: impl FnOnce() -> String) {
        if self.unsolicited == 0 {
            self.example = example(&what());
        }
        self.unsolicited += 1;
    }

    /// A ping was answered.
    pub(super) fn pong(&mut self, time: Nanos) {
        self.pings.saturating_record(time.min(LONGEST));
    }

    /// Pings that were sent and not answered, or not yet.
    #[must_use]
    pub fn pings_unanswered(&self) -> u64 {
        self.pings_sent.saturating_sub(self.pings.len())
    }

    /// All that is counted.
    pub(super) fn counts(&self) -> [u64; 4] {
        [self.lost, self.wrong, self.unsolicited, self.pings_sent]
    }

    /// Adds what another worker has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { lost, wrong, unsolicited, example, pings_sent, pings } = other;
        if self.unsolicited == 0 {
            self.example.clone_from(example);
        }
        self.lost += lost;
        self.wrong += wrong;
        self.unsolicited += unsolicited;
        self.pings_sent += pings_sent;
        add(&mut self.pings, pings);
    }
}
