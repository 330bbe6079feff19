//! The certificate that servers show over TLS in a run, and whom clients trust.

use std::{fs, path::Path, sync::Arc};

use anyhow::Result;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, PeerIncompatible, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

/// The file of the certificate, in PEM.
pub const CERTIFICATE: &str = "tls.pem";
/// The file of its key, in PEM.
pub const KEY: &str = "tls.key";
/// Whom it is for.
pub const NAME: &str = "localhost";

/// Writes a certificate with an ECDSA key on P-256, and the key, to `dir`.
///
/// # Errors
/// It cannot be made or written.
pub fn write(dir: &Path) -> Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = CertificateParams::new([NAME.to_owned()])?.self_signed(&key)?;
    fs::write(dir.join(CERTIFICATE), certificate.pem())?;
    Ok(fs::write(dir.join(KEY), key.serialize_pem())?)
}

/// Trusts who shows the certificate in `dir` and signs with its key, as clients should.
///
/// # Errors
/// There is no certificate.
pub fn verified(dir: &Path) -> Result<Arc<dyn ServerCertVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join(CERTIFICATE))?)?;
    let provider = Arc::new(default_provider());
    Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?)
}

/// Trusts any server that presents the certificate in `dir`, and looks at no signature: to verify takes longer than to
/// sign, and the client would set the rate. For servers that have signed well before.
///
/// # Errors
/// There is no certificate.
pub fn known(dir: &Path) -> Result<Arc<dyn ServerCertVerifier>> {
    Ok(Arc::new(Known(CertificateDer::from_pem_file(dir.join(CERTIFICATE))?)))
}

#[derive(Debug)]
struct Known(CertificateDer<'static>);

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
