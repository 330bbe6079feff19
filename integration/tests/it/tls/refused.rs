//! Handshakes that are refused: each is counted by its reason, and logged.

use std::sync::Arc;

use integration::{
    authority::{Authority, Issued, Key},
    binaries::ServerProcess,
    client::{Http1, Link, patiently},
    metrics::Metrics,
};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::ResolvesClientCert,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::CertificateDer,
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{FAILURES, trusted};

tests!();

fn serve(certificate: &Issued, flags: &[&str]) -> ServerProcess {
    let own = [
        "--tls-addr=127.0.0.1:0".to_owned(),
        format!("--tls-cert={}", certificate.chain.display()),
        format!("--tls-key={}", certificate.key.display()),
    ];
    let flags: Vec<&str> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
    ServerProcess::start(&flags)
}

fn roots(authority: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted(authority));
    roots
}

/// A ClientHello that asks for this name, as long as the other one, which rustls can be made to ask for.
fn client_hello(name: &str, instead_of: &str) -> Vec<u8> {
    let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let server = instead_of.to_owned().try_into().expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), server).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("memory takes all");
    let found = bytes.windows(instead_of.len()).position(|part| part == instead_of.as_bytes());
    let at = found.expect("the name is there");
    bytes[at..at + instead_of.len()].copy_from_slice(name.as_bytes());
    bytes
}

/// The line of the log with these words.
fn logged(server: &ServerProcess, words: &str) -> String {
    server.process().await_stderr(words, |log| {
        // The last line may not have arrived completely.
        log.rsplit_once('\n')?.0.lines().find(|line| line.contains(words)).map(str::to_owned)
    })
}

async fn counted(server: &ServerProcess, reason: &str, count: u64) {
    let labels = [("reason", reason)];
    Metrics::until(server.admin, |metrics| metrics.sum(FAILURES, &labels) == count).await;
}

async fn is_refused(server: &ServerProcess, bytes: &[u8]) {
    let mut client =
        Http1::on(TcpStream::connect(server.tls.expect("TLS is served")).await.expect("connected"));
    client.send(bytes).await;
    let said = patiently("the end", client.to_end()).await.expect("no reset");
    // Alert, fatal, illegal_parameter (RFC 8446 section 6).
    assert_eq!((said.first(), said.get(5..)), (Some(&21), Some(&[2, 47][..])), "{said:?}");
}

/// As hey and siege ask.
async fn a_server_name_with_a_port_is_refused_logged_and_counted() {
    let server = serve(&Authority::root().issue("server", Key::Ecdsa), &[]);
    is_refused(&server, &client_hello("localhost:8443", "localhost-8443")).await;
    counted(&server, "server_name", 1).await;
    let line = logged(&server, "TLS handshake failed");
    assert!(line.contains("invalid server name \"localhost:8443\" (SNI)"), "{line}");
    assert!(line.contains("kind=\"server_name\"") && line.contains("peer=\"127.0.0.1:"), "{line}");
}

async fn client_supplied_text_is_cut_in_the_log() {
    const MANY: u64 = 20;
    let server = serve(&Authority::root().issue("server", Key::Ecdsa), &[]);
    let name = ["long-name"; 24].join("\n");
    let hello = client_hello(&name, &name.replace('\n', "."));
    for _ in 0..MANY {
        is_refused(&server, &hello).await;
    }
    counted(&server, "server_name", MANY).await;
    let line = logged(&server, "TLS handshake failed");
    let reason = line.split_once("TLS handshake failed: ").expect("a reason").1;
    let reason = reason.split(" peer=").next().expect("a reason");
    assert!(reason.starts_with(r#"invalid server name "long-name\nlong-name\n"#), "{line}");
    assert!(reason.len() <= 256, "{}: {line}", reason.len());
}

/// The certificate without its version, which makes it one of version 1: as `openssl x509 -req` makes them when it is
/// not given the extensions. That the signature is wrong then does not matter: the version comes first.
fn of_version_1(certificate: &CertificateDer<'_>) -> CertificateDer<'static> {
    let mut bytes = certificate.to_vec();
    // SEQUENCE { SEQUENCE { [0] INTEGER 2, ...; both lengths take two bytes in one with an RSA key.
    assert_eq!((&bytes[..2], &bytes[4..6]), (&[0x30, 0x82][..], &[0x30, 0x82][..]));
    assert_eq!(bytes[8..13], [0xa0, 3, 2, 1, 2]);
    bytes.drain(8..13);
    for at in [2, 6] {
        let length = u16::from_be_bytes([bytes[at], bytes[at + 1]]) - 5;
        bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
    bytes.into()
}

async fn a_version_1_client_certificate_is_refused_logged_and_counted() {
    let (authority, clients) = (Authority::root(), Authority::root());
    let ca = format!("--tls-client-ca={}", clients.file().display());
    let server = serve(&authority.issue("server", Key::Ecdsa), &[&ca]);
    let (chain, key) = clients.issue("client", Key::Rsa).shown();
    let key = any_supported_type(&key).expect("a key");
    // What shows it does not look at it.
    let shown = CertifiedKey::new(vec![of_version_1(&chain[0])], key);
    let shown: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(shown));
    let config =
        ClientConfig::builder().with_root_certificates(roots(&authority)).with_client_cert_resolver(shown);
    let stream = TcpStream::connect(server.tls.expect("TLS is served")).await.expect("connected");
    // With TLS 1.3 a client learns late that it is refused.
    if let Ok(link) = patiently("a handshake", Link::shake_hands(stream, config)).await {
        let mut client = Http1::on(link);
        client.try_send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.ok();
        assert!(!matches!(patiently("the end", client.to_end()).await, Ok(said) if !said.is_empty()));
    }
    counted(&server, "certificate_version", 1).await;
    let line = logged(&server, "TLS handshake failed");
    assert!(line.contains("the peer's certificate is not X.509 version 3"), "{line}");
    assert!(line.contains("kind=\"certificate_version\""), "{line}");
}
