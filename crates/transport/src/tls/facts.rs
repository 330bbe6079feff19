//! What a handshake has agreed on.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::{HandshakeKind, ProtocolVersion, pki_types::CertificateDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl Version {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 2] = [Self::Tls12, Self::Tls13];

    /// The name that OpenSSL, nginx and others print.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

/// What a handshake has agreed on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The version.
    pub version: Version,
    /// The application protocol (RFC 7301); none where one side has offered none.
    pub alpn: Option<Box<[u8]>>,
    /// The name that the client asked for (RFC 6066 section 3).
    pub sni: Option<Box<str>>,
    /// The cipher suite, by its name in IANA's registry.
    pub cipher: String,
    /// The session is an earlier one's, by a ticket.
    pub resumed: bool,
    /// Who the client is, as the server knows; for a resumed session, who it was in the earlier one.
    pub client: Option<ClientCertificate>,
}

/// A client's certificate, which was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The distinguished name, such as `CN=client, O=Example`, in the certificate's order.
    pub subject: String,
    /// SHA-256 of the certificate in DER, in hexadecimal digits.
    pub fingerprint: String,
}

impl Facts {
    /// Of a connection whose handshake is done.
    pub(super) fn of(
        connection: &rustls::CommonState,
        sni: Option<Box<str>>,
        client: Option<ClientCertificate>,
    ) -> Self {
        let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
        let cipher = suite.and_then(|suite| suite.as_str()).unwrap_or("unknown");
        Self {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
                // The only other one that rustls speaks.
                _ => Version::Tls12,
            },
            alpn: connection.alpn_protocol().map(Into::into),
            sni,
            // rustls has its own prefix for the suites of TLS 1.3.
            cipher: cipher.replace("TLS13_", "TLS_"),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            client,
        }
    }
}

impl ClientCertificate {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let parsed = X509Certificate::from_der(certificate);
        let hash = digest(&SHA256, certificate);
        Self {
            subject: parsed.map(|(_, parsed)| parsed.subject().to_string()).unwrap_or_default(),
            fingerprint: hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}
