//! TLS: what is agreed on and what is refused, certificates of both ends and their change, sessions that are resumed,
//! and clients that get no further than the handshake. Bodies of other tests run over TLS too, each under a name with
//! `tls` in it.

use std::path::Path;

use integration::{
    authority::{Authority, Issued, Key},
    binaries::ServerProcess,
    cases::Cases,
    client::{Client, Exchange, Http1, Http2, Line, Link, Protocol, Request, link::go_over_tls, patiently},
    metrics::{CONNECTIONS, Metrics},
    server::Server,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_rustls::rustls::{
    ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    version::{TLS12, TLS13},
};

pub(crate) fn tests() -> Cases {
    Cases::new()
        .test_async(the_echo_tells_what_was_agreed_on)
        .test_async(without_alpn_the_preface_decides)
        .test_async(a_server_without_alpn_agrees_on_nothing)
        .test_async(a_protocol_that_is_not_served_is_refused)
        .test_async(whoever_agrees_on_http2_must_speak_it)
        .test_async(every_kind_of_certificate_is_served)
        .test_async(a_version_below_the_floor_is_refused)
        .test_async(sessions_are_resumed_when_there_are_tickets)
        .test_async(clients_may_or_must_show_a_certificate)
        .test_async(a_new_certificate_is_for_new_connections)
        .test_async(a_hangup_brings_a_new_certificate)
        .test_async(a_certificate_of_our_own_changes_and_its_authority_stays)
        .test_async(what_is_no_tls_is_told_so)
        .test_async(a_client_that_stalls_is_given_up)
        .test_async(stalled_handshakes_hold_up_nobody)
        .test_async(a_half_closed_connection_gets_its_reply)
        .test_async(a_connection_that_just_ends_gets_its_reply)
        .test_async(a_drain_ends_handshakes_too)
        .test(files_that_are_of_no_use_are_named)
}

const HANDSHAKES: &str = "dummy_server_tls_handshakes_total";
const FAILURES: &str = "dummy_server_tls_handshake_failures_total";

fn serve(certificate: &Issued, flags: &[&str]) -> Server {
    let own = [
        "--tls-addr=127.0.0.1:0".to_owned(),
        format!("--tls-cert={}", certificate.chain.display()),
        format!("--tls-key={}", certificate.key.display()),
    ];
    let flags: Vec<&str> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
    Server::with(&flags)
}

/// A client of these versions that trusts an authority.
fn client(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted(authority));
    ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots).with_no_client_auth()
}

fn trusted(authority: &Authority) -> Vec<tokio_rustls::rustls::pki_types::CertificateDer<'static>> {
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
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

/// A handshake that fails, or a connection that is closed instead of being served: TLS 1.3 tells a client late that
/// it is refused.
async fn is_refused(server: &Server, config: &ClientConfig) -> bool {
    let Ok(link) = connect(server, config).await else { return true };
    let mut client = Client::Http1(Http1::on(link));
    client.try_exchange(&Request::get("/health")).await.is_err()
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

async fn the_echo_tells_what_was_agreed_on() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &[]);
    for (version, name, cipher) in
        [(&TLS13, "TLSv1.3", "TLS_AES_"), (&TLS12, "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_")]
    {
        for protocol in Protocol::ALL {
            // Each has a session of its own.
            let config = offering(&client(&authority, &[version]), &[protocol.alpn()]);
            let reply = exchange(protocol, connect(&server, &config).await.expect("a handshake")).await;
            let (echo, tls) = (reply.json(), &reply.json()["tls"]);
            assert!(echo["protocol"].as_str().unwrap().starts_with(if protocol == Protocol::Http1 {
                "HTTP/1.1"
            } else {
                "HTTP/2"
            }));
            assert_eq!(tls["version"], json!(name));
            assert_eq!((&tls["alpn"], &tls["sni"]), (&json!(protocol.alpn()), &json!("localhost")));
            assert!(tls["cipher"].as_str().unwrap().starts_with(cipher), "{tls:#}");
            assert_eq!(tls["resumed"], json!(false));
            assert_eq!((&tls["client_subject"], &tls["client_fingerprint"]), (&Value::Null, &Value::Null));
            if protocol == Protocol::Http1 {
                assert_eq!(echo["uri"], json!("https://dummy.test/"));
            }
        }
        let metrics = server.metrics().await;
        assert_eq!(metrics.sum(HANDSHAKES, &[("version", name), ("resumed", "false")]), 2);
    }
    assert_eq!(server.metrics().await.sum(FAILURES, &[]), 0);
    // A plain connection of the same server says nothing of it.
    let plain = Client::connect(Protocol::Http1, server.http).await.get("/").await.json();
    assert!(plain.get("tls").is_none(), "{plain:#}");
}

