//! Who answered: replies and response times by instance, as the instances name themselves.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    LONGEST,
    encoded::{self, AtMost},
};
use crate::clock::Nanos;

/// The maximum number of instances that are kept apart; the others count together as [`OTHERS`].
const MAX_BACKENDS: usize = 256;

/// With that of the others.
const MAX_KEPT: usize = MAX_BACKENDS + 1;

/// The longest name that is kept, in bytes.
const MAX_NAME: usize = 128;

/// What instances beyond the limit count under.
const OTHERS: &str = "(others)";

/// Digits that an instance's histogram keeps.
const DIGITS: u8 = 2;

/// What one instance has answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// Response times in nanoseconds; as many as replies.
    #[serde(with = "encoded::coarse")]
    pub response: Histogram<u64>,
}

/// All instances that have answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "AtMost<Backend, MAX_KEPT>", into = "Vec<Backend>")]
pub struct Backends {
    all: Vec<Backend>,
    /// The one that was named last, which the next reply most likely names again.
    last: usize,
}

impl From<Backends> for Vec<Backend> {
    fn from(backends: Backends) -> Self {
        backends.all
    }
}

impl TryFrom<AtMost<Backend, MAX_KEPT>> for Backends {
    type Error = String;

    fn try_from(AtMost(all): AtMost<Backend, MAX_KEPT>) -> Result<Self, String> {
        // What is not UTF-8 takes three bytes where it had one.
        if all.iter().any(|backend| backend.name.len() > 3 * MAX_NAME) {
            return Err(format!("an instance whose name is longer than {MAX_NAME} bytes"));
        }
        Ok(Self { all, last: 0 })
    }
}

impl Backends {
    /// The number of the instance of this name.
    pub(super) fn number(&mut self, name: &[u8]) -> u16 {
        let name = &name[..name.len().min(MAX_NAME)];
        if self.all.get(self.last).is_none_or(|backend| backend.name.as_bytes() != name) {
            self.last = self.find(&String::from_utf8_lossy(name));
        }
        self.last as u16
    }

    /// Leaves out those that were named and have not answered anything that counts; nothing is counted by number from then on.
    pub(super) fn forget_those_without_replies(&mut self) {
        self.all.retain(|backend| !backend.response.is_empty());
        self.last = 0;
    }

    /// Counts a number of replies.
    pub(super) fn replied(&mut self, number: u16, response: Nanos, count: u64) {
        let recorded = self.all[usize::from(number)].response.record_n(response.min(LONGEST), count);
        debug_assert!(recorded.is_ok(), "{recorded:?}: it grows as needed");
    }

    /// Adds what another worker has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for theirs in &other.all {
            let mine = self.find(&theirs.name);
            let added = self.all[mine].response.add(&theirs.response);
            debug_assert!(added.is_ok(), "{added:?}");
        }
    }

    /// All, by name.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Backend> {
        let mut all: Vec<_> = self.all.iter().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn find(&mut self, name: &str) -> usize {
        let place = |all: &[Backend], name: &str| all.iter().position(|backend| backend.name == name);
        let name =
            if self.all.len() < MAX_BACKENDS || place(&self.all, name).is_some() { name } else { OTHERS };
        place(&self.all, name).unwrap_or_else(|| {
            let response =
                Histogram::new(DIGITS).unwrap_or_else(|error| unreachable!("{DIGITS} digits: {error}"));
            self.all.push(Backend { name: name.to_owned(), response });
            self.all.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_by_name_and_names_are_bounded() {
        let mut backends = Backends::default();
        for number in 0..1000u32 {
            let number = backends.number(format!("pod-{:04}", number % 500).as_bytes());
            backends.replied(number, 1000, 1);
        }
        let all = backends.sorted();
        assert_eq!(all.len(), MAX_BACKENDS + 1);
        assert_eq!(all[0].name, OTHERS);
        assert_eq!(all[0].response.len(), (500 - MAX_BACKENDS as u64) * 2);
        assert_eq!((all[1].name.as_str(), all[1].response.len()), ("pod-0000", 2));
        assert!(all[1].response.equivalent(all[1].response.value_at_quantile(0.5), 1000));
    }
}
