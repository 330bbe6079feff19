//! What requests ask for: the forms of a target, what is refused and how, and what the echo makes of the rest.

use integration::{
    binaries::ServerProcess,
    client::{
        Exchange, Http1, Protocol,
        frames::{Frames, kind},
        patiently,
    },
    metrics::{Metrics, REQUESTS},
    server::Server,
};
use serde_json::Value;

tests!();

const BAD: [(&str, &str); 9] = [
    ("GET", "foo"),
    ("GET", "?a=b"),
    ("GET", "*"),
    ("POST", "*"),
    ("OPTIONS", "*x"),
    ("GET", "/a b"),
    ("GET", "/a#b"),
    ("GET", "/a\tb"),
    ("GET", "/a\u{7f}"),
];

/// Sends a request over HTTP/1 and reads the reply.
async fn http1(client: &mut Http1, method: &str, target: &str, version: &str) -> Exchange {
    client.send(format!("{method} {target} {version}\r\nHost: h\r\n\r\n").as_bytes()).await;
    patiently("a reply", client.reply(method)).await.unwrap()
}

/// Sends a request over HTTP/2.
async fn http2(client: &mut Frames, stream: u32, method: &str, scheme: &str, path: &str) {
    let fields = [(":method", method), (":scheme", scheme), (":authority", "h"), (":path", path)];
    client.request(stream, &fields).await;
}

async fn json(client: &mut Frames, stream: u32) -> Value {
    let body = patiently("a reply", client.body(stream)).await.unwrap();
    serde_json::from_slice(&body).expect("a reply is JSON")
}

async fn a_malformed_target_is_refused(protocol: Protocol) {
    let server = Server::start();
    match protocol {
        Protocol::Http1 => {
            for (method, target) in BAD.into_iter().chain([("GET", "h:80"), ("GET", "http:///a")]) {
                let mut client = Http1::connect(server.http).await;
                let reply = http1(&mut client, method, target, "HTTP/1.1").await;
                assert_eq!((reply.status, reply.field("connection")), (400, Some("close")), "{target}");
            }
        }
        Protocol::Http2 => {
            const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];
            let mut client = Frames::connect(server.http, &[]).await;
            let mut stream = 1;
            for (method, target) in BAD.into_iter().chain([("GET", "http://x/y")]) {
                http2(&mut client, stream, method, "http", target).await;
                let reset = patiently("a reset", client.await_frame(kind::RST_STREAM, stream)).await.unwrap();
                assert_eq!(reset.payload, PROTOCOL_ERROR, "{target}");
                stream += 2;
            }
            http2(&mut client, stream, "GET", "http", "/x").await;
            assert_eq!(json(&mut client, stream).await["uri"], "http://h/x", "the connection goes on");
        }
    }
}

async fn options_asterisk_is_about_the_server_itself(protocol: Protocol) {
    let server = Server::start();
    let echo = match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(server.http).await;
            http1(&mut client, "OPTIONS", "*", "HTTP/1.1").await.json()
        }
        Protocol::Http2 => {
            let mut client = Frames::connect(server.http, &[]).await;
            http2(&mut client, 1, "OPTIONS", "http", "*").await;
            json(&mut client, 1).await
        }
    };
    assert_eq!((&echo["method"], &echo["uri"]), (&"OPTIONS".into(), &"http://h".into()), "{echo:#}");
}

async fn a_request_for_a_foreign_scheme_is_misdirected(protocol: Protocol) {
    let server = Server::start();
    let refusal = match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(server.http).await;
            let reply = http1(&mut client, "GET", "ftp://h/a", "HTTP/1.1").await;
            assert_eq!(reply.status, 421);
            reply.json()
        }
        Protocol::Http2 => {
            let mut client = Frames::connect(server.http, &[]).await;
            http2(&mut client, 1, "GET", "ftp", "/a").await;
            let refusal = json(&mut client, 1).await;
            // In which form a path is, its scheme says.
            http2(&mut client, 3, "GET", "mailto", "someone").await;
            assert_eq!(json(&mut client, 3).await["error"], format!("{FOREIGN}: 'GET someone'"));
            http2(&mut client, 5, "GET", "HTTPS", "/a").await;
            assert_eq!(json(&mut client, 5).await["uri"], "HTTPS://h/a");
            refusal
        }
    };
    let target = if protocol == Protocol::Http1 { "ftp://h/a" } else { "/a" };
    assert_eq!(refusal["error"], format!("{FOREIGN}: 'GET {target}'"));
    assert_eq!(refusal["accepted"], "http and https");
    let labels = [("endpoint", "rejected"), ("status", "421")];
    Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &labels) > 0).await;
}

