//! What happened to each of a mix's requests, by their names.

use std::{collections::BTreeMap, sync::Arc};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{
    LONGEST,
    by_status::STATUSES,
    encoded::{self, AtMost},
    plausible::is_printable,
};
use crate::{
    clock::Nanos,
    plan::{MAX_NAME, MAX_NAMES, Names},
};

/// What names beyond the limit count under.
const OTHERS: &str = "(others)";

/// With that of the others.
const MAX_KEPT: usize = MAX_NAMES + 1;

/// Digits that the histogram of a request keeps.
const DIGITS: u8 = 2;

/// What happened to the requests of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRecords {
    /// Its name.
    pub name: String,
    /// Became due.
    pub offered: u64,
    /// Answered completely.
    pub completed: u64,
    /// Answered with a status that is a success.
    pub succeeded: u64,
    /// Answered, and not as the plan expects.
    pub unmet: u64,
    /// Replies by status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub statuses: BTreeMap<u16, u64>,
    /// Due to last byte, of those that succeeded, in nanoseconds.
    #[serde(with = "encoded::coarse")]
    pub response: Histogram<u64>,
}

/// All of them; none where one request is sent alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "AtMost<RequestRecords, MAX_KEPT>", into = "Vec<RequestRecords>")]
pub struct ByRequest {
    all: Vec<RequestRecords>,
    /// The index of each request's name.
    of_request: Arc<[u16]>,
}

impl From<ByRequest> for Vec<RequestRecords> {
    fn from(requests: ByRequest) -> Self {
        requests.all
    }
}

impl TryFrom<AtMost<RequestRecords, MAX_KEPT>> for ByRequest {
    type Error = String;

    fn try_from(AtMost(all): AtMost<RequestRecords, MAX_KEPT>) -> Result<Self, String> {
        Ok(Self { all, of_request: Arc::default() })
    }
}

impl ByRequest {
    /// Of requests with these names.
    pub(super) fn of(names: &Names) -> Self {
        let all = names.all.iter().map(|name| RequestRecords::new(name)).collect();
        Self { all, of_request: Arc::clone(&names.of_request) }
    }

    /// Whether there is only one request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All, as the plan has them.
    pub fn iter(&self) -> impl Iterator<Item = &RequestRecords> {
        self.all.iter()
    }

    /// That of the request with this index.
    #[inline]
    pub(super) fn get(&mut self, request: u32) -> Option<&mut RequestRecords> {
        let name = *self.of_request.get(request as usize)?;
        self.all.get_mut(usize::from(name))
    }

    /// The name of the request with this index.
    pub(super) fn name(&self, request: u32) -> Option<&str> {
        let name = *self.of_request.get(request as usize)?;
        self.all.get(usize::from(name)).map(|own| own.name.as_str())
    }

    /// Adds what another worker has recorded.
    pub(super) fn merge(&mut self, other: &Self) {
        for theirs in &other.all {
            let place = |all: &[RequestRecords], name: &str| all.iter().position(|own| own.name == name);
            let has_room = self.all.len() < MAX_NAMES;
            let name = match place(&self.all, &theirs.name) {
                None if !has_room => OTHERS,
                _ => &theirs.name,
            };
            let mine = place(&self.all, name).unwrap_or_else(|| {
                self.all.push(RequestRecords::new(name));
                self.all.len() - 1
            });
            let mine = &mut self.all[mine];
            mine.offered += theirs.offered;
            mine.completed += theirs.completed;
            mine.succeeded += theirs.succeeded;
            mine.unmet += theirs.unmet;
            for (status, count) in &theirs.statuses {
                *mine.statuses.entry(*status).or_default() += count;
            }
            super::times::add(&mut mine.response, &theirs.response);
        }
    }

    /// Whether reports can show them, beside the requests in all: what was read may hold anything.
    pub(super) fn is_plausible(&self, offered: u64) -> bool {
        let sum = self.all.iter().try_fold(0_u64, |sum, own| sum.checked_add(own.offered));
        (self.all.is_empty() || sum == Some(offered))
            && self.all.iter().all(|own| {
                own.has_plausible_statuses()
                    && own.succeeded <= own.completed
                    && own.completed <= own.offered
                    && own.unmet <= own.completed
                    && own.response.len() == own.succeeded
                    && is_printable(&own.name, MAX_NAME)
            })
    }
}

impl RequestRecords {
    fn new(name: &str) -> Self {
        let response =
            Histogram::new(DIGITS).unwrap_or_else(|error| unreachable!("{DIGITS} digits: {error}"));
        let (offered, completed, succeeded, unmet) = (0, 0, 0, 0);
        let statuses = BTreeMap::new();
        Self { name: name.to_owned(), offered, completed, succeeded, unmet, statuses, response }
    }

    /// Whether no more replies have a status than there are; reports of before have no statuses.
    fn has_plausible_statuses(&self) -> bool {
        let sum = self.statuses.values().try_fold(0_u64, |sum, count| sum.checked_add(*count));
        sum.is_some_and(|sum| sum <= self.completed)
            && self.statuses.keys().all(|status| usize::from(*status) < STATUSES)
    }

    /// Those that did not succeed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.offered.saturating_sub(self.succeeded)
    }

    /// A number of requests were answered at the same time.
    pub(super) fn replied(&mut self, status: u16, response: Nanos, is_success: bool, count: u64) {
        self.offered += count;
        self.completed += count;
        *self.statuses.entry(status.min(STATUSES as u16 - 1)).or_default() += count;
        if is_success {
            self.succeeded += count;
            let recorded = self.response.record_n(response.min(LONGEST), count);
            debug_assert!(recorded.is_ok(), "{recorded:?}: it grows as needed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Names {
        let all: Vec<_> = (0..count).map(|number| format!("n{number}")).collect();
        Names { all: all.into(), of_request: (0..count as u16).collect() }
    }

    #[test]
    fn requests_are_merged_by_name_and_names_are_bounded() {
        let (mut one, mut other) = (ByRequest::of(&names(3)), ByRequest::of(&names(MAX_NAMES)));
        one.get(2).unwrap().replied(200, 5, true, 4);
        other.get(2).unwrap().replied(503, 5, false, 3);
        other.get(63).unwrap().replied(200, 7, true, 2);
        assert!(one.get(3).is_none() && ByRequest::default().get(0).is_none());
        one.merge(&other);
        let found: Vec<_> = one.iter().map(|own| (own.offered, own.succeeded, own.failed())).collect();
        assert_eq!((one.iter().count(), found[2], found[63]), (MAX_NAMES, (7, 4, 3), (2, 2, 0)));
        assert!(one.is_plausible(9) && !one.is_plausible(10));
        assert_eq!(one.all[2].statuses, BTreeMap::from([(200, 4), (503, 3)]));
        let mut wrong = one.clone();
        wrong.all[2].statuses.insert(204, 1);
        assert!(!wrong.is_plausible(9), "more statuses than replies");
        let mut more = ByRequest::of(&Names { all: ["x".to_owned()].into(), of_request: [0].into() });
        more.get(0).unwrap().replied(200, 1, true, 1);
        one.merge(&more);
        one.merge(&more);
        let last = one.iter().last().unwrap();
        assert_eq!((one.iter().count(), last.name.as_str(), last.offered), (MAX_KEPT, OTHERS, 2));
    }
}
