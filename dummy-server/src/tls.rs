//! TLS as it was configured, and the certificate in use, which SIGHUP replaces.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use transport::{
    Address,
    tls::{Authority, ClientAuth, Identity, ServerConfig, Settings, SettingsError, Version},
};

/// What is served over TLS, and with which identity.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Where.
    pub addr: Address,
    /// With which identity.
    pub source: Source,
    /// What is offered and asked for.
    pub settings: Settings,
}

/// Where a certificate comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Files in PEM.
    Files {
        /// The certificate chain, leaf first.
        chain: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// An authority that lives as long as the process signs one for `localhost`, `127.0.0.1`, `::1` and the names of the
    /// instances.
    SelfSigned {
        /// Where the authority's certificate is written.
        authority: PathBuf,
    },
}

/// Under the names of the flags.
impl Serialize for Tls {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Settings { alpn, min_version, tickets, client_ca } = &self.settings;
        let (chain, key, authority) = match &self.source {
            Source::Files { chain, key } => (Some(chain), Some(key), None),
            Source::SelfSigned { authority } => (None, None, Some(authority)),
        };
        let alpn: Vec<_> = alpn.iter().map(|name| String::from_utf8_lossy(name)).collect();
        let (client_ca, client_auth) = match client_ca {
            Some((path, ClientAuth::Optional)) => (Some(path), Some("optional")),
            Some((path, ClientAuth::Required)) => (Some(path), Some("required")),
            None => (None, None),
        };
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("tls-addr", &self.addr.to_string())?;
        map.serialize_entry("tls-cert", &chain)?;
        map.serialize_entry("tls-key", &key)?;
        map.serialize_entry("tls-self-signed", &authority)?;
        map.serialize_entry("tls-alpn", &alpn.join(","))?;
        map.serialize_entry("tls-min-version", if *min_version == Version::Tls12 { "1.2" } else { "1.3" })?;
        map.serialize_entry("tls-tickets", tickets)?;
        map.serialize_entry("tls-client-ca", &client_ca)?;
        map.serialize_entry("tls-client-auth", &client_auth)?;
        map.end()
    }
}

/// The certificate in use. Clones are the same.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<CertificateStore>);

#[derive(Debug)]
struct CertificateStore {
    settings: Settings,
    issuer: Issuer,
    /// Read once for each connection, never for a request.
    current: RwLock<ServerConfig>,
}

impl Certificates {
    /// Reads the files, or makes what is needed without.
    pub(crate) fn load(tls: &Tls, instances: &[String]) -> Result<Self, SettingsError> {
        let issuer = match &tls.source {
            Source::Files { chain, key } => Issuer::Files { chain: chain.clone(), key: key.clone() },
            Source::SelfSigned { authority: path } => {
                let authority = Box::new(Authority::new()?);
                fs::write(path, authority.pem())
                    .map_err(|error| SettingsError::Unwritable { path: path.clone(), error })?;
                Issuer::Own { authority, instances: instances.to_owned() }
            }
        };
        let current = RwLock::new(tls.settings.build(issuer.identity()?)?);
        Ok(Self(Arc::new(CertificateStore { settings: tls.settings.clone(), issuer, current })))
    }

