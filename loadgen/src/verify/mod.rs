//! What both ends together know of a run: which requests arrived, how often, and whether each reply is the one to its request.
//!
//! [`Verification`] is what came of it, as reports show it; `judge` holds what loadgen recorded against what servers state.
//! Nothing here asks a server.

mod differences;
mod heads;
mod judge;
mod repeated;
mod servers;
mod streams;
mod survival;
#[cfg(test)]
mod tests;
mod time;
mod uploads;

use std::{collections::BTreeMap, time::Duration};

use contract::ledger::Repeats;
use serde::{Deserialize, Serialize};

pub use heads::{ConnectionsSeen, HeadChange, HeadChangeKind, Heads};
pub(crate) use heads::{HeadsSent, compare};
pub(crate) use judge::{CollectedStatements, JudgedRun, judge};
pub(crate) use streams::judge_streams;
pub(crate) use survival::Trust;
pub use survival::{Survival, TokenSurvival};
pub use time::{PartFigures, TimeSplit, Ways};

/// How many examples there are of each finding.
pub const MAX_EXAMPLES: usize = 10;

/// What was proven of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// Which run it was, as servers are asked for it: `/ledger?run=` and these eight digits.
    #[serde(default)]
    pub run: String,
    /// Requests that were sent, those of the warm-up among them.
    pub sent: u64,
    /// Requests that servers have seen, each once.
    pub arrived: u64,
    /// How often servers have seen a request.
    pub sightings: u64,
    /// The servers that were asked.
    pub servers: Vec<Server>,
    /// Servers that have replied and were not asked, or not any more: how many replies each gave.
    pub epochs_lost: Vec<(u32, u64)>,
    /// Requests of which it is unknown whether they arrived, or whether the reply is their own.
    pub unjudged: u64,
    /// Of these: the reply names a server and has no token: lost on the way there or back, or a stored reply from before the run.
    #[serde(default)]
    pub token_lost: Finding,
    /// Requests that no server has seen.
    pub never_arrived: NeverArrived,
    /// Requests that arrived, and whose reply comes from something in between: it names no server.
    pub answered_in_place: Finding,
    /// Requests that arrived and were answered, and whose reply did not come whole.
    pub cut_on_the_way_back: Finding,
    /// Requests whose body broke off on its way to the server, and that were not answered, or with a reply that says so.
    #[serde(default)]
    pub cut_on_the_way_there: Finding,
    /// Requests that arrived, and that the server itself did not answer.
    pub cut_by_the_server: Finding,
    /// Requests that arrived, and that loadgen itself gave up after `--timeout`.
    #[serde(default)]
    pub given_up: Finding,
    /// Requests that something in between repeated.
    pub repeated: Repeated,
    /// How often a server said that it did not process a request, which was retried.
    #[serde(default)]
    pub refused: u64,
    /// Requests that loadgen retried, which the server had said it did not process, and that arrived more than once.
    pub own_attempts: u64,
    /// Replies that belong to another request of the run, and whose own request arrived.
    pub crossed: Finding,
    /// Replies that belong to another request, and whose own request never arrived.
    pub cached: Finding,
    /// Replies that came with another status than the server gave them.
    #[serde(default)]
    pub status_changed: Finding,
    /// Messages on WebSockets that were echoed once, and whose echoes came again.
    #[serde(default)]
    pub echoed_again: Finding,
    /// Requests of this run that servers have seen and loadgen did not send.
    pub foreign: Finding,
    /// Bodies of replies.
    pub payload: Payload,
    /// Bodies of requests.
    #[serde(default)]
    pub uploads: Uploads,
    /// Where the time of replies that are whole went; none where nothing says that.
    #[serde(default)]
    pub time: Option<TimeSplit>,
    /// How long it took until nothing changed any more.
    pub waited: Duration,
    /// What happens to tokens, as canaries have shown before the run.
    #[serde(default)]
    pub tokens: Vec<Survival>,
    /// Whether there were calls with streams of messages that have no tokens.
    #[serde(default)]
    pub has_streams: bool,
    /// What was proven of each message of streams, if any of them carried tokens: requests are messages there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Box<Self>>,
    /// Of messages of streams and on WebSockets: those that came behind a later one of their call or their WebSocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reordered: Option<Reordered>,
    /// Of messages of streams: the replies of calls that have several, each of which was numbered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies: Option<u64>,
    /// What can't be said, and why.
    pub off: Vec<String>,
    /// What was changed on the way in the heads of sampled requests and replies, if any could be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<Box<Heads>>,
}

/// Messages that changed places within their call, or on their WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reordered {
    /// Before a server saw them.
    pub on_the_way_there: Finding,
    /// After it had answered them.
    pub on_the_way_back: Finding,
    /// On one of the two ways, as servers have not stated in which order all of them came.
    #[serde(default)]
    pub way_unknown: Finding,
    /// Echoes whose order was not compared: loadgen had not sent their messages in the order of their numbers.
    #[serde(default, skip_serializing_if = "is_none_of_them")]
    pub not_compared: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_none_of_them(count: &u64) -> bool {
    *count == 0
}

