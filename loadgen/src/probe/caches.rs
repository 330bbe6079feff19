//! Replies that no server gave to the request they came for: a cache's, or another request's.

use std::collections::BTreeMap;

use contract::id::Id;

/// How many requests are remembered, the last ones: none is answered from a cache with one of long before.
const MAX_REQUESTS: usize = 4096;

/// What was asked for, by number.
#[derive(Debug, Default)]
pub(super) struct NumberedRequests(BTreeMap<u64, NumberedRequest>);

#[derive(Debug)]
struct NumberedRequest {
    is_safe: bool,
    target: String,
    has_ended: bool,
}

/// A reply that may be a cache's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) asked: Id,
    pub(super) came: Id,
    pub(super) has_age: bool,
}

impl NumberedRequests {
    pub(super) fn sent(&mut self, number: u64, method: &str, target: &str) {
        let request =
            NumberedRequest { is_safe: is_safe(method), target: target.to_owned(), has_ended: false };
        self.0.insert(number, request);
        if self.0.len() > MAX_REQUESTS {
            self.0.pop_first();
        }
    }

    /// Its reply has come whole.
    pub(super) fn ended(&mut self, number: u64) {
        if let Some(request) = self.0.get_mut(&number) {
            request.has_ended = true;
        }
    }

    /// Whether a reply to another request may be from a cache: it is that to a safe one of the same target, which came before it, or
    /// of another run.
    pub(super) fn hit(&self, method: &str, target: &str, asked: Id, came: Id, has_age: bool) -> Option<Hit> {
        let is_known = self
            .0
            .get(&came.number)
            .is_some_and(|request| request.is_safe && request.has_ended && request.target == target);
        let may_be = is_safe(method) && (came.run != asked.run || is_known);
        may_be.then_some(Hit { asked, came, has_age })
    }
}

fn is_safe(method: &str) -> bool {
    ["GET", "HEAD"].contains(&method)
}

/// How it is said that a reply is another request's.
pub(super) fn describe_crossed(asked: Id, came: Id) -> String {
    let of = if came.run == asked.run { "" } else { " of another run" };
    format!("the reply to request {} was that to request {}{of}", asked.number, came.number)
}