async fn without_alpn_the_preface_decides() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &[]);
    for protocol in Protocol::ALL {
        let link = connect(&server, &client(&authority, &[&TLS13])).await.expect("a handshake");
        let echo = exchange(protocol, link).await.json();
        assert!(echo["protocol"].as_str().unwrap().starts_with(if protocol == Protocol::Http1 {
            "HTTP/1.1"
        } else {
            "HTTP/2"
        }));
        assert_eq!(echo["tls"]["alpn"], Value::Null);
    }
}

async fn a_server_without_alpn_agrees_on_nothing() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &["--tls-alpn="]);
    let config = offering(&client(&authority, &[&TLS13]), &["h2", "http/1.1"]);
    assert_eq!(echoed(&server, &config).await["alpn"], Value::Null);
}

async fn a_protocol_that_is_not_served_is_refused() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &["--tls-alpn=http/1.1"]);
    let config = client(&authority, &[&TLS12, &TLS13]);
    let refused = connect(&server, &offering(&config, &["h2"])).await.expect_err("h2 is not served");
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    failures(&server, "alpn", 1).await;
    let both = offering(&config, &["h2", "http/1.1"]);
    assert_eq!(echoed(&server, &both).await["alpn"], json!("http/1.1"));
}

async fn whoever_agrees_on_http2_must_speak_it() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &[]);
    let config = client(&authority, &[&TLS13]);
    let link = connect(&server, &offering(&config, &["h2"])).await.expect("a handshake");
    let mut spoken = Http1::on(link);
    spoken.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let said = patiently("the end", spoken.to_end()).await.expect("a goodbye");
    assert!(!said.starts_with(b"HTTP/1"), "{}", String::from_utf8_lossy(&said));
    // And the other way round.
    let link = connect(&server, &offering(&config, &["http/1.1"])).await.expect("a handshake");
    let mut spoken = Http1::on(link);
    spoken.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let reply = patiently("a reply", spoken.reply("GET")).await.expect("a refusal");
    assert!((400..=505).contains(&reply.status), "{}", reply.status);
}

async fn every_kind_of_certificate_is_served() {
    let root = Authority::root();
    let below = root.intermediate();
    for (certificate, version) in [
        (root.issue("ecdsa", Key::Ecdsa), &TLS13),
        (root.issue("rsa", Key::Rsa), &TLS13),
        (root.issue("rsa-12", Key::Rsa), &TLS12),
        // Clients know the root alone: the rest of the chain has to come along.
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

async fn a_version_below_the_floor_is_refused() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &["--tls-min-version=1.3"]);
    let refused = connect(&server, &client(&authority, &[&TLS12])).await.expect_err("1.2 is too low");
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
    failures(&server, "version", 1).await;
    assert_eq!(echoed(&server, &client(&authority, &[&TLS12, &TLS13])).await["version"], json!("TLSv1.3"));
}

async fn sessions_are_resumed_when_there_are_tickets() {
    let authority = Authority::root();
    for (tickets, resumed) in [("--tls-tickets=true", true), ("--tls-tickets=false", false)] {
        let server = serve(&authority.issue("server", Key::Ecdsa), &[tickets]);
        for (version, name) in [(&TLS12, "TLSv1.2"), (&TLS13, "TLSv1.3")] {
            // The store of tickets is the configuration's.
            let mut config = client(&authority, &[version]);
            assert_eq!(echoed(&server, &config).await["resumed"], json!(false));
            let again = echoed(&server, &config).await;
            assert_eq!(
                (&again["resumed"], &again["sni"]),
                (&json!(resumed), &json!("localhost")),
                "{name} {tickets}"
            );
            let metrics = server.metrics().await;
            let counted = |resumed| metrics.sum(HANDSHAKES, &[("version", name), ("resumed", resumed)]);
            assert_eq!((counted("false"), counted("true")), if resumed { (1, 1) } else { (2, 0) });
            config.resumption = Resumption::disabled();
            assert_eq!(echoed(&server, &config).await["resumed"], json!(false));
        }
    }
}

