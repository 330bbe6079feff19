//! What came of gRPC calls beyond that of requests: statuses other than OK, and messages.

use std::collections::BTreeMap;

use contract::id;
use grpc::Code;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    LONGEST, Seen,
    binned::{Bin, Binned},
    encoded::{self, AtMost},
    failures::{MAX_MESSAGE, example},
    times::{add, histogram},
};
use crate::clock::Nanos;

/// Messages that came, over time: by the millisecond for four seconds, more coarsely beyond.
pub type MessageFlow = Binned<MessageCount, 1_000_000, 4096>;

/// What came of gRPC calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// Calls that ended with OK.
    pub ok: u64,
    /// Calls that ended with a status other than OK, by code: errors.
    pub errors: CallErrors,
    /// Of those with a status other than OK, the ones that were expected: successes.
    #[serde(default, skip_serializing_if = "CallErrors::is_empty")]
    pub expected: CallErrors,
    /// Messages that were sent.
    pub messages_sent: u64,
    /// Messages that came, also those of calls that failed later.
    pub messages_received: u64,
    /// When they came.
    pub(super) flow: MessageFlow,
    /// When calls were due to their first response, in nanoseconds, where responses are a stream.
    #[serde(with = "encoded::fine")]
    pub first_message: Histogram<u64>,
    /// When messages were due to their responses, in nanoseconds: of the n-th message to the n-th response, where both are a
    /// stream.
    #[serde(with = "encoded::fine")]
    pub message: Histogram<u64>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            ok: 0,
            errors: CallErrors::default(),
            expected: CallErrors::default(),
            messages_sent: 0,
            messages_received: 0,
            flow: MessageFlow::default(),
            first_message: histogram(),
            message: histogram(),
        }
    }
}

impl Calls {
    /// These numbers of messages were sent and came, since this was called last.
    pub(super) fn messages(&mut self, sent: u64, received: u64, since_start: Nanos) {
        self.messages_sent += sent;
        self.messages_received += received;
        if received > 0 {
            self.flow.at(since_start).0 += received;
        }
    }

    /// Messages that came from `from` to `to` after the start, of a bin at the edge as much as lies within.
    #[must_use]
    pub(crate) fn received_between(&self, from: Nanos, to: Nanos) -> f64 {
        let width = self.flow.width();
        let within = |start: Nanos| to.min(start + width).saturating_sub(from.max(start));
        let bins = (0..).zip(self.flow.iter());
        bins.map(|(index, bin)| bin.0 as f64 * within(index * width) as f64 / width as f64).sum()
    }

    /// How many calls ended with this status, expected or not.
    #[must_use]
    pub fn ended_with(&self, code: Code) -> u64 {
        if code == Code::Ok {
            return self.ok;
        }
        let of = self.errors.iter().chain(self.expected.iter()).filter(|(seen, _)| *seen == code);
        of.map(|(_, seen)| seen.count).sum()
    }

    /// The same as of a start that lies so much earlier.
    pub(super) fn delay(&mut self, by: Nanos) {
        self.flow.delay(by);
    }

    /// All that is counted.
    pub(super) fn counts(&self) -> impl Iterator<Item = u64> {
        let of_errors = self.errors.iter().chain(self.expected.iter()).map(|(_, seen)| seen.count);
        of_errors
            .chain([self.ok, self.messages_sent, self.messages_received])
            .chain(self.flow.iter().map(|bin| bin.0))
    }

    /// What servers have said.
    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        self.errors
            .0
            .values()
            .chain(self.expected.0.values())
            .flat_map(|seen| [&seen.example, &seen.request_id])
    }

    /// Adds what another worker has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { ok, errors, expected, messages_sent, messages_received, flow, first_message, message } =
            other;
        self.ok += ok;
        for (code, seen) in &errors.0 {
            self.errors.add(*code, seen);
        }
        for (code, seen) in &expected.0 {
            self.expected.add(*code, seen);
        }
        self.messages_sent += messages_sent;
        self.messages_received += messages_received;
        self.flow.merge(flow);
        add(&mut self.first_message, first_message);
        add(&mut self.message, message);
    }
}

