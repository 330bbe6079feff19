//! Why a handshake has failed, in kinds that an operator can act on.

use std::io;

use rustls::{CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible, PeerMisbehaved};

use super::hello;

/// How many bytes are kept of what is not TLS: enough to recognize what else it is.
const FIRST: usize = 32;

/// Why a handshake has failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The peer has closed its end, or reset the connection.
    #[error("the peer has closed the connection")]
    Closed,
    /// The name that the client asks for (SNI) can't be one of a server, such as `localhost:8443`; the name, where it
    /// was found.
    #[error(
        "invalid server name {0:?} (SNI): a host name without a port is accepted, such as \"example.com\""
    )]
    ServerName(String),
    /// The peer's certificate is of an old kind, as openssl makes them without extensions.
    #[error("the peer's certificate is not X.509 version 3, the only version accepted")]
    CertificateVersion,
    /// What the peer sent is not TLS; how it begins.
    #[error("{0}")]
    NotTls(Error, Box<[u8]>),
    /// What the peer sent, or what it asks for.
    #[error(transparent)]
    Tls(Error),
}

impl Failure {
    /// Of a handshake whose last bytes of the peer are these.
    pub(super) fn of(error: Error, input: &[u8]) -> Self {
        match error {
            Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName)
            | Error::InvalidMessage(InvalidMessage::InvalidServerName) => {
                let name = hello::server_name(input).unwrap_or_default();
                Self::ServerName(String::from_utf8_lossy(name).into_owned())
            }
            error if is_not_tls(&error) => Self::NotTls(error, input[..input.len().min(FIRST)].into()),
            error => error.into(),
        }
    }
}

fn is_not_tls(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion)
    )
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(inner)))
                if inner.downcast_ref() == Some(&webpki::Error::UnsupportedCertVersion) =>
            {
                Self::CertificateVersion
            }
            _ => Self::Tls(error),
        }
    }
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
    /// What it sent is not TLS: plain HTTP, for one.
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
    /// It has shown a certificate that is not X.509 version 3.
    CertificateVersion,
    /// It asks for a server by a name that can't be one (RFC 6066 section 3).
    ServerName,
    /// It said that it does not go on, for instance because it does not trust the server's certificate.
    Alert,
    /// It broke the protocol in another way.
    Protocol,
}

impl Reason {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 12] = [
        Self::Closed,
        Self::Timeout,
        Self::NotTls,
        Self::Version,
        Self::Alpn,
        Self::Incompatible,
        Self::NoCertificate,
        Self::BadCertificate,
        Self::CertificateVersion,
        Self::ServerName,
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
            Self::CertificateVersion => "certificate_version",
            Self::ServerName => "server_name",
            Self::Alert => "alert",
            Self::Protocol => "protocol",
        }
    }
}

impl From<&Failure> for Reason {
    fn from(failure: &Failure) -> Self {
        let error = match failure {
            Failure::Closed => return Self::Closed,
            Failure::ServerName(_) => return Self::ServerName,
            Failure::CertificateVersion => return Self::CertificateVersion,
            Failure::NotTls(..) => return Self::NotTls,
            Failure::Tls(error) => error,
        };
        match error {
            error if is_not_tls(error) => Self::NotTls,
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
