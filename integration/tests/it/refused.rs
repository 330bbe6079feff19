//! Requests that never reach an endpoint: what their senders are answered, and that they are counted.

use std::collections::BTreeMap;

use contract::{
    field::{INSTANCE, SERVER_TIMING},
    timing::Timing,
};
use integration::{
    cases::AndTls,
    client::{Client, Exchange, Http1, Line, Protocol, Request, patiently},
    metrics::{Metrics, REQUESTS},
    server::Server,
};

tests!();

async fn a_head_as_large_as_the_flag_allows_is_served(protocol: Protocol, _: AndTls) {
    let server = Server::with(&["--max-header-bytes=1000000"]);
    // Twice, since what a large head has taken must not be missing to the next.
    for _ in 0..2 {
        let mut client = Client::connect(protocol, server.http).await;
        let reply = client.exchange(large(Request::get("/"), 600_000)).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json()["headers"]["X-Large-5"].as_str().map(str::len), Some(100_000));
        assert_eq!(client.get("/health").await.status, 200, "the connection goes on");
        let mut client = Client::connect(protocol, server.http).await;
        let reply = client.exchange(large(Request::get("/"), 1_200_000)).await;
        assert_eq!(reply.status, 431);
        assert_explained(&reply, "a larger head");
    }
}

/// Adds fields of this many bytes in total.
fn large(request: Request, bytes: usize) -> Request {
    let value = "x".repeat(100_000);
    (0..bytes / value.len()).fold(request, |request, n| request.field(&format!("x-large-{n}"), &value))
}

async fn chunk_extensions_are_bounded_over_a_body() {
    let server = Server::start();
    let head = "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("1;{}\r\na\r\n", "x".repeat(1000));
    for (count, status) in [(16, 200), (17, 400)] {
        let mut client = Http1::connect(server.http).await;
        client.send(format!("{head}{}0\r\n\r\n", chunk.repeat(count)).as_bytes()).await;
        let reply = patiently("a reply", client.reply("POST")).await.unwrap();
        assert_eq!(reply.status, status, "{count} extensions: {}", reply.text());
        assert_eq!(reply.json()["bytes_received"], 16);
    }
    for (chunk, status) in [("00000000000000000002\r\nab\r\n", 200), ("2;\r\nab\r\n", 400)] {
        let mut client = Http1::connect(server.http).await;
        client.send(format!("{head}{chunk}0\r\n\r\n").as_bytes()).await;
        let reply = patiently("a reply", client.reply("POST")).await.unwrap();
        assert_eq!(reply.status, status, "{chunk:?}: {}", reply.text());
    }
}

/// Malformed requests, and the status of each (RFC 9112, RFC 9110 section 15, RFC 6585 section 5).
const REFUSED: [(&str, u16); 18] = [
    ("GARBAGE\r\n\r\n", 400),
    ("GET /\r\n\r\n", 400),
    ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("G\u{7f}T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: x\n\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x y\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nX-Folded: a\r\n b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nX-Space : a\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\n", 400),
    ("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\n\r\n", 417),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    ("GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505),
    ("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505),
];

async fn malformed_requests_are_answered_closed_and_counted() {
    let server = Server::with(&["--instance=one-of-two"]);
    let many_fields = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: x\r\n".repeat(1100));
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(200 << 10));
    let refused = REFUSED.map(|(bytes, status)| (bytes.to_owned(), status));
    let mut counts = BTreeMap::<u16, u64>::new();
    for (bytes, status) in refused.into_iter().chain([(many_fields, 431), (long_target, 414)]) {
        let mut client = Http1::connect(server.http).await;
        // A server that has refused may close before it has read everything.
        let _ = patiently("send", client.try_send(bytes.as_bytes())).await;
        let what: String = bytes.chars().take(80).collect();
        let reply = patiently(&what, client.reply("GET")).await;
        let reply = reply.unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert_explained(&reply, &what);
        assert_eq!(reply.field("connection"), Some("close"), "{what}");
        assert!(patiently("the end", client.until_closed()).await.is_empty(), "{what}");
        *counts.entry(status).or_default() += 1;
    }
    for (status, count) in counts {
        assert_eq!(rejected(&server, status, count).await, count, "{status}");
    }
    let all = server.metrics().await.sum(REQUESTS, &[]);
    assert_eq!(all, REFUSED.len() as u64 + 2, "nothing else was answered");
}

async fn a_refusal_comes_after_the_replies_to_what_was_sent_before() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    let good = ["/delay/50", "/bin/7"].map(|target| Line::of(&Request::get(target))).concat();
    client.send(&[&good, &b"no request\r\n\r\n"[..], &good].concat()).await;
    for _ in 0..2 {
        assert_eq!(patiently("a reply", client.reply("GET")).await.unwrap().status, 200);
    }
    let reply = patiently("a refusal", client.reply("GET")).await.unwrap();
    assert_eq!((reply.status, reply.field("connection")), (400, Some("close")));
    assert!(patiently("the end", client.until_closed()).await.is_empty());
    assert_eq!(rejected(&server, 400, 1).await, 1);
}

