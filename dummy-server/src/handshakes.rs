//! Counters of what comes before HTTP on a connection: TLS handshakes, and invalid PROXY headers.

use transport::{
    proxy_protocol::Error,
    tls::{Reason, Version},
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
    /// Handshakes, by version and whether the session was resumed.
    pub(crate) completed: [[Counter; 2]; Version::ALL.len()],
    /// Those that have failed, by reason.
    pub(crate) failures: [Counter; Reason::ALL.len()],
    /// Connections that were closed for their PROXY header, or for want of one.
    pub(crate) proxy_errors: [Counter; ProxyError::ALL.len()],
}