async fn clients_may_or_must_show_a_certificate() {
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
        // A stranger is refused even where nobody has to show anything.
        assert!(is_refused(&server, &with(&authority.issue("stranger", Key::Ecdsa))).await);
        failures(&server, "bad_certificate", 1).await;
        if required {
            assert!(is_refused(&server, &without).await);
            failures(&server, "no_certificate", 1).await;
        } else {
            assert_eq!(echoed(&server, &without).await["client_subject"], Value::Null);
        }
    }
    // Whoever names an authority wants certificates.
    let server = serve(&certificate, &[&ca]);
    assert!(is_refused(&server, &without).await);
}

fn roots(authority: &Authority) -> Vec<tokio_rustls::rustls::pki_types::TrustAnchor<'static>> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(trusted(authority));
    store.roots
}

/// The certificate that a new connection is shown.
async fn shown(server: &Server, authority: &Authority) -> Vec<u8> {
    let link = connect(server, &client(authority, &[&TLS13])).await.expect("a handshake");
    let Link::Tls(stream) = &link else { unreachable!("it is TLS") };
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
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
    let said = server.certificates().reload().expect_err("it is no key").to_string();
    assert!(said.contains("server.key holds no private key in PEM"), "{said}");
    assert_eq!(shown(&server, &authority).await, second.certificate.to_vec());
    assert_eq!(old.get("/").await.status, 200);
}

async fn a_hangup_brings_a_new_certificate() {
    let authority = Authority::root();
    let first = authority.issue("server", Key::Ecdsa);
    let flags = [
        "--tls-addr=127.0.0.1:0".to_owned(),
        format!("--tls-cert={}", first.chain.display()),
        format!("--tls-key={}", first.key.display()),
    ];
    let server = ServerProcess::start(&flags.each_ref().map(String::as_str));
    let shown = async || {
        let stream = TcpStream::connect(server.tls.expect("TLS is served")).await.expect("connected");
        let link = patiently("a handshake", Link::shake_hands(stream, client(&authority, &[&TLS13]))).await;
        let Ok(Link::Tls(stream)) = link else { panic!("no TLS") };
        stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone()
    };
    let hangup = async |said: &str| {
        server.signal(Signal::HUP);
        server.process().await_stderr(said, |log| log.contains(said).then_some(()));
    };
    assert_eq!(shown().await, first.certificate);
    let second = authority.issue("server", Key::Ecdsa);
    hangup("new connections get the new certificate").await;
    assert_eq!(shown().await, second.certificate);
    std::fs::write(&first.chain, "no certificate").expect("a file is written");
    hangup("the certificate stays as it was").await;
    assert_eq!(shown().await, second.certificate);
    server.signal(Signal::TERM);
    assert_eq!(server.finish(integration::PATIENCE).await.code, Some(0));
}

async fn a_certificate_of_our_own_changes_and_its_authority_stays() {
    go_over_tls();
    let server = Server::with(&["--instance=pod-7.example"]);
    for _ in 0..2 {
        let reply = Client::connect(Protocol::Http2, server.http).await.get("/").await.json();
        assert_eq!(reply["tls"]["sni"], json!("localhost"));
        server.certificates().reload().expect("another one is signed");
    }
}

async fn what_is_no_tls_is_told_so() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &[]);
    let address = server.tls.expect("TLS is served");
    let garbage: [&[u8]; 3] =
        [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0xff; 4000]];
    for (count, sent) in (1..).zip(garbage) {
        let mut client = Http1::connect(address).await;
        client.send(sent).await;
        // An alert, fatal, that tells of the wrong version or of a message that is none (RFC 8446 section 6).
        let said = patiently("the end", client.to_end()).await.expect("no reset");
        assert_eq!((said.first(), said.get(5), said.len()), (Some(&21), Some(&2), 7), "{said:?}");
        failures(&server, "not_tls", count).await;
    }
    // A greeting that breaks off.
    let mut client = Http1::connect(address).await;
    client.send(b"\x16\x03\x01\x02\x00\x01\x00").await;
    drop(client);
    failures(&server, "closed", 1).await;
    // One that does not trust the server says so.
    let stranger = Authority::root();
    let refused = connect(&server, &self::client(&stranger, &[&TLS13])).await;
    assert!(refused.expect_err("an unknown authority").to_string().contains("invalid peer certificate"));
    failures(&server, "alert", 1).await;
    assert_eq!(echoed(&server, &self::client(&authority, &[&TLS13])).await["resumed"], json!(false));
    Metrics::until(server.admin, |metrics| metrics.sum(CONNECTIONS, &[]) == 0).await;
}

