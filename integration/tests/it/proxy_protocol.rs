//! PROXY headers: what they change in the echo, and what happens to invalid ones.

use std::net::SocketAddr;

use contract::echo::{EchoRequest, EchoResponse};
use integration::{
    authority::{Authority, Key},
    binaries::{ServerProcess, loadgen},
    cases::AndTls,
    client::{
        Client, GrpcClient, Http1, Http2, Link, Protocol, Request, fetch, link::is_over_tls, patiently,
    },
    metrics::{CONNECTIONS, Metrics},
    proxies::{HAPROXY_TCP_V2, HAPROXY_V1, HAPROXY_V2},
    proxy::{Behind, Kind, Proxy},
    server::Server,
    tools::require,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::grpc_calls::ECHO;

tests!();

const ERRORS: &str = "dummy_server_proxy_protocol_errors_total";
const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n";

/// A header of version 2, given its command, family and transport, and the rest.
fn binary(command: u8, family: u8, rest: &[&[u8]]) -> Vec<u8> {
    let rest = rest.concat();
    let length = u16::try_from(rest.len()).expect("a short header").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family][..], &length, &rest].concat()
}

const IPV6: &[u8] =
    b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x08\x12\x67\x01\xbb";

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).expect("a short value").to_be_bytes(), value].concat()
}

/// A connection that begins with these bytes, one after the other.
async fn begun_with(bytes: &[u8], address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.set_nodelay(true).expect("a socket takes TCP_NODELAY");
    for byte in bytes {
        stream.write_all(&[*byte]).await.expect("sent");
    }
    stream
}

/// The echo on a connection that begins with a header, and its client's own address.
async fn echoed(protocol: Protocol, server: &Server, header: &[u8]) -> (Value, SocketAddr) {
    let stream = begun_with(header, server.http).await;
    let own = stream.local_addr().expect("an address");
    let mut client = patiently("a handshake", Client::on(protocol, stream)).await.expect("a connection");
    let first = client.get("/").await.json();
    // It is said once and true for all that follows.
    let second = client.exchange(Request::post("/", "x")).await.json();
    for name in ["source_addr", "destination_addr", "proxy_protocol", "tls"] {
        assert_eq!(first[name], second[name], "{name}");
    }
    assert_eq!(first["tls"].is_object(), is_over_tls());
    (first, own)
}

async fn a_version_1_header_gives_the_client_address(protocol: Protocol, _: AndTls) {
    let server = Server::with(&["--proxy-protocol=required"]);
    let (echo, _) = echoed(protocol, &server, LINE).await;
    assert_eq!(echo["source_addr"], json!("192.0.2.7:4711"));
    assert_eq!(echo["destination_addr"], json!("192.0.2.8:443"));
    let said = json!({
        "version": 1,
        "command": "PROXY",
        "source": "192.0.2.7:4711",
        "destination": "192.0.2.8:443",
        "tlvs": [],
    });
    assert_eq!(echo["proxy_protocol"], said);
    // A proxy that does not know: the connection's own addresses.
    let (echo, own) = echoed(protocol, &server, b"PROXY UNKNOWN\r\n").await;
    assert_eq!(echo["source_addr"], json!(own.to_string()));
    assert_eq!(echo["proxy_protocol"]["source"], Value::Null);
}

async fn a_version_2_header_gives_the_client_address_and_tlvs(protocol: Protocol, _: AndTls) {
    let server = Server::with(&["--proxy-protocol=required"]);
    let ssl = [&[1, 0, 0, 0, 0][..], &tlv(0x21, b"TLSv1.3"), &tlv(0x23, b"TLS_AES_128_GCM_SHA256")].concat();
    let tlvs = [
        tlv(0x01, b"h2"),
        tlv(0x02, b"dummy.test"),
        tlv(0x05, &[0, 0xff]),
        tlv(0x20, &ssl),
        tlv(0x30, b"blue"),
        tlv(0xef, b"own"),
    ]
    .concat();
    let (echo, _) = echoed(protocol, &server, &binary(1, 0x21, &[IPV6, &tlvs])).await;
    assert_eq!(echo["source_addr"], json!("[2001:db8::7]:4711"));
    assert_eq!(echo["destination_addr"], json!("[2001:db8::8]:443"));
    let said = json!({
        "version": 2,
        "command": "PROXY",
        "source": "[2001:db8::7]:4711",
        "destination": "[2001:db8::8]:443",
        "tlvs": [
            { "type": 1, "name": "ALPN", "value": "h2" },
            { "type": 2, "name": "AUTHORITY", "value": "dummy.test" },
            { "type": 5, "name": "UNIQUE_ID", "value": "0x00ff" },
            { "type": 32, "name": "SSL", "value": {
                "client_tls": true,
                "certificate_on_connection": false,
                "certificate_in_session": false,
                "verify": 0,
                "tlvs": [
                    { "type": 33, "name": "SSL_VERSION", "value": "TLSv1.3" },
                    { "type": 35, "name": "SSL_CIPHER", "value": "TLS_AES_128_GCM_SHA256" },
                ],
            } },
            { "type": 48, "name": "NETNS", "value": "blue" },
            { "type": 239, "name": null, "value": "own" },
        ],
    });
    assert_eq!(echo["proxy_protocol"], said);
    let mut unix = [0; 216];
    unix[..9].copy_from_slice(b"/tmp/from");
    unix[108..115].copy_from_slice(b"/tmp/to");
    let (echo, _) = echoed(protocol, &server, &binary(1, 0x31, &[&unix])).await;
    assert_eq!((&echo["source_addr"], &echo["destination_addr"]), (&json!("/tmp/from"), &json!("/tmp/to")));
}

