//! WebSocket: echo, the close handshake, and the limits.

use futures_util::{SinkExt as _, StreamExt as _};
use integration::{
    cases::AndTls,
    client::{
        Http1, Line, Link, Protocol, Request, Socket, WebSocket, fetch, patiently, raw_frame, websocket_over,
    },
    server::Server,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use websocket::{opcode, write};

tests!();

const LIMIT: usize = 16 << 20;

async fn messages_are_echoed_as_they_came(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut socket = websocket_over(protocol, server.http, "/ws").await;
    for size in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
        for message in [WebSocket::text("ü".repeat(size / 2)), WebSocket::binary(vec![0xff; size])] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(next(&mut socket).await, message, "{size}");
        }
    }
}

async fn a_large_message_is_echoed(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut socket = websocket_over(protocol, server.http, "/ws").await;
    let message = WebSocket::binary(vec![7; LIMIT]);
    socket.send(message.clone()).await.unwrap();
    assert!(next(&mut socket).await == message);
}

async fn a_message_beyond_the_limit_is_answered_with_1009(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut socket = websocket_over(protocol, server.http, "/ws").await;
    // The server may close before it has taken all of it.
    let (mut sink, mut stream) = socket.split();
    let (_, close) = tokio::join!(sink.send(WebSocket::binary(vec![7; LIMIT + 1])), async {
        patiently("a close", stream.next()).await
    });
    let Some(Ok(WebSocket::Close(Some(frame)))) = close else { panic!("no close frame but {close:?}") };
    assert_eq!(frame.code, CloseCode::Size);

    // In fragments, of which each is small enough.
    socket = websocket_over(protocol, server.http, "/ws").await;
    let (mut sink, mut stream) = socket.split();
    let sending = async {
        let mut first = true;
        while sink.send(raw_frame(first, false, &[b'x'; 1 << 20])).await.is_ok() {
            first = false;
        }
    };
    let close = async { patiently("a close", stream.next()).await };
    let close = tokio::select! {
        close = close => close,
        () = sending => patiently("a close", stream.next()).await,
    };
    let Some(Ok(WebSocket::Close(Some(frame)))) = close else { panic!("no close frame but {close:?}") };
    assert_eq!(frame.code, CloseCode::Size);
}

async fn the_limits_are_flags(protocol: Protocol) {
    let server = Server::with(&["--ws-max-message=1000", "--ws-max-frame=500"]);
    for (sizes, accepted) in [
        (&[500][..], true),
        (&[501], false),
        (&[500, 500], true),
        (&[500, 500, 0], true),
        (&[500, 400, 101], false),
    ] {
        let mut socket = websocket_over(protocol, server.http, "/ws").await;
        for (at, size) in sizes.iter().enumerate() {
            let last = at + 1 == sizes.len();
            socket.send(raw_frame(at == 0, last, &vec![b'x'; *size])).await.unwrap();
        }
        if accepted {
            assert_eq!(next(&mut socket).await.len(), sizes.iter().sum::<usize>(), "{sizes:?}");
        } else {
            assert_eq!(close_of(&mut socket).await.code, CloseCode::Size, "{sizes:?}");
        }
    }
}

async fn the_echo_comes_in_fragments_on_request(protocol: Protocol) {
    let server = Server::start();
    let mut socket = websocket_over(protocol, server.http, "/ws?fragment=4").await;
    // Text and binary, as they are on the wire (RFC 6455 section 5.2).
    for (opcode, content, expected) in [
        (opcode::TEXT, "0123456789", &b"\x01\x040123\x00\x044567\x80\x0289"[..]),
        (opcode::BINARY, "0123", b"\x82\x040123"),
        (opcode::BINARY, "", b"\x82\x00"),
    ] {
        let wire = socket.get_mut();
        let mut sent = Vec::new();
        write::frame(&mut sent, opcode, true, content.as_bytes(), Some([1, 2, 3, 4]));
        wire.write_all(&sent).await.unwrap();
        let mut seen = vec![0; expected.len()];
        patiently("the echo", wire.read_exact(&mut seen)).await.unwrap();
        assert_eq!(seen, expected);
    }
    // More of them than are made in one turn.
    let message = WebSocket::binary(vec![7; 300_000]);
    socket.send(message.clone()).await.unwrap();
    assert!(next(&mut socket).await == message);
}

