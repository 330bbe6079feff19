//! Large bodies in either direction, which must cost no memory: 64 MiB here, and 1 GiB in the full run.

use std::cell::Cell;

use bytes::Bytes;
use contract::{
    pattern::{self, Pattern},
    test::{Plan, TestRequest, TestResponse},
};
use futures_util::{SinkExt as _, StreamExt as _};
use integration::{
    binaries::ServerProcess,
    cases::{AndTls, is_full},
    client::{
        Call, Client, GrpcClient, Http1, Http2, Line, Protocol, Request, WebSocket, patiently, pour,
        websocket_over,
    },
    metrics::{Metrics, RECEIVED, SENT},
};

use crate::planned_calls::begin;

tests!();

/// What is sent or read in one piece; a message of gRPC and of WebSocket is as large.
const PIECE: usize = 1 << 20;
/// By how much the server's resident memory may grow while it all flows: a few messages, and what the allocator keeps
/// of those before.
const GROWTH: u64 = 40 << 20;
/// How often it is looked at.
const LOOKS: u64 = 16;

fn volume() -> u64 {
    if is_full() { 1 << 30 } else { 64 << 20 }
}

/// A server through which much flows.
struct Scene {
    server: ServerProcess,
    volume: u64,
    resident: u64,
    flown: Cell<u64>,
    looks: Cell<u64>,
}

impl Scene {
    async fn start() -> Self {
        let server = ServerProcess::start(&["--workers=1"]);
        for protocol in Protocol::ALL {
            assert_eq!(Client::connect(protocol, server.http).await.get("/bin/100K").await.status, 200);
        }
        let resident = resident(&server).await;
        Self { server, volume: volume(), resident, flown: Cell::new(0), looks: Cell::new(0) }
    }

    /// So much has flown. The memory is looked at now and then, while the rest waits or flows on.
    async fn flown(&self, count: usize) {
        self.flown.set(self.flown.get() + count as u64);
        if self.flown.get() < self.volume / LOOKS * (self.looks.get() + 1) {
            return;
        }
        self.looks.set(self.looks.get() + 1);
        let now = resident(&self.server).await;
        let grown = now.saturating_sub(self.resident);
        assert!(grown <= GROWTH, "{} of {} bytes took {grown}", self.flown.get(), self.volume);
    }

    /// All of it has, by the books of both ends.
    async fn end(self, counter: &str) {
        assert_eq!((self.flown.get(), self.looks.get()), (self.volume, LOOKS));
        // A write is counted once it has returned, and by then the client may have read what it wrote.
        let all = |metrics: &Metrics| metrics.sum(counter, &[]) >= self.volume;
        let counted = Metrics::until(self.server.admin, all).await.sum(counter, &[]);
        // There is framing beside the content, and TLS; and a little of other requests.
        let framing = self.volume / 50 + (1 << 20);
        assert!((self.volume..self.volume + framing).contains(&counted), "{counter}: {counted}");
    }
}

async fn resident(server: &ServerProcess) -> u64 {
    let resident = server.metrics().await.sum("dummy_server_resident_memory_bytes", &[]);
    assert!(resident > 0);
    resident
}

async fn a_large_response_body_is_received(protocol: Protocol, _: AndTls) {
    let scene = Scene::start().await;
    let request = Request::get(&format!("/bin/{}", scene.volume));
    match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(scene.server.http).await;
            client.send(&Line::of(&request)).await;
            let head = patiently("a head", client.head()).await.unwrap();
            assert_eq!(head.field("content-length"), Some(scene.volume.to_string().as_str()));
            while scene.flown.get() < scene.volume {
                let piece = patiently("a piece", client.exactly(PIECE)).await.unwrap();
                assert_eq!(pattern::verify(scene.flown.get(), &piece), Ok(()));
                scene.flown(piece.len()).await;
            }
            // What follows is the next reply and nothing else.
            client.send(&Line::of(&Request::get("/health"))).await;
            assert_eq!(patiently("a reply", client.reply("GET")).await.unwrap().status, 200);
        }
        Protocol::Http2 => {
            let mut client = Http2::connect(scene.server.http).await;
            let (response, _) = client.open(&request, true).await.unwrap();
            let mut body = patiently("a head", response).await.unwrap().into_body();
            while let Some(piece) = patiently("a piece", body.data()).await {
                let piece = piece.unwrap();
                body.flow_control().release_capacity(piece.len()).unwrap();
                assert_eq!(pattern::verify(scene.flown.get(), &piece), Ok(()));
                scene.flown(piece.len()).await;
            }
        }
    }
    scene.end(SENT).await;
}