async fn a_malformed_chunked_body_is_refused_by_its_endpoint() {
    let server = Server::start();
    for target in ["/upload", "/", "/bin/10"] {
        let mut client = Http1::connect(server.http).await;
        let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("{head}3\r\nabc\r\nno size\r\n").as_bytes()).await;
        let reply = patiently("a reply", client.reply("POST")).await.unwrap();
        assert_eq!((reply.status, reply.field("connection")), (400, Some("close")), "{target}");
        assert_explained(&reply, target);
        assert_eq!(reply.json()["bytes_received"], 3, "{target}");
        assert!(patiently("the end", client.until_closed()).await.is_empty(), "{target}");
    }
    let metrics = Metrics::until(server.admin, |m| m.sum(REQUESTS, &[("status", "400")]) >= 3).await;
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "upload"), ("status", "400")]), 1);
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "rejected")]), 0);
}

async fn fields_beyond_the_limit_are_refused_as_too_large(protocol: Protocol, _: AndTls) {
    let server = Server::with(&["--max-header-bytes=16K"]);
    let mut client = Client::connect(protocol, server.http).await;
    let large = "x".repeat(20_000);
    let reply = client.exchange(Request::get("/health").field("x-large", &large)).await;
    assert_eq!(reply.status, 431);
    assert_explained(&reply, "a large field");
    assert_eq!(rejected(&server, 431, 1).await, 1);
    match protocol {
        Protocol::Http1 => assert_eq!(reply.field("connection"), Some("close")),
        // A stream was refused, and not its connection.
        Protocol::Http2 => assert_eq!(client.get("/health").await.status, 200),
    }
}

async fn a_request_with_many_fields_is_served(protocol: Protocol, _: AndTls) {
    const COUNT: usize = 300;
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let request = (0..COUNT).fold(Request::get("/"), |request, number| {
        request.field(&format!("x-field-{number}"), &number.to_string())
    });
    let echo = client.exchange(request).await.json();
    let fields = echo["headers"].as_object().expect("headers are an object");
    for number in 0..COUNT {
        assert_eq!(fields[&format!("X-Field-{number}")], number.to_string());
    }
}

/// A refusal says what was wrong and what is accepted, and carries what every reply does.
fn assert_explained(reply: &Exchange, what: &str) {
    assert_eq!(reply.field("content-type"), Some("application/json"), "{what}");
    let refusal = reply.json();
    for part in ["error", "accepted", "example"] {
        assert!(refusal[part].as_str().is_some_and(|text| !text.is_empty()), "{what}: {refusal:#}");
    }
    assert!(reply.field(INSTANCE).is_some_and(|name| !name.is_empty()), "{what}");
    let timing = reply.field(SERVER_TIMING).and_then(Timing::parse);
    assert!(timing.is_some_and(|timing| timing.replied_ns >= timing.received_ns), "{what}: {timing:?}");
}

/// How many requests were rejected with a status, once there are at least `least`.
async fn rejected(server: &Server, status: u16, least: u64) -> u64 {
    let status = status.to_string();
    let labels = [("endpoint", "rejected"), ("status", &status)];
    Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &labels) >= least)
        .await
        .sum(REQUESTS, &labels)
}
