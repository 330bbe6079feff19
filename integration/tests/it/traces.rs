//! Trace Context: a valid `traceparent` comes back, from every endpoint and over every protocol.

use integration::{
    client::{Client, Http1, Protocol, Request, patiently},
    server::Server,
};

tests!();

const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn a_valid_traceparent_is_returned(protocol: Protocol) {
    const TARGETS: [&str; 13] = [
        "/",
        "/any/path",
        "/health",
        "/help",
        "/bin/10",
        "/bin/none",
        "/chunked/2",
        "/upload",
        "/status/404",
        "/status/204",
        "/delay/1",
        "/nousage",
        "/ws",
    ];
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for target in TARGETS {
        for request in [Request::get(target), Request::new("HEAD", target), Request::post(target, "body")] {
            let method = request.method.clone();
            let reply = client.exchange(request.field("traceparent", VALID)).await;
            let values = reply.fields.iter().filter(|(name, _)| name == "traceparent");
            let values: Vec<_> = values.map(|(_, value)| value.as_str()).collect();
            assert_eq!(values, [VALID], "{method} {target}");
        }
    }
}

async fn an_invalid_traceparent_is_not_returned(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let bare = client.get("/bin/10").await;
    assert_eq!(bare.field("traceparent"), None);
    for value in ["", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", "no-trace"] {
        let reply = client.exchange(Request::get("/bin/10").field("traceparent", value)).await;
        assert_eq!((reply.status, reply.field("traceparent")), (200, None), "{value}");
    }
    let twice = Request::get("/bin/10").field("traceparent", VALID).field("traceparent", VALID);
    assert_eq!(client.exchange(twice).await.field("traceparent"), None);
}

async fn a_grpc_call_returns_the_traceparent() {
    let server = Server::start();
    for address in [server.http, server.grpc] {
        let mut client = Client::connect(Protocol::Http2, address).await;
        let call = Request::post("/echo.EchoService/Echo", [0; 5]).field("content-type", "application/grpc");
        let reply = client.exchange(call.field("traceparent", VALID)).await;
        assert_eq!(reply.field("traceparent"), Some(VALID), "{reply:?}");
    }
}

async fn a_websocket_handshake_returns_the_traceparent() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    let handshake = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nTraceParent: ";
    client.send(format!("{handshake}{VALID}\r\n\r\n").as_bytes()).await;
    let head = patiently("a head", client.head()).await.unwrap();
    assert_eq!((head.status, head.field("traceparent")), (101, Some(VALID)), "{head:?}");
}
