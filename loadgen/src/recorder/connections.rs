//! What happened to connections: how many were opened, how long that took, and which end closed them.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use transport::tls::Facts;

use super::{Idle, LONGEST, encoded, failures::example};
use crate::clock::Nanos;

/// Digits that the histograms keep.
const DIGITS: u8 = 2;

/// What happened to connections. After a run, each that was opened has been closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// Opened, and ready for requests.
    pub opened: u64,
    /// Those of them that took the place of one that was closed.
    pub reopened: u64,
    /// Attempts to open one that failed: each is followed by another one as long as it is needed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Attempts that were given up: it was not needed any more, or the run was over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub given_up: u64,
    /// Why the first one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Closed or reset by the server, or because it announced that it would.
    pub closed_by_server: u64,
    /// Closed by loadgen: for a timeout, because the server broke the protocol, or because the run was over.
    pub closed_by_loadgen: u64,
    /// How long it took to look the host's name up before the run, in nanoseconds; of a name alone.
    #[serde(with = "encoded::coarse", default = "histogram", skip_serializing_if = "Histogram::is_empty")]
    pub lookup: Histogram<u64>,
    /// How long TCP took to connect, in nanoseconds.
    #[serde(with = "encoded::coarse")]
    pub tcp: Histogram<u64>,
    /// How long it took from then until requests could be sent, in nanoseconds: over HTTP/2, until SETTINGS came.
    #[serde(with = "encoded::coarse")]
    pub setup: Histogram<u64>,
    /// How long TLS took to be agreed on, in nanoseconds: of those whose handshake was done.
    #[serde(with = "encoded::coarse", default = "histogram", skip_serializing_if = "Histogram::is_empty")]
    pub handshake: Histogram<u64>,
    /// Those of them that resumed an earlier session.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resumed: u64,
    /// What was agreed on, such as `TLSv1.3 TLS_AES_256_GCM_SHA384, ALPN h2`, and how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agreed: BTreeMap<String, u64>,
    /// Those that were kept open without requests, which nothing else here counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Box<Idle>>,
}

/// The maximum number of combinations that are kept apart.
const MAX_AGREED: usize = 16;

pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new(DIGITS).unwrap_or_else(|error| unreachable!("{DIGITS} digits: {error}"))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            opened: 0,
            reopened: 0,
            failed: 0,
            given_up: 0,
            failure: None,
            closed_by_server: 0,
            closed_by_loadgen: 0,
            lookup: histogram(),
            tcp: histogram(),
            setup: histogram(),
            handshake: histogram(),
            resumed: 0,
            agreed: BTreeMap::new(),
            idle: None,
        }
    }
}

impl Connections {
    /// All that is counted.
    pub(super) fn counts(&self) -> impl Iterator<Item = u64> {
        let all = [self.opened, self.reopened, self.closed_by_server, self.closed_by_loadgen, self.resumed];
        let all = all.into_iter().chain([self.failed, self.given_up]);
        let of_idle = self.idle.iter().flat_map(|idle| idle.counts());
        all.chain(self.agreed.values().copied()).chain(of_idle)
    }

    /// What servers have agreed on, and why some failed, as texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        self.agreed
            .keys()
            .chain(&self.failure)
            .chain(self.idle.iter().filter_map(|idle| idle.failure.as_ref()))
    }

    /// Those without requests.
    pub(crate) fn idle(&mut self) -> &mut Idle {
        self.idle.get_or_insert_default()
    }

    /// Whether no more is kept apart than a run does.
    pub(super) fn is_bounded(&self) -> bool {
        self.agreed.len() <= MAX_AGREED + 1
    }

    /// The host's name was looked up.
    pub(crate) fn looked_up(&mut self, took: Nanos) {
        let recorded = self.lookup.record(took.min(LONGEST));
        debug_assert!(recorded.is_ok(), "{recorded:?}: it grows as needed");
    }

    /// The handshake of one that is ready has come to this.
    pub(crate) fn secured(&mut self, facts: &Facts, took: Nanos) {
        let recorded = self.handshake.record(took.min(LONGEST));
        debug_assert!(recorded.is_ok(), "{recorded:?}: it grows as needed");
        self.resumed += u64::from(facts.resumed);
        let alpn = match &facts.alpn {
            Some(alpn) => format!("ALPN {}", String::from_utf8_lossy(alpn)),
            None => "no ALPN".to_owned(),
        };
        self.agree(format!("{} {}, {alpn}", facts.version.name(), facts.cipher), 1);
    }

    fn agree(&mut self, what: String, count: u64) {
        let is_known = self.agreed.len() < MAX_AGREED || self.agreed.contains_key(&what);
        *self.agreed.entry(if is_known { what } else { "others".to_owned() }).or_default() += count;
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

    /// Counts one that never took requests, and why, if it was not given up.
    pub(crate) fn not_opened(&mut self, why: Option<&str>) {
        match why {
            Some(why) => {
                self.failed += 1;
                self.failure.get_or_insert_with(|| example(why));
            }
            None => self.given_up += 1,
        }
    }

    /// How often one was tried to open, whatever came of it.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.opened + self.failed + self.given_up
    }

    /// Adds what another worker has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self {
            opened,
            reopened,
            failed,
            given_up,
            failure,
            closed_by_server,
            closed_by_loadgen,
            lookup,
            tcp,
            setup,
            handshake,
            resumed,
            agreed,
            idle,
        } = other;
        self.opened += opened;
        self.reopened += reopened;
        self.failed += failed;
        self.given_up += given_up;
        if self.failure.is_none() {
            self.failure.clone_from(failure);
        }
        self.closed_by_server += closed_by_server;
        self.closed_by_loadgen += closed_by_loadgen;
        self.resumed += resumed;
        if let Some(idle) = idle {
            self.idle().merge(idle);
        }
        agreed.iter().for_each(|(what, count)| self.agree(what.clone(), *count));
        for (histogram, more) in [
            (&mut self.lookup, lookup),
            (&mut self.tcp, tcp),
            (&mut self.setup, setup),
            (&mut self.handshake, handshake),
        ] {
            let added = histogram.add(more);
            debug_assert!(added.is_ok(), "{added:?}");
        }
    }
}
