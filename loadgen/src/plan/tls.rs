//! TLS towards the target: which authorities are trusted, and what is offered.

use std::path::PathBuf;

use command_line::Refusal;
use transport::tls::{
    ClientConfig, ClientSettings, Identity, ServerName, SettingsError, Trust, Version, client,
};

use super::{PlanError, Protocol, Target};

/// The application protocols (RFC 7301) that this is called by there.
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// What connections begin TLS with.
#[derive(Clone, Debug)]
pub struct Tls {
    config: ClientConfig,
    name: ServerName,
    target: Target,
}

/// What one connection begins TLS with.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) config: ClientConfig,
    pub(crate) name: ServerName,
    /// What is to be spoken has to be agreed on, if it is known beforehand.
    pub(crate) protocol: Option<Protocol>,
    /// What the handshake is with.
    pub(crate) target: Target,
}

/// What is wanted of TLS, before it is checked.
#[derive(Clone, Debug)]
pub(super) struct RunTlsOptions {
    pub(super) cacert: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) sni: Option<String>,
    pub(super) min_version: Version,
    pub(super) resumption: bool,
}

/// What one target has of its own; what is left out is as for the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// See [`Builder::cacert`](super::Builder::cacert); in place of the run's, and of its trust in anyone.
    pub cacert: Option<PathBuf>,
    /// See [`Builder::insecure`](super::Builder::insecure); in place of the run's authorities.
    pub insecure: Option<bool>,
    /// See [`Builder::identity`](super::Builder::identity): both, in place of the run's.
    pub cert: Option<PathBuf>,
    /// The key of the certificate.
    pub key: Option<PathBuf>,
    /// See [`Builder::sni`](super::Builder::sni).
    pub sni: Option<String>,
    /// See [`Builder::tls_min_version`](super::Builder::tls_min_version).
    pub min_version: Option<Version>,
}

impl TlsOptions {
    /// With what the run has where this says nothing. The authorities are replaced together, and so is the client's certificate with its key.
    pub(super) fn over(&self, run: &RunTlsOptions) -> RunTlsOptions {
        let Self { cacert, insecure, cert, key, sni, min_version } = self.clone();
        let (cacert, insecure) = match (cacert, insecure) {
            (None, None) => (run.cacert.clone(), run.insecure),
            (None, Some(false)) => (run.cacert.clone(), false),
            (cacert, insecure) => (cacert, insecure.unwrap_or(false)),
        };
        let (cert, key) =
            if cert.is_none() && key.is_none() { (run.cert.clone(), run.key.clone()) } else { (cert, key) };
        RunTlsOptions {
            cacert,
            insecure,
            cert,
            key,
            sni: sni.or_else(|| run.sni.clone()),
            min_version: min_version.unwrap_or(run.min_version),
            resumption: run.resumption,
        }
    }
}

impl Default for RunTlsOptions {
    fn default() -> Self {
        Self {
            cacert: None,
            insecure: false,
            cert: None,
            key: None,
            sni: None,
            min_version: Version::Tls12,
            resumption: true,
        }
    }
}

impl RunTlsOptions {
    /// The first option that is about TLS.
    fn first(&self) -> Option<&'static str> {
        [
            (self.cacert.is_some(), "cacert"),
            (self.insecure, "insecure"),
            (self.cert.is_some(), "cert"),
            (self.key.is_some(), "key"),
            (self.sni.is_some(), "sni"),
            (self.min_version != Version::Tls12, "tls-min-version"),
            (!self.resumption, "no-tls-resumption"),
        ]
        .into_iter()
        .find_map(|(is_given, name)| is_given.then_some(name))
    }
}

impl Tls {
    /// For a target, if TLS is spoken there.
    pub(super) fn new(target: &Target, wanted: &RunTlsOptions) -> Result<Option<Self>, PlanError> {
        if !target.tls {
            return match wanted.first() {
                None => Ok(None),
                Some(option) => {
                    let shown = format!("--{option} with the target {target}");
                    let example = Target { tls: true, ..target.clone() }.to_string();
                    Err(PlanError(Refusal::new(
                        shown,
                        "it with an https://, grpcs:// or wss:// target alone",
                        example,
                    )))
                }
            };
        }
        if wanted.insecure && wanted.cacert.is_some() {
            let accepted = "--cacert, to trust what is signed there, or --insecure, to trust anything";
            let shown = "--cacert and --insecure exclude each other";
            return Err(PlanError(Refusal::new(shown, accepted, "--cacert=ca.pem")));
        }
        let trust = match &wanted.cacert {
            _ if wanted.insecure => Trust::Anyone,
            Some(file) => Trust::File(file.clone()),
            None => Trust::System,
        };
        let identity = match (&wanted.cert, &wanted.key) {
            (None, None) => None,
            (Some(cert), Some(key)) => {
                Some(Identity::read(cert, key).map_err(|error| unusable("cert", &error))?)
            }
            (Some(_), None) => return Err(needs("cert", "key")),
            (None, Some(_)) => return Err(needs("key", "cert")),
        };
        let has_identity = identity.is_some();
        let settings = ClientSettings {
            trust,
            identity,
            min_version: wanted.min_version,
            resumption: wanted.resumption,
        };
        let config = settings.build().map_err(|error| {
            let option = if has_identity && wanted.cacert.is_none() { "cert" } else { "cacert" };
            unusable(option, &error)
        })?;
        let host = wanted.sni.as_ref().unwrap_or(&target.host);
        let name = client::server_name(host).ok_or_else(|| {
            let accepted = "a host name without a port";
            PlanError(Refusal::of_value("sni", host, accepted, "example.org"))
        })?;
        Ok(Some(Self { config, name, target: target.clone() }))
    }