    /// Reads the files again, or signs another certificate. New connections begin with it.
    ///
    /// # Errors
    /// It is unusable; the certificate is the same as before then.
    pub fn reload(&self) -> Result<(), SettingsError> {
        let new = self.0.settings.build(self.0.issuer.identity()?)?;
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// What a connection is begun with.
    pub(crate) fn current(&self) -> ServerConfig {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where a certificate comes from, each time again.
#[derive(Debug)]
enum Issuer {
    Files { chain: PathBuf, key: PathBuf },
    Own { authority: Box<Authority>, instances: Vec<String> },
}

impl Issuer {
    fn identity(&self) -> Result<Identity, SettingsError> {
        match self {
            Self::Files { chain, key } => Identity::read(chain, key),
            Self::Own { authority, instances } => {
                let names = ["localhost", "127.0.0.1", "::1"].into_iter();
                authority.issue(&names.chain(instances.iter().map(String::as_str)).collect::<Vec<_>>())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Config;

    fn tls(words: &[&str]) -> anyhow::Result<Option<Tls>> {
        Ok(Config::from_args(words)?.tls)
    }

    #[test]
    fn without_an_address_there_is_no_tls() {
        assert!(tls(&[]).unwrap().is_none());
        assert!(tls(&["--tls-addr=", "--tls-min-version=1.3", "--tls-tickets=false"]).unwrap().is_none());
    }

    #[test]
    fn flags_that_do_not_fit_are_named_with_what_is_accepted() {
        let listen = "--tls-addr=:1";
        for (words, said) in [
            (
                &[listen][..],
                "--tls-addr needs a certificate; accepted: --tls-cert and --tls-key, or --tls-self-signed",
            ),
            (&[listen, "--tls-cert=c"], "--tls-cert needs --tls-key; accepted: both, or --tls-self-signed"),
            (&[listen, "--tls-key=k"], "--tls-key needs --tls-cert; accepted: both, or --tls-self-signed"),
            (&["--tls-cert=c"], "--tls-cert needs --tls-key; "),
            (&["--tls-key=k"], "--tls-key needs --tls-cert; "),
            (&["--tls-self-signed=ca", "--tls-key=k"], "--tls-key needs --tls-cert; "),
            (
                &[listen, "--tls-cert=c", "--tls-key=k", "--tls-self-signed=ca"],
                "--tls-self-signed and --tls-cert exclude each other; accepted: one of them",
            ),
            (&["--tls-cert=c", "--tls-key=k"], "--tls-cert needs --tls-addr; accepted: an address"),
            (&["--tls-self-signed=ca"], "--tls-self-signed needs --tls-addr; "),
            (&["--tls-client-ca=ca"], "--tls-client-ca needs --tls-addr; "),
            (
                &["--tls-client-auth=optional"],
                "'optional' for --tls-client-auth; accepted: optional or required, with --tls-client-ca",
            ),
            (
                &["--tls-client-ca=ca", "--tls-client-auth=maybe"],
                "'maybe' for --tls-client-auth; accepted: optional or",
            ),
            (&["--tls-min-version=1.1"], "'1.1' for --tls-min-version; accepted: 1.2 or 1.3; example: "),
            (&["--tls-alpn=h2,h3"], "'h2,h3' for --tls-alpn; accepted: h2, http/1.1, both"),
            (&["--tls-tickets=2"], "'2' for --tls-tickets; accepted: true or false"),
            (&["--tls-addr=nonsense"], "'nonsense' for --tls-addr; accepted: ip:port"),
        ] {
            let error = tls(words).unwrap_err().to_string();
            assert!(error.contains(said), "{words:?}: {error}");
        }
    }

    #[test]
    fn flags_become_the_settings_they_stand_for() {
        let words =
            ["--tls-addr=:1", "--tls-self-signed=ca.pem", "--tls-alpn=http/1.1", "--tls-client-ca=clients"];
        let found = tls(&words).unwrap().unwrap();
        assert_eq!(found.settings.alpn, [b"http/1.1"]);
        assert_eq!(found.settings.client_ca, Some(("clients".into(), ClientAuth::Required)));
        assert!(
            matches!(found.source, Source::SelfSigned { authority } if authority.as_os_str() == "ca.pem")
        );
        let words = ["--tls-addr=:1", "--tls-cert=c", "--tls-key=k", "--tls-alpn="];
        let found = tls(&words).unwrap().unwrap();
        assert!(found.settings.alpn.is_empty() && found.settings.tickets);
        assert!(found.settings.client_ca.is_none());
        assert_eq!(found.settings.min_version, Version::Tls12);
    }
}
