//! What came of WebSockets beyond their messages: what came unasked, what never came back, and how long pings took.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    LONGEST,
    connections::histogram as coarse,
    encoded,
    failures::example,
    times::{add, histogram},
};
use crate::clock::Nanos;

/// What came of WebSockets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sockets {
    /// Messages that were sent and whose echoes did not come: in time, before the connection ended, or before the run did (those
    /// also count as unanswered).
    pub lost: u64,
    /// Messages that came back other than they were sent.
    pub wrong: u64,
    /// Messages that came and are not the echo of any that was sent, or the second one.
    pub unsolicited: u64,
    /// The first one of these, as far as it is shown.
    pub example: String,
    /// Pings that were sent.
    pub pings_sent: u64,
    /// From pings to their pongs, in nanoseconds: as many as were answered.
    #[serde(with = "encoded::fine")]
    pub pings: Histogram<u64>,
    /// Handshakes that were begun, also those of idle connections, in the warm-up, and in place of others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub handshakes: u64,
    /// How long those took that made a WebSocket, in nanoseconds, from the request to the answer.
    #[serde(with = "encoded::coarse", default = "coarse", skip_serializing_if = "Histogram::is_empty")]
    pub opened: Histogram<u64>,
    /// How the first ones were opened, as many as there were to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<InitialHandshakes>,
}

/// WebSockets that were opened in the beginning, by the clock of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitialHandshakes {
    /// How many they are.
    pub count: u64,
    /// When the first handshake of them was begun, in nanoseconds.
    pub began: Nanos,
    /// When the last one was done.
    pub done: Nanos,
}

impl InitialHandshakes {
    fn merge(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            began: self.began.min(other.began),
            done: self.done.max(other.done),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            lost: 0,
            wrong: 0,
            unsolicited: 0,
            example: String::new(),
            pings_sent: 0,
            pings: histogram(),
            handshakes: 0,
            opened: coarse(),
            opening: None,
        }
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

    /// A handshake that was begun at `since` has made a WebSocket; `is_first`: one of those of the beginning.
    pub(super) fn opened(&mut self, since: Nanos, at: Nanos, is_first: bool) {
        let recorded = self.opened.record(at.saturating_sub(since).min(LONGEST));
        debug_assert!(recorded.is_ok(), "{recorded:?}: it grows as needed");
        if is_first {
            let one = InitialHandshakes { count: 1, began: since, done: at };
            self.opening = Some(self.opening.map_or(one, |opening| opening.merge(one)));
        }
    }

    /// How many there were at first, and how fast they were opened, if they are several.
    #[must_use]
    pub fn first_opened(&self) -> Option<(u64, f64)> {
        let InitialHandshakes { count, began, done } = self.opening.filter(|opening| opening.count > 1)?;
        Some((count, count as f64 * 1e9 / done.saturating_sub(began).max(1) as f64))
    }

    /// All that is counted.
    pub(super) fn counts(&self) -> [u64; 6] {
        let first = self.opening.map_or(0, |opening| opening.count);
        [self.lost, self.wrong, self.unsolicited, self.pings_sent, self.handshakes, first]
    }

    /// Whether no more was answered than was sent.
    pub(super) fn is_plausible(&self) -> bool {
        self.pings.len() <= self.pings_sent
            && self.opened.len() <= self.handshakes
            && self.opening.is_none_or(|opening| opening.count <= self.opened.len())
    }

    /// Adds what another worker has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { lost, wrong, unsolicited, example, pings_sent, pings, handshakes, opened, opening } =
            other;
        if self.unsolicited == 0 {
            self.example.clone_from(example);
        }
        self.lost += lost;
        self.wrong += wrong;
        self.unsolicited += unsolicited;
        self.pings_sent += pings_sent;
        add(&mut self.pings, pings);
        self.handshakes += handshakes;
        add(&mut self.opened, opened);
        self.opening = match (self.opening, *opening) {
            (Some(one), Some(other)) => Some(one.merge(other)),
            (one, other) => one.or(other),
        };
    }
}