async fn a_local_header_is_skipped_whatever_it_holds(protocol: Protocol, _: AndTls) {
    let server = Server::with(&["--proxy-protocol=required"]);
    for header in [
        binary(0, 0, &[]),
        binary(0, 0x21, &[IPV6]),
        binary(0, 0x21, &[&IPV6[..7]]),
        binary(0, 0xff, &[b"of no family, with bytes that are no TLV"]),
        binary(0, 0x21, &[IPV6, &tlv(0x03, &[1, 2, 3, 4])]),
    ] {
        let (echo, own) = echoed(protocol, &server, &header).await;
        assert_eq!(echo["source_addr"], json!(own.to_string()));
        assert_eq!(echo["destination_addr"], json!(server.http.to_string()));
        let said = json!({
            "version": 2, "command": "LOCAL", "source": null, "destination": null, "tlvs": [],
        });
        assert_eq!(echo["proxy_protocol"], said);
    }
    assert_eq!(server.metrics().await.sum(ERRORS, &[]), 0);
}

async fn mapped_addresses_in_a_header_are_shown_as_ipv4(protocol: Protocol, _: AndTls) {
    let server = Server::with(&["--proxy-protocol=required"]);
    let mapped = b"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x07\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x08\x12\x67\x01\xbb";
    let line = b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.8 4711 443\r\n";
    for header in [binary(1, 0x21, &[mapped]), line.to_vec()] {
        let (echo, _) = echoed(protocol, &server, &header).await;
        assert_eq!(echo["source_addr"], json!("192.0.2.7:4711"));
        assert_eq!(echo["destination_addr"], json!("192.0.2.8:443"));
        assert_eq!(echo["proxy_protocol"]["source"], json!("192.0.2.7:4711"));
    }
}

async fn a_refused_header_is_logged_with_its_reason() {
    let server = ServerProcess::start(&["--proxy-protocol=required"]);
    for (header, kind, reason) in [
        (binary(1, 0x41, &[IPV6]), "unsupported", "unknown address family: 4; known are IPv4, IPv6 and Unix"),
        (b"PROXY TCP4 nobody nowhere 1 2\r\n".to_vec(), "malformed", "not an address of its family"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "missing", "--proxy-protocol=required"),
    ] {
        is_closed(&header, server.http).await;
        let line = server
            .process()
            .await_stderr(reason, |log| log.lines().find(|line| line.contains(reason)).map(str::to_owned));
        assert!(line.contains("PROXY header refused") && line.contains("peer=\"127.0.0.1:"), "{line}");
        assert!(line.contains(&format!("kind=\"{kind}\"")), "{line}");
    }
}

async fn an_optional_header_may_be_missing(protocol: Protocol, _: AndTls) {
    let server = Server::with(&["--proxy-protocol=optional"]);
    let (echo, own) = echoed(protocol, &server, b"").await;
    assert_eq!(echo["source_addr"], json!(own.to_string()));
    assert!(echo.get("proxy_protocol").is_none(), "{echo:#}");
    let (echo, _) = echoed(protocol, &server, LINE).await;
    assert_eq!(echo["source_addr"], json!("192.0.2.7:4711"));
    // Methods that begin like a header's line.
    let mut client = Client::connect(protocol, server.http).await;
    for method in ["PUT", "POST", "PROPFIND", "PROXY"] {
        assert_eq!(client.exchange(Request::new(method, "/")).await.json()["method"], json!(method));
    }
    assert_eq!(server.metrics().await.sum(ERRORS, &[]), 0);
}

async fn errors(server: &Server, reason: &str, count: u64) {
    let labels = [("reason", reason)];
    Metrics::until(server.admin, |metrics| metrics.sum(ERRORS, &labels) == count).await;
}

