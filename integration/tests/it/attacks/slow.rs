//! Clients that are slow on purpose, or silent: each wait for a client has an end, and others don't wait with it.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use integration::{
    client::{
        Client, Http1, Http2, Line, Protocol, Request, WebSocket, fetch,
        frames::{END_STREAM, Frames, kind},
        patiently, websocket_over,
    },
    server::Server,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::interval};

use super::{LITTLE, Scene};

tests!();

const CLIENTS: usize = 200;
const ENHANCE_YOUR_CALM: u32 = 11;

async fn silent_connections_are_closed() {
    const SILENT: usize = 2000;
    let scene = Scene::start(&["--header-timeout=2s"]).await;
    let mut held = Vec::new();
    for _ in 0..SILENT {
        held.push(TcpStream::connect(scene.server.http).await.expect("connected"));
    }
    scene.only_the_bystander_is_left().await;
    drop(held);
    scene.end(LITTLE).await;
}

/// A byte now and then does not keep a connection open (slowloris).
async fn slowloris_heads_time_out() {
    let scene = Scene::start(&["--header-timeout=1s", "--idle-timeout=1h"]).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0];
    // The head of a request, a preface, a frame, and a block of several frames.
    let begun: [Vec<u8>; 4] = [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: ".to_vec(),
        b"PRI * HT".to_vec(),
        [&preface[..], &settings, &[0, 40, 0, 1, 4, 0, 0, 0, 1]].concat(),
        [&preface[..], &settings, &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82, 0, 1, 0, 9, 0, 0, 0, 0, 1]].concat(),
    ];
    let drips: [&[u8]; 4] = [b"x", b"", b"x", b"\0"];
    let mut held = Vec::new();
    for number in 0..CLIENTS {
        let mut stream = TcpStream::connect(scene.server.http).await.expect("connected");
        stream.write_all(&begun[number % 4]).await.expect("a beginning is taken");
        held.push((stream, drips[number % 4]));
    }
    let mut answered = scene.answered.clone();
    let dripping = async {
        while answered.changed().await.is_ok() {
            for (stream, drip) in &mut held {
                // Those that are closed take nothing.
                let _ = stream.write_all(drip).await;
            }
        }
    };
    tokio::select! {
        () = scene.only_the_bystander_is_left() => {}
        () = dripping => panic!("the bystander is no longer served"),
    }
    scene.end(LITTLE).await;
}

async fn a_stalled_request_body_is_answered_with_408(protocol: Protocol) {
    let scene = Scene::start(&["--stall-timeout=1s"]).await;
    for target in ["/upload", "/", "/delay/1"] {
        match protocol {
            Protocol::Http1 => {
                let mut client = Http1::connect(scene.server.http).await;
                let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly");
                client.send(head.as_bytes()).await;
                let reply = patiently("a reply", client.reply("POST")).await.unwrap();
                assert_eq!((reply.status, reply.field("connection")), (408, Some("close")), "{target}");
                assert!(reply.text().contains("--stall-timeout"), "{}", reply.text());
                assert!(patiently("the end", client.until_closed()).await.is_empty());
            }
            Protocol::Http2 => {
                let mut client = Http2::connect(scene.server.http).await;
                let request = Request::new("POST", target);
                let (response, mut body) = client.open(&request, false).await.unwrap();
                body.send_data("only".into(), false).unwrap();
                let reply = patiently("a reply", Http2::read(response)).await.unwrap();
                assert_eq!(reply.status, 408, "{target}");
                // It was one stream that stood still.
                assert!(!client.is_refused().await);
            }
        }
    }
    scene.end(LITTLE).await;
}

async fn unread_replies_end_their_connections() {
    let scene = Scene::start(&["--stall-timeout=2s"]).await;
    let mut held = Vec::new();
    for number in 0..CLIENTS {
        let target = ["/bin/1G", "/bin/1G?chunked=true", "/chunked/1000000?size=100000"][number % 3];
        if number % 4 == 0 {
            let mut frames = Frames::connect(scene.server.http, &[(4, 0x7fff_ffff)]).await;
            frames.send(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]).await;
            frames.get(1, target, &[]).await;
            held.push((None, Some(frames)));
        } else {
            let mut client = Http1::connect(scene.server.http).await;
            client.send(&Line::of(&Request::get(target))).await;
            held.push((Some(client), None));
        }
    }
    scene.only_the_bystander_is_left().await;
    drop(held);
    // What waits for a reader is the static pattern, and a connection's buffers.
    scene.end(4 * LITTLE).await;
}

