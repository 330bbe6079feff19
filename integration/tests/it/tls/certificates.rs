//! Certificates of both ends, and their change.

use std::path::Path;

use integration::{
    authority::{Authority, Issued, Key},
    client::{Client, Http1, Link, Protocol, Request, link::go_over_tls},
    server::Server,
};
use serde_json::{Value, json};
use tokio_rustls::rustls::{
    ClientConfig, ProtocolVersion, RootCertStore,
    version::{TLS12, TLS13},
};

use super::{client, connect, echoed, exchange, failures, serve, trusted};

tests!();

async fn every_kind_of_certificate_is_served() {
    let root = Authority::root();
    let below = root.intermediate();
    for (certificate, version) in [
        (root.issue("ecdsa", Key::Ecdsa), &TLS13),
        (root.issue("rsa", Key::Rsa), &TLS13),
        (root.issue("rsa-12", Key::Rsa), &TLS12),
        // Clients know the root alone: the rest of the chain has to be sent.
        (below.issue("below", Key::Ecdsa), &TLS13),
        (below.intermediate().issue("further-below", Key::Rsa), &TLS12),
    ] {
        let server = serve(&certificate, &[]);
        let link = connect(&server, &client(&root, &[version])).await.expect("a handshake");
        let Link::Tls(stream) = &link else { unreachable!("it is TLS") };
        let shown = stream.get_ref().1.peer_certificates().expect("a certificate").to_vec();
        assert_eq!(shown[0], certificate.certificate);
        assert_eq!(exchange(Protocol::Http1, link).await.status, 200);
    }
}

async fn client_certificates_are_optional_or_required() {
    let (authority, clients) = (Authority::root(), Authority::root());
    let certificate = authority.issue("server", Key::Ecdsa);
    let shown = clients.issue("client-7", Key::Ecdsa);
    let ca = format!("--tls-client-ca={}", clients.file().display());
    let builder =
        || ClientConfig::builder().with_root_certificates(RootCertStore { roots: roots(&authority) });
    let without = builder().with_no_client_auth();
    let with = |issued: &Issued| {
        let (chain, key) = issued.shown();
        builder().with_client_auth_cert(chain, key).expect("a key and its certificate")
    };
    for (auth, required) in [("--tls-client-auth=optional", false), ("--tls-client-auth=required", true)] {
        let server = serve(&certificate, &[&ca, auth]);
        let config = with(&shown);
        for resumed in [false, true] {
            let tls = echoed(&server, &config).await;
            assert_eq!(tls["client_subject"], json!("CN=client-7, O=dummy"));
            // What it says is compared with openssl's word in another test.
            let fingerprint = tls["client_fingerprint"].as_str().expect("a fingerprint");
            assert!(fingerprint.len() == 64 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert_eq!(tls["resumed"], json!(resumed));
        }
        // An untrusted certificate is refused even where certificates are optional.
        assert!(is_refused(&server, &with(&authority.issue("stranger", Key::Ecdsa))).await);
        failures(&server, "bad_certificate", 1).await;
        if required {
            assert!(is_refused(&server, &without).await);
            failures(&server, "no_certificate", 1).await;
        } else {
            assert_eq!(echoed(&server, &without).await["client_subject"], Value::Null);
        }
    }
    // Naming an authority implies that certificates are required.
    let server = serve(&certificate, &[&ca]);
    assert!(is_refused(&server, &without).await);
}

/// A handshake that fails, or a connection that is closed instead of being served: with TLS 1.3 a client learns late
/// that it is refused.
async fn is_refused(server: &Server, config: &ClientConfig) -> bool {
    let Ok(link) = connect(server, config).await else { return true };
    let mut client = Client::Http1(Http1::on(link));
    client.try_exchange(&Request::get("/health")).await.is_err()
}

fn roots(authority: &Authority) -> Vec<tokio_rustls::rustls::pki_types::TrustAnchor<'static>> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(trusted(authority));
    store.roots
}

async fn a_new_certificate_is_for_new_connections() {
    let authority = Authority::root();
    let first = authority.issue("server", Key::Ecdsa);
    let server = serve(&first, &[]);
    let config = client(&authority, &[&TLS13]);
    let mut old = Client::Http1(Http1::on(connect(&server, &config).await.expect("a handshake")));
    assert_eq!(old.get("/").await.json()["tls"]["resumed"], json!(false));

    let second = authority.issue("server", Key::Rsa);
    assert_eq!(shown(&server, &authority).await, first.certificate.to_vec());
    server.certificates().reload().expect("the new files are read");
    assert_eq!(shown(&server, &authority).await, second.certificate.to_vec());
    assert_eq!(old.get("/").await.status, 200, "an open connection goes on");
    // A ticket of before does not bring the old certificate back.
    assert_eq!(echoed(&server, &config).await["resumed"], json!(false));

    std::fs::write(&first.key, "no key").expect("a file is written");
    let said = server.certificates().reload().expect_err("it is not a key").to_string();
    assert!(said.contains("server.key holds no private key in PEM"), "{said}");
    assert_eq!(shown(&server, &authority).await, second.certificate.to_vec());
    assert_eq!(old.get("/").await.status, 200);
}

async fn a_reloaded_self_signed_certificate_keeps_its_authority() {
    go_over_tls();
    let server = Server::with(&["--instance=pod-7.example"]);
    for _ in 0..2 {
        let reply = Client::connect(Protocol::Http2, server.http).await.get("/").await.json();
        assert_eq!(reply["tls"]["sni"], json!("localhost"));
        server.certificates().reload().expect("another one is signed");
    }
}

/// The certificate that a new connection is shown.
async fn shown(server: &Server, authority: &Authority) -> Vec<u8> {
    let link = connect(server, &client(authority, &[&TLS13])).await.expect("a handshake");
    let Link::Tls(stream) = &link else { unreachable!("it is TLS") };
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
}

fn unusable_certificate_files_are_named() {
    let authority = Authority::root();
    let (one, other) = (authority.issue("one", Key::Ecdsa), authority.issue("other", Key::Ecdsa));
    let missing = authority.directory().join("missing");
    let run = |cert: &Path, key: &Path| {
        let mut command = integration::binaries::command("dummy-server");
        command.args([
            "--addr=127.0.0.1:0",
            "--grpc-addr=",
            "--admin-addr=",
            "--pprof-addr=",
            "--tls-addr=127.0.0.1:0",
        ]);
        command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
        integration::process::Process::start(&mut command).finish(integration::PATIENCE)
    };
    for (cert, key, said) in [
        (&one.chain, &missing, "missing: No such file"),
        (&one.key, &one.key, "one.key holds no certificate in PEM"),
        (&one.chain, &one.chain, "one.pem holds no private key in PEM"),
        (&one.chain, &other.key, "can't use the certificate and its key"),
    ] {
        let finished = run(cert, key);
        assert_eq!(finished.code, Some(1), "{finished}");
        let line = finished.stderr.lines().last().unwrap_or_default();
        assert!(
            line.starts_with("dummy-server: error: can't serve TLS: ")
                && line.contains(said)
                && line.contains("; accepted: "),
            "{finished}"
        );
    }
}
