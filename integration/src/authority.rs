//! Certificates for tests of TLS: an authority, and what it signs, as files.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256,
};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Kinds of keys.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA of 2048 bits.
    Rsa,
}

/// An authority with a folder for what it signs.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Those between the root and this one.
    chain: String,
    directory: TempDir,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Issued {
    /// The certificate and those above it except for the root, in PEM.
    pub chain: PathBuf,
    /// The key, in PEM.
    pub key: PathBuf,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl Issued {
    /// What a client shows.
    #[must_use]
    pub fn shown(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.certificate.clone()], PrivatePkcs8KeyDer::from(self.key_der.clone()).into())
    }
}

impl Authority {
    /// A root.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn root() -> Self {
        let issuer = CertifiedIssuer::self_signed(ca("test root"), key(Key::Ecdsa)).expect("a root");
        Self { issuer, chain: String::new(), directory: directory() }
    }

    /// An authority that this one has signed.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn intermediate(&self) -> Self {
        let params = ca("test intermediate");
        let issuer =
            CertifiedIssuer::signed_by(params, key(Key::Ecdsa), &self.issuer).expect("an intermediate");
        let chain = issuer.pem() + &self.chain;
        Self { issuer, chain, directory: directory() }
    }

    /// Its certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// The file of its certificate.
    ///
    /// # Panics
    /// When it can't be written.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.write("ca.pem", &self.pem())
    }

    /// Signs a certificate for `localhost` and loopback with this common name, which also names its files: a second
    /// one of the same name takes the first one's place.
    ///
    /// # Panics
    /// When it can't be made or written.
    #[must_use]
    pub fn issue(&self, name: &str, kind: Key) -> Issued {
        self.sign(name, kind, params())
    }

    /// The same, valid until long ago.
    ///
    /// # Panics
    /// When it can't be made or written.
    #[must_use]
    pub fn issue_expired(&self, name: &str, kind: Key) -> Issued {
        let mut params = params();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.sign(name, kind, params)
    }

    fn sign(&self, name: &str, kind: Key, mut params: CertificateParams) -> Issued {
        params.distinguished_name.push(DnType::OrganizationName, "dummy");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = key(kind);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued {
            chain: self.write(&format!("{name}.pem"), &(certificate.pem() + &self.chain)),
            key: self.write(&format!("{name}.key"), &key.serialize_pem()),
            certificate: certificate.der().clone(),
            key_der: key.serialize_der(),
        }
    }

    /// The folder of the files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("a file is written");
        path
    }
}

/// Of a certificate for `localhost` and loopback.
fn params() -> CertificateParams {
    CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned)).expect("names")
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key(kind: Key) -> KeyPair {
    KeyPair::generate_for(match kind {
        Key::Ecdsa => &PKCS_ECDSA_P256_SHA256,
        Key::Rsa => &PKCS_RSA_SHA256,
    })
    .expect("a key")
}

fn directory() -> TempDir {
    TempDir::with_prefix("dummy-authority-").expect("a temporary directory")
}
