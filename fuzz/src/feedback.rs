//! What a target has met while it ran: an input that meets something for the first time is worth mutating further.

use std::{
    cell::RefCell,
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

thread_local! {
    static MET: RefCell<HashSet<u64>> = RefCell::default();
}

/// Says that something was met: an event, an error, one after another. What counts is that it differs.
pub fn met(what: impl Hash) {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    MET.with_borrow_mut(|met| met.insert(hasher.finish()));
}

/// Takes what was met on this thread since the last time.
#[must_use]
pub fn take() -> HashSet<u64> {
    MET.take()
}