/// A time of a message.
pub(super) fn record(into: &mut Histogram<u64>, time: Nanos) {
    into.saturating_record(time.min(LONGEST));
}

/// How many messages came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageCount(u64);

impl Bin for MessageCount {
    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }
}

/// Calls by their status, each with one example: OK is not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AtMost<(String, Seen), 16>", into = "Vec<(String, Seen)>")]
pub struct CallErrors(BTreeMap<Code, Seen>);

impl From<CallErrors> for Vec<(String, Seen)> {
    fn from(errors: CallErrors) -> Self {
        errors.0.into_iter().map(|(code, seen)| (code.name().to_owned(), seen)).collect()
    }
}

impl TryFrom<AtMost<(String, Seen), 16>> for CallErrors {
    type Error = String;

    fn try_from(AtMost(all): AtMost<(String, Seen), 16>) -> Result<Self, String> {
        let mut errors = BTreeMap::new();
        for (name, seen) in all {
            let code = Code::from_name(&name).filter(|code| *code != Code::Ok);
            let code = code.ok_or_else(|| format!("an unknown gRPC status {}", name.escape_debug()))?;
            if seen.example.chars().count() > MAX_MESSAGE || seen.request_id.len() > id::LENGTH {
                return Err(format!("a call whose message is longer than {MAX_MESSAGE} characters"));
            }
            errors.insert(code, seen);
        }
        Ok(Self(errors))
    }
}

impl CallErrors {
    /// Counts one.
    pub(super) fn count(&mut self, code: Code, message: &str, id: &id::Text) {
        match self.0.get_mut(&code) {
            Some(seen) => seen.count += 1,
            None => {
                // A server may say anything.
                let message: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                let request_id = String::from_utf8_lossy(id).into_owned();
                self.add(code, &Seen { count: 1, example: example(&message), request_id });
            }
        }
    }

    fn add(&mut self, code: Code, more: &Seen) {
        match self.0.get_mut(&code) {
            Some(seen) => seen.count += more.count,
            None => {
                self.0.insert(code, more.clone());
            }
        }
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.values().fold(0, |sum, seen| sum.saturating_add(seen.count))
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The codes and what was seen of each.
    pub fn iter(&self) -> impl Iterator<Item = (Code, &Seen)> {
        self.0.iter().map(|(code, seen)| (*code, seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::id::Ids;

    #[test]
    fn what_was_recorded_is_read_as_it_was_written() {
        let mut calls = Calls::default();
        let id = Ids { run: 7, load: 0 }.of(3, 0).text();
        for (code, message) in [(Code::Unavailable, "a\nb"), (Code::NotFound, ""), (Code::Unavailable, "c")] {
            calls.errors.count(code, message, &id);
        }
        calls.expected.count(Code::AlreadyExists, "d", &id);
        calls.ok = 4;
        calls.messages(3, 2, 5_000_000);
        record(&mut calls.message, 1000);
        let text = serde_json::to_string(&calls).unwrap();
        assert_eq!(serde_json::from_str::<Calls>(&text).unwrap(), calls);
        let seen: Vec<_> =
            calls.errors.iter().map(|(code, seen)| (code, seen.count, &*seen.example)).collect();
        assert_eq!(seen, [(Code::NotFound, 1, ""), (Code::Unavailable, 2, "a b")]);
        let mut twice = calls.clone();
        twice.merge(&calls);
        assert_eq!((twice.expected.calls(), twice.errors.calls()), (2, 6));
        assert_eq!((twice.ok, twice.ended_with(Code::Ok)), (8, 8));
        assert_eq!((twice.messages_sent, twice.messages_received, twice.message.len()), (6, 4, 2));
        assert!((twice.received_between(0, 10_000_000) - 4.0).abs() < 1e-9);
        let renamed = text.replace("NOT_FOUND", "OK");
        assert!(
            serde_json::from_str::<Calls>(&renamed).unwrap_err().to_string().contains("unknown gRPC status")
        );
    }
}
