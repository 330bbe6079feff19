//! What the echo says of what came before HTTP.

use serde::Serialize;
use transport::{
    proxy_protocol::{Command, Header, HeaderVersion, Tlv, Value},
    tls::Facts,
};

/// What a handshake has agreed on.
#[derive(Debug, Serialize)]
pub(super) struct EchoedTls {
    version: &'static str,
    alpn: Option<String>,
    sni: Option<String>,
    cipher: String,
    resumed: bool,
    client_subject: Option<String>,
    client_fingerprint: Option<String>,
}

impl From<&Facts> for EchoedTls {
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
/// What a proxy has said of the connection.
#[derive(Debug, Serialize)]
pub(super) struct EchoedProxyHeader {
    version: u8,
    command: &'static str,
    source: Option<String>,
    destination: Option<String>,
    tlvs: Vec<Said>,
}

/// One of the things that it can say.
#[derive(Debug, Serialize)]
struct Said {
    r#type: u8,
    name: Option<&'static str>,
    value: SaidValue,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum SaidValue {
    /// As it is, or in hexadecimal digits after `0x` when it is not text that can be shown.
    Text(String),
    /// Of the client's TLS.
    Ssl {
        client_tls: bool,
        certificate_on_connection: bool,
        certificate_in_session: bool,
        verify: u32,
        tlvs: Vec<Said>,
    },
}

impl From<&Header> for EchoedProxyHeader {
    fn from(header: &Header) -> Self {
        let (source, destination) = header
            .endpoints
            .as_ref()
            .map(|(source, destination)| (source.to_string(), destination.to_string()))
            .unzip();
        Self {
            version: match header.version {
                HeaderVersion::V1 => 1,
                HeaderVersion::V2 => 2,
            },
            command: match header.command {
                Command::Local => "LOCAL",
                Command::Proxy => "PROXY",
            },
            source,
            destination,
            tlvs: header.tlvs.iter().map(Said::from).collect(),
        }
    }
}

impl From<&Tlv> for Said {
    fn from(tlv: &Tlv) -> Self {
        let value = match &tlv.value {
            Value::Bytes(bytes) => SaidValue::Text(shown(tlv.name, bytes)),
            Value::Ssl(ssl) => SaidValue::Ssl {
                client_tls: ssl.tls,
                certificate_on_connection: ssl.certificate_on_connection,
                certificate_in_session: ssl.certificate_in_session,
                verify: ssl.verify,
                tlvs: ssl.tlvs.iter().map(Self::from).collect(),
            },
        };
        Self { r#type: tlv.kind, name: tlv.name, value }
    }
}

/// A checksum is a number, whatever its bytes look like.
fn shown(name: Option<&str>, bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
    match text {
        Some(text) if name != Some("CRC32C") => text.to_owned(),
        _ => bytes.iter().fold("0x".to_owned(), |digits, byte| format!("{digits}{byte:02x}")),
    }
}
