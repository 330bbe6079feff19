//! HTTP/1 as bytes on the wire: framing, versions, expectations, and input that breaks the rules; and what
//! HTTP/2 clients do wrong.

use bytes::Bytes;
use contract::echo::{EchoRequest, EchoResponse};
use integration::{
    cases::AndTls,
    client::{Client, GrpcClient, Http1, Http2, Line, Link, Protocol, Request, patiently},
    server::Server,
};
use serde_json::json;

use crate::grpc_calls::ECHO;

tests!();

async fn pipelined_requests_are_answered_in_order(_: AndTls) {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    let targets: Vec<String> = (1..=50).map(|n| format!("/bin/{n}")).collect();
    let bytes: Vec<u8> = targets.iter().flat_map(|target| Line::of(&Request::get(target))).collect();
    client.send(&bytes).await;
    for size in 1..=50 {
        let exchange = patiently("a reply", client.reply("GET")).await.unwrap();
        assert_eq!((exchange.status, exchange.body.len()), (200, size));
    }
}

async fn a_reply_does_not_wait_for_the_rest_of_the_next_request(_: AndTls) {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    client.send(b"GET /bin/7 HTTP/1.1\r\nHost: x\r\n\r\nGET /bin/8 HTT").await;
    assert_eq!(patiently("a reply", client.reply("GET")).await.unwrap().body.len(), 7);
    client.send(b"P/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(patiently("a reply", client.reply("GET")).await.unwrap().body.len(), 8);
}

async fn a_request_in_single_bytes_is_read(_: AndTls) {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    for byte in Line::of(&Request::post("/upload", "abc")) {
        client.send(&[byte]).await;
    }
    let exchange = patiently("a reply", client.reply("POST")).await.unwrap();
    assert_eq!(exchange.json()["bytes_received"], json!(3));
}

async fn http_1_0_closes_unless_asked_to_keep_alive(_: AndTls) {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    client.send(b"GET /health HTTP/1.0\r\n\r\n").await;
    let exchange = patiently("a reply", client.reply("GET")).await.unwrap();
    assert_eq!(exchange.json(), json!({ "status": "ok" }));
    assert!(patiently("a close", client.to_end()).await.unwrap().is_empty());

    let mut client = Http1::connect(server.http).await;
    for _ in 0..2 {
        client.send(b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let exchange = patiently("a reply", client.reply("GET")).await.unwrap();
        assert_eq!(exchange.status, 200);
    }

    // HTTP/1.0 knows no chunks: the close ends the body.
    let mut client = Http1::connect(server.http).await;
    client.send(b"GET /bin/1000?chunked=true HTTP/1.0\r\n\r\n").await;
    let exchange = patiently("a reply", client.reply("GET")).await.unwrap();
    assert_eq!((exchange.field("transfer-encoding"), exchange.body.len()), (None, 1000));
}

async fn connection_close_is_announced_and_done(_: AndTls) {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    client.send(&Line::of(&Request::get("/bin/100").field("connection", "close"))).await;
    let exchange = patiently("a reply", client.reply("GET")).await.unwrap();
    assert_eq!((exchange.field("connection"), exchange.body.len()), (Some("close"), 100));
    assert!(patiently("a close", client.to_end()).await.unwrap().is_empty());
}

async fn continue_is_sent_when_the_body_is_wanted(_: AndTls) {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    client
        .send(b"POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .await;
    let interim = patiently("100 Continue", client.head()).await.unwrap();
    assert_eq!(interim.status, 100);
    client.send(b"body").await;
    let exchange = patiently("a reply", client.reply("POST")).await.unwrap();
    assert_eq!(exchange.json()["bytes_received"], json!(4));
}

async fn an_upgrade_to_h2c_is_answered_in_http1() {
    let server = Server::start();
    let request = Request::get("/health")
        .field("connection", "Upgrade, HTTP2-Settings")
        .field("upgrade", "h2c")
        .field("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA");
    let mut client = Http1::connect(server.http).await;
    for _ in 0..2 {
        client.send(&Line::of(&request)).await;
        let exchange = patiently("a reply", client.reply("GET")).await.unwrap();
        assert_eq!((exchange.status, exchange.json()), (200, json!({ "status": "ok" })));
    }
}

async fn a_chunked_upload_is_counted(_: AndTls) {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    let head = "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nx-trailer: 1\r\n\r\n";
    for _ in 0..2 {
        client.send(format!("{head}{body}").as_bytes()).await;
        let exchange = patiently("a reply", client.reply("POST")).await.unwrap();
        assert_eq!(exchange.json()["bytes_received"], json!(13));
    }
}

async fn a_slow_reader_sees_the_end_of_a_chunked_body() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    client
        .send(
            b"POST /delay/0/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        )
        .await;
    let json = patiently("a reply", client.reply("POST")).await.unwrap().json();
    assert_eq!((&json["body_size"], &json["read_chunks"]), (&json!(3), &json!(1)));
}

async fn connect_and_a_missing_host_are_refused() {
    let server = Server::start();
    for head in ["CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let mut client = Http1::connect(server.http).await;
        client.send(head.as_bytes()).await;
        let exchange = patiently("a reply", client.reply("GET")).await.unwrap();
        assert_eq!(exchange.status, 400, "{head}");
        assert!(exchange.json()["accepted"].is_string(), "{head}");
    }
}

async fn a_truncated_body_is_answered_with_400(_: AndTls) {
    let server = Server::start();
    for target in ["/upload", "/", "/delay/1/1", "/status/200", "/health"] {
        let mut client = Http1::connect(server.http).await;
        let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this");
        client.send(head.as_bytes()).await;
        client.finish_sending().await;
        let reply = patiently("a reply", client.reply("POST")).await.unwrap();
        assert_eq!(reply.status, 400, "{target}: {}", reply.text());
        assert_eq!(reply.json()["bytes_received"], json!(9), "{target}");
        assert!(patiently("the end", client.until_closed()).await.is_empty(), "{target}");
    }
    let mut client = Client::connect(Protocol::Http1, server.http).await;
    assert_eq!(client.get("/health").await.status, 200);
}

async fn malformed_requests_are_refused_and_the_connection_closed(_: AndTls) {
    let server = Server::start();
    let requests: [(&[u8], u16); 8] = [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nBad Name: x\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505),
    ];
    for (bytes, status) in requests {
        let mut client = Http1::connect(server.http).await;
        client.send(bytes).await;
        let reply = patiently("a reply", client.reply("GET")).await.unwrap();
        let what = String::from_utf8_lossy(bytes);
        assert_eq!((reply.status, reply.field("connection")), (status, Some("close")), "{what}");
        assert!(patiently("the end", client.until_closed()).await.is_empty(), "{what}");
    }
    assert_eq!(Client::connect(Protocol::Http1, server.http).await.get("/health").await.status, 200);
}

async fn request_smuggling_is_refused() {
    let server = Server::start();
    for (fields, status) in [
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Transfer-Encoding: chunked, identity\r\n", 400),
        ("Transfer-Encoding: gzip\r\n", 400),
    ] {
        let mut client = Http1::connect(server.http).await;
        let hidden = "GET /status/299 HTTP/1.1\r\nHost: x\r\n\r\n";
        let request = format!("POST /upload HTTP/1.1\r\nHost: x\r\n{fields}\r\n{hidden}");
        client.send(request.as_bytes()).await;
        let reply = patiently("a reply", client.reply("POST")).await.unwrap();
        assert_eq!(reply.status, status, "{fields}");
        let rest = patiently("the end", client.until_closed()).await;
        assert!(
            rest.is_empty(),
            "{fields}: the hidden request was answered: {}",
            String::from_utf8_lossy(&rest)
        );
    }
}

async fn a_head_beyond_the_limit_is_refused() {
    let server = Server::with(&["--max-header-bytes=16K"]);
    let mut client = Client::connect(Protocol::Http1, server.http).await;
    let large = "x".repeat(12_000);
    assert_eq!(client.exchange(Request::get("/health").field("x-large", &large)).await.status, 200);
    let mut client = Http1::connect(server.http).await;
    let larger = "x".repeat(20_000);
    client.send(&Line::of(&Request::get("/health").field("x-large", &larger))).await;
    let reply = patiently("a reply", client.reply("GET")).await.unwrap();
    assert_eq!(reply.status, 431);
    let mut client = Client::connect(Protocol::Http2, server.http).await;
    assert_eq!(client.exchange(Request::get("/health").field("x-large", &large)).await.status, 200);
}

async fn an_incomplete_head_times_out(_: AndTls) {
    let server = Server::with(&["--header-timeout=300ms"]);
    // Nothing, a part of the HTTP/2 preface, a part of a head, and a part of a second head.
    for bytes in [&b""[..], b"PRI * HT", b"GET /health HTTP/1.1\r\nHos"] {
        let mut client = Http1::connect(server.http).await;
        client.send(bytes).await;
        assert_is_closed_silently(&mut client).await;
    }
    let mut client = Http1::connect(server.http).await;
    client.send(&Line::of(&Request::get("/health"))).await;
    assert_eq!(patiently("a reply", client.reply("GET")).await.unwrap().status, 200);
    client.send(b"GET /health HTTP/1.1\r\nHos").await;
    assert_is_closed_silently(&mut client).await;
}

async fn assert_is_closed_silently(client: &mut Http1) {
    let said = patiently("the end", client.until_closed()).await;
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

async fn an_idle_connection_is_closed(_: AndTls) {
    let server = Server::with(&["--idle-timeout=300ms"]);
    let mut client = Http1::connect(server.http).await;
    client.send(&Line::of(&Request::get("/health"))).await;
    assert_eq!(patiently("a reply", client.reply("GET")).await.unwrap().status, 200);
    assert!(patiently("the end", client.to_end()).await.unwrap().is_empty());
    let client = Http2::connect(server.http).await;
    client.ended().await.expect("it ends cleanly");
    // A connection that waits for a reply is not idle, even beyond the timeout.
    for protocol in Protocol::ALL {
        let mut client = Client::connect(protocol, server.http).await;
        assert_eq!(client.get("/delay/700").await.status, 200);
        assert_eq!(client.get("/chunked/2?delay=700").await.pieces.len(), 2);
    }
}

async fn an_idle_http2_connection_has_no_head_to_wait_for(_: AndTls) {
    let server = Server::with(&["--header-timeout=300ms"]);
    let mut client = Client::connect(Protocol::Http2, server.http).await;
    let mut grpc = GrpcClient::connect(server.grpc).await;
    for _ in 0..2 {
        // The window that is returned for the body is the last that the server reads for a while.
        assert_eq!(client.get("/bin/1M").await.body.len(), 1 << 20);
        let (_, status) = grpc.unary::<EchoResponse>(ECHO, &EchoRequest::default()).await;
        assert_eq!(status.code, 0);
        // Others whose head does not come show that the time for one has passed, three times over.
        for _ in 0..3 {
            let mut other = Http1::connect(server.http).await;
            other.send(b"GET /never").await;
            patiently("the end of another", other.to_end()).await.unwrap();
        }
    }
}

async fn an_old_connection_is_closed_after_a_reply(_: AndTls) {
    let server = Server::with(&["--max-connection-age=300ms"]);
    let mut client = Http1::connect(server.http).await;
    client.send(&Line::of(&Request::get("/delay/600"))).await;
    let exchange = patiently("a reply", client.reply("GET")).await.unwrap();
    assert_eq!((exchange.status, exchange.field("connection")), (200, Some("close")));
    assert!(patiently("the end", client.to_end()).await.unwrap().is_empty());
    let mut client = Client::connect(Protocol::Http2, server.http).await;
    assert_eq!(client.get("/delay/600").await.status, 200);
    let Client::Http2(client) = client else { unreachable!("it is HTTP/2") };
    client.ended().await.expect("it ends cleanly");
}

async fn reset_streams_do_not_affect_others(_: AndTls) {
    let server = Server::start();
    let mut client = Http2::connect(server.http).await;
    for target in ["/bin/10M", "/delay/10000", "/chunked/1000?delay=10", "/upload"] {
        for _ in 0..5 {
            let (response, mut body) = client.open(&Request::new("POST", target), false).await.unwrap();
            body.send_data(Bytes::from_static(b"some"), false).unwrap();
            body.send_reset(h2::Reason::CANCEL);
            drop(response);
        }
    }
    let mut other = Client::Http2(client);
    assert_eq!(other.get("/bin/100k").await.body.len(), 102_400);
}

async fn an_http2_connection_error_ends_only_its_connection(_: AndTls) {
    let server = Server::start();
    let mut bystander = Client::connect(Protocol::Http2, server.http).await;
    assert_eq!(bystander.get("/health").await.status, 200);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const PROTOCOL_ERROR: u8 = 1;
    const FRAME_SIZE_ERROR: u8 = 6;
    let rule_breakers: [(&str, &[u8], u8); 6] = [
        ("DATA on stream 0", &[0, 0, 1, 0, 0, 0, 0, 0, 0, 7], PROTOCOL_ERROR),
        ("HEADERS on an even stream", &[0, 0, 1, 1, 5, 0, 0, 0, 2, 0x82], PROTOCOL_ERROR),
        ("a window update of zero", &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0], PROTOCOL_ERROR),
        ("no frame at all", &[0xff; 32], FRAME_SIZE_ERROR),
        ("SETTINGS of 5 bytes", &[0, 0, 5, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5], FRAME_SIZE_ERROR),
        ("a frame beyond the limit", &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 0], FRAME_SIZE_ERROR),
    ];
    for (what, frames, code) in rule_breakers {
        let mut client = Http1::on(Link::connect(server.http, "h2").await);
        client.send(&[&preface[..], &settings[..], frames].concat()).await;
        // The last frame is GOAWAY: a length, type 7, no flags, stream 0, the last stream, the code, and a reason.
        let said = patiently("the end", client.until_closed()).await;
        let goaway = said.windows(17).rfind(|at| at[0] == 0 && at[3..9] == [7, 0, 0, 0, 0, 0]);
        assert_eq!(goaway.map(|at| &at[13..17]), Some(&[0, 0, 0, code][..]), "{what}: {said:?}");
    }
    assert_eq!(bystander.get("/health").await.status, 200);
}