    /// For connections that speak this, or for one that finds out what is spoken.
    pub(crate) fn offer(&self, protocol: Option<Protocol>) -> Offer {
        self.offer_as(protocol, protocol)
    }

    /// For connections that speak this to a server which has failed to say what it speaks: that another protocol than this is
    /// agreed on is not what a handshake fails by first.
    pub(crate) fn offer_both(&self, protocol: Protocol) -> Offer {
        self.offer_as(Some(protocol), None)
    }

    fn offer_as(&self, protocol: Option<Protocol>, offered: Option<Protocol>) -> Offer {
        let names: &[&[u8]] = match offered {
            None => &[HTTP2, HTTP1],
            Some(Protocol::Http1) => &[HTTP1],
            Some(Protocol::Http2) => &[HTTP2],
        };
        Offer {
            config: client::with_alpn(&self.config, names),
            name: self.name.clone(),
            protocol,
            target: self.target.clone(),
        }
    }
}

/// What is spoken where this was agreed on: without ALPN, HTTP/1.1.
pub(crate) fn spoken(alpn: Option<&[u8]>) -> Option<Protocol> {
    match alpn {
        None | Some(HTTP1) => Some(Protocol::Http1),
        Some(HTTP2) => Some(Protocol::Http2),
        Some(_) => None,
    }
}

fn needs(option: &str, other: &str) -> PlanError {
    let accepted = format!("--{option} together with --{other}");
    PlanError(Refusal::new(
        format!("--{option} needs --{other}"),
        accepted,
        "--cert=client.pem --key=client.key",
    ))
}

fn unusable(option: &str, error: &SettingsError) -> PlanError {
    let accepted = "files in PEM: certificates for --cacert and --cert, a private key for --key";
    let example = match option {
        "cert" => "--cert=client.pem --key=client.key",
        _ => "--cacert=ca.pem",
    };
    PlanError(Refusal::new(error.to_string(), accepted, example))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_target_says_takes_the_place_of_what_the_run_says() {
        let path = |name: &str| Some(PathBuf::from(name));
        let trusting =
            RunTlsOptions { insecure: true, cert: path("c"), key: path("k"), ..RunTlsOptions::default() };
        let strict =
            RunTlsOptions { cacert: path("ca"), sni: Some("run".to_owned()), ..RunTlsOptions::default() };
        let trust = |options: TlsOptions, run: &RunTlsOptions| {
            let RunTlsOptions { cacert, insecure, cert, key, sni, .. } = options.over(run);
            (cacert, insecure, cert, key, sni)
        };
        let none = TlsOptions::default;
        assert_eq!(trust(none(), &trusting), (None, true, path("c"), path("k"), None));
        assert_eq!(trust(none(), &strict), (path("ca"), false, None, None, Some("run".to_owned())));
        let own = TlsOptions { cacert: path("own"), ..none() };
        assert_eq!(trust(own, &trusting), (path("own"), false, path("c"), path("k"), None));
        let own = TlsOptions { insecure: Some(true), cert: path("d"), key: path("l"), ..none() };
        assert_eq!(trust(own, &strict), (None, true, path("d"), path("l"), Some("run".to_owned())));
        let own = TlsOptions { insecure: Some(false), sni: Some("own".to_owned()), ..none() };
        assert!(!trust(own.clone(), &trusting).1);
        assert_eq!(trust(own, &strict), (path("ca"), false, None, None, Some("own".to_owned())));
        // A certificate needs its own key.
        assert_eq!(trust(TlsOptions { cert: path("d"), ..none() }, &trusting).3, None);
        let own = TlsOptions { min_version: Some(Version::Tls13), ..none() };
        assert_eq!(own.over(&strict).min_version, Version::Tls13);
    }
}
