//! From SIGTERM to exit: readiness, replies in flight, and how each kind of connection is closed.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use contract::echo::{EchoRequest, EchoResponse};
use futures_util::StreamExt as _;
use integration::{
    binaries::ServerProcess,
    cases::AndTls,
    client::{
        Call, Client, GrpcClient, Http1, Http2, Line, Protocol, Request, WebSocket, patiently, websocket,
    },
    metrics::{IN_FLIGHT, Metrics, RECEIVED},
    proxies::NGINX,
    proxy::{Behind, Proxy},
    tools::require,
};
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};

use crate::grpc_calls::{CHECK, STREAM_ECHO, WATCH};

tests!();

/// Far below any drain timeout used here but the short ones, far above what an end takes.
const SOON: Duration = Duration::from_secs(10);

async fn an_idle_server_exits_immediately_on_sigterm() {
    let server = ServerProcess::start(&[]);
    server.signal(Signal::TERM);
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

async fn an_idle_server_exits_immediately_on_sigint() {
    let server = ServerProcess::start(&[]);
    server.signal(Signal::INT);
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

async fn requests_in_flight_complete(protocol: Protocol, _: AndTls) {
    let server = ServerProcess::start(&[]);
    let mut slow = Client::connect(protocol, server.http).await;
    let mut long = Client::connect(protocol, server.http).await;
    let replies = async {
        tokio::join!(
            slow.exchange(Request::get("/delay/1500")),
            long.exchange(Request::get("/chunked/15?size=100&delay=100")),
        )
    };
    let signal = async {
        Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) >= 2).await;
        server.signal(Signal::TERM);
    };
    let ((slow_reply, long_reply), ()) = tokio::join!(replies, signal);
    assert_eq!(slow_reply.status, 200);
    assert_eq!(long_reply.pieces, [100; 15]);
    if protocol == Protocol::Http1 {
        assert_eq!(slow_reply.field("connection"), Some("close"));
    }
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

async fn a_request_of_which_a_part_was_read_is_answered(_: AndTls) {
    let server = ServerProcess::start(&["--workers", "1"]);
    let mut idle = Client::connect(Protocol::Http1, server.http).await;
    assert_eq!(idle.get("/health").await.status, 200);
    let mut client = Http1::connect(server.http).await;
    let before = server.metrics().await.sum(RECEIVED, &[]);
    let request = Line::of(&Request::post("/upload", "0123456789"));
    let (read, rest) = request.split_at(request.len() - 15);
    client.send(read).await;
    Metrics::until(server.admin, |metrics| metrics.sum(RECEIVED, &[]) >= before + read.len() as u64).await;
    server.signal(Signal::TERM);
    // A connection without a request is closed, by which the test sees that the drain has begun.
    let Client::Http1(mut idle) = idle else { unreachable!("it is HTTP/1.1") };
    assert!(patiently("a close", idle.to_end()).await.unwrap().is_empty());
    // Nor is it given up when a connection that has never sent anything would be, after a second.
    let given_up = tokio::time::timeout(Duration::from_millis(1500), client.arrives()).await;
    assert!(given_up.is_err(), "the rest of the request is awaited, not {given_up:?}");
    client.send(rest).await;
    let reply = patiently("a reply", client.reply("POST")).await.unwrap();
    assert_eq!((reply.status, reply.field("connection")), (200, Some("close")));
    assert_eq!(reply.json()["bytes_received"], json!(10));
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

async fn a_last_reply_that_waits_for_its_reader_is_sent_whole(_: AndTls) {
    const SIZE: usize = 40_000_000;
    let server = ServerProcess::start(&["--workers", "1"]);
    let mut idle = Http1::connect(server.http).await;
    idle.send(&Line::of(&Request::get("/health"))).await;
    assert_eq!(patiently("a reply", idle.reply("GET")).await.unwrap().status, 200);
    let mut client = Http1::connect(server.http).await;
    client.send(format!("GET /bin/{SIZE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await;
    assert!(patiently("the first bytes", client.arrives()).await.unwrap());
    server.signal(Signal::TERM);
    assert!(patiently("a close", idle.to_end()).await.unwrap().is_empty());
    let reply = patiently("the whole reply", client.reply("GET")).await.unwrap();
    assert_eq!(reply.body.len(), SIZE);
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

async fn the_drain_delay_accepts_while_not_ready() {
    let server = ServerProcess::start(&["--drain-delay", "2s"]);
    let ready =
        async |path: &str| Client::connect(Protocol::Http1, server.admin).await.get(path).await.status;
    assert_eq!((ready("/readyz").await, ready("/livez").await), (200, 200));
    let mut grpc = GrpcClient::connect(server.grpc).await;
    let begun = Instant::now();
    server.signal(Signal::TERM);
    Metrics::until(server.admin, |metrics| metrics.sum("dummy_server_draining", &[]) == 1).await;
    assert_eq!((ready("/readyz").await, ready("/livez").await), (503, 200));
    for protocol in Protocol::ALL {
        let mut client = Client::connect(protocol, server.http).await;
        let health = client.get("/health").await;
        assert_eq!((health.status, health.json()), (503, json!({ "status": "draining" })));
        let other = client.get("/bin/10").await;
        assert_eq!(other.status, 200);
    }
    let (answer, status) =
        grpc.unary::<HealthCheckResponse>(CHECK, &HealthCheckRequest { service: String::new() }).await;
    assert_eq!(status.code, 0);
    assert_eq!(answer.map(|answer| answer.status), Some(ServingStatus::NotServing as i32));
    drop(grpc);
    let http = server.http;
    assert_eq!(server.finish(SOON).await.code, Some(0));
    assert!(begun.elapsed() >= Duration::from_secs(2), "it ended before the delay was over");
    assert!(TcpStream::connect(http).await.is_err(), "nobody listens any more");
}

async fn health_watchers_get_not_serving() {
    let server = ServerProcess::start(&["--drain-delay", "500ms"]);
    let mut client = GrpcClient::connect(server.grpc).await;
    let mut call: Call<HealthCheckResponse> = client.begin(WATCH, &[]).await;
    call.send(&HealthCheckRequest::default());
    call.finish_sending();
    let serving = async |call: &mut Call<HealthCheckResponse>| call.next().await.map(|answer| answer.status);
    assert_eq!(serving(&mut call).await, Some(ServingStatus::Serving as i32));
    server.signal(Signal::TERM);
    assert_eq!(serving(&mut call).await, Some(ServingStatus::NotServing as i32));
    assert_eq!(server.finish(SOON).await.code, Some(0), "a watch does not hold up the end");
}

async fn a_reply_in_flight_passes_through_a_proxy() {
    let Some(program) = require(NGINX.tool) else { return };
    let server = ServerProcess::start(&[]);
    let proxy = Proxy::start(NGINX, &program, Behind { http: server.http, grpc: server.grpc });
    let mut client = Client::connect(Protocol::Http2, proxy.fronts.h2c).await;
    let signal = async {
        Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) >= 1).await;
        server.signal(Signal::TERM);
    };
    let (reply, ()) = tokio::join!(client.get("/chunked/10?size=1000&delay=100"), signal);
    assert_eq!((reply.status, reply.body.len()), (200, 10_000));
    assert_eq!(server.finish(SOON).await.code, Some(0));
    assert_eq!(client.get("/health").await.status, 502, "the proxy reports that no server is behind it");
}

async fn idle_connections_are_closed_cleanly(_: AndTls) {
    let server = ServerProcess::start(&[]);
    let mut http1 = Http1::connect(server.http).await;
    http1.send(&Line::of(&Request::get("/health"))).await;
    assert_eq!(patiently("a reply", http1.reply("GET")).await.unwrap().status, 200);
    let mut silent = Http1::connect(server.http).await;
    let mut http2 = Client::Http2(Http2::connect(server.http).await);
    assert_eq!(http2.get("/health").await.status, 200);
    let Client::Http2(http2) = http2 else { unreachable!("it is HTTP/2") };
    let mut grpc = GrpcClient::connect(server.grpc).await;
    grpc.unary::<HealthCheckResponse>(CHECK, &HealthCheckRequest::default()).await;
    server.signal(Signal::TERM);
    assert!(patiently("a close", http1.to_end()).await.unwrap().is_empty());
    assert!(patiently("a close", silent.to_end()).await.unwrap().is_empty());
    http2.ended().await.expect("GOAWAY says that nothing was wrong");
    grpc.into_connection().ended().await.expect("GOAWAY says that nothing was wrong");
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

async fn idle_sockets_are_closed_with_1001(_: AndTls) {
    let server = ServerProcess::start(&[]);
    let mut sockets = Vec::new();
    for path in ["/ws", "/ws/below", "/ws/close"] {
        sockets.push(websocket(server.http, path).await);
    }
    server.signal(Signal::TERM);
    for mut socket in sockets {
        match patiently("a close", socket.next()).await {
            Some(Ok(WebSocket::Close(Some(frame)))) => assert_eq!(frame.code, CloseCode::Away),
            other => panic!("no close frame but {other:?}"),
        }
        // Reading on sends the answer to the close and waits for the end.
        assert!(patiently("the end", socket.next()).await.is_none());
    }
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

async fn an_open_grpc_stream_does_not_delay_the_exit(_: AndTls) {
    let server = ServerProcess::start(&[]);
    let mut client = GrpcClient::connect(server.grpc).await;
    let mut call: Call<EchoResponse> = client.begin(STREAM_ECHO, &[]).await;
    call.send(&EchoRequest::default());
    assert!(call.next().await.is_some());
    server.signal(Signal::TERM);
    // The client gets the end of the stream, and may close its own side cleanly.
    assert!(call.next().await.is_none());
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

async fn a_client_that_never_reads_is_cut_off_in_time(protocol: Protocol, _: AndTls) {
    let server = ServerProcess::start(&["--drain-timeout", "1s"]);
    let mut http1;
    let mut http2;
    let mut held = None;
    match protocol {
        Protocol::Http1 => {
            http1 = Http1::connect(server.http).await;
            http1.send(&Line::of(&Request::get("/bin/10G"))).await;
        }
        Protocol::Http2 => {
            http2 = Http2::connect(server.http).await;
            let (response, _) = http2.open(&Request::get("/bin/10G"), true).await.unwrap();
            held = Some(patiently("a head", response).await.unwrap());
        }
    }
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) >= 1).await;
    server.signal(Signal::TERM);
    let finished = server.finish(SOON).await;
    assert_eq!(finished.code, Some(0), "{finished}");
    drop(held);
}

async fn a_second_signal_exits_immediately() {
    let server = ServerProcess::start(&[]);
    let mut client = Http1::connect(server.http).await;
    client.send(&Line::of(&Request::get("/delay/60000"))).await;
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) >= 1).await;
    server.signal(Signal::TERM);
    server.process().await_stderr("SIGTERM in the log", |log| log.contains("SIGTERM").then_some(()));
    server.signal(Signal::TERM);
    let finished = server.finish(SOON).await;
    assert!(finished.code.is_some(), "it ends by itself and not by the signal: {finished}");
}

/// Clients that open a connection for each request or keep one, until connections are refused. The server logs each
/// request that it read; each of those must have been received whole by somebody.
async fn under_load_every_request_that_was_read_gets_a_reply(protocol: Protocol, _: AndTls) {
    const CLIENTS: usize = 8;
    let server = ServerProcess::start(&["--access-log=text", "--drain-delay", "300ms"]);
    let whole = &AtomicUsize::new(0);
    let address = server.http;
    let load = |keeps: bool| async move {
        while let Ok(stream) = TcpStream::connect(address).await {
            let Ok(mut client) = Client::on(protocol, stream).await else { continue };
            // An error is a request that the server has not read, if the counts below are the same.
            while let Ok(reply) = client.try_exchange(&Request::get("/bin/5000")).await {
                assert_eq!(reply.body.len(), 5000);
                whole.fetch_add(1, Ordering::Relaxed);
                if !keeps {
                    break;
                }
            }
        }
    };
    let clients = futures_util::future::join_all((0..CLIENTS).map(|number| load(number % 2 == 0)));
    let signal = async {
        Metrics::until(server.admin, |_| whole.load(Ordering::Relaxed) >= 200).await;
        server.signal(Signal::TERM);
    };
    patiently("the end of the load", async { tokio::join!(clients, signal) }).await;
    let finished = server.finish(SOON).await;
    assert_eq!(finished.code, Some(0), "{finished}");
    let read = finished.stdout.lines().filter(|line| line.contains("/bin/5000")).count();
    let whole = whole.load(Ordering::Relaxed);
    assert!(whole >= 200);
    assert_eq!(read, whole, "requests read by the server, and replies that arrived whole");
}