/// PING keeps no stream alive; another request does.
async fn a_connection_ends_when_none_of_its_streams_has_window() {
    let scene = Scene::start(&["--stall-timeout=1s"]).await;
    let mut frames = Frames::connect(scene.server.http, &[(4, 0)]).await;
    for stream in 0..100 {
        frames.get(2 * stream + 1, "/bin/1G", &[]).await;
    }
    let mut pings = interval(Duration::from_millis(50));
    let go_away = async {
        loop {
            pings.tick().await;
            frames.send(kind::PING, 0, 0, b"are you?").await;
            loop {
                let frame = frames.next().await.expect("whole frames").expect("a GOAWAY before the end");
                if let Some((_, code)) = frame.go_away() {
                    return code;
                }
                if frame.kind == kind::PING {
                    break;
                }
            }
        }
    };
    assert_eq!(patiently("the end", go_away).await, ENHANCE_YOUR_CALM);

    let mut client =
        Http2::connect_with(scene.server.http, h2::client::Builder::new().initial_window_size(0)).await;
    let (_held, _) = client.open(&Request::get("/bin/1G"), true).await.unwrap();
    for _ in 0..15 {
        let (response, _) = client.open(&Request::new("HEAD", "/delay/200"), true).await.unwrap();
        assert_eq!(patiently("a reply", response).await.unwrap().status(), 200);
    }
    scene.end(LITTLE).await;
}

/// Nothing moves for three times the limit, and it is nothing that the client could do about.
async fn keeps_the_connection_when_the_client_is_waiting_for_the_server(protocol: Protocol) {
    let server = Server::with(&["--stall-timeout=300ms"]);
    for (target, length) in [
        ("/delay/1000", None),
        ("/chunked/2?size=10&delay=1000", Some(20)),
        ("/bin/10?dummy-delay=1s", Some(10)),
    ] {
        let reply = fetch(protocol, server.http, Request::get(target)).await;
        assert_eq!(reply.status, 200, "{target}");
        assert!(length.is_none_or(|length| reply.body.len() == length), "{target}");
    }
    let reply = fetch(protocol, server.http, Request::post("/delay/0/1000", vec![b'x'; 100_000])).await;
    assert_eq!((reply.status, &reply.json()["body_size"]), (200, &100_000.into()));
}

async fn open_websockets_and_grpc_calls_may_pause(protocol: Protocol) {
    let server = Server::with(&["--stall-timeout=300ms"]);
    let mut socket = websocket_over(protocol, server.http, "/ws").await;
    for _ in 0..2 {
        socket.send(WebSocket::text("hello")).await.unwrap();
        let echo = patiently("an echo", socket.next()).await.expect("an open socket").unwrap();
        assert_eq!(echo, WebSocket::text("hello"));
        let mut clock = Client::connect(protocol, server.http).await;
        assert_eq!(clock.get("/delay/1000").await.status, 200);
    }
    // So may a gRPC call whose client has more to say.
    let mut frames = Frames::connect(server.http, &[]).await;
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    frames.post(1, "/echo.EchoService/Echo", &fields).await;
    frames.send(kind::DATA, 0, 1, &[0]).await;
    assert_eq!(fetch(protocol, server.http, Request::get("/delay/1000")).await.status, 200);
    frames.send(kind::DATA, END_STREAM, 1, &[0, 0, 0, 0]).await;
    let trailers = async {
        loop {
            let frame = frames.next().await.expect("whole frames").expect("a reply before the end");
            if frame.kind == kind::HEADERS && frame.ends() {
                break frame;
            }
        }
    };
    assert_eq!(patiently("a reply", trailers).await.stream, 1);
}
