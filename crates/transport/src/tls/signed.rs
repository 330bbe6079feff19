//! Certificates without files, for tests of what is in front of a server: its own authority, which signs a
//! certificate for the server. Its key is never written anywhere.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Identity, SettingsError};

/// An authority that exists as long as the process.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one with an ECDSA key on P-256.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new() -> Result<Self, SettingsError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "dummy-server test CA");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key).map_err(failed)? })
    }

    /// The authority's certificate in PEM: what clients have to trust.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The same in DER.
    #[cfg(test)]
    pub(super) fn der(&self) -> rustls::pki_types::CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A certificate for a server of these names, which may be IP addresses.
    ///
    /// # Errors
    /// The system has no randomness. Names that no certificate can carry are left out.
    pub fn issue(&self, names: &[&str]) -> Result<Identity, SettingsError> {
        let able = |name: &&&str| CertificateParams::new(vec![(**name).to_owned()]).is_ok();
        let able: Vec<String> = names.iter().filter(able).map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(able).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "dummy-server");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Identity { chain: vec![certificate.der().clone()], key })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a mapping of errors takes it")]
fn failed(error: rcgen::Error) -> SettingsError {
    SettingsError::Unusable { what: "a certificate of our own", reason: error.to_string() }
}