/// A server that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// What it calls itself.
    pub instance: String,
    /// Drawn when it started.
    pub epoch: u32,
    /// How often it has seen a request.
    pub sightings: u64,
    /// How many replies have come from it.
    pub replies: u64,
}

/// Requests that no server has seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeverArrived {
    /// Something in between has answered.
    pub answered_by_proxy: Finding,
    /// Nothing has, and the head of the request had left.
    pub unanswered: Finding,
    /// Nothing has, and the head of the request had not left.
    pub not_written: Finding,
    /// A server has said of each attempt that it did not process it.
    #[serde(default)]
    pub refused: Finding,
}

/// Requests that something in between repeated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    /// How often, by what had happened to the request.
    pub counts: Repeats,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// Bodies of replies that are not those of their requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// They end too early, and cleanly.
    pub truncated: Finding,
    /// They differ.
    pub corrupted: Finding,
    /// How many were not compared, as they came in a content coding.
    #[serde(default)]
    pub encoded: u64,
}

/// Bodies of requests, as servers have received them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uploads {
    /// Those that came whole and were compared with what had been announced of them, each time they came.
    pub checked: u64,
    /// Requests of which one that came differs, each once.
    pub differing: Finding,
}

/// A number of requests, some of them by number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// How many.
    pub count: u64,
    /// The statuses of their replies, as far as they are known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub statuses: BTreeMap<u16, u64>,
    /// The first ones that are known more closely.
    pub examples: Vec<Example>,
}

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Its number.
    pub number: u64,
    /// The place of the message in that call, from 0, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<u64>,
    /// When it was due, in seconds since the run began; in the warm-up, that is before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<f64>,
    /// The status of the reply, or of the reply that it was repeated after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Its method, as a server has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The server that has seen it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The byte of the body at which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What happened, in a few words.
    pub what: String,
}

impl Finding {
    fn add(&mut self, status: Option<u16>, example: impl FnOnce() -> Option<Example>) {
        self.count += 1;
        if let Some(status) = status {
            *self.statuses.entry(status).or_default() += 1;
        }
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.extend(example());
        }
    }
}

impl Verification {
    /// Requests that something has happened to which a user would notice, or should know of.
    #[must_use]
    pub fn hurt(&self) -> u64 {
        let of_messages = self.messages.as_ref().map_or(0, |messages| messages.hurt());
        let counts = self.findings().map(|finding| finding.count).fold(of_messages, u64::saturating_add);
        let others = [self.repeated.counts.all(), self.unjudged];
        others.into_iter().fold(counts, u64::saturating_add)
    }

    /// All that may have happened to a request, but for repeats.
    fn findings(&self) -> impl Iterator<Item = &Finding> {
        let reordered = self.reordered.iter();
        let reordered =
            reordered.flat_map(|order| [&order.on_the_way_there, &order.on_the_way_back, &order.way_unknown]);
        let findings = [
            &self.never_arrived.answered_by_proxy,
            &self.never_arrived.unanswered,
            &self.never_arrived.not_written,
            &self.never_arrived.refused,
            &self.answered_in_place,
            &self.cut_on_the_way_back,
            &self.cut_on_the_way_there,
            &self.cut_by_the_server,
            &self.given_up,
            &self.crossed,
            &self.cached,
            &self.status_changed,
            &self.echoed_again,
            &self.foreign,
            &self.payload.truncated,
            &self.payload.corrupted,
            &self.uploads.differing,
        ];
        findings.into_iter().chain(reordered)
    }

    /// The examples of all of them, and of repeats.
    fn examples_mut(&mut self) -> impl Iterator<Item = &mut Example> {
        let reordered = self.reordered.iter_mut();
        let reordered = reordered.flat_map(|order| {
            [&mut order.on_the_way_there, &mut order.on_the_way_back, &mut order.way_unknown]
        });
        let findings = [
            &mut self.token_lost,
            &mut self.never_arrived.answered_by_proxy,
            &mut self.never_arrived.unanswered,
            &mut self.never_arrived.not_written,
            &mut self.never_arrived.refused,
            &mut self.answered_in_place,
            &mut self.cut_on_the_way_back,
            &mut self.cut_on_the_way_there,
            &mut self.cut_by_the_server,
            &mut self.given_up,
            &mut self.crossed,
            &mut self.cached,
            &mut self.status_changed,
            &mut self.echoed_again,
            &mut self.foreign,
            &mut self.payload.truncated,
            &mut self.payload.corrupted,
            &mut self.uploads.differing,
        ];
        let findings = findings.into_iter().chain(reordered);
        findings.flat_map(|finding| &mut finding.examples).chain(&mut self.repeated.examples)
    }

    /// Whether all was proven, and nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let is_known = |found: &Self| found.off.is_empty() && found.epochs_lost.is_empty();
        self.hurt() == 0 && is_known(self) && self.messages.as_deref().is_none_or(is_known)
    }
}
