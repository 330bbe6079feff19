//! The certificate that servers show over TLS in a run, and the authority that clients trust.

use std::{fs, path::Path};

use anyhow::Result;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

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