async fn a_large_request_body_is_sent(protocol: Protocol, _: AndTls) {
    let scene = Scene::start().await;
    let piece = Pattern::new(PIECE).slice(0, PIECE as u64);
    let request = Request::post("/", Vec::new()).field("content-length", &scene.volume.to_string());
    let reply = match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(scene.server.http).await;
            client.send(&Line::of(&request)).await;
            while scene.flown.get() < scene.volume {
                client.send(piece).await;
                scene.flown(piece.len()).await;
            }
            patiently("a reply", client.reply("POST")).await.unwrap()
        }
        Protocol::Http2 => {
            let mut client = Http2::connect(scene.server.http).await;
            let (response, mut body) = client.open(&request, false).await.unwrap();
            while scene.flown.get() < scene.volume {
                patiently("window", pour(&mut body, Bytes::from_static(piece))).await.unwrap();
                scene.flown(piece.len()).await;
            }
            body.send_data(Bytes::new(), true).unwrap();
            patiently("a reply", Http2::read(response)).await.unwrap()
        }
    };
    assert_eq!((reply.status, &reply.json()["body_size"]), (200, &scene.volume.into()));
    scene.end(RECEIVED).await;
}

async fn a_large_grpc_server_stream_is_received(_: AndTls) {
    let scene = Scene::start().await;
    let mut client = GrpcClient::connect(scene.server.grpc).await;
    let count = scene.volume / PIECE as u64;
    let plan = Plan { count: Some(count), size: PIECE as u64, ..Plan::default() };
    let mut call = begin(&mut client, "ServerStream", plan, &[]).await;
    call.finish_sending();
    for number in 1..=count {
        let response = call.next().await.expect("another response");
        assert_eq!((response.number, pattern::verify(0, &response.payload)), (number, Ok(())));
        scene.flown(response.payload.len()).await;
    }
    assert_eq!(call.status().await.code, 0);
    scene.end(SENT).await;
}

async fn a_large_grpc_client_stream_is_sent(_: AndTls) {
    let scene = Scene::start().await;
    let mut client = GrpcClient::connect(scene.server.grpc).await;
    let payload = Bytes::from_static(Pattern::new(PIECE).slice(0, PIECE as u64));
    let request = TestRequest { payload, plan: None };
    let mut call: Call<TestResponse> = client.begin("/dummy.v1.TestService/ClientStream", &[]).await;
    while scene.flown.get() < scene.volume {
        call.pour(&request).await;
        scene.flown(PIECE).await;
    }
    call.finish_sending();
    let (responses, end) = call.rest().await;
    assert_eq!(end.status.code, 0);
    let [response] = &responses[..] else { panic!("{} responses", responses.len()) };
    assert_eq!((response.requests, response.request_bytes), (scene.volume / PIECE as u64, scene.volume));
    scene.end(RECEIVED).await;
}

async fn large_websocket_traffic_is_echoed(protocol: Protocol, _: AndTls) {
    let scene = Scene::start().await;
    let message = WebSocket::binary(Bytes::from_static(Pattern::new(PIECE).slice(0, PIECE as u64)));
    let (mut sink, mut stream) = websocket_over(protocol, scene.server.http, "/ws").await.split();
    let sending = async {
        for _ in 0..scene.volume / PIECE as u64 {
            patiently("room", sink.send(message.clone())).await.unwrap();
        }
    };
    let reading = async {
        while scene.flown.get() < scene.volume {
            let echo = patiently("an echo", stream.next()).await.expect("an open socket").unwrap();
            assert!(echo == message);
            scene.flown(echo.len()).await;
        }
    };
    tokio::join!(sending, reading);
    let received = scene.server.metrics().await.sum(RECEIVED, &[]);
    assert!(received >= scene.volume, "{received} bytes were received");
    scene.end(SENT).await;
}
