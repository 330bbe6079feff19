//! What a handshake agrees on, and what it refuses.

use integration::{
    authority::{Authority, Key},
    client::{Client, HOST, Http1, Protocol, patiently},
};
use serde_json::{Value, json};
use tokio_rustls::rustls::{
    client::Resumption,
    version::{TLS12, TLS13},
};

use super::{FAILURES, client, connect, echoed, exchange, failures, offering, serve};

const HANDSHAKES: &str = "dummy_server_tls_handshakes_total";

tests!();

async fn the_echo_reports_the_negotiated_parameters() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &[]);
    for (version, name, cipher) in
        [(&TLS13, "TLSv1.3", "TLS_AES_"), (&TLS12, "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_")]
    {
        for protocol in Protocol::ALL {
            // Each has its own session.
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
                assert_eq!(echo["uri"], json!(format!("https://{HOST}/")));
            }
        }
        let metrics = server.metrics().await;
        assert_eq!(metrics.sum(HANDSHAKES, &[("version", name), ("resumed", "false")]), 2);
    }
    assert_eq!(server.metrics().await.sum(FAILURES, &[]), 0);
    // A plain connection of the same server says nothing about it.
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

async fn the_protocol_agreed_by_alpn_must_be_spoken() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &[]);
    let config = client(&authority, &[&TLS13]);
    let link = connect(&server, &offering(&config, &["h2"])).await.expect("a handshake");
    let mut spoken = Http1::on(link);
    spoken.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let said = patiently("the end", spoken.to_end()).await.expect("a close_notify");
    assert!(!said.starts_with(b"HTTP/1"), "{}", String::from_utf8_lossy(&said));
    // And the other way round.
    let link = connect(&server, &offering(&config, &["http/1.1"])).await.expect("a handshake");
    let mut spoken = Http1::on(link);
    spoken.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let reply = patiently("a reply", spoken.reply("GET")).await.expect("a refusal");
    assert!((400..=505).contains(&reply.status), "{}", reply.status);
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
