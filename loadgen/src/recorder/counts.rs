//! Where each request has ended. The identities of the accounting hold for every run.

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// Where each request has ended: every one in exactly one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Became due.
    pub offered: u64,
    /// Answered 2xx, calls with OK, or with a status that is expected.
    pub succeeded: u64,
    /// Answered 3xx, which is not expected.
    pub redirects: u64,
    /// Answered 4xx.
    pub client_errors: u64,
    /// Answered 5xx or beyond.
    pub server_errors: u64,
    /// Calls that ended with a gRPC status other than OK, which is not expected.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub call_errors: u64,
    /// Failed below HTTP; or messages on WebSockets that came back wrong.
    pub transport_failed: u64,
    /// Took longer than the timeout.
    pub timed_out: u64,
    /// In flight when the run ended.
    pub unanswered: u64,
    /// Due beyond the limit, or not sent in time, and dropped.
    pub dropped: u64,
    /// Of those, how many had waited for longer than is allowed, or were picked up that late.
    #[serde(default)]
    pub dropped_late: u64,
    /// Due, and not one byte written before the run ended.
    pub not_sent: u64,
    /// Sent again; apart from all the others.
    pub resent: u64,
    /// Redirects that were followed; apart from all the others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redirects_followed: u64,
    /// Redirects that ended their chain: they lead to no target of the run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redirects_elsewhere: u64,
    /// Redirects that ended their chain: as many before them had been followed as may be.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redirects_beyond: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What an answer comes to.
#[derive(Clone, Copy, Debug)]
pub(super) enum ResponseClass {
    /// A success.
    Success,
    /// An unsuccessful gRPC status.
    CallError,
    /// This unsuccessful HTTP status.
    Other(u16),
}

impl Counts {
    /// Answered completely.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.succeeded + self.redirects + self.client_errors + self.server_errors + self.call_errors
    }

    /// Sent, or given to a connection that could not be made.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.completed() + self.transport_failed + self.timed_out + self.unanswered
    }

    /// 5xx, gRPC statuses other than OK, and whatever was sent and did not complete.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.server_errors + self.call_errors + self.transport_failed + self.timed_out + self.unanswered
    }

    /// Those that did not succeed, or not yet.
    #[must_use]
    pub fn unsuccessful(&self) -> u64 {
        self.offered.saturating_sub(self.succeeded)
    }

    /// Those that have not ended yet: in flight, or waiting to be sent.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.offered.saturating_sub(self.sent() + self.dropped + self.not_sent)
    }

    /// Whether each request has one place, and one only.
    #[must_use]
    pub fn add_up(&self) -> bool {
        self.offered == self.sent() + self.dropped + self.not_sent && self.dropped_late <= self.dropped
    }

    /// The count of requests with a response of this class.
    #[inline]
    pub(super) fn answered(&mut self, class: ResponseClass) -> &mut u64 {
        match class {
            ResponseClass::Success => &mut self.succeeded,
            ResponseClass::CallError => &mut self.call_errors,
            ResponseClass::Other(..400) => &mut self.redirects,
            ResponseClass::Other(400..500) => &mut self.client_errors,
            ResponseClass::Other(_) => &mut self.server_errors,
        }
    }

    /// Where a request counts that has ended so.
    pub(super) fn ended(
        &mut self,
        outcome: Outcome<'_>,
        answer: ResponseClass,
        was_written: bool,
    ) -> &mut u64 {
        match outcome {
            Outcome::Replied => self.answered(answer),
            Outcome::Failed(_) => &mut self.transport_failed,
            Outcome::TimedOut => &mut self.timed_out,
            Outcome::Abandoned if was_written => &mut self.unanswered,
            Outcome::Abandoned => &mut self.not_sent,
        }
    }

    /// The largest of all.
    pub(crate) fn largest(&self) -> u64 {
        let Self {
            offered,
            succeeded,
            redirects,
            client_errors,
            server_errors,
            call_errors,
            transport_failed,
            timed_out,
            unanswered,
            dropped,
            // Among those that were dropped.
            dropped_late: _,
            not_sent,
            resent,
            redirects_followed,
            redirects_elsewhere,
            redirects_beyond,
        } = *self;
        let completed = [succeeded, redirects, client_errors, server_errors, call_errors];
        let sent = completed.into_iter().chain([transport_failed, timed_out, unanswered]);
        let followed = [redirects_followed, redirects_elsewhere, redirects_beyond];
        sent.chain([offered, dropped, not_sent, resent]).chain(followed).fold(0, u64::max)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let Self {
            offered,
            succeeded,
            redirects,
            client_errors,
            server_errors,
            call_errors,
            transport_failed,
            timed_out,
            unanswered,
            dropped,
            dropped_late,
            not_sent,
            resent,
            redirects_followed,
            redirects_elsewhere,
            redirects_beyond,
        } = other;
        self.offered += offered;
        self.succeeded += succeeded;
        self.redirects += redirects;
        self.client_errors += client_errors;
        self.server_errors += server_errors;
        self.call_errors += call_errors;
        self.transport_failed += transport_failed;
        self.timed_out += timed_out;
        self.unanswered += unanswered;
        self.dropped += dropped;
        self.dropped_late += dropped_late;
        self.not_sent += not_sent;
        self.resent += resent;
        self.redirects_followed += redirects_followed;
        self.redirects_elsewhere += redirects_elsewhere;
        self.redirects_beyond += redirects_beyond;
    }
}
