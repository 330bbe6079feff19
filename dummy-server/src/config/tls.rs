//! The TLS flags, read and checked.

use std::path::PathBuf;

use command_line::Refusal;
use transport::tls::{ClientAuth, Settings, Version};

use super::{
    ConfigError,
    typed::{one_of, optional_address, refused, switch},
};
use crate::{
    args::Args,
    tls::{Source, Tls},
};

const VERSIONS: [(&str, Version); 2] = [("1.2", Version::Tls12), ("1.3", Version::Tls13)];

/// What was typed; none without `--tls-addr`.
pub(super) fn parse(args: &Args) -> Result<Option<Tls>, ConfigError> {
    let settings = Settings {
        alpn: alpn(&args.tls_alpn)?,
        min_version: one_of("tls-min-version", &args.tls_min_version, &VERSIONS)?,
        tickets: switch("tls-tickets", &args.tls_tickets)?,
        client_ca: client_ca(args)?,
    };
    let files = pair(args)?;
    let Some(addr) = optional_address("tls-addr", &args.tls_addr)? else {
        return useless_alone(args).map_or(Ok(None), Err);
    };
    let source = match (files, given(&args.tls_self_signed)) {
        (Some((chain, key)), None) => Source::Files { chain, key },
        (None, Some(authority)) => Source::SelfSigned { authority },
        (None, None) => {
            let accepted = "--tls-cert and --tls-key, or --tls-self-signed";
            let example = format!("--tls-addr={} --tls-self-signed=ca.pem", args.tls_addr);
            return Err(ConfigError(Refusal::new("--tls-addr needs a certificate", accepted, example)));
        }
        (Some(_), Some(_)) => {
            let subject = "--tls-self-signed and --tls-cert exclude each other";
            return Err(ConfigError(Refusal::new(subject, "one of them", "--tls-self-signed=ca.pem")));
        }
    };
    Ok(Some(Tls { addr, source, settings }))
}

fn given(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

/// Certificate and key, which come together.
fn pair(args: &Args) -> Result<Option<(PathBuf, PathBuf)>, ConfigError> {
    let lacks = |flag: &str, other: &str| {
        let example = "--tls-cert=chain.pem --tls-key=key.pem";
        let subject = format!("{flag} needs {other}");
        Err(ConfigError(Refusal::new(subject, "both, or --tls-self-signed instead", example)))
    };
    match (given(&args.tls_cert), given(&args.tls_key)) {
        (Some(chain), Some(key)) => Ok(Some((chain, key))),
        (Some(_), None) => lacks("--tls-cert", "--tls-key"),
        (None, Some(_)) => lacks("--tls-key", "--tls-cert"),
        (None, None) => Ok(None),
    }
}

/// Flags that say something of a port that is not there.
fn useless_alone(args: &Args) -> Option<ConfigError> {
    let flags = [
        ("tls-cert", &args.tls_cert),
        ("tls-self-signed", &args.tls_self_signed),
        ("tls-client-ca", &args.tls_client_ca),
    ];
    let (flag, _) = flags.into_iter().find(|(_, value)| !value.is_empty())?;
    let subject = format!("--{flag} needs --tls-addr");
    Some(ConfigError(Refusal::new(subject, "an address to serve TLS on", "--tls-addr=:8443")))
}

fn alpn(text: &str) -> Result<Vec<Vec<u8>>, ConfigError> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let known = |name: &str| match name {
        "h2" | "http/1.1" => Ok(name.as_bytes().to_vec()),
        _ => Err(refused("tls-alpn", text, "h2, http/1.1, both with a comma, or nothing for no ALPN")),
    };
    names.map(known).collect()
}

fn client_ca(args: &Args) -> Result<Option<(PathBuf, ClientAuth)>, ConfigError> {
    let accepted = "optional or required, with --tls-client-ca";
    let auth = match args.tls_client_auth.as_str() {
        "" | "required" => ClientAuth::Required,
        "optional" => ClientAuth::Optional,
        other => return Err(refused("tls-client-auth", other, accepted)),
    };
    match (args.tls_client_ca.is_empty(), args.tls_client_auth.is_empty()) {
        (false, _) => Ok(Some((args.tls_client_ca.clone().into(), auth))),
        (true, true) => Ok(None),
        (true, false) => Err(refused("tls-client-auth", &args.tls_client_auth, accepted)),
    }
}
