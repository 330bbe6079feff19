//! Failures by cause, each with one example.

use std::collections::BTreeMap;

use contract::id;
use serde::{Deserialize, Serialize};

use super::encoded::AtMost;
use crate::outcome::Cause;

/// The maximum number of causes that are kept apart; what comes after counts as [`Cause::Other`].
const MAX_CAUSES: usize = 64;

/// With that of the others.
const MAX_KEPT: usize = MAX_CAUSES + 1;

/// The longest message that is kept, in characters.
pub(super) const MAX_MESSAGE: usize = 200;

/// Failures of one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// How many.
    pub count: u64,
    /// What was said about the first one.
    pub example: String,
    /// The first one's request id.
    pub request_id: String,
}

/// As much of a message as is kept.
pub(super) fn example(message: &str) -> String {
    message.chars().take(MAX_MESSAGE).collect()
}

/// Failures by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AtMost<(Cause, Seen), MAX_KEPT>", into = "Vec<(Cause, Seen)>")]
pub struct Failures(BTreeMap<Cause, Seen>);

impl From<Failures> for Vec<(Cause, Seen)> {
    fn from(failures: Failures) -> Self {
        failures.0.into_iter().collect()
    }
}

impl TryFrom<AtMost<(Cause, Seen), MAX_KEPT>> for Failures {
    type Error = String;

    fn try_from(AtMost(all): AtMost<(Cause, Seen), MAX_KEPT>) -> Result<Self, String> {
        let is_too_long =
            |seen: &Seen| seen.example.chars().count() > MAX_MESSAGE || seen.request_id.len() > id::LENGTH;
        if all.iter().any(|(_, seen)| is_too_long(seen)) {
            return Err(format!("a failure whose message is longer than {MAX_MESSAGE} characters"));
        }
        Ok(Self(all.into_iter().collect()))
    }
}

impl Failures {
    /// Counts one; `target`: of which of several targets.
    pub(super) fn count(&mut self, cause: Cause, message: &str, target: Option<&str>, id: &id::Text) {
        match self.0.get_mut(&cause) {
            Some(seen) => seen.count += 1,
            None => {
                let example = match target {
                    None => example(message),
                    Some(target) => example(&format!("{message} ({target})")),
                };
                let request_id = String::from_utf8_lossy(id).into_owned();
                self.add(cause, &Seen { count: 1, example, request_id });
            }
        }
    }

    /// Adds what another worker has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        for (cause, seen) in &other.0 {
            self.add(*cause, seen);
        }
    }

    /// The causes and what was seen of each.
    pub fn iter(&self) -> impl Iterator<Item = (Cause, &Seen)> {
        self.0.iter().map(|(cause, seen)| (*cause, seen))
    }

    fn add(&mut self, cause: Cause, more: &Seen) {
        let known = self.0.len() < MAX_CAUSES || self.0.contains_key(&cause);
        let cause = if known { cause } else { Cause::Other };
        match self.0.get_mut(&cause) {
            Some(seen) => seen.count += more.count,
            None => {
                self.0.insert(cause, more.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::id::Ids;

    #[test]
    fn the_first_one_is_the_example_and_causes_are_bounded() {
        let mut failures = Failures::default();
        for number in 0..1000 {
            failures.count(
                Cause::RstStream(number % 200),
                &format!("message {number}"),
                (number == 1).then_some("http://a:1/"),
                &Ids { run: 7, load: 0 }.of(number.into(), 0).text(),
            );
        }
        let all: Vec<_> = failures.iter().collect();
        assert_eq!(all.len(), MAX_CAUSES + 1);
        assert_eq!(all.iter().map(|(_, seen)| seen.count).sum::<u64>(), 1000);
        let (_, first) = all[0];
        assert_eq!((first.count, first.example.as_str()), (5, "message 0"));
        assert_eq!(all[1].1.example, "message 1 (http://a:1/)");
        assert_eq!(first.request_id, "00000007-00-0000000000000000-00");
    }
}
