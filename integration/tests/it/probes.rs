//! The admin and profile ports while clients, web pages or a lack of files are in the way of probes.

use std::net::SocketAddr;

use integration::{
    binaries::ServerProcess,
    client::{Exchange, Http1, Protocol, Request, fetch, patiently},
    metrics::Metrics,
};

tests!();

/// What a port of the admin thread takes.
const MAX_CONNECTIONS: usize = 256;
const HALF_A_HEAD: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n";

/// A server, and its ports for admin and profiles.
fn serve(flags: &[&str]) -> (ServerProcess, [SocketAddr; 2]) {
    let server = ServerProcess::start(&[&["--pprof-addr=127.0.0.1:0"], flags].concat());
    let pprof = server.process().await_stderr("address of the profile port", |log| {
        log.split_once("pprof=")?.1.split_whitespace().next()?.parse().ok()
    });
    let admin = server.admin;
    (server, [admin, pprof])
}

/// The first path is the cheapest one of the port.
fn paths(port: usize) -> &'static [&'static str] {
    [&["/livez", "/readyz", "/metrics", "/config", "/connections", "/behaviour"][..], &["/debug/pprof/"]]
        [port]
}

async fn sent(address: SocketAddr, bytes: &[u8]) -> Http1 {
    let mut client = Http1::connect(address).await;
    client.send(bytes).await;
    client
}

/// A reply to bytes that the client of other tests does not send.
async fn reply(address: SocketAddr, bytes: &[u8]) -> Exchange {
    patiently("a reply", sent(address, bytes).await.reply("GET")).await.expect("a whole reply")
}

async fn a_request_that_does_not_arrive_whole_is_closed_in_time() {
    let (_server, ports) = serve(&["--header-timeout=300ms"]);
    for address in ports {
        for part in [
            &b""[..],
            b"G",
            HALF_A_HEAD,
            b"PUT /behaviour HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n123",
        ] {
            let mut client = sent(address, part).await;
            // A request whose head is complete may get the reason.
            let told = patiently("a close", client.to_end()).await.unwrap_or_default();
            assert!(told.is_empty() || part.starts_with(b"PUT"), "{told:?}");
        }
        let mut client = Http1::connect(address).await;
        client.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        patiently("a reply", client.reply("GET")).await.expect("a reply");
        patiently("a close of an idle connection", client.to_end()).await.expect("a close");
    }
}

async fn probes_are_answered_beside_more_silent_clients_than_connections_are_allowed() {
    let (_server, ports) = serve(&[]);
    for (port, address) in ports.into_iter().enumerate() {
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS + 30 {
            silent.push(sent(address, HALF_A_HEAD).await);
        }
        assert_eq!(fetch(Protocol::Http1, address, Request::get(paths(port)[0])).await.status, 200);
        // The first ones have made room for the last.
        for client in &mut silent[..30] {
            assert!(patiently("a close", client.to_end()).await.unwrap_or_default().is_empty());
        }
        silent[MAX_CONNECTIONS + 29].send(b"\r\n").await;
        patiently("a reply", silent[MAX_CONNECTIONS + 29].reply("GET"))
            .await
            .expect("the newest is still open");
    }
}

async fn a_request_that_is_being_answered_keeps_its_connection() {
    let (_server, [_, pprof]) = serve(&["--header-timeout=300ms"]);
    let mut client =
        sent(pprof, b"GET /debug/pprof/profile?seconds=1 HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let crowd = async {
        // The server takes connections in the order in which they come.
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS + 30 {
            silent.push(sent(pprof, HALF_A_HEAD).await);
        }
        silent
    };
    let (reply, _silent) = tokio::join!(patiently("a profile", client.reply("GET")), crowd);
    let profile = reply.expect("a profile");
    assert_eq!(profile.status, 200, "{profile:?}");
    assert!(!profile.body.is_empty());
}

async fn probes_are_answered_while_the_process_is_out_of_files() {
    const FILES: usize = 100;
    let limit = u32::try_from(FILES).expect("a small number");
    let server = ServerProcess::start_with_files(limit, &["--workers=2", "--header-timeout=1m"]);
    let mut clients = Vec::new();
    for _ in 0..2 * FILES {
        clients.push(Http1::connect(server.http).await);
    }
    // Each reading comes over its own connection, and reads a file.
    Metrics::until(server.admin, |metrics| metrics.sum("dummy_server_accept_errors_total", &[]) > 3).await;
    // Silent clients of the admin port take what is left, and give it back.
    let mut silent = Vec::new();
    for _ in 0..FILES {
        silent.push(sent(server.admin, HALF_A_HEAD).await);
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(fetch(Protocol::Http1, server.admin, Request::get(path)).await.status, 200, "{path}");
    }
    let resident = server.metrics().await.sum("dummy_server_resident_memory_bytes", &[]);
    assert!(resident > 0, "files can be read");
    drop((clients, silent));
    assert_eq!(fetch(Protocol::Http1, server.http, Request::get("/health")).await.status, 200);
}

async fn requests_of_web_pages_are_refused() {
    let (server, ports) = serve(&[]);
    for (port, address) in ports.into_iter().enumerate() {
        for path in paths(port).iter().copied().chain(["/debug/pprof/profile?seconds=300"]) {
            for (name, value) in [
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
                ("origin", "http://evil.example"),
                ("origin", "null"),
            ] {
                let refusal = fetch(Protocol::Http1, address, Request::get(path).field(name, value)).await;
                assert_eq!(refusal.status, 403, "{path} {name}: {value}");
                assert!(refusal.text().contains("curl http://127.0.0.1:"), "{}", refusal.text());
            }
        }
        for site in ["none", "same-origin"] {
            let typed = Request::get(paths(port)[0]).field("sec-fetch-site", site);
            assert_eq!(fetch(Protocol::Http1, address, typed).await.status, 200, "{site}");
        }
    }
    // Pages may call the server itself.
    let page = Request::get("/").field("sec-fetch-site", "cross-site").field("origin", "http://evil.example");
    assert_eq!(fetch(Protocol::Http1, server.http, page).await.status, 200);
}

async fn a_port_on_loopback_answers_to_local_names_alone() {
    let (_server, ports) = serve(&[]);
    for (port, address) in ports.into_iter().enumerate() {
        for path in paths(port) {
            let with_host = |host: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
            for host in ["localhost", "127.0.0.1:1", "[::1]", "10.0.0.7:9091"] {
                assert_eq!(reply(address, &with_host(host)).await.status, 200, "{path} for {host}");
            }
            let refusal = reply(address, &with_host("rebound.example:9091")).await;
            assert_eq!(refusal.status, 403, "{path}");
            assert!(refusal.text().contains("'rebound.example:9091'"), "{}", refusal.text());
        }
    }
}

async fn a_port_on_other_addresses_answers_to_any_name() {
    let server = ServerProcess::start(&["--admin-addr=0.0.0.0:0"]);
    let loopback = SocketAddr::from(([127, 0, 0, 1], server.admin.port()));
    for path in ["/livez", "/metrics", "/config"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: target-dummy-server.default.svc:9091\r\n\r\n");
        assert_eq!(reply(loopback, request.as_bytes()).await.status, 200, "{path}");
    }
}
