//! Every endpoint of dummy-server, with the same bodies over HTTP/1.1 and h2c.

use contract::{
    field::{INSTANCE, SERVER_TIMING},
    pattern,
    timing::Timing,
};
use integration::{
    cases::AndTls,
    client::{Client, Protocol, Request, fetch},
    server::Server,
};
use serde_json::{Value, json};

tests!();

const ENDPOINTS: [&str; 27] = [
    "/",
    "/any/path?with=query",
    "/health",
    "/help",
    "/bin/0x",
    "/bin/1",
    "/bin/100k",
    "/bin/100k?chunked=true",
    "/bin/100k?digest=true",
    "/digest",
    "/headers",
    "/ip",
    "/sse?count=2&delay=1",
    "/ndjson?count=2&delay=1",
    "/drip?duration=20",
    "/chunked/3",
    "/chunked/3?size=10",
    "/upload",
    "/status/200",
    "/status/204",
    "/status/205",
    "/status/304",
    "/status/599",
    "/delay/1",
    "/nousage",
    "/nousage/badjson",
    "/nousage/empty",
];

async fn the_echo_reports_the_request(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let request = Request::new("PUT", "/some/path?x=1&y=%20")
        .field("content-type", "text/csv")
        .field("x-twice", "one")
        .field("x-twice", "two");
    let request = Request { body: b"a,b".to_vec(), ..request };
    let exchange = fetch(protocol, server.http, request).await;
    assert_eq!(exchange.status, 200);
    assert_eq!(exchange.field("content-type"), Some("application/json"));
    let echo = exchange.json();
    assert!(echo["uri"].as_str().unwrap().ends_with("/some/path?x=1&y=%20"), "{echo:#}");
    for (name, value) in [
        ("method", json!("PUT")),
        ("content_type", json!("text/csv")),
        ("body", json!("a,b")),
        ("body_size", json!(3)),
        ("destination_addr", json!(server.http.to_string())),
        ("_myhostname", json!(hostname())),
    ] {
        assert_eq!(echo[name], value, "{name} of {echo:#}");
    }
    assert!(echo.get("body_truncated").is_none(), "{echo:#}");
    assert!(echo["source_addr"].as_str().unwrap().starts_with("127.0.0.1:"), "{echo:#}");
    assert_eq!(echo["usage"], usage());
    let twice: Vec<&str> = echo["headers_list"]
        .as_array()
        .expect("headers_list is a list of pairs")
        .iter()
        .filter(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case("x-twice"))
        .map(|pair| pair[1].as_str().unwrap())
        .collect();
    assert_eq!(twice, ["one", "two"]);
    let protocol_of_echo = echo["protocol"].as_str().unwrap();
    let expected = if protocol == Protocol::Http1 { "HTTP/1.1" } else { "HTTP/2" };
    assert!(protocol_of_echo.starts_with(expected), "{protocol_of_echo}");
}

async fn the_echo_repeats_a_body_up_to_its_limit_and_counts_the_rest(protocol: Protocol, _: AndTls) {
    const LIMIT: usize = 1 << 20;
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for size in [LIMIT, LIMIT + 1, 3 * LIMIT] {
        let body: Vec<u8> = (0..size as u64).map(pattern::byte_at).collect();
        let echo = client.exchange(Request::post("/", body)).await.json();
        assert_eq!(echo["body_size"], json!(size));
        let repeated = echo["body"].as_str().unwrap().as_bytes();
        assert_eq!(repeated.len(), LIMIT);
        assert_eq!(pattern::verify(0, repeated), Ok(()));
        assert_eq!(echo.get("body_truncated"), (size > LIMIT).then_some(&json!(true)));
    }
}

