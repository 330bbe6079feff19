//! Connections that are not TLS, get no further than the handshake, or end in one direction.

use integration::{
    authority::{Authority, Key},
    client::{Http1, Http2, Line, Link, Protocol, Request, patiently},
    metrics::{CONNECTIONS, Metrics},
};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio_rustls::rustls::version::TLS13;

use super::{FAILURES, client, connect, echoed, exchange, failures, offering, serve};

tests!();

async fn clients_that_do_not_speak_tls_get_an_alert() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &[]);
    let address = server.tls.expect("TLS is served");
    let garbage: [&[u8]; 3] =
        [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0xff; 4000]];
    for (count, sent) in (1..).zip(garbage) {
        let mut client = Http1::connect(address).await;
        client.send(sent).await;
        // A fatal alert for a wrong version or an invalid message (RFC 8446 section 6).
        let said = patiently("the end", client.to_end()).await.expect("no reset");
        assert_eq!((said.first(), said.get(5), said.len()), (Some(&21), Some(&2), 7), "{said:?}");
        failures(&server, "not_tls", count).await;
    }
    // A truncated ClientHello.
    let mut client = Http1::connect(address).await;
    client.send(b"\x16\x03\x01\x02\x00\x01\x00").await;
    drop(client);
    failures(&server, "closed", 1).await;
    // A client that does not trust the server sends an alert.
    let stranger = Authority::root();
    let refused = connect(&server, &self::client(&stranger, &[&TLS13])).await;
    assert!(refused.expect_err("an unknown authority").to_string().contains("invalid peer certificate"));
    failures(&server, "alert", 1).await;
    assert_eq!(echoed(&server, &self::client(&authority, &[&TLS13])).await["resumed"], json!(false));
    Metrics::until(server.admin, |metrics| metrics.sum(CONNECTIONS, &[]) == 0).await;
}

async fn a_stalled_handshake_times_out() {
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
    assert!(patiently("the end", Http1::on(link).to_end()).await.expect("a close_notify").is_empty());
    assert_eq!(server.metrics().await.sum(FAILURES, &[]), 2);
}

async fn stalled_handshakes_do_not_delay_others() {
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
    assert!(patiently("the end", client.to_end()).await.expect("a close_notify").is_empty());
}

async fn eof_without_close_notify_still_gets_the_reply() {
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &[]);
    let link = connect(&server, &client(&authority, &[&TLS13])).await.expect("a handshake");
    let Link::Tls(mut stream) = link else { unreachable!("it is TLS") };
    tokio::io::AsyncWriteExt::write_all(&mut stream, &Line::of(&Request::get("/delay/100")))
        .await
        .expect("sent");
    // The socket's end without TLS's close_notify (RFC 9112 section 9.8).
    rustix::net::shutdown(stream.get_ref().0, rustix::net::Shutdown::Write).expect("the sending side ends");
    let mut reply = Vec::new();
    patiently("a reply", stream.read_to_end(&mut reply)).await.expect("a close_notify");
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
    patiently("the end", begun.until_closed()).await;
    http2.ended().await.expect("GOAWAY says that nothing was wrong");
    assert_eq!(server.join(), dummy_server::Ended::Drained);
}
