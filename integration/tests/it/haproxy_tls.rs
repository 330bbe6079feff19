//! What HAProxy says of the TLS that it ends: a PROXY header's TLV with version, cipher and certificate.

use std::{fs, net::SocketAddr, path::Path};

use integration::{
    authority::{Authority, Issued, Key},
    client::{Client, Http1, Http2, Link, Protocol, patiently},
    proxies::HAPROXY_TLS_V2,
    proxy::{Behind, Proxy},
    server::Server,
    tools::require,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    version::{TLS12, TLS13},
};

tests!();

/// HAProxy before a server, and the authority of its clients.
struct Scene {
    front: SocketAddr,
    protocol: Protocol,
    authority: Authority,
    clients: Authority,
    _behind: (Server, Proxy),
}

impl Scene {
    fn start(protocol: Protocol) -> Option<Self> {
        let program = require(HAPROXY_TLS_V2.tool)?;
        let server = Server::with(&["--proxy-protocol=required"]);
        let (authority, clients) = (Authority::root(), Authority::root());
        let text = |path: &Path| fs::read_to_string(path).expect("a file that was written");
        let certificate = authority.issue("front", Key::Ecdsa);
        let files = [
            ("front.pem", text(&certificate.chain) + &text(&certificate.key)),
            ("clients.pem", clients.pem()),
        ];
        let behind = Behind { http: server.http, grpc: server.grpc };
        let proxy = Proxy::start_with(HAPROXY_TLS_V2, &program, behind, &files);
        let front = match protocol {
            Protocol::Http1 => proxy.fronts.http1,
            Protocol::Http2 => proxy.fronts.h2c,
        };
        Some(Self { front, protocol, authority, clients, _behind: (server, proxy) })
    }

    /// A client that shows this certificate.
    fn client(&self, version: &'static SupportedProtocolVersion, shown: Option<&Issued>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate()).expect("a root");
        let builder = ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots);
        let mut config = match shown.map(Issued::shown) {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).expect("a key of its certificate")
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![self.protocol.alpn().as_bytes().to_vec()];
        config
    }

    /// What the echo says of the header on a new connection.
    async fn reported(&self, config: &ClientConfig) -> Value {
        let stream = TcpStream::connect(self.front).await.expect("connected");
        let own = stream.local_addr().expect("an address");
        let link = patiently("a handshake", Link::shake_hands(stream, config.clone())).await;
        let link = link.expect("HAProxy lets everybody in");
        let mut client = match self.protocol {
            Protocol::Http1 => Client::Http1(Http1::on(link)),
            Protocol::Http2 => {
                let connection = Http2::on(link, &h2::client::Builder::new()).await;
                Client::Http2(connection.expect("the preface is sent"))
            }
        };
        let echo = client.get("/").await.json();
        assert_eq!(echo["source_addr"], json!(own.to_string()));
        let said = &echo["proxy_protocol"];
        assert_eq!((&said["version"], &said["command"]), (&json!(2), &json!("PROXY")));
        assert_eq!(value(&said["tlvs"], "ALPN"), json!(self.protocol.alpn()));
        assert_eq!(value(&said["tlvs"], "AUTHORITY"), json!("localhost"));
        // The server's own connection has none.
        assert!(echo["tls"].is_null(), "{echo:#}");
        value(&said["tlvs"], "SSL")
    }
}

/// The value of the only TLV of that name; null when there is none.
fn value(tlvs: &Value, name: &str) -> Value {
    let all: Vec<&Value> =
        tlvs.as_array().expect("a list").iter().filter(|tlv| tlv["name"] == name).collect();
    assert!(all.len() < 2, "{tlvs:#}");
    all.first().map_or(Value::Null, |tlv| tlv["value"].clone())
}

/// Whether a certificate came on this connection, in this session, and what came of its verification.
fn certificate(ssl: &Value) -> (bool, bool, u64) {
    assert_eq!(ssl["client_tls"], json!(true));
    let flag = |name: &str| ssl[name].as_bool().expect("a flag");
    let verify = ssl["verify"].as_u64().expect("a number");
    (flag("certificate_on_connection"), flag("certificate_in_session"), verify)
}

async fn a_verified_client_certificate_is_reported(protocol: Protocol) {
    let Some(scene) = Scene::start(protocol) else { return };
    for (version, name, cipher, key) in
        [(&TLS13, "TLSv1.3", "TLS_AES_", Key::Ecdsa), (&TLS12, "TLSv1.2", "ECDHE-ECDSA-", Key::Rsa)]
    {
        let shown = scene.clients.issue("somebody", key);
        let ssl = scene.reported(&scene.client(version, Some(&shown))).await;
        assert_eq!(certificate(&ssl), (true, true, 0), "{ssl:#}");
        assert_eq!(value(&ssl["tlvs"], "SSL_VERSION"), json!(name));
        assert_eq!(value(&ssl["tlvs"], "SSL_CN"), json!("somebody"));
        let agreed = value(&ssl["tlvs"], "SSL_CIPHER");
        assert!(agreed.as_str().is_some_and(|agreed| agreed.starts_with(cipher)), "{ssl:#}");
        // These are of the certificate that HAProxy shows.
        assert_eq!(value(&ssl["tlvs"], "SSL_KEY_ALG"), json!("EC256"));
        assert_eq!(value(&ssl["tlvs"], "SSL_SIG_ALG"), json!("ecdsa-with-SHA256"));
    }
}

async fn a_missing_client_certificate_is_reported(protocol: Protocol) {
    let Some(scene) = Scene::start(protocol) else { return };
    let ssl = scene.reported(&scene.client(&TLS13, None)).await;
    let (on_connection, in_session, _) = certificate(&ssl);
    assert_eq!((on_connection, in_session), (false, false), "{ssl:#}");
    assert_eq!(value(&ssl["tlvs"], "SSL_VERSION"), json!("TLSv1.3"));
    assert_eq!(value(&ssl["tlvs"], "SSL_CN"), Value::Null);
}

async fn an_untrusted_client_certificate_is_reported(protocol: Protocol) {
    let Some(scene) = Scene::start(protocol) else { return };
    let stranger = Authority::root().issue("stranger", Key::Ecdsa);
    let ssl = scene.reported(&scene.client(&TLS13, Some(&stranger))).await;
    let (on_connection, in_session, verify) = certificate(&ssl);
    assert!(on_connection && in_session && verify != 0, "{ssl:#}");
    assert_eq!(value(&ssl["tlvs"], "SSL_CN"), json!("stranger"));
}

async fn the_client_certificate_of_a_resumed_session_is_reported(protocol: Protocol) {
    let Some(scene) = Scene::start(protocol) else { return };
    let config = scene.client(&TLS13, Some(&scene.clients.issue("somebody", Key::Ecdsa)));
    assert_eq!(certificate(&scene.reported(&config).await), (true, true, 0));
    let ssl = scene.reported(&config).await;
    assert_eq!(certificate(&ssl), (false, true, 0), "{ssl:#}");
    assert_eq!(value(&ssl["tlvs"], "SSL_CN"), json!("somebody"));
}