const FOREIGN: &str = "the scheme of the request target is neither http nor https";

async fn the_log_shows_the_target_of_a_refused_request(protocol: Protocol) {
    let server = ServerProcess::start(&["--access-log=json"]);
    let mut status = None;
    match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(server.http).await;
            status = Some(http1(&mut client, "PUT", "/a#b", "HTTP/1.1").await.status);
        }
        Protocol::Http2 => {
            let mut client = Frames::connect(server.http, &[]).await;
            http2(&mut client, 1, "PUT", "http", "/a#b").await;
            patiently("a reset", client.await_frame(kind::RST_STREAM, 1)).await.unwrap();
        }
    }
    let line: Value = server.process().await_stdout("line of the request", |log| {
        let line = log.split_inclusive('\n').find(|line| line.ends_with('\n'))?;
        Some(serde_json::from_str(line).expect("each line is JSON"))
    });
    assert_eq!((&line["method"], &line["target"]), (&"PUT".into(), &"/a#b".into()), "{line:#}");
    // A stream that is reset has no status.
    assert_eq!(line.get("status"), status.map(Value::from).as_ref(), "{line:#}");
}

async fn a_refusal_names_the_raw_target_escaped_and_cut() {
    let server = Server::start();
    for (request, shown) in [
        ("GET foo HTTP/1.1\r\n", "'GET foo'"),
        ("GET /a b HTTP/1.1\r\n", "'GET /a b'"),
        ("GET /'\u{e9}#\" HTTP/1.1\r\n", r#"'GET /\'\xc3\xa9#\"'"#),
        ("GET /x HTTP/1.1\r\n\r\n", "'GET /x'"),
        ("GET /x HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", "'GET /x'"),
    ] {
        let mut client = Http1::connect(server.http).await;
        client.send(request.as_bytes()).await;
        let reply = patiently("a reply", client.reply("GET")).await.unwrap();
        let error = reply.json()["error"].as_str().expect("a text").to_owned();
        assert!(reply.status == 400 && error.ends_with(shown), "{request:?}: {error}");
    }
    let mut client = Http1::connect(server.http).await;
    client.send(format!("GET x{} HTTP/1.1\r\n", "y".repeat(5000)).as_bytes()).await;
    let reply = patiently("a reply", client.reply("GET")).await.unwrap();
    let error = reply.json()["error"].as_str().expect("a text").to_owned();
    assert!(error.ends_with("yyy...'") && error.len() < 500, "{error}");
}

async fn the_host_field_replaces_a_missing_authority() {
    let server = Server::start();
    let mut client = Frames::connect(server.http, &[]).await;
    let start = [(":method", "GET"), (":scheme", "https"), (":path", "/cart?x=1")];
    for (stream, more, uri) in [
        (1, &[("host", "shop.test:8443")][..], "https://shop.test:8443/cart?x=1"),
        (3, &[(":authority", "a.test"), ("host", "b.test")], "https://a.test/cart?x=1"),
        (5, &[], "https:///cart?x=1"),
    ] {
        client.request(stream, &[&start, more].concat()).await;
        let echo = json(&mut client, stream).await;
        assert_eq!(echo["uri"], uri, "{echo:#}");
        assert_eq!(echo["headers"].get("Host").is_some(), stream < 5, "{echo:#}");
    }
}

async fn later_minor_versions_of_http1_are_served() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    for minor in 1..=9 {
        let reply = http1(&mut client, "GET", "/", &format!("HTTP/1.{minor}")).await;
        assert_eq!((reply.status, &reply.json()["protocol"]), (200, &"HTTP/1.1".into()), "HTTP/1.{minor}");
    }
}
