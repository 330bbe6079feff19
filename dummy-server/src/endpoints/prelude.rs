//! What the echo says of what came before HTTP.

use serde::Serialize;
use transport::tls::Facts;

/// What a handshake has agreed on.
#[derive(Debug, Serialize)]
pub(super) struct Tls {
    version: &'static str,
    alpn: Option<String>,
    sni: Option<String>,
    cipher: String,
    resumed: bool,
    client_subject: Option<String>,
    client_fingerprint: Option<String>,
}

impl From<&Facts> for Tls {
    fn from(facts: &Facts) -> Self {
        let client = facts.client.clone();
        let (client_subject, client_fingerprint) =
            client.map(|client| (client.subject, client.fingerprint)).unzip();
        Self {
            version: facts.version.name(),
            alpn: facts.alpn.as_deref().map(|name| String::from_utf8_lossy(name).into_owned()),
            sni: facts.sni.as_deref().map(str::to_owned),
            cipher: facts.cipher.clone(),
            resumed: facts.resumed,
            client_subject,
            client_fingerprint,
        }
    }
}