async fn a_client_that_stalls_is_given_up() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &["--header-timeout=300ms"]);
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01"] {
        let mut client = Http1::connect(server.tls.expect("TLS is served")).await;
        client.send(sent).await;
        assert!(patiently("the end", client.to_end()).await.expect("no reset").is_empty());
    }
    failures(&server, "timeout", 2).await;
    // After the handshake, the request's head has what is left of that time.
    let link = connect(&server, &client(&authority, &[&TLS13])).await.expect("a handshake");
    assert!(patiently("the end", Http1::on(link).to_end()).await.expect("a goodbye").is_empty());
    assert_eq!(server.metrics().await.sum(FAILURES, &[]), 2);
}

async fn stalled_handshakes_hold_up_nobody() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &["--workers=1"]);
    let mut stalled = Vec::new();
    for _ in 0..200 {
        let mut client = Http1::connect(server.tls.expect("TLS is served")).await;
        client.send(b"\x16\x03\x01\x02\x00\x01").await;
        stalled.push(client);
    }
    for protocol in Protocol::ALL {
        let config = offering(&client(&authority, &[&TLS13]), &[protocol.alpn()]);
        let link = connect(&server, &config).await.expect("a handshake");
        assert_eq!(exchange(protocol, link).await.status, 200);
    }
}

async fn a_half_closed_connection_gets_its_reply() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &[]);
    let mut client = Http1::on(connect(&server, &client(&authority, &[&TLS13])).await.expect("a handshake"));
    client.send(&Line::of(&Request::get("/chunked/3?size=1000&delay=50"))).await;
    client.finish_sending().await;
    let reply = patiently("a reply", client.reply("GET")).await.expect("a whole reply");
    assert_eq!(reply.body.len(), 3000);
    assert!(patiently("the end", client.to_end()).await.expect("a goodbye").is_empty());
}

async fn a_connection_that_just_ends_gets_its_reply() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &[]);
    let link = connect(&server, &client(&authority, &[&TLS13])).await.expect("a handshake");
    let Link::Tls(mut stream) = link else { unreachable!("it is TLS") };
    tokio::io::AsyncWriteExt::write_all(&mut stream, &Line::of(&Request::get("/delay/100")))
        .await
        .expect("sent");
    // The socket's end without TLS's goodbye (RFC 9112 section 9.8).
    rustix::net::shutdown(stream.get_ref().0, rustix::net::Shutdown::Write).expect("the sending side ends");
    let mut reply = Vec::new();
    patiently("a reply", stream.read_to_end(&mut reply)).await.expect("a goodbye");
    assert!(reply.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&reply));
}

async fn a_drain_ends_handshakes_too() {
    let authority = Authority::root();
    let certificate = authority.issue("server", Key::Ecdsa);
    let server = serve(&certificate, &[]);
    let address = server.tls.expect("TLS is served");
    let mut silent = Http1::connect(address).await;
    let mut begun = Http1::connect(address).await;
    begun.send(b"\x16\x03\x01\x02\x00").await;
    let config = offering(&client(&authority, &[&TLS13]), &["h2"]);
    let link = connect(&server, &config).await.expect("a handshake");
    let http2 = Http2::on(link, &h2::client::Builder::new()).await.expect("the preface is sent");
    Metrics::until(server.admin, |metrics| metrics.sum(CONNECTIONS, &[]) == 3).await;
    server.drain();
    assert!(patiently("the end", silent.to_end()).await.expect("no reset").is_empty());
    patiently("the end", begun.to_end()).await.ok();
    http2.ended().await.expect("GOAWAY says that nothing was wrong");
    assert_eq!(server.join(), dummy_server::Ended::Drained);
}

fn files_that_are_of_no_use_are_named() {
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
        assert!(line.starts_with("dummy-server: can't serve TLS: ") && line.contains(said), "{finished}");
    }
}