/// The connection that begins with these bytes ends, with a reset perhaps, and without a byte in return.
async fn is_closed(bytes: &[u8], address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(bytes).await.expect("sent");
    let mut client = Http1::on(stream);
    let said = patiently("the end", client.until_closed()).await;
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

async fn a_missing_required_header_closes_the_connection(_: AndTls) {
    let server = Server::with(&["--proxy-protocol=required"]);
    let greetings: [&[u8]; 3] =
        [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00"];
    for (count, greeting) in (1..).zip(greetings) {
        is_closed(greeting, server.http).await;
        errors(&server, "missing", count).await;
    }
    // A silent connection, such as a load balancer's TCP check, is not an error.
    drop(TcpStream::connect(server.http).await.expect("connected"));
    assert_eq!(echoed(Protocol::Http1, &server, LINE).await.0["source_addr"], json!("192.0.2.7:4711"));
    Metrics::until(server.admin, |metrics| metrics.sum(CONNECTIONS, &[]) == 0).await;
    assert_eq!(server.metrics().await.sum(ERRORS, &[]), 3);
}

async fn grpc_connections_begin_with_a_header_too() {
    let server = Server::with(&["--proxy-protocol=required"]);
    let stream = begun_with(LINE, server.grpc).await;
    let connection = Http2::on(stream, &h2::client::Builder::new()).await.expect("the preface is sent");
    let mut client = GrpcClient::on(connection);
    let (answer, status) = client.unary::<EchoResponse>(ECHO, &EchoRequest::default()).await;
    assert_eq!((status.code, answer.is_some()), (0, true));
    is_closed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", server.grpc).await;
    errors(&server, "missing", 1).await;
}

async fn without_the_flag_a_header_is_a_bad_request() {
    let server = Server::start();
    let stream = begun_with(LINE, server.http).await;
    let mut client = Http1::on(stream);
    assert_eq!(patiently("a refusal", client.reply("GET")).await.expect("a reply").status, 400);
}

async fn an_invalid_header_closes_the_connection() {
    let cut_off = [&LINE[..10], b""].concat();
    let too_long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat();
    let wrong_sum = binary(1, 0x21, &[IPV6, &tlv(0x03, &[1, 2, 3, 4])]);
    let mut too_long_binary = binary(1, 0x21, &[]);
    too_long_binary[14..].copy_from_slice(&[0xff, 0xff]);
    for mode in ["--proxy-protocol=optional", "--proxy-protocol=required"] {
        let server = Server::with(&[mode]);
        for (reason, count, bytes) in [
            ("malformed", 1, &b"PROXY TCP4 nobody nowhere 1 2\r\n"[..]),
            ("malformed", 2, b"\r\n\r\n\0\r\nQUIT\n\x11"),
            ("unsupported", 1, &binary(1, 0x41, &[IPV6])),
            ("unsupported", 2, &binary(1, 0x23, &[IPV6])),
            ("too_long", 1, &too_long),
            ("too_long", 2, &too_long_binary),
            ("checksum", 1, &wrong_sum),
        ] {
            is_closed(bytes, server.http).await;
            errors(&server, reason, count).await;
        }
        let mut client = Http1::on(begun_with(&cut_off, server.http).await);
        client.finish_sending().await;
        assert!(patiently("the end", client.to_end()).await.expect("no reset").is_empty());
        errors(&server, "malformed", 3).await;
        assert_eq!(server.metrics().await.sum(ERRORS, &[]), 8);
        assert_eq!(echoed(Protocol::Http2, &server, LINE).await.0["source_addr"], json!("192.0.2.7:4711"));
    }
}

async fn an_incomplete_header_times_out() {
    let server = Server::with(&["--proxy-protocol=required", "--header-timeout=300ms"]);
    for sent in [&b""[..], b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"] {
        let mut client = Http1::on(begun_with(sent, server.http).await);
        assert!(patiently("the end", client.to_end()).await.expect("no reset").is_empty());
    }
    errors(&server, "timeout", 3).await;
}

async fn a_header_is_awaited_no_longer_than_the_drain() {
    let server = Server::with(&["--proxy-protocol=required"]);
    let mut begun = Http1::on(begun_with(&LINE[..9], server.http).await);
    let mut told = Http1::on(begun_with(LINE, server.http).await);
    Metrics::until(server.admin, |metrics| metrics.sum(CONNECTIONS, &[]) == 2).await;
    server.drain();
    assert!(patiently("the end", begun.to_end()).await.expect("no reset").is_empty());
    assert!(patiently("the end", told.to_end()).await.expect("no reset").is_empty());
    assert_eq!(server.join(), dummy_server::Ended::Drained);
}

async fn forwarded_fields_are_echoed_but_not_trusted(protocol: Protocol, _: AndTls) {
    let server = Server::with(&["--proxy-protocol=optional"]);
    let fields = [
        ("Forwarded", "for=203.0.113.9;proto=https"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Real-Ip", "203.0.113.9"),
    ];
    let request =
        fields.into_iter().fold(Request::get("/"), |request, (name, value)| request.field(name, value));
    let echo = fetch(protocol, server.http, request.clone()).await.json();
    let stream = begun_with(LINE, server.http).await;
    let mut client = patiently("a handshake", Client::on(protocol, stream)).await.expect("a connection");
    let proxied = client.exchange(request).await.json();
    for (name, value) in fields {
        assert_eq!((&echo["headers"][name], &proxied["headers"][name]), (&json!(value), &json!(value)));
    }
    assert!(
        echo["source_addr"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")),
        "{echo:#}"
    );
    assert_eq!(proxied["source_addr"], json!("192.0.2.7:4711"));
}

/// The echo through HAProxy, with the addresses that the client sees of its own connection.
async fn through(kind: Kind, protocol: Protocol) -> Option<(Value, SocketAddr, SocketAddr)> {
    let program = require(kind.tool)?;
    let server = Server::with(&["--proxy-protocol=required"]);
    let proxy = Proxy::start(kind, &program, Behind { http: server.http, grpc: server.grpc });
    let front = match protocol {
        Protocol::Http1 => proxy.fronts.http1,
        Protocol::Http2 => proxy.fronts.h2c,
    };
    let stream = TcpStream::connect(front).await.expect("connected");
    let own = stream.local_addr().expect("an address");
    let link =
        patiently("a handshake", Link::as_with(server.http, stream, protocol.alpn())).await.expect("a link");
    let mut client = match protocol {
        Protocol::Http1 => Client::Http1(Http1::on(link)),
        Protocol::Http2 => {
            Client::Http2(Http2::on(link, &h2::client::Builder::new()).await.expect("the preface is sent"))
        }
    };
    Some((client.get("/").await.json(), own, front))
}

async fn haproxy_passes_the_client_address_in_version_1(protocol: Protocol) {
    let Some((echo, own, front)) = through(HAPROXY_V1, protocol).await else { return };
    assert_eq!(echo["source_addr"], json!(own.to_string()));
    assert_eq!(echo["destination_addr"], json!(front.to_string()));
    assert_eq!(echo["proxy_protocol"]["version"], json!(1));
}

async fn haproxy_passes_the_client_address_in_version_2(protocol: Protocol) {
    let Some((echo, own, front)) = through(HAPROXY_V2, protocol).await else { return };
    assert_eq!(echo["source_addr"], json!(own.to_string()));
    assert_eq!(echo["destination_addr"], json!(front.to_string()));
    let said = &echo["proxy_protocol"];
    assert_eq!((&said["version"], &said["command"]), (&json!(2), &json!("PROXY")));
    let sums = said["tlvs"].as_array().expect("a list").iter().filter(|tlv| tlv["name"] == "CRC32C");
    assert_eq!(sums.count(), 1, "{said:#}");
}

async fn haproxy_in_tcp_mode_passes_the_client_address(protocol: Protocol, _: AndTls) {
    let Some((echo, own, front)) = through(HAPROXY_TCP_V2, protocol).await else { return };
    assert_eq!(echo["source_addr"], json!(own.to_string()));
    assert_eq!(echo["destination_addr"], json!(front.to_string()));
    assert_eq!(echo["tls"].is_object(), is_over_tls());
}

async fn loadgen_reports_its_own_connections_before_tls_and_over_both_protocols() {
    let authority = Authority::root();
    let issued = authority.issue("proxied", Key::Ecdsa);
    let ca = authority.file();
    let server = Server::with(&[
        "--proxy-protocol=required",
        "--tls-addr=127.0.0.1:0",
        &format!("--tls-cert={}", issued.chain.display()),
        &format!("--tls-key={}", issued.key.display()),
    ]);
    let tls = format!("https://{}/", server.tls.expect("TLS is served"));
    let plain = format!("http://{}/", server.http);
    for version in ["v1", "v2"] {
        for target in [&[&*plain][..], &[&*plain, "--http2"], &[&*tls], &[&*tls, "--http1.1"]] {
            let cacert = if target[0].starts_with("https") { ca.to_str() } else { None };
            let own = ["--once", "--bind", "127.0.0.9", "--proxy-protocol", version];
            let trust: Vec<&str> = cacert.into_iter().flat_map(|ca| ["--cacert", ca]).collect();
            let finished = loadgen(&[&own[..], &trust, target].concat());
            assert_eq!(finished.code, Some(0), "{target:?}: {finished}");
            assert!(finished.stdout.contains(r#""source":"127.0.0.9:"#), "{version}: {finished}");
        }
    }
}
