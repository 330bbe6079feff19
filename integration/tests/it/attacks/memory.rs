//! Clients that make the server keep as much as it will: together they get `--memory-budget` and no more, what is beyond
//! it is refused, and all of it is given back when they have gone.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use contract::echo::{EchoRequest, EchoResponse};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use integration::{
    PATIENCE,
    client::{
        Call, Client, GrpcClient, Http1, Protocol, Request, WebSocket, fetch, framed, patiently,
        websocket_over,
    },
    metrics::Metrics,
};
use prost::Message as _;
use websocket::{Event, Limits, Reader, Role, opcode};

use super::{MIB, Scene, raw::*};
use crate::grpc_calls::ECHO;

tests!();

const BUDGET: &str = "--memory-budget=16M";
/// The budget, as much again for what is being put together, and what an allocator keeps of several attacks, one after the
/// other.
const MEMORY: u64 = 128 * MIB;
const HELD: &str = "dummy_server_memory_held_bytes";
const REFUSED: &str = "dummy_server_memory_refused_total";
const RESOURCE_EXHAUSTED: i32 = 8;

/// All is given back, and the attack has met the budget.
async fn ended(scene: Scene) {
    Metrics::until(scene.server.admin, |metrics| metrics.sum(HELD, &[]) == 0).await;
    assert!(scene.server.metrics().await.sum(REFUSED, &[]) > 0, "the budget was not met");
    scene.end(MEMORY).await;
}

async fn replies_without_window_are_not_generated() {
    const STREAMS: u32 = 1000;
    let scene = Scene::start(&[BUDGET]).await;
    for target in
        ["/bin/1G?dummy-chunk=16M", "/bin/1G?dummy-gzip=forced", "/sse?count=0&delay=0&dummy-gzip=forced"]
    {
        let requests =
            (0..STREAMS).flat_map(|number| http2_request(number * 2 + 1, "GET", target, true, &[]));
        let sent = [http2_preface_with_window(0), requests.collect()].concat();
        let mut stream = TcpStream::connect(scene.server.http).expect("connected");
        stream.write_all(&sent).expect("requests are taken");
        let in_flight =
            |metrics: &Metrics| metrics.sum("dummy_server_streams_open", &[]) >= u64::from(STREAMS);
        Metrics::until(scene.server.admin, in_flight).await;
        drop(stream);
        scene.only_the_bystander_is_left().await;
    }
    scene.end(24 * MIB).await;
}

/// The code with which the server closes the socket.
fn close_code(stream: &mut TcpStream) -> Option<u16> {
    let mut all = Vec::new();
    // The connection may end by a reset, since the server has not read all.
    let _ = stream.read_to_end(&mut all);
    let head = all.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    match Reader::new(Role::Client, Limits::default()).read(&mut &all[head + 4..]) {
        Ok(Some(Event::Close(close))) => close.code(),
        _ => None,
    }
}

async fn websocket_messages_beyond_the_budget_are_refused_with_1013() {
    // An eighth of the budget is for small ones: three of these fit into the rest.
    const FIT: usize = 3;
    const SOCKETS: usize = 20;
    let scene = Scene::start(&[BUDGET]).await;
    let mut sockets = Vec::new();
    for number in 0..SOCKETS {
        let mut stream = TcpStream::connect(scene.server.http).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(&websocket_request("/ws")).expect("a request is taken");
        let begun = [websocket_head(16 << 20), vec![7; 4 << 20]].concat();
        // One that is refused takes no more.
        let _ = stream.write_all(&begun);
        let held = |metrics: &Metrics| metrics.sum(HELD, &[]) >= (number as u64 + 1) * (4 << 20);
        if number < FIT {
            Metrics::until(scene.server.admin, held).await;
        } else {
            assert_eq!(close_code(&mut stream), Some(1013), "of socket {number}");
        }
        sockets.push(stream);
    }
    drop(sockets);
    scene.only_the_bystander_is_left().await;
    // There is room again.
    let mut socket = websocket_over(Protocol::Http1, scene.server.http, "/ws").await;
    let message = WebSocket::binary(vec![7; 1 << 20]);
    futures_util::SinkExt::send(&mut socket, message.clone()).await.expect("sent");
    assert_eq!(patiently("an echo", socket.next()).await.expect("an echo").expect("a message"), message);
    drop(socket);
    ended(scene).await;
}

