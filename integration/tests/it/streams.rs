//! Streamed content, and the digests that show that it arrived unchanged.

use std::time::{Duration, Instant};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use integration::{
    client::{Client, Http1, Line, Protocol, Request, fetch, patiently},
    server::Server,
};
use serde_json::{Value, json};

tests!();

/// The bytes "123456789", for which both algorithms have published results.
const CHECKED: &[u8] = b"123456789";
const CRC32C: &str = "e3069283";
const SHA256: &str = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225";

async fn events_come_one_by_one_and_go_on_where_a_client_left(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let begun = Instant::now();
    let reply = client.get("/sse?count=3&delay=40").await;
    assert!(begun.elapsed() >= Duration::from_millis(80));
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("text/event-stream")));
    let ids = |text: &str| {
        let ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
        ids.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ids(reply.text()), ["0", "1", "2"]);
    let pieces = reply.pieces.iter().filter(|size| **size > 0).count();
    assert_eq!(pieces, 3, "each event by itself");
    for event in reply.text().split_terminator("\n\n") {
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
        assert!(serde_json::from_str::<Value>(data).unwrap()["timestamp"].is_u64());
    }
    let request = Request::get("/sse?count=5&delay=1").field("Last-Event-ID", "2");
    assert_eq!(ids(client.exchange(request).await.text()), ["3", "4"]);
}

async fn lines_of_json_come_in_order(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let reply = client.get("/ndjson?count=100&delay=0&jitter=1").await;
    assert_eq!(reply.field("content-type"), Some("application/x-ndjson"));
    let lines = reply.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone());
    assert_eq!(lines.collect::<Vec<_>>(), (0..100).map(Value::from).collect::<Vec<_>>());
}

async fn an_endless_event_stream_ends_with_the_drain(protocol: Protocol) {
    let server = Server::start();
    let reply = fetch(protocol, server.http, Request::get("/sse?count=0&delay=20"));
    let drain = async {
        let some =
            |metrics: &integration::metrics::Metrics| metrics.sum("dummy_server_requests_in_flight", &[]) > 0;
        integration::metrics::Metrics::until(server.admin, some).await;
        server.drain();
    };
    let (reply, ()) = tokio::join!(reply, drain);
    assert!(reply.text().starts_with("id: 0\n"), "it ends as if it were complete");
}

async fn a_drip_lasts_its_duration_and_has_a_content_length(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for (target, size, least) in [
        ("/drip?size=10&duration=200", 10, 200),
        ("/drip?size=100K&duration=100&delay=50", 100 << 10, 150),
        ("/drip?size=1&duration=0", 1, 0),
    ] {
        let begun = Instant::now();
        let reply = client.get(target).await;
        assert!(begun.elapsed() >= Duration::from_millis(least), "{target}: {:?}", begun.elapsed());
        assert_eq!(reply.field("content-length"), Some(&*size.to_string()), "{target}");
        assert_eq!(reply.body.len(), size, "{target}");
        contract::pattern::verify(0, &reply.body).unwrap();
    }
}

async fn an_upload_is_digested_in_json_and_trailers(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let reply = client.exchange(Request::post("/digest", CHECKED)).await;
    assert_eq!(reply.json(), json!({ "bytes_received": 9, "crc32c": CRC32C, "sha256": SHA256 }));
    let trailers = [("x-dummy-crc32c", CRC32C), ("x-dummy-sha256", SHA256)];
    let seen: Vec<_> = reply.trailers.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(seen, trailers);
    let large = client.exchange(Request::post("/digest", vec![b'x'; 3_000_000])).await;
    assert_eq!(large.json()["bytes_received"], 3_000_000);
    assert_ne!(large.json()["crc32c"], CRC32C);
}

async fn a_download_carries_its_digest_behind_it(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for target in ["/bin/9?digest=true", "/bin/1M?digest=1"] {
        let reply = client.get(target).await;
        assert_eq!(reply.field("trailer"), Some("content-digest"));
        let said = client.exchange(Request::post("/digest", reply.body)).await.json();
        let value =
            reply.trailers.iter().find(|(name, _)| name == "content-digest").map(|(_, value)| value.clone());
        let hex = |text: &Value| {
            let text = text.as_str().unwrap().as_bytes().chunks(2);
            text.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect::<Vec<_>>()
        };
        let (sha256, crc32c) =
            (BASE64_STANDARD.encode(hex(&said["sha256"])), BASE64_STANDARD.encode(hex(&said["crc32c"])));
        assert_eq!(value, Some(format!("sha-256=:{sha256}:, crc32c=:{crc32c}:")), "{target}");
    }
}

async fn the_headers_and_ip_endpoints_report_fields_and_address(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let said = client.exchange(Request::get("/headers").field("x-one", "1")).await.json();
    assert_eq!(said["headers"]["X-One"], "1");
    assert!(said["headers_list"].as_array().unwrap().contains(&json!(["x-one", "1"])));
    assert_eq!(said.as_object().unwrap().len(), 2);
    let said = client.get("/ip").await.json();
    assert_eq!(said["origin"], "127.0.0.1");
    assert!(said["port"].as_u64().is_some_and(|port| port > 0));
}

async fn forwarded_fields_are_not_trusted() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    let port = client.local_address().port();
    let request = Request::get("/ip").field("x-forwarded-for", "10.9.8.7").field("forwarded", "for=10.9.8.7");
    client.send(&Line::of(&request)).await;
    let reply = patiently("a reply", client.reply("GET")).await.unwrap();
    assert_eq!(reply.json(), json!({ "origin": "127.0.0.1", "port": port }));
}

async fn bad_parameters_are_refused(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for (target, named) in
        [("/sse?count=-1", "count"), ("/ndjson?delay=soon", "delay"), ("/drip?size=0", "size")]
    {
        let reply = client.get(target).await;
        assert_eq!(reply.status, 400, "{target}");
        assert!(reply.json()["error"].as_str().unwrap().contains(named), "{target}: {}", reply.text());
    }
}