async fn pings_come_on_request(protocol: Protocol) {
    let server = Server::start();
    let mut socket = websocket_over(protocol, server.http, "/ws?ping=10ms").await;
    for _ in 0..3 {
        assert!(matches!(next(&mut socket).await, WebSocket::Ping(_)));
    }
    socket.send(WebSocket::text("still an echo")).await.unwrap();
    loop {
        match next(&mut socket).await {
            WebSocket::Ping(_) => {}
            message => break assert_eq!(message, WebSocket::text("still an echo")),
        }
    }
}

async fn invalid_websocket_options_are_refused_with_what_is_accepted() {
    let server = Server::start();
    for target in ["/ws?fragment=0", "/ws?fragment=many", "/ws?ping=1ms", "/ws/close?ping=now"] {
        let reply = fetch(Protocol::Http1, server.http, Request::get(target)).await;
        assert_eq!(reply.status, 400, "{target}");
        assert!(reply.text().contains("/ws?fragment={size}&ping={duration}"), "{target}: {}", reply.text());
    }
}

async fn bad_utf8_is_answered_with_1007(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    for frames in [
        &[raw_frame(true, true, b"\xff\xfe")][..],
        &[raw_frame(true, false, b"ok\xc3"), raw_frame(false, true, b"\x28")],
    ] {
        let mut socket = websocket_over(protocol, server.http, "/ws").await;
        for frame in frames {
            socket.send(frame.clone()).await.unwrap();
        }
        assert_eq!(close_of(&mut socket).await.code, CloseCode::Invalid);
    }
}

async fn fragments_are_one_message(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut socket = websocket_over(protocol, server.http, "/ws").await;
    // Even where a fragment ends within a character.
    for (first, last, bytes) in [(true, false, &b"gr\xc3"[..]), (false, false, b"\xbc"), (false, true, b"n")]
    {
        socket.send(raw_frame(first, last, bytes)).await.unwrap();
        if !last {
            socket.send(WebSocket::Ping(bytes.to_vec().into())).await.unwrap();
            assert_eq!(next(&mut socket).await, WebSocket::Pong(bytes.to_vec().into()));
        }
    }
    assert_eq!(next(&mut socket).await, WebSocket::text("grün"));
}

async fn pings_are_answered(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut socket = websocket_over(protocol, server.http, "/ws").await;
    socket.send(WebSocket::Ping("there?".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, WebSocket::Pong("there?".into()));
}

async fn a_close_is_answered(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut socket = websocket_over(protocol, server.http, "/ws").await;
    let frame = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    socket.send(WebSocket::Close(Some(frame))).await.unwrap();
    assert_eq!(close_of(&mut socket).await.code, CloseCode::Away);
    assert!(patiently("the end", socket.next()).await.is_none());
}

async fn ws_close_reports_the_message_and_closes(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut socket = websocket_over(protocol, server.http, "/ws/close").await;
    socket.send(WebSocket::text("hello")).await.unwrap();
    assert_eq!(next(&mut socket).await, WebSocket::text("Server received: hello"));
    let close = close_of(&mut socket).await;
    assert_eq!((close.code, close.reason.as_str()), (CloseCode::Normal, "server done"));
}

async fn a_bad_handshake_is_refused() {
    let server = Server::start();
    let with_key = |key: &str| {
        Request::get("/ws")
            .field("connection", "Upgrade")
            .field("upgrade", "websocket")
            .field("sec-websocket-version", "13")
            .field("sec-websocket-key", key)
    };
    let upgrade = |request: Request| {
        let fields = with_key("dGhlIHNhbXBsZSBub25jZQ==").fields;
        Request { fields, ..request }
    };
    for (request, status) in [
        (Request::get("/ws"), 400),
        (Request::get("/ws").field("upgrade", "websocket").field("connection", "upgrade"), 400),
        (upgrade(Request::get("/ws")).field("x", "y"), 101),
        (Request::post("/ws", "x"), 405),
        (upgrade(Request::new("POST", "/ws")), 405),
        (Request::new("PUT", "/ws/below"), 405),
        (Request { body: b"hello".to_vec(), ..upgrade(Request::get("/ws")) }, 400),
        (upgrade(Request::get("/ws")).field("content-length", "0"), 101),
        (upgrade(Request::get("/ws")).field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), 400),
        (upgrade(Request::get("/ws")).field("sec-websocket-version", "13"), 400),
        (with_key("dGhlIHNhbXBsZSBub25jZR=="), 101),
        (with_key("dGhlIHNhbXBsZSBub25j"), 400),
        (with_key("dGhlIHNhbXBsZSBub25jZQ"), 400),
        (with_key("dGhlIHNhbXBsZSBub25jZXM="), 400),
        (with_key("!!!!!!!!!!!!!!!!!!!!!!=="), 400),
        (with_key(""), 400),
    ] {
        let what = format!("{request:?}");
        let mut client = Http1::connect(server.http).await;
        client.send(&Line::of(&request)).await;
        let reply = patiently("a reply", client.reply("GET")).await.unwrap();
        assert_eq!(reply.status, status, "{what}");
        if status == 101 {
            // The example of RFC 6455 section 1.3.
            let accept = Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
            assert_eq!(reply.field("sec-websocket-accept") == accept, !what.contains("25jZR=="), "{what}");
        } else {
            assert!(reply.json()["accepted"].is_string(), "{what}");
        }
    }
    let over_http2 = fetch(Protocol::Http2, server.http, Request::get("/ws")).await;
    assert_eq!(over_http2.status, 400, "there is no handshake of HTTP/1.1 in HTTP/2");
}