/// Of bodies that have not come whole.
async fn bodies_beyond_the_budget_are_refused_with_503(protocol: Protocol) {
    const BODIES: u32 = 64;
    let scene = Scene::start(&[BUDGET, "--max-body-echo=16M"]).await;
    let part = vec![b'x'; 900 << 10];
    let mut held = Vec::new();
    if protocol == Protocol::Http1 {
        for _ in 0..BODIES {
            let mut stream = TcpStream::connect(scene.server.http).expect("connected");
            let head = http1_request("POST", "/", "1.1", "Content-Length: 16000000\r\n");
            stream.write_all(&head).expect("a head is taken");
            // One that is refused takes no more.
            let _ = stream.write_all(&part);
            held.push(stream);
        }
    } else {
        let mut stream = TcpStream::connect(scene.server.http).expect("connected");
        stream.write_all(&http2_preface()).expect("a preface is taken");
        for number in 0..BODIES {
            let id = number * 2 + 1;
            let mut frames = http2_request(id, "POST", "/", false, &[]);
            // A stream's window.
            part[..256 << 10].chunks(16 << 10).for_each(|part| frames.extend(frame(0, 0, id, part)));
            stream.write_all(&frames).expect("frames are taken");
        }
        held.push(stream);
    }
    let refused = |metrics: &Metrics| metrics.sum("dummy_server_requests_total", &[("status", "503")]) > 0;
    Metrics::until(scene.server.admin, refused).await;
    drop(held);
    scene.only_the_bystander_is_left().await;
    let body = vec![b'y'; 1 << 20];
    let reply = fetch(protocol, scene.server.http, Request::post("/", body)).await;
    assert_eq!((reply.status, reply.json()["body_size"].as_u64()), (200, Some(1 << 20)));
    Metrics::until(scene.server.admin, |metrics| metrics.sum(HELD, &[]) == 0).await;
    scene.end(MEMORY).await;
}

async fn grpc_messages_beyond_the_budget_are_refused_with_resource_exhausted() {
    const CALLS: usize = 40;
    let scene = Scene::start(&[BUDGET]).await;
    let message = framed(
        &EchoRequest { message: "x".repeat(2 << 20), ..EchoRequest::default() }.encode_to_vec(),
        false,
    );
    for method in [ECHO, "/echo.EchoService/StreamEcho", "/dummy.v1.TestService/ClientStream"] {
        let mut client = GrpcClient::connect(scene.server.grpc).await;
        let mut calls: Vec<Call<EchoResponse>> = Vec::new();
        for _ in 0..CALLS {
            let mut call = client.begin(method, &[]).await;
            // All but its last byte.
            call.send_bytes(&message[..message.len() - 1]);
            calls.push(call);
        }
        let mut ends: FuturesUnordered<_> = calls.into_iter().map(Call::status).collect();
        for _ in 0..CALLS / 2 {
            let status = ends.next().await.expect("another call");
            assert_eq!(status.code, RESOURCE_EXHAUSTED, "{method}: {status:?}");
        }
        drop(ends);
        drop(client);
        scene.only_the_bystander_is_left().await;
    }
    ended(scene).await;
}

/// As large as what was sent.
async fn unread_large_replies_beyond_the_budget_are_refused_with_503(protocol: Protocol) {
    const CLIENTS: usize = 8;
    // More than the systems' buffers take.
    const LENGTH: usize = 6 << 20;
    let scene = Scene::start(&[BUDGET, "--max-body-echo=16M"]).await;
    let body = vec![b'x'; LENGTH];
    let mut held = Vec::new();
    // Over HTTP/2, each sends no more than its window.
    let clients = if protocol == Protocol::Http1 { CLIENTS } else { 10 * CLIENTS };
    for _ in 0..clients {
        let mut stream = TcpStream::connect(scene.server.http).expect("connected");
        // What waits in the systems' buffers is none of the server's.
        socket2::SockRef::from(&stream).set_recv_buffer_size(4096).expect("a small buffer");
        let sent = if protocol == Protocol::Http1 {
            [http1_request("POST", "/", "1.1", "Content-Length: 6291456\r\n"), body.clone()].concat()
        } else {
            // Its window is for the first quarter.
            let mut frames =
                [http2_preface_with_window(0), http2_request(1, "POST", "/", false, &[])].concat();
            body[..240 << 10].chunks(16 << 10).for_each(|part| frames.extend(frame(0, 0, 1, part)));
            frames.extend(frame(0, 1, 1, b""));
            frames
        };
        stream.write_all(&sent).expect("a request is taken");
        held.push(stream);
    }
    if protocol == Protocol::Http1 {
        let refused =
            |metrics: &Metrics| metrics.sum("dummy_server_requests_total", &[("status", "503")]) > 0;
        Metrics::until(scene.server.admin, refused).await;
    }
    drop(held);
    scene.only_the_bystander_is_left().await;
    let mut client = Client::Http1(Http1::connect(scene.server.http).await);
    let reply = client.exchange(Request::post("/", body)).await;
    assert_eq!((reply.status, reply.body.len() > LENGTH), (200, true));
    drop(client);
    Metrics::until(scene.server.admin, |metrics| metrics.sum(HELD, &[]) == 0).await;
    scene.end(MEMORY + 32 * MIB).await;
}

