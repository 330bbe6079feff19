//! What a client offers in its handshakes, which servers it trusts, and why it does not trust one.

use std::{io, path::PathBuf, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, Error, KeyLogFile, RootCertStore,
    SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::{TLS12, TLS13},
};

use super::{
    ClientConfig, Failure, Identity, Reason, SettingsError, Version,
    settings::{certificates, unusable},
};

/// Sessions that are kept to be resumed.
const SESSIONS: usize = 1024;

/// Which servers a client trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those whose certificates lead to an authority of this system.
    System,
    /// Those whose certificates lead to one in this file, in PEM.
    File(PathBuf),
    /// All of them.
    Anyone,
}

/// What a client offers and asks for.
#[derive(Debug)]
pub struct ClientSettings {
    /// Which servers it trusts.
    pub trust: Trust,
    /// Who it is, for servers that ask.
    pub identity: Option<Identity>,
    /// The lowest version that it accepts.
    pub min_version: Version,
    /// Whether sessions are resumed.
    pub resumption: bool,
}

impl ClientSettings {
    /// What connections are begun with; no application protocols are offered by it.
    ///
    /// With the variable `SSLKEYLOGFILE`, secrets are appended to the file that it names, for programs that decrypt what was
    /// captured.
    ///
    /// # Errors
    /// Authorities can't be read or there are none, or the key is not the certificate's.
    pub fn build(self) -> Result<ClientConfig, SettingsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: &[_] = match self.min_version {
            Version::Tls12 => &[&TLS12, &TLS13],
            Version::Tls13 => &[&TLS13],
        };
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(unusable("the versions"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier(&self.trust, &provider)?);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => builder
                .with_client_auth_cert(chain, key)
                .map_err(unusable("the client's certificate and its key"))?,
        };
        config.resumption =
            if self.resumption { Resumption::in_memory_sessions(SESSIONS) } else { Resumption::disabled() };
        config.key_log = Arc::new(KeyLogFile::new());
        Ok(Arc::new(config))
    }
}

/// The same with these application protocols; sessions are shared.
#[must_use]
pub fn with_alpn(config: &ClientConfig, protocols: &[&[u8]]) -> ClientConfig {
    let mut config = rustls::ClientConfig::clone(config);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// A name to ask a server for: a host name or an address. None if it can't be one.
#[must_use]
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}

fn verifier(
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, SettingsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Anyone => return Ok(Arc::new(AnyServer(Arc::clone(provider)))),
        Trust::File(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(unusable("the authorities"))?;
            }
        }
        Trust::System => {
            // Some of a system's may be of a kind that is not known here.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let no_roots = "this system has none";
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| SettingsError::Unusable {
            what: "the authorities that servers' certificates lead to",
            reason: if *trust == Trust::System { no_roots.to_owned() } else { error.to_string() },
        })?;
    Ok(verifier)
}

/// Trusts any server that has the key of the certificate that it presents.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Why a client's handshake has failed, in the kinds that one does something different about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The server's certificate leads to no authority that is trusted.
    Untrusted,
    /// It has expired, or is not valid yet.
    Expired,
    /// It is of another name.
    WrongName,
    /// It is that of an authority, which may be trusted, and shows no server.
    Authority,
    /// It can't be used for another reason.
    BadCertificate,
    /// The server speaks none of the application protocols that were offered.
    Alpn,
    /// What the server sent is not TLS.
    NotTls,
    /// The server wants a certificate of the client, or another one.
    ClientCertificate,
    /// No common version, cipher suite or group.
    Incompatible,
    /// The server closed the connection in the middle.
    Closed,
    /// Anything else.
    Other,
}

impl Problem {
    /// What an error of a stream means if it is one of TLS: a server may refuse a client's certificate when the handshake
    /// is over for the client.
    #[must_use]
    pub fn of_io(error: &io::Error) -> Option<Self> {
        let error = error.get_ref()?.downcast_ref::<Error>()?;
        Some(Self::from(&Failure::from(error.clone())))
    }
}

impl From<&Failure> for Problem {
    fn from(failure: &Failure) -> Self {
        let Failure::Tls(error) = failure else {
            return match failure {
                Failure::Closed => Self::Closed,
                Failure::CertificateVersion => Self::BadCertificate,
                Failure::NotTls(..) => Self::NotTls,
                Failure::ServerName(_) | Failure::Tls(_) => Self::Other,
            };
        };
        match error {
            Error::InvalidCertificate(error) => match error {
                // An authority of this name is trusted, and it is another one.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Untrusted,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Expired,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::WrongName
                }
                CertificateError::Other(rustls::OtherError(inner))
                    if inner.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) =>
                {
                    Self::Authority
                }
                _ => Self::BadCertificate,
            },
            Error::NoApplicationProtocol | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                Self::Alpn
            }
            Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::AccessDenied,
            ) => Self::ClientCertificate,
            Error::AlertReceived(
                AlertDescription::ProtocolVersion
                | AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity,
            ) => Self::Incompatible,
            _ => match Reason::from(failure) {
                Reason::NotTls => Self::NotTls,
                Reason::Version | Reason::Incompatible => Self::Incompatible,
                _ => Self::Other,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tls::Authority;

    fn settings(trust: Trust) -> ClientSettings {
        ClientSettings { trust, identity: None, min_version: Version::Tls12, resumption: true }
    }

    #[test]
    fn a_file_without_authorities_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, missing) = (folder.path().join("empty.pem"), folder.path().join("missing.pem"));
        fs::write(&empty, "none").unwrap();
        let said = |path| settings(Trust::File(path)).build().unwrap_err().to_string();
        assert!(said(empty).ends_with("empty.pem holds no certificate in PEM"));
        assert!(said(missing).starts_with("can't read "));
    }

    #[test]
    fn protocols_are_offered_as_asked_and_sessions_are_shared() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        fs::write(&file, Authority::new().unwrap().pem()).unwrap();
        let config = settings(Trust::File(file)).build().unwrap();
        assert!(config.alpn_protocols.is_empty());
        assert_eq!(with_alpn(&config, &[b"h2", b"http/1.1"]).alpn_protocols, [&b"h2"[..], b"http/1.1"]);
    }

    #[test]
    fn names_and_addresses_can_be_asked_for_and_nothing_else() {
        for host in ["localhost", "example.com", "127.0.0.1", "::1"] {
            assert!(server_name(host).is_some(), "{host}");
        }
        for host in ["", "a b", "localhost:8443", "[::1]"] {
            assert!(server_name(host).is_none(), "{host}");
        }
    }
}