async fn a_bad_extended_connect_is_refused() {
    let server = Server::start();
    for (path, protocol, version, status) in [
        ("/ws", "websocket", "13", 200),
        ("/ws", "websocket", "12", 400),
        ("/ws", "connect-udp", "13", 501),
        ("/bin/1K", "websocket", "13", 400),
    ] {
        let reply =
            extended_connect(server.http, path, protocol, &[("sec-websocket-version", version)]).await;
        assert_eq!(reply.status().as_u16(), status, "{path} {protocol} {version}");
        assert!(!reply.headers().contains_key("sec-websocket-accept"), "there is no key to answer to");
    }
}

async fn a_key_in_extended_connect_is_answered() {
    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let server = Server::start();
    for (keys, accept) in [
        (&[KEY][..], Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        (&[KEY, KEY], None),
        (&[("sec-websocket-key", "short")], None),
    ] {
        let fields = [&[("sec-websocket-version", "13")], keys].concat();
        let reply = extended_connect(server.http, "/ws", "websocket", &fields).await;
        assert_eq!(reply.status().as_u16(), if accept.is_some() { 200 } else { 400 }, "{keys:?}");
        let found = reply.headers().get("sec-websocket-accept").map(|value| value.to_str().expect("text"));
        assert_eq!(found, accept, "{keys:?}");
    }
}

async fn a_subprotocol_is_agreed_to() {
    let server = Server::start();
    let request = Request::get("/ws")
        .field("connection", "Upgrade")
        .field("upgrade", "websocket")
        .field("sec-websocket-version", "13")
        .field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .field("sec-websocket-protocol", "chat, superchat");
    let mut client = Http1::connect(server.http).await;
    client.send(&Line::of(&request)).await;
    let reply = patiently("a reply", client.reply("GET")).await.unwrap();
    assert_eq!((reply.status, reply.field("sec-websocket-protocol")), (101, Some("chat")));
    let fields = [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat, superchat")];
    let reply = extended_connect(server.http, "/ws", "websocket", &fields).await;
    assert_eq!(reply.headers()["sec-websocket-protocol"], "chat");
}

/// The reply to an extended CONNECT with these fields.
async fn extended_connect(
    address: std::net::SocketAddr,
    path: &str,
    protocol: &'static str,
    fields: &[(&str, &str)],
) -> http::Response<h2::RecvStream> {
    let stream = Link::connect(address, "h2").await;
    let (mut send, mut connection) = h2::client::handshake(stream).await.unwrap();
    while !send.is_extended_connect_protocol_enabled() {
        tokio::select! {
            ended = &mut connection => panic!("{ended:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    tokio::spawn(connection);
    let request = http::Request::connect(format!("http://dummy.test{path}"))
        .extension(h2::ext::Protocol::from_static(protocol));
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(()).unwrap();
    let (response, _) = send.send_request(request, false).unwrap();
    patiently("a reply", response).await.unwrap()
}

async fn every_path_below_ws_is_a_socket(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    for path in ["/ws/", "/ws/a/b?c=d", "/ws?x=1"] {
        let mut socket = websocket_over(protocol, server.http, path).await;
        socket.send(WebSocket::text(path)).await.unwrap();
        assert_eq!(next(&mut socket).await, WebSocket::text(path));
    }
}

async fn next(socket: &mut Socket) -> WebSocket {
    patiently("a message", socket.next())
        .await
        .expect("the socket is open")
        .expect("a message is well-formed")
}

async fn close_of(socket: &mut Socket) -> CloseFrame {
    match next(socket).await {
        WebSocket::Close(Some(frame)) => frame,
        other => panic!("{other:?} is not a close frame"),
    }
}
