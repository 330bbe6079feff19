//! Clients that vanish, stall or flood: the server goes on, and keeps nothing of theirs.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use futures_util::{SinkExt as _, future::join_all};
use integration::{
    binaries::loadgen,
    client::{Client, Http1, Http2, Line, Protocol, Request, WebSocket, patiently, websocket},
    metrics::{CONNECTIONS, IN_FLIGHT, Metrics},
    server::Server,
};
use socket2::SockRef;

tests!();

const CLIENTS: usize = 50;

async fn connections_that_are_reset_leave_nothing_behind() {
    let server = Server::start();
    for bytes in [
        &b""[..],
        b"GET /bin/100M HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /chunked/1000000?delay=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /delay/500 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly",
        b"POST /delay/0/100 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly",
        b"GET /half HTTP/1.1\r\nHos",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        for _ in 0..CLIENTS {
            let mut client = Http1::connect(server.http).await;
            client.send(bytes).await;
            client.reset();
        }
    }
    nothing_is_left(&server, 8 * CLIENTS).await;
}

async fn streams_that_are_dropped_leave_nothing_behind() {
    let server = Server::start();
    for target in ["/bin/100M", "/delay/500", "/chunked/1000000?delay=1"] {
        for _ in 0..CLIENTS {
            let mut client = Http2::connect(server.http).await;
            let (response, body) = client.open(&Request::new("POST", target), false).await.unwrap();
            drop((response, body, client));
        }
    }
    nothing_is_left(&server, 3 * CLIENTS).await;
}

async fn reset_websockets_leave_nothing_behind() {
    let server = Server::start();
    for _ in 0..CLIENTS {
        let mut socket = websocket(server.http, "/ws").await;
        socket.send(WebSocket::binary(vec![7; 100_000])).await.unwrap();
        SockRef::from(socket.get_ref().socket())
            .set_linger(Some(Duration::ZERO))
            .expect("a socket takes SO_LINGER");
    }
    nothing_is_left(&server, CLIENTS).await;
}

async fn clients_that_never_read_do_not_delay_others(protocol: Protocol) {
    let server = Server::with(&["--workers=1"]);
    let mut silent = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Http1::connect(server.http).await;
        client.send(&Line::of(&Request::get("/bin/1G"))).await;
        silent.push(client);
    }
    let mut streams = Vec::new();
    let mut http2 = Http2::connect(server.http).await;
    for _ in 0..CLIENTS {
        streams.push(http2.open(&Request::get("/bin/1G"), true).await.unwrap());
    }
    let mut client = Client::connect(protocol, server.http).await;
    for _ in 0..20 {
        assert_eq!(client.get("/bin/1M").await.body.len(), 1 << 20);
    }
}

async fn a_thousand_connections_are_served(protocol: Protocol) {
    let server = Server::start();
    let clients = join_all((0..1000).map(|_| Client::connect(protocol, server.http))).await;
    let replies = join_all(clients.into_iter().map(|mut client| async move {
        for _ in 0..2 {
            assert_eq!(client.get("/bin/1000").await.body.len(), 1000);
        }
        client
    }));
    let clients = patiently("all replies", replies).await;
    assert_eq!(server.metrics().await.sum(CONNECTIONS, &[]), 1000);
    drop(clients);
    nothing_is_left(&server, 1000).await;
}

/// Once this many connections were served, none of them is open or in flight.
async fn nothing_is_left(server: &Server, served: usize) {
    let total = "dummy_server_connections_total";
    Metrics::until(server.admin, |metrics| metrics.sum(total, &[]) >= served as u64).await;
    for gauge in [CONNECTIONS, IN_FLIGHT, "dummy_server_streams_open"] {
        Metrics::until(server.admin, |metrics| metrics.has(gauge) && metrics.sum(gauge, &[]) == 0).await;
    }
    for protocol in Protocol::ALL {
        assert_eq!(Client::connect(protocol, server.http).await.get("/health").await.status, 200);
    }
}

/// A server that sends these bytes on each connection, before or after something has arrived, and then reads until the end.
fn serve(bytes: &'static [u8], speaks_first: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                if speaks_first || stream.read(&mut buffer).is_ok() {
                    let _ = stream.write_all(bytes);
                }
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
            });
        }
    });
    address
}

fn a_server_of_another_protocol_is_named() {
    const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
    const ALERT: &[u8] = b"\x15\x03\x03\0\x02\x02\x46";
    const SSH: &[u8] = b"SSH-2.0-OpenSSH_9.6\r\n";
    const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    for (scheme, bytes, speaks_first, expected) in [
        ("h2c", BAD_REQUEST, false, "the server speaks HTTP/1: write http://127.0.0.1:"),
        ("h2c", ALERT, false, "the server speaks TLS"),
        ("h2c", SSH, true, "the server speaks SSH"),
        ("h2c", b"220 mail ESMTP\r\n", true, "the server does not speak HTTP/2 (first bytes "),
        ("http", SETTINGS, true, "the server speaks HTTP/2: write h2c://127.0.0.1:"),
        ("http", SETTINGS, false, "the server speaks HTTP/2: write h2c://127.0.0.1:"),
        ("http", ALERT, false, "the server speaks TLS"),
        ("http", SSH, true, "the server speaks SSH"),
        ("http", b"220 mail ESMTP\r\n", true, "the server does not speak HTTP/1 (first bytes "),
        ("grpc", ALERT, false, "the server speaks TLS: write grpcs://127.0.0.1:"),
        ("grpc", BAD_REQUEST, false, "the server speaks HTTP/1: gRPC needs HTTP/2"),
        ("https", BAD_REQUEST, false, "the server speaks HTTP/1 without TLS: write http://127.0.0.1:"),
        ("grpcs", SETTINGS, true, "the server speaks HTTP/2 without TLS: write grpc://127.0.0.1:"),
        ("https", SETTINGS, true, "the server speaks HTTP/2 without TLS: write h2c://127.0.0.1:"),
        ("https", SSH, true, "the server speaks SSH"),
        (
            "https",
            b"-ERR unknown\r\n",
            false,
            "the server does not speak TLS on this port (first bytes \"-ERR ",
        ),
    ] {
        let url = format!("{scheme}://{}", serve(bytes, speaks_first));
        for flags in [&["--once"][..], &["--no-progress", "-n", "3", "-c", "1"]] {
            let finished = loadgen(&[flags, &[&*url]].concat());
            let words = finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(expected), "{url} {flags:?} {expected}: {finished:?}");
            let cause = if scheme.ends_with('s') { "not TLS" } else { "protocol error" };
            assert!(finished.stdout.contains(cause), "{url} {flags:?}: {finished:?}");
            assert_eq!(finished.code, Some(1), "{url} {flags:?}: {finished:?}");
        }
    }
}

fn a_server_that_allows_no_streams_is_reported() {
    let address = serve(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\0", true);
    let url = format!("h2c://{address}");
    let finished = loadgen(&["--once", "--connect-timeout", "200ms", &url]);
    let expected = "the server allows no streams (SETTINGS_MAX_CONCURRENT_STREAMS 0)";
    assert!(finished.stdout.contains(expected), "{finished:?}");
    // Also where the run is over before a connection would be given up.
    for flags in [&["--once"][..], &["--no-progress", "-r", "10", "-d", "100ms"]] {
        let finished = loadgen(&[flags, &["--timeout", "200ms", &*url]].concat());
        assert!(
            finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains(expected),
            "{finished:?}"
        );
        assert!(!finished.stdout.contains("interrupted"), "{finished:?}");
        assert_eq!(finished.code, Some(1), "{finished:?}");
    }
}
