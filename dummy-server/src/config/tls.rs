//! What was typed for TLS.

use std::path::PathBuf;

use transport::tls::{ClientAuth, Settings, Version};

use super::{
    ConfigError,
    typed::{optional_address, refused, switch},
};
use crate::{
    args::Args,
    tls::{Source, Tls},
};

/// What was typed; none without `--tls-addr`.
pub(super) fn parse(args: &Args) -> Result<Option<Tls>, ConfigError> {
    let given = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    let settings = Settings {
        alpn: alpn(&args.tls_alpn)?,
        min_version: match args.tls_min_version.as_str() {
            "1.2" => Version::Tls12,
            "1.3" => Version::Tls13,
            other => return Err(refused("tls-min-version", other, "write 1.2 or 1.3")),
        },
        tickets: switch("tls-tickets", &args.tls_tickets)?,
        client_ca: client_ca(args)?,
    };
    let Some(addr) = optional_address("tls-addr", &args.tls_addr)? else {
        return useless_alone(args).map_or(Ok(None), Err);
    };
    let source = match (given(&args.tls_cert), given(&args.tls_key), given(&args.tls_self_signed)) {
        (Some(chain), Some(key), None) => Source::Files { chain, key },
        (None, None, Some(authority)) => Source::SelfSigned { authority },
        (None, None, None) => {
            let accepted = "give --tls-cert and --tls-key too, or --tls-self-signed";
            return Err(refused("tls-addr", &args.tls_addr, accepted));
        }
        (Some(_), None, None) => {
            return Err(refused("tls-cert", &args.tls_cert, "give its key too, with --tls-key"));
        }
        (None, Some(_), None) => {
            return Err(refused("tls-key", &args.tls_key, "give the certificate too, with --tls-cert"));
        }
        (.., Some(_)) => {
            let accepted = "give either this or --tls-cert and --tls-key";
            return Err(refused("tls-self-signed", &args.tls_self_signed, accepted));
        }
    };
    Ok(Some(Tls { addr, source, settings }))
}

/// Flags that say something of a port that is not there.
fn useless_alone(args: &Args) -> Option<ConfigError> {
    let flags = [
        ("tls-cert", &args.tls_cert),
        ("tls-key", &args.tls_key),
        ("tls-self-signed", &args.tls_self_signed),
        ("tls-client-ca", &args.tls_client_ca),
    ];
    let (flag, value) = flags.into_iter().find(|(_, value)| !value.is_empty())?;
    Some(refused(flag, value, "give --tls-addr too, where TLS is served"))
}

fn alpn(text: &str) -> Result<Vec<Vec<u8>>, ConfigError> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let known = |name: &str| match name {
        "h2" | "http/1.1" => Ok(name.as_bytes().to_vec()),
        _ => Err(refused("tls-alpn", text, "write h2, http/1.1, both with a comma, or nothing for no ALPN")),
    };
    names.map(known).collect()
}

fn client_ca(args: &Args) -> Result<Option<(PathBuf, ClientAuth)>, ConfigError> {
    let accepted = "write optional or required, and give --tls-client-ca too";
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
