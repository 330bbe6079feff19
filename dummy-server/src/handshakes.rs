//! Counters of what comes before HTTP on a connection: TLS handshakes, and invalid PROXY headers.

use transport::{
    proxy_protocol::Error,
    tls::{Facts, Reason, Version},
};

use crate::{counter::Counter, named::named};

named! {
    /// Why a connection was closed before it came to HTTP or TLS.
    pub(crate) enum ProxyError {
        /// Its PROXY header breaks the rules, or breaks off.
        Malformed = "malformed",
        /// It is on behalf of a client of an address family or a transport that is not known.
        Unsupported = "unsupported",
        /// It has none and must.
        Missing = "missing",
        /// It has one that is longer than is read.
        TooLong = "too_long",
        /// The checksum of its header is wrong.
        Checksum = "checksum",
        /// Its header takes longer than it may.
        Timeout = "timeout",
    }
}

impl From<&Error> for ProxyError {
    fn from(error: &Error) -> Self {
        match error {
            Error::Malformed(_) => Self::Malformed,
            Error::Unsupported(..) => Self::Unsupported,
            Error::TooLong => Self::TooLong,
            Error::Checksum => Self::Checksum,
        }
    }
}

/// The counters of one worker.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// By version, and whether the session was resumed.
    completed: [[Counter; 2]; Version::ALL.len()],
    failures: [Counter; Reason::ALL.len()],
    proxy_errors: [Counter; ProxyError::ALL.len()],
}

impl Handshakes {
    /// Counts a handshake.
    pub(crate) fn complete(&self, facts: &Facts) {
        self.completed[facts.version as usize][usize::from(facts.resumed)].add(1);
    }

    /// Counts one that has failed.
    pub(crate) fn failure(&self, reason: Reason) {
        self.failures[reason as usize].add(1);
    }

    /// Counts a connection that was closed for its PROXY header, or for want of one.
    pub(crate) fn proxy_error(&self, error: ProxyError) {
        self.proxy_errors[error as usize].add(1);
    }

    /// How many were closed for this.
    #[must_use]
    pub(crate) fn proxy_errors(&self, error: ProxyError) -> u64 {
        self.proxy_errors[error as usize].get()
    }

    /// How many such handshakes there were.
    #[must_use]
    pub(crate) fn completed(&self, version: Version, resumed: bool) -> u64 {
        self.completed[version as usize][usize::from(resumed)].get()
    }

    /// How many have failed for this reason.
    #[must_use]
    pub(crate) fn failures(&self, reason: Reason) -> u64 {
        self.failures[reason as usize].get()
    }
}
