//! How long connections live, how fast they are opened, and what is retried when one breaks.

use std::{num::NonZeroU64, time::Duration};

use command_line::Refusal;

use super::{
    PlanError,
    accepted::{self, refused},
    load_options::longer_than_zero,
};

/// The maximum number of requests for each connection that is accepted.
pub const MAX_REQUESTS_PER_CONNECTION: u64 = 1_000_000_000_000_000;

/// The maximum number of connections per second that is accepted.
pub const MAX_CONNECTIONS_PER_SECOND: f64 = 1_000_000.0;

/// The fewest connections per second that are accepted.
pub const MIN_CONNECTIONS_PER_SECOND: f64 = 0.001;

/// What is retried after its connection broke or its server refused it. A request that has not left goes another way in
/// any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retry {
    /// Nothing.
    None,
    /// What the server says it has not processed (RFC 9113 section 8.7), and nothing else.
    Unprocessed,
    /// What the server says it has not processed (RFC 9113 section 8.7), and, over HTTP/1.1, a request with a safe method
    /// (RFC 9110 section 9.2.1) of which nothing came back on a connection that was in use before.
    #[default]
    Safe,
    /// The same, with idempotent methods in place of safe ones (RFC 9110 section 9.2.2).
    Idempotent,
}

impl Retry {
    /// As it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unprocessed => "unprocessed",
            Self::Safe => "safe",
            Self::Idempotent => "idempotent",
        }
    }

    /// Whether a request with this method is retried although the server may have seen it.
    #[must_use]
    pub fn unseen(self, method: &http::Method) -> bool {
        match self {
            Self::None | Self::Unprocessed => false,
            Self::Safe => method.is_safe(),
            Self::Idempotent => method.is_idempotent(),
        }
    }

    /// Whether a request is retried that the server says it has not processed.
    #[must_use]
    pub fn unprocessed(self) -> bool {
        self != Self::None
    }
}

/// What a connection comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lifetime {
    /// Requests for each connection.
    pub requests: Option<NonZeroU64>,
    /// How long a connection takes requests, from when it is open.
    pub age: Option<Duration>,
    /// Connections opened per second, at most.
    pub per_second: Option<f64>,
    /// What is retried.
    pub retry: Retry,
}

impl Lifetime {
    pub(super) fn new(wanted: &LifetimeOptions) -> Result<Self, PlanError> {
        let requests = match (wanted.requests, wanted.keep_alive) {
            (Some(_), false) => {
                let shown = "--requests-per-connection and --no-keepalive exclude each other";
                return Err(PlanError(Refusal::new(shown, "one of them", "--requests-per-connection=1")));
            }
            (None, false) => Some(NonZeroU64::MIN),
            (None, true) => None,
            (Some(count), true) => {
                let known = NonZeroU64::new(count).filter(|count| count.get() <= MAX_REQUESTS_PER_CONNECTION);
                Some(known.ok_or_else(|| refused(&accepted::REQUESTS_PER_CONNECTION, count))?)
            }
        };
        let per_second = wanted.per_second.map(|rate| {
            let is_known = (MIN_CONNECTIONS_PER_SECOND..=MAX_CONNECTIONS_PER_SECOND).contains(&rate);
            if is_known { Ok(rate) } else { Err(refused(&accepted::CONNECTIONS_PER_SECOND, rate)) }
        });
        Ok(Self {
            requests,
            age: wanted.age.map(|age| longer_than_zero(&accepted::CONNECTION_AGE, age)).transpose()?,
            per_second: per_second.transpose()?,
            retry: wanted.retry,
        })
    }

    /// The same, with nothing retried that the server may have seen.
    pub(super) fn sending_nothing_unseen_again(self) -> Self {
        let retry = match self.retry {
            Retry::None => Retry::None,
            Retry::Safe | Retry::Idempotent | Retry::Unprocessed => Retry::Unprocessed,
        };
        Self { retry, ..self }
    }

    /// The same over HTTP/1.0, where a connection has one request unless all ask the server to keep it.
    pub(super) fn of_http10(self, kept: bool) -> Self {
        Self { requests: if kept { self.requests } else { Some(NonZeroU64::MIN) }, ..self }
    }

    /// Whether each connection has one request.
    #[must_use]
    pub fn is_one_request(&self) -> bool {
        self.requests == Some(NonZeroU64::MIN)
    }
}

/// What is wanted, before it is checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct LifetimeOptions {
    pub(super) requests: Option<u64>,
    pub(super) keep_alive: bool,
    pub(super) age: Option<Duration>,
    pub(super) per_second: Option<f64>,
    pub(super) retry: Retry,
}

impl Default for LifetimeOptions {
    fn default() -> Self {
        Self { requests: None, keep_alive: true, age: None, per_second: None, retry: Retry::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_retried_depends_on_the_policy_and_the_method() {
        use http::Method;
        for (retry, unprocessed, get, put, post) in [
            (Retry::None, false, false, false, false),
            (Retry::Unprocessed, true, false, false, false),
            (Retry::Safe, true, true, false, false),
            (Retry::Idempotent, true, true, true, false),
        ] {
            assert_eq!(retry.unprocessed(), unprocessed);
            let unseen = [Method::GET, Method::PUT, Method::POST].map(|method| retry.unseen(&method));
            assert_eq!(unseen, [get, put, post], "{retry:?}");
        }
    }

    #[test]
    fn limits_are_kept_at_their_ends() {
        let new = |wanted| Lifetime::new(&wanted).is_ok();
        for (requests, taken) in [
            (0, false),
            (1, true),
            (MAX_REQUESTS_PER_CONNECTION, true),
            (MAX_REQUESTS_PER_CONNECTION + 1, false),
        ] {
            assert_eq!(
                new(LifetimeOptions { requests: Some(requests), ..LifetimeOptions::default() }),
                taken,
                "{requests}"
            );
        }
        for (per_second, taken) in [
            (0.0, false),
            (0.001, true),
            (1e6, true),
            (1.1e6, false),
            (f64::NAN, false),
            (f64::INFINITY, false),
        ] {
            assert_eq!(
                new(LifetimeOptions { per_second: Some(per_second), ..LifetimeOptions::default() }),
                taken,
                "{per_second}"
            );
        }
        assert!(!new(LifetimeOptions { age: Some(Duration::ZERO), ..LifetimeOptions::default() }));
        assert!(!new(LifetimeOptions { requests: Some(2), keep_alive: false, ..LifetimeOptions::default() }));
    }
}
