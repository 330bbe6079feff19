//! What a server offers and asks for in its handshakes.

use std::{
    cell::RefCell,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    KeyLogFile, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject as _},
    },
    server::{
        ClientHello, NoClientAuth, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{ServerConfig, Version};

/// The largest file of certificates or of a key, in bytes. A system's authorities together have a quarter of a megabyte.
const MAX_FILE: u64 = 4 << 20;

/// Who a server is.
#[derive(Debug)]
pub struct Identity {
    /// Its certificate, and those that lead from it to one that clients trust.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first certificate.
    pub key: PrivateKeyDer<'static>,
}

/// Whether clients have to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They may; a certificate that is not trusted ends the handshake all the same.
    Optional,
    /// They must.
    Required,
}

/// What a server offers and asks for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Application protocols, the preferred ones first; with none, there is no ALPN.
    pub alpn: Vec<Vec<u8>>,
    /// The lowest version that is accepted.
    pub min_version: Version,
    /// Whether sessions can be resumed.
    pub tickets: bool,
    /// A file of the certificates that clients' certificates lead to.
    pub client_ca: Option<(PathBuf, ClientAuth)>,
}

/// Something that a handshake can't be done with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file can't be read.
    #[error("can't read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file can't be written.
    #[error("can't write {}: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no {wanted} in PEM", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// Something can't be used.
    #[error("can't use {what}: {reason}")]
    Unusable {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl Identity {
    /// Reads a chain of certificates and the key of the first one, both in PEM.
    ///
    /// # Errors
    /// A file can't be read or holds something else.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, SettingsError> {
        let text = read(key)?;
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| SettingsError::NotPem { path: key.to_owned(), wanted: "private key" })?;
        Ok(Self { chain: certificates(chain)?, key })
    }
}

impl Settings {
    /// What connections are begun with. With the variable `SSLKEYLOGFILE`, secrets are appended to the file that it names.
    /// It does not accept tickets of an earlier call: a client that presents one goes through a full handshake, and so gets to see
    /// a new certificate, and is verified against new authorities.
    ///
    /// # Errors
    /// The key is not the certificate's or of an unknown kind, or the clients' authorities can't be read.
    pub fn build(&self, identity: Identity) -> Result<ServerConfig, SettingsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: &[_] = match self.min_version {
            Version::Tls12 => &[&TLS12, &TLS13],
            Version::Tls13 => &[&TLS13],
        };
        let verifier = self.verifier(&provider)?;
        let identity = CertifiedKey::from_der(identity.chain, identity.key, &provider)
            .map_err(unusable("the certificate and its key"))?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(unusable("the versions"))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(Resolver(Arc::new(identity))));
        config.alpn_protocols.clone_from(&self.alpn);
        // Sessions live in tickets alone: all workers know them, and they take no memory.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.key_log = Arc::new(KeyLogFile::new());
        if self.tickets {
            config.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable("tickets"))?;
        } else {
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, SettingsError> {
        let Some((path, auth)) = &self.client_ca else { return Ok(Arc::new(NoClientAuth)) };
        let unusable = |reason: String| SettingsError::Unusable { what: "the clients' authorities", reason };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let builder = match auth {
            ClientAuth::Optional => builder.allow_unauthenticated(),
            ClientAuth::Required => builder,
        };
        builder.build().map_err(|error| unusable(error.to_string()))
    }
}

/// What the library says of something.
pub(super) fn unusable(what: &'static str) -> impl Fn(rustls::Error) -> SettingsError {
    move |error| SettingsError::Unusable { what, reason: error.to_string() }
}

fn read(path: &Path) -> Result<Vec<u8>, SettingsError> {
    runtime::files::read(path, MAX_FILE)
        .map_err(|error| SettingsError::Unreadable { path: path.to_owned(), error })
}

/// All certificates of a file; one at least.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&text).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| SettingsError::NotPem { path: path.to_owned(), wanted: "certificate" })
}

/// One certificate for every server name.
#[derive(Debug)]
struct Resolver(Arc<CertifiedKey>);

thread_local! {
    /// The name that a client asked for. An unbuffered connection of rustls 0.23 gives it to the resolver alone, in the
    /// middle of the call that takes the client's bytes in; the session takes it from here right after that call. The
    /// other ways cost more: its own resolver needs a separate `ServerConfig` for each connection, and the
    /// crate's own reader of ClientHello (`hello`) would have to join those that come in several records.
    static REQUESTED_NAME: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        REQUESTED_NAME.set(hello.server_name().map(Into::into));
        Some(Arc::clone(&self.0))
    }
}

/// The name that a client asked for in what a connection of this thread has just taken in.
pub(super) fn take_requested_name() -> Option<Box<str>> {
    REQUESTED_NAME.take()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tls::Authority;

    fn settings() -> Settings {
        Settings { alpn: Vec::new(), min_version: Version::Tls12, tickets: true, client_ca: None }
    }

    fn identity() -> Identity {
        Authority::new().unwrap().issue(&["localhost", "127.0.0.1", "::1", "no name_at-all!"]).unwrap()
    }

    #[test]
    fn files_without_pem_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, missing) = (folder.path().join("empty"), folder.path().join("missing"));
        fs::write(&empty, "no certificate").unwrap();
        let said = |error: SettingsError| error.to_string();
        let unreadable = said(Identity::read(&empty, &missing).unwrap_err());
        assert!(unreadable.contains("can't read ") && unreadable.contains("missing"), "{unreadable}");
        assert!(said(Identity::read(&empty, &empty).unwrap_err()).contains("holds no private key in PEM"));
        let settings = Settings { client_ca: Some((empty, ClientAuth::Required)), ..settings() };
        let said = said(settings.build(identity()).unwrap_err());
        assert!(said.contains("empty holds no certificate in PEM"), "{said}");
    }

    #[test]
    fn endless_files_and_directories_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| Identity::read(path, path).unwrap_err().to_string();
        assert_eq!(said(Path::new("/dev/zero")), "can't read /dev/zero: it has more than 4096K");
        assert!(said(folder.path()).contains("directory"), "{}", said(folder.path()));
        let full = folder.path().join("full");
        fs::write(&full, vec![b'x'; usize::try_from(MAX_FILE).unwrap()]).unwrap();
        assert!(said(&full).ends_with("holds no private key in PEM"), "{}", said(&full));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let mixed = Identity { key: identity().key, ..identity() };
        let said = settings().build(mixed).unwrap_err().to_string();
        assert!(said.starts_with("can't use the certificate and its key: "), "{said}");
        settings().build(identity()).unwrap();
    }

    #[test]
    fn disabled_tickets_are_not_sent() {
        let config = Settings { tickets: false, ..settings() }.build(identity()).unwrap();
        assert!(config.send_tls13_tickets == 0 && !config.ticketer.enabled());
        let config = settings().build(identity()).unwrap();
        assert!(config.send_tls13_tickets > 0 && config.ticketer.enabled());
    }
}