/// However they are shaped, and before they begin.
async fn delayed_or_slow_large_replies_count_towards_the_budget(protocol: Protocol) {
    const LENGTH: usize = 200 << 10;
    const CLIENTS: usize = 30;
    for behaviour in
        ["dummy-delay=1h", "dummy-rate=1", "dummy-rate=1&dummy-chunk=1", "dummy-trailer=a:b&dummy-rate=1"]
    {
        let scene = Scene::start(&["--memory-budget=4M"]).await;
        let target = format!("/?{behaviour}");
        let mut held = Vec::new();
        for _ in 0..CLIENTS {
            let mut stream = TcpStream::connect(scene.server.http).expect("connected");
            let body = vec![b'x'; LENGTH];
            let sent = if protocol == Protocol::Http1 {
                let length = format!("Content-Length: {LENGTH}\r\n");
                [http1_request("POST", &target, "1.1", &length), body].concat()
            } else {
                let mut frames = [http2_preface(), http2_request(1, "POST", &target, false, &[])].concat();
                body.chunks(16 << 10).for_each(|part| frames.extend(frame(0, 0, 1, part)));
                frames.extend(frame(0, 1, 1, b""));
                frames
            };
            stream.write_all(&sent).expect("a request is taken");
            held.push(stream);
        }
        Metrics::until(scene.server.admin, |metrics| metrics.sum(REFUSED, &[]) > 0).await;
        drop(held);
        scene.only_the_bystander_is_left().await;
        ended(scene).await;
    }
}

/// Whatever they have read at one time.
async fn idle_connections_hold_no_memory() {
    const REQUESTS: usize = 10_000;
    let scene = Scene::start(&[]).await;
    let mut stream = TcpStream::connect(scene.server.http).expect("connected");
    let mut writer = stream.try_clone().expect("another handle");
    let writing = std::thread::spawn(move || {
        writer
            .write_all(&http1_request("GET", "/health", "1.1", "").repeat(REQUESTS))
            .expect("they are taken");
    });
    let (mut replies, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    let answered = |replies: &[u8]| replies.windows(15).filter(|part| part == br#"{"status":"ok"}"#).count();
    let mut seen = 0;
    while seen < REQUESTS {
        let count = stream.read(&mut buffer).expect("replies come");
        assert!(count > 0, "the connection goes on");
        replies.extend_from_slice(&buffer[..count]);
        seen += answered(&replies);
        // What may be the beginning of the next.
        replies = replies.split_off(replies.len() - 14);
    }
    writing.join().expect("all were sent");
    Metrics::until(scene.server.admin, |metrics| metrics.sum(HELD, &[]) == 0).await;
    assert_eq!(scene.server.metrics().await.sum("dummy_server_connections_open", &[]), 3);
    drop(stream);
    scene.end(24 * MIB).await;
}

/// Each of them is small, and there are many.
async fn unread_websocket_echoes_over_http2_count_towards_the_budget() {
    const STREAMS: u32 = 500;
    const LENGTH: usize = 10_000;
    let scene = Scene::start(&[BUDGET]).await;
    let fields = [(":protocol", "websocket"), ("sec-websocket-version", "13")];
    let mut frames = http2_preface_with_window(1);
    for number in 0..STREAMS {
        let id = number * 2 + 1;
        frames.extend(http2_request(id, "CONNECT", "/ws", false, &fields));
        frames.extend(frame(0, 0, id, &websocket_frame(opcode::BINARY, true, &vec![7; LENGTH])));
    }
    let mut stream = TcpStream::connect(scene.server.http).expect("connected");
    stream.write_all(&frames).expect("frames are taken");
    let all = u64::from(STREAMS) * (LENGTH as u64 - 10);
    Metrics::until(scene.server.admin, |metrics| metrics.sum(HELD, &[]) >= all).await;
    drop(stream);
    scene.only_the_bystander_is_left().await;
    Metrics::until(scene.server.admin, |metrics| metrics.sum(HELD, &[]) == 0).await;
    scene.end(MEMORY).await;
}
