//! TLS towards the target: whom it is trusted by, and what is offered.

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
    without_tls: String,
}

/// What one connection begins TLS with.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) config: ClientConfig,
    pub(crate) name: ServerName,
    /// What is to be spoken has to be agreed on, if it is known beforehand.
    pub(crate) protocol: Option<Protocol>,
    /// The target as it would be written without TLS.
    pub(crate) without_tls: String,
}

/// What is wanted of TLS, before it is checked.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) cacert: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) sni: Option<String>,
    pub(super) min_version: Version,
    pub(super) resumption: bool,
}

impl Default for Wanted {
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

impl Wanted {
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
    pub(super) fn new(target: &Target, wanted: &Wanted) -> Result<Option<Self>, PlanError> {
        if !target.tls {
            return match wanted.first() {
                None => Ok(None),
                Some(option) => {
                    let shown = format!("--{option} with the target {target}");
                    let example = Target { tls: true, ..target.clone() }.to_string();
                    Err(PlanError(Refusal::new(
                        shown,
                        "it with an https:// or grpcs:// target alone",
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
        let without_tls = Target { tls: false, protocol: Protocol::Http1, ..target.clone() }.to_string();
        Ok(Some(Self { config, name, without_tls }))
    }

    /// For connections that speak this, or for one that finds out what is spoken.
    pub(crate) fn offer(&self, protocol: Option<Protocol>) -> Offer {
        let names: &[&[u8]] = match protocol {
            None => &[HTTP2, HTTP1],
            Some(Protocol::Http1) => &[HTTP1],
            Some(Protocol::Http2) => &[HTTP2],
        };
        Offer {
            config: client::with_alpn(&self.config, names),
            name: self.name.clone(),
            protocol,
            without_tls: self.without_tls.clone(),
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
