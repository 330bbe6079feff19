//! TLS: what is agreed on and what is refused, certificates of both ends and their change, sessions that are resumed,
//! and clients that get no further than the handshake. Bodies of other tests run over TLS too, each under a name with
//! `tls` in it.

mod certificates;
mod generated;
mod lifecycle;
mod negotiation;
mod refused;
mod reloads;

use integration::{
    authority::{Authority, Issued},
    client::{Client, Exchange, Http1, Http2, Link, Protocol, patiently},
    metrics::Metrics,
    server::Server,
};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, pem::PemObject as _},
};

tests!();

const FAILURES: &str = "dummy_server_tls_handshake_failures_total";

/// What dummy-server is started with to serve a certificate.
fn flags(certificate: &Issued) -> [String; 3] {
    [
        "--tls-addr=127.0.0.1:0".to_owned(),
        format!("--tls-cert={}", certificate.chain.display()),
        format!("--tls-key={}", certificate.key.display()),
    ]
}

fn serve(certificate: &Issued, flags: &[&str]) -> Server {
    let own = self::flags(certificate);
    let flags: Vec<&str> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
    Server::with(&flags)
}

/// A client of these versions that trusts an authority.
fn client(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted(authority));
    ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots).with_no_client_auth()
}

fn trusted(authority: &Authority) -> Vec<CertificateDer<'static>> {
    vec![CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("a certificate")]
}

fn offering(config: &ClientConfig, alpn: &[&str]) -> ClientConfig {
    let mut config = config.clone();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

async fn connect(server: &Server, config: &ClientConfig) -> std::io::Result<Link> {
    let stream = TcpStream::connect(server.tls.expect("TLS is served")).await?;
    patiently("a handshake", Link::shake_hands(stream, config.clone())).await
}

async fn exchange(protocol: Protocol, link: Link) -> Exchange {
    let mut client = match protocol {
        Protocol::Http1 => Client::Http1(Http1::on(link)),
        Protocol::Http2 => {
            Client::Http2(Http2::on(link, &h2::client::Builder::new()).await.expect("the preface is sent"))
        }
    };
    client.get("/").await
}

/// The echo's `tls` of one exchange over HTTP/1.1.
async fn echoed(server: &Server, config: &ClientConfig) -> Value {
    let link = connect(server, config).await.expect("a handshake");
    exchange(Protocol::Http1, link).await.json()["tls"].clone()
}

async fn failures(server: &Server, reason: &str, count: u64) {
    let labels = [("reason", reason)];
    Metrics::until(server.admin, |metrics| metrics.sum(FAILURES, &labels) == count).await;
}
