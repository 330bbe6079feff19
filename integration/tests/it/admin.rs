//! What the admin port shows of a running server, and to whom.

use integration::{
    binaries::{ServerProcess, command},
    client::{Client, Protocol, Request, fetch, websocket_over},
    metrics::{CONNECTIONS, IN_FLIGHT, Metrics},
    process::Process,
    server::Server,
};
use serde_json::Value;

tests!();

const COUNT: &str = "dummy_server_request_duration_seconds_count";
const BUCKET: &str = "dummy_server_request_duration_seconds_bucket";
const SUM: &str = "dummy_server_request_duration_seconds_sum";
const TOKEN: &str = "open-sesame";

fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
    }
}

async fn durations_are_counted_by_endpoint_and_protocol(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    client.get("/delay/60").await;
    // Its head is sent immediately, its last chunk is not.
    client.get("/chunked/3?size=10&delay=30").await;
    for _ in 0..3 {
        client.get("/bin/1000").await;
    }
    let ours = ("protocol", name(protocol));
    let counted = |metrics: &Metrics| metrics.sum(COUNT, &[("endpoint", "bin"), ours]) == 3;
    let metrics = Metrics::until(server.admin, counted).await;
    assert_eq!(metrics.sum(COUNT, &[]), 5, "nothing else was asked for:\n{}", metrics.text());
    for endpoint in ["delay", "chunked"] {
        let of = |le| metrics.sum(BUCKET, &[("endpoint", endpoint), ours, ("le", le)]);
        assert_eq!((of("0.05"), of("+Inf")), (0, 1), "{endpoint} takes 60 ms:\n{}", metrics.text());
        let sum = format!("{SUM}{{endpoint=\"{endpoint}\",protocol=\"{}\"}} ", name(protocol));
        let sum = metrics.text().lines().find_map(|line| line.strip_prefix(&sum)).expect("a sum");
        let sum: f64 = sum.parse().expect("seconds");
        assert!((0.06..20.0).contains(&sum), "{endpoint}: {sum}");
    }
    let of = |le| metrics.sum(BUCKET, &[("endpoint", "bin"), ours, ("le", le)]);
    assert_eq!(of("+Inf"), 3);
    assert!(of("0.001") <= of("1.0") && of("1.0") <= of("10.0") && of("10.0") > 0, "{}", metrics.text());
    assert!(metrics.text().contains("# TYPE dummy_server_request_duration_seconds histogram"));
}

async fn an_unanswered_request_has_no_duration(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let waits = Request::get("/delay/60000");
    tokio::select! {
        reply = client.try_exchange(&waits) => panic!("nobody waits for {reply:?}"),
        _ = Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 1) => {}
    }
    leave(client);
    let metrics = Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 0).await;
    assert_eq!(metrics.sum(COUNT, &[]), 0);
}

/// Goes without waiting for a reply. A client of HTTP/1 that only closes its end may still read.
pub(crate) fn leave(client: Client) {
    if let Client::Http1(client) = client {
        client.reset();
    }
}

async fn list(server: &Server, query: &str) -> Value {
    let reply = fetch(Protocol::Http1, server.admin, Request::get(&format!("/connections{query}"))).await;
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("application/json")), "{reply:?}");
    reply.json()
}

/// The entry of the connection with this end.
fn entry(list: &Value, peer: &str) -> Value {
    let entries = list["connections"].as_array().expect("a list");
    entries.iter().find(|entry| entry["peer"] == peer).unwrap_or_else(|| panic!("no {peer}: {list}")).clone()
}

async fn open_connections_are_listed(protocol: Protocol) {
    let server = Server::with(&["--workers=1"]);
    let mut client = Client::connect(protocol, server.http).await;
    let echo = client.get("/").await.json();
    let peer = echo["source_addr"].as_str().expect("an address");
    client.exchange(Request::post("/upload", vec![b'x'; 3000])).await;
    client.get("/bin/5000").await;
    let shown = entry(&list(&server, "").await, peer);
    assert_eq!((&shown["protocol"], &shown["worker"]), (&name(protocol).into(), &0.into()), "{shown}");
    assert_eq!((&shown["requests"], &shown["in_flight"]), (&3.into(), &0.into()), "{shown}");
    let number = |field: &str| shown[field].as_u64().unwrap_or_else(|| panic!("{field} of {shown}"));
    assert!((3000..5000).contains(&number("bytes_received")), "{shown}");
    assert!((5000..9000).contains(&number("bytes_sent")), "{shown}");
    assert!(shown["age_seconds"].as_f64().is_some_and(|age| (0.0..60.0).contains(&age)), "{shown}");

    let seen = async {
        Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 1).await;
        list(&server, "").await
    };
    let waits = Request::get("/delay/60000");
    let listed = tokio::select! {
        reply = client.try_exchange(&waits) => panic!("nobody waits for {reply:?}"),
        listed = seen => listed,
    };
    let shown = entry(&listed, peer);
    assert_eq!((&shown["requests"], &shown["in_flight"]), (&4.into(), &1.into()), "{shown}");
    leave(client);
    Metrics::until(server.admin, |metrics| metrics.sum(CONNECTIONS, &[]) == 0).await;
    assert_eq!(list(&server, "").await, serde_json::json!({ "open": 0, "connections": [] }));
}

async fn a_websocket_is_listed_as_a_request_in_flight(protocol: Protocol) {
    let server = Server::start();
    let _socket = websocket_over(protocol, server.http, "/ws").await;
    let list = list(&server, "").await;
    let [shown] = &list["connections"].as_array().expect("a list")[..] else { panic!("one: {list}") };
    assert_eq!((&shown["protocol"], &shown["in_flight"]), (&name(protocol).into(), &1.into()), "{shown}");
}

