//! What a plan expected of replies and did not get: beside the accounting, each with one example.

use std::collections::BTreeMap;

use contract::id;
use serde::{Deserialize, Serialize};

use super::{
    encoded::AtMost,
    failures::{MAX_MESSAGE, Seen},
};

/// The maximum number of expectations that are kept apart; what comes after counts as [`OTHERS`].
const MAX_EXPECTATIONS: usize = 64;

/// With that of the others.
const MAX_KEPT: usize = MAX_EXPECTATIONS + 1;

/// What expectations beyond the limit count under.
const OTHERS: &str = "(others)";

/// Replies that were not as expected, by what was expected first of what was not met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AtMost<(String, Seen), MAX_KEPT>", into = "Vec<(String, Seen)>")]
pub struct Unmet(BTreeMap<String, Seen>);

impl From<Unmet> for Vec<(String, Seen)> {
    fn from(unmet: Unmet) -> Self {
        unmet.0.into_iter().collect()
    }
}

impl TryFrom<AtMost<(String, Seen), MAX_KEPT>> for Unmet {
    type Error = String;

    fn try_from(AtMost(all): AtMost<(String, Seen), MAX_KEPT>) -> Result<Self, String> {
        let is_too_long = |text: &str| text.chars().count() > MAX_MESSAGE;
        let too_long =
            |(expected, seen): &(String, Seen)| is_too_long(expected) || is_too_long(&seen.example);
        if all.iter().any(too_long) {
            return Err(format!("an expectation that is longer than {MAX_MESSAGE} characters"));
        }
        Ok(Self(all.into_iter().collect()))
    }
}

impl Unmet {
    /// Counts one: what was expected, and what was found.
    pub(super) fn count(&mut self, expected: &str, found: &str, id: &id::Text) {
        let expected = short(expected);
        match self.0.get_mut(&expected) {
            Some(seen) => seen.count += 1,
            None => {
                let request_id = String::from_utf8_lossy(id).into_owned();
                self.add(&expected, &Seen { count: 1, example: short(found), request_id });
            }
        }
    }

    /// Adds what another worker has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        for (expected, seen) in &other.0 {
            self.add(expected, seen);
        }
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was expected, and what was seen instead.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Seen)> {
        self.0.iter().map(|(expected, seen)| (expected.as_str(), seen))
    }

    /// How many replies were not as expected.
    #[must_use]
    pub fn replies(&self) -> u64 {
        self.0.values().fold(0, |sum, seen| sum.saturating_add(seen.count))
    }

    fn add(&mut self, expected: &str, more: &Seen) {
        let known = self.0.len() < MAX_EXPECTATIONS || self.0.contains_key(expected);
        let expected = if known { expected } else { OTHERS };
        match self.0.get_mut(expected) {
            Some(seen) => seen.count += more.count,
            None => {
                self.0.insert(expected.to_owned(), more.clone());
            }
        }
    }
}

/// As reports print it: servers choose what is in it.
fn short(text: &str) -> String {
    text.replace(char::is_control, "?").chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_is_the_example_and_expectations_are_bounded() {
        let mut unmet = Unmet::default();
        for number in 0..200_u8 {
            unmet.count(&format!("e{}", number % 100), &format!("found\n{number}"), &[number; id::LENGTH]);
        }
        assert_eq!((unmet.replies(), unmet.iter().count()), (200, MAX_KEPT));
        let (_, first) = unmet.iter().find(|(expected, _)| *expected == "e0").unwrap();
        assert_eq!((first.count, first.example.as_str()), (2, "found?0"));
        let mut twice = unmet.clone();
        twice.merge(&unmet);
        assert_eq!(twice.replies(), 400);
    }
}
