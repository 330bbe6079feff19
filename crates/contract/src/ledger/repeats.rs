//! What was seen again, by how it had ended before.

use serde::{Deserialize, Serialize};

use super::{End, Entry, State};

/// Sightings of what had been seen before, by how that had ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeats {
    /// It had been refused before processing.
    pub after_refusal: u64,
    /// It had failed: a reply of 5xx, or one that was broken off.
    pub after_failure: u64,
    /// It had been answered.
    pub after_success: u64,
    /// It had not ended.
    pub concurrent: u64,
}

impl Repeats {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        let kinds = [self.after_refusal, self.after_failure, self.after_success, self.concurrent];
        kinds.into_iter().fold(0, u64::saturating_add)
    }

    /// Adds others.
    pub fn add(&mut self, others: &Self) {
        self.after_refusal = self.after_refusal.saturating_add(others.after_refusal);
        self.after_failure = self.after_failure.saturating_add(others.after_failure);
        self.after_success = self.after_success.saturating_add(others.after_success);
        self.concurrent = self.concurrent.saturating_add(others.concurrent);
    }
}

/// How a request had ended when it was seen again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It had been refused before processing.
    AfterRefusal,
    /// It had failed.
    AfterFailure,
    /// It had been answered.
    AfterSuccess,
    /// It had not ended.
    Concurrent,
}

impl Repeat {
    /// Of two sightings in different places, by their times.
    #[must_use]
    pub fn between(one: &Entry, other: &Entry) -> Self {
        let (first, second) = if one.received_ns <= other.received_ns { (one, other) } else { (other, one) };
        match first.end {
            End::Open => Self::Concurrent,
            _ if first.ended_ns > second.received_ns => Self::Concurrent,
            End::Refused => Self::AfterRefusal,
            _ if first.state() == State::WHOLE => Self::AfterSuccess,
            _ => Self::AfterFailure,
        }
    }

    /// For two sightings whose times have been forgotten.
    #[must_use]
    pub fn guessed(one: State, other: State) -> Self {
        match one.min(other) {
            State::WHOLE => Self::AfterSuccess,
            State::FAILED => Self::AfterFailure,
            _ => Self::Concurrent,
        }
    }

    /// Counts one.
    pub fn count(self, repeats: &mut Repeats) {
        *self.among(repeats) += 1;
    }

    /// Takes one back that was counted, and turns out to be none.
    pub fn uncount(self, repeats: &mut Repeats) {
        let count = self.among(repeats);
        *count = count.saturating_sub(1);
    }

    fn among(self, repeats: &mut Repeats) -> &mut u64 {
        match self {
            Self::AfterRefusal => &mut repeats.after_refusal,
            Self::AfterFailure => &mut repeats.after_failure,
            Self::AfterSuccess => &mut repeats.after_success,
            Self::Concurrent => &mut repeats.concurrent,
        }
    }
}