async fn connections_of_all_workers_are_listed_up_to_a_limit() {
    let server = Server::with(&["--workers=2"]);
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(Protocol::Http1, server.http).await;
        client.get("/health").await;
        clients.push(client);
    }
    let all = list(&server, "").await;
    let of = |field: &str| -> Vec<u64> {
        let connections = all["connections"].as_array().expect("a list").iter();
        connections.map(|entry| entry[field].as_u64().expect("a number")).collect()
    };
    let (ids, mut workers) = (of("id"), of("worker"));
    assert!(ids.len() == 4 && ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    workers.sort_unstable();
    assert_eq!(workers, [0, 0, 1, 1]);
    let some = list(&server, "?limit=3").await;
    assert_eq!((some["connections"].as_array().map(Vec::len), &some["open"]), (Some(3), &4.into()));
    for query in ["?limit=0", "?limit=many", "?limit=100001", "?most=1"] {
        let request = Request::get(&format!("/connections{query}"));
        let reply = fetch(Protocol::Http1, server.admin, request).await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.text().contains("limit=100000"), "{}", reply.text());
    }
}

fn with_token(request: Request, token: &str) -> Request {
    request.field("authorization", &format!("Bearer {token}"))
}

async fn the_configuration_is_shown_without_secrets() {
    let server = ServerProcess::start(&[
        "--admin-token=open-sesame",
        "--idle-timeout=33s",
        "--access-log=json",
        "--h2-max-frame-size=1M",
    ]);
    let reply = fetch(Protocol::Http1, server.admin, with_token(Request::get("/config"), TOKEN)).await;
    assert!(!reply.text().contains(TOKEN), "{}", reply.text());
    let shown = reply.json();
    assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
    let listening = shown["listening"].as_str().expect("addresses");
    assert!(listening.contains(&format!("http={}", server.http)), "{listening}");
    let config = &shown["config"];
    assert_eq!((&config["idle-timeout"], &config["max-connection-age"]), (&"33s".into(), &Value::Null));
    assert_eq!((&config["h2-max-frame-size"], &config["max-streams"]), (&(1 << 20).into(), &1000.into()));
    assert_eq!(config["access-log"], serde_json::json!({ "format": "json", "sample": 1 }));
}

async fn a_token_is_required_for_all_but_probes_and_metrics() {
    let server = Server::with(&["--admin-token=open-sesame"]);
    let ask = async |request| fetch(Protocol::Http1, server.admin, request).await;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(ask(Request::get(path)).await.status, 200, "{path}");
    }
    for path in ["/connections", "/config", "/nothing"] {
        for request in [
            Request::get(path),
            Request::new("PUT", path),
            with_token(Request::get(path), "open-sesamf"),
            with_token(Request::get(path), ""),
        ] {
            let refusal = ask(request).await;
            assert_eq!(refusal.status, 401, "{path}");
            let challenge = refusal.field("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer"), "{path}: {challenge}");
        }
        let expected = if path == "/nothing" { 404 } else { 200 };
        assert_eq!(ask(with_token(Request::get(path), TOKEN)).await.status, expected, "{path}");
    }
}

async fn a_token_comes_from_a_file_or_the_environment() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("token");
    std::fs::write(&path, "open-sesame\n").expect("written");
    let path = path.display().to_string();
    for (variable, value) in
        [("DUMMY_SERVER_ADMIN_TOKEN", TOKEN), ("DUMMY_SERVER_ADMIN_TOKEN_FILE", path.as_str())]
    {
        let mut command = command("dummy-server");
        command.env(variable, value).args(["--addr=127.0.0.1:0", "--grpc-addr=", "--pprof-addr="]);
        let process = Process::start(command.arg("--admin-addr=127.0.0.1:0"));
        let admin = process.await_stderr("line with the addresses", |log| {
            log.split_once(" admin=")?.1.split_whitespace().next()?.parse().ok()
        });
        let ask = async |request| fetch(Protocol::Http1, admin, request).await.status;
        assert_eq!(ask(Request::get("/config")).await, 401, "{variable}");
        assert_eq!(ask(with_token(Request::get("/config"), TOKEN)).await, 200, "{variable}");
    }
}

async fn without_a_token_only_loopback_changes_something() {
    for (address, expected) in [("127.0.0.1:0", 405), ("0.0.0.0:0", 403)] {
        let server = Server::with(&[&format!("--admin-addr={address}")]);
        let loopback = ([127, 0, 0, 1], server.admin.port()).into();
        let ask = async |request| fetch(Protocol::Http1, loopback, request).await;
        assert_eq!(ask(Request::get("/config")).await.status, 200, "{address}");
        for method in ["PUT", "DELETE", "POST"] {
            let reply = ask(Request::new(method, "/config")).await;
            assert_eq!(reply.status, expected, "{method} at {address}");
            assert_eq!(reply.text().contains("--admin-token"), expected == 403, "{}", reply.text());
        }
        let page = Request::new("PUT", "/config").field("origin", "http://elsewhere.example");
        assert_eq!(ask(page).await.status, 403, "{address}");
    }
}

fn the_help_does_not_show_the_token() {
    let mut command = command("dummy-server");
    let process = Process::start(command.arg("--help").env("DUMMY_SERVER_ADMIN_TOKEN", TOKEN));
    let finished = process.finish(integration::PATIENCE);
    assert_eq!(finished.code, Some(0));
    assert!(!finished.stdout.contains(TOKEN), "{finished}");
}
