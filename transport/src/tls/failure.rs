//! Why a handshake has failed, in as many kinds as an operator can act on.

use std::io;

use rustls::{Error, InvalidMessage, PeerIncompatible};

/// Why a handshake has failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The client has closed its end, or reset the connection.
    #[error("the client has closed the connection")]
    Closed,
    /// What the client sent, or what it asks for.
    #[error(transparent)]
    Tls(#[from] Error),
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// The kinds of failure, few enough to count each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It closed the connection in the middle of the handshake.
    Closed,
    /// It took longer than it may.
    Timeout,
    /// What it sent is no TLS: plain HTTP, for one.
    NotTls,
    /// It offers no version that is spoken here.
    Version,
    /// It offers no application protocol that is spoken here (RFC 7301).
    Alpn,
    /// It offers no cipher suite, group or signature scheme that is known here.
    Incompatible,
    /// It has not shown the certificate that it must.
    NoCertificate,
    /// It has shown a certificate that is not trusted.
    BadCertificate,
    /// It said that it does not go on, for instance because it does not trust the server's certificate.
    Alert,
    /// It broke the protocol in another way.
    Protocol,
}

impl Reason {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 10] = [
        Self::Closed,
        Self::Timeout,
        Self::NotTls,
        Self::Version,
        Self::Alpn,
        Self::Incompatible,
        Self::NoCertificate,
        Self::BadCertificate,
        Self::Alert,
        Self::Protocol,
    ];

    /// A word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::NotTls => "not_tls",
            Self::Version => "version",
            Self::Alpn => "alpn",
            Self::Incompatible => "incompatible",
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate => "bad_certificate",
            Self::Alert => "alert",
            Self::Protocol => "protocol",
        }
    }
}

impl From<&Failure> for Reason {
    fn from(failure: &Failure) -> Self {
        let Failure::Tls(error) = failure else { return Self::Closed };
        match error {
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => Self::Version,
            Error::PeerIncompatible(_) => Self::Incompatible,
            Error::NoApplicationProtocol => Self::Alpn,
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(_) => Self::BadCertificate,
            Error::AlertReceived(_) => Self::Alert,
            _ => Self::Protocol,
        }
    }
}