async fn health_and_help_are_served(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let health = client.get("/health").await;
    assert_eq!((health.status, health.text()), (200, r#"{"status":"ok"}"#));
    assert_eq!(health.field("content-length"), Some("15"));
    let help = client.get("/help").await;
    assert_eq!(help.status, 200);
    assert!(help.field("content-type").unwrap().starts_with("text/plain"));
    for endpoint in ["/bin/", "/chunked/", "/upload", "/status/", "/delay/", "/ws", "/nousage", "/health"] {
        assert!(help.text().contains(endpoint), "{endpoint} is missing in {}", help.text());
    }
}

async fn uploads_are_counted_whatever_their_method(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET"] {
        for size in [0, 1, 65_535, 65_536, 1_000_000] {
            let request = Request { body: vec![b'x'; size], ..Request::new(method, "/upload") };
            let exchange = client.exchange(request).await;
            assert_eq!(exchange.status, 200);
            let echo = exchange.json();
            assert_eq!(echo["bytes_received"], json!(size), "{method} {echo:#}");
            assert_eq!(echo["method"], json!(method));
        }
    }
}

async fn every_status_from_200_to_599_is_sent(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for code in 200..=599 {
        let exchange = client.get(&format!("/status/{code}")).await;
        assert_eq!(exchange.status, code);
        if ![204, 205, 304].contains(&code) {
            let echo = exchange.json();
            assert_eq!(echo["status_code"], json!(code));
            assert!(echo["status_message"].is_string(), "{echo:#}");
        }
    }
    assert_eq!(client.get("/status/404").await.json()["status_message"], json!("Not Found"));
}

async fn statuses_without_a_body_have_none(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for code in [204, 205, 304] {
        let exchange = client.get(&format!("/status/{code}")).await;
        assert_eq!((exchange.status, exchange.body.len()), (code, 0));
        let length = exchange.field("content-length");
        assert!(code == 304 || matches!(length, None | Some("0")), "{code} with length {length:?}");
        assert_eq!(exchange.field("transfer-encoding"), None);
        // A byte of a body would be read as the next reply.
        assert_eq!(client.get("/health").await.status, 200);
    }
}

async fn the_nousage_endpoints_are_broken_as_documented(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let plain = client.get("/nousage").await;
    assert!(plain.json().get("usage").is_none());
    assert_eq!(plain.json()["method"], json!("GET"));
    let wrong = client.get("/nousage/wrongct").await;
    assert!(wrong.field("content-type").unwrap().starts_with("text/plain"));
    assert!(wrong.json().get("usage").is_none());
    let bad = client.get("/nousage/badjson").await;
    assert_eq!(bad.field("content-type"), Some("application/json"));
    assert!(!bad.body.is_empty() && serde_json::from_slice::<Value>(&bad.body).is_err(), "{bad:?}");
    let empty = client.get("/nousage/empty").await;
    assert_eq!((empty.field("content-type"), empty.body.len()), (Some("application/json"), 0));
    for exchange in [plain, wrong, bad, empty] {
        assert_eq!(exchange.status, 200);
    }
}

async fn bad_input_is_refused_with_an_example(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for target in [
        "/bin/",
        "/bin/0",
        "/bin/-1",
        "/bin/many",
        "/bin/1X",
        "/bin/99999999999999999999",
        "/bin/99999999999T",
        "/chunked/",
        "/chunked/0",
        "/chunked/-1",
        "/chunked/many",
        "/chunked/3?size=0",
        "/chunked/3?size=many",
        "/chunked/3?delay=-1",
        "/chunked/3?delay=long",
        "/status/",
        "/status/99",
        "/status/100",
        "/status/199",
        "/status/600",
        "/status/ok",
        "/delay/",
        "/delay/0",
        "/delay/0/0",
        "/delay/-1",
        "/delay/long",
        "/delay/1/long",
    ] {
        let exchange = client.get(target).await;
        assert_eq!(exchange.status, 400, "{target}");
        let refusal = exchange.json();
        for part in ["error", "accepted", "example"] {
            assert!(refusal[part].as_str().is_some_and(|text| !text.is_empty()), "{target}: {refusal:#}");
        }
        let example = refusal["example"].as_str().unwrap();
        let path = &example[example.find('/').expect("the example has a path")..];
        assert_ne!(client.get(path).await.status, 400, "the example of {target}: {path}");
    }
}

async fn every_reply_has_server_timing_and_instance(protocol: Protocol, _: AndTls) {
    let server = Server::with(&["--instance=one-of-two"]);
    let mut client = Client::connect(protocol, server.http).await;
    for endpoint in ENDPOINTS {
        let exchange = client.get(endpoint).await;
        assert_eq!(exchange.field(INSTANCE), Some("one-of-two"), "{endpoint}");
        let value = exchange.field(SERVER_TIMING).unwrap_or_else(|| panic!("{endpoint} has no timing"));
        let timing = Timing::parse(value).unwrap_or_else(|| panic!("{endpoint}: {value}"));
        assert!(timing.replied_ns >= timing.received_ns, "{endpoint}: {timing:?}");
        if endpoint == "/delay/1" {
            assert!(timing.duration_ns() >= 1_000_000, "{timing:?}");
        }
    }
}

async fn head_is_get_without_the_body_everywhere(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for endpoint in ENDPOINTS {
        let get = client.get(endpoint).await;
        // The next exchange on this connection fails if a byte of a body follows.
        let head = client.exchange(Request::new("HEAD", endpoint)).await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{endpoint}");
        assert_eq!(head.field("content-type"), get.field("content-type"), "{endpoint}");
        if endpoint.starts_with("/bin/1") {
            assert_eq!(head.field("content-length"), get.field("content-length"), "{endpoint}");
        }
    }
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "input_tokens": 100,
        "output_tokens": 200,
        "total_tokens": 300,
    })
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
