//! How often requests were seen that were seen more than once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MAX_ENTRIES;

/// A request's number and attempt.
pub(super) type Key = (u64, u8);

/// How often requests were seen, where that was more than once, or where none of it is in the pages as it was refused. What is in
/// neither was not seen; what is in the pages alone, or among further attempts, was seen once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenAgain {
    /// Number, attempt and how often, in this order: those of the lowest numbers, at most [`MAX_ENTRIES`].
    pub counts: Vec<(u64, u8, u32)>,
    /// The first number from which on these are not all; none if they are.
    pub end: Option<u64>,
}

impl SeenAgain {
    /// Of these, in the order of their numbers and attempts, of which those from `end` on are not all.
    #[must_use]
    pub fn of(all: impl IntoIterator<Item = ((u64, u8), u32)>, mut end: Option<u64>) -> Self {
        let mut counts: Vec<(u64, u8, u32)> = Vec::new();
        for ((number, attempt), count) in all {
            if end.is_some_and(|end| number >= end) {
                break;
            }
            if counts.len() == MAX_ENTRIES {
                end = Some(number);
                // Of a number, all attempts are known or none.
                counts.retain(|(other, ..)| *other < number);
                break;
            }
            counts.push((number, attempt, count));
        }
        Self { counts, end }
    }

    /// Of a server that does not say so.
    #[must_use]
    pub fn unknown() -> Self {
        Self { counts: Vec::new(), end: Some(0) }
    }

    /// By number and attempt.
    #[must_use]
    pub fn by_request(&self) -> BTreeMap<(u64, u8), u32> {
        self.counts.iter().map(|(number, attempt, count)| ((*number, *attempt), *count)).collect()
    }

    /// How often each was seen that is in one of two lists; `mine` and `theirs` say whether one that is in the other list alone was
    /// seen.
    pub(super) fn beside(
        &self,
        other: &Self,
        mine: impl Fn(&Key) -> bool,
        theirs: impl Fn(&Key) -> bool,
    ) -> BTreeMap<Key, u32> {
        let (own, others) = (self.by_request(), other.by_request());
        let only_others = others.iter().filter(|(key, _)| !own.contains_key(key));
        let only_others = only_others.map(|(key, count)| (*key, count.saturating_add(mine(key).into())));
        let sum = own.iter().map(|(key, count)| {
            let more = others.get(key).copied().unwrap_or_else(|| theirs(key).into());
            (*key, count.saturating_add(more))
        });
        sum.chain(only_others).collect()
    }
}

/// The lower one of two ends.
pub(super) fn nearer(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_not_known_with_any_of_its_attempts() {
        let many = |count: u64| (0..count).flat_map(|number| [((number, 0), 2), ((number, 1), 3)]);
        let whole = SeenAgain::of(many(512), None);
        assert_eq!((whole.counts.len(), whole.end), (MAX_ENTRIES, None));
        let cut = SeenAgain::of(std::iter::once(((0, 2), 1)).chain(many(600).skip(2)), None);
        assert_eq!((cut.counts.len(), cut.end), (MAX_ENTRIES - 1, Some(512)));
        assert_eq!(SeenAgain::of(many(600), Some(2)).counts, [(0, 0, 2), (0, 1, 3), (1, 0, 2), (1, 1, 3)]);
    }
}
