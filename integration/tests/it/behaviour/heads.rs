//! What a behaviour does to heads: status, fields, informational replies, expectations.

use std::future::poll_fn;

use integration::{
    client::{Client, Http1, Http2, Line, Protocol, Request, fetch, patiently, websocket_over},
    server::Server,
};

tests!();

async fn a_status_replaces_that_of_the_endpoint(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let reply = client.get("/bin/10?dummy-status=503").await;
    assert_eq!((reply.status, reply.text()), (503, "ABCDEFGHIJ"));
    let request = Request::post("/upload", "body").field("X-Dummy-Status", "418:100");
    let reply = client.exchange(request).await;
    assert_eq!((reply.status, reply.json()["bytes_received"].as_u64()), (418, Some(4)));
    let reply = client.get("/bin/10?dummy-status=204").await;
    assert_eq!((reply.status, reply.body.len(), reply.field("content-length")), (204, 0, None));
}

async fn fields_are_added_as_they_were_written(protocol: Protocol) {
    let server = Server::start();
    let target = "/bin/3?dummy-header=X-One:%20a&dummy-header=x-one:b&dummy-content-type=text/html";
    let mut client = Client::connect(protocol, server.http).await;
    let reply = client.get(target).await;
    let named = |wanted: &str| {
        let named = reply.fields.iter().filter(|(name, _)| name == wanted);
        named.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(named("x-one"), ["a", "b"]);
    assert_eq!(named("content-type"), ["text/html"]);
    assert_eq!(named("content-disposition").len(), 1);
    if protocol == Protocol::Http1 {
        let mut raw = Http1::connect(server.http).await;
        raw.send(&Line::of(&Request::get(&format!("{target}&dummy-no-length&dummy-close-after=1")))).await;
        let bytes = patiently("a reply", raw.to_end()).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains("\r\nX-One: a\r\nx-one: b\r\n"), "{text}");
    }
}

async fn early_hints_precede_the_reply(protocol: Protocol) {
    let server = Server::start();
    let request = Request::get("/bin/5?dummy-delay=200ms")
        .field("x-dummy-hints", "</a.css>;rel=preload")
        .field("x-dummy-hints", "</b.js>;rel=preload");
    match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(server.http).await;
            client.send(&Line::of(&request)).await;
            let interim = patiently("103", client.head()).await.unwrap();
            let links: Vec<_> = interim.fields.iter().map(|(_, value)| value.as_str()).collect();
            assert_eq!((interim.status, links), (103, vec!["</a.css>;rel=preload", "</b.js>;rel=preload"]));
            assert_eq!(client.waiting(), 0, "it does not wait for the reply");
            let reply = patiently("a reply", client.reply("GET")).await.unwrap();
            assert_eq!((reply.status, reply.body.len()), (200, 5));
        }
        Protocol::Http2 => {
            let mut client = Http2::connect(server.http).await;
            let (mut response, _) = client.open(&request, true).await.unwrap();
            let interim =
                patiently("103", poll_fn(|cx| response.poll_informational(cx))).await.unwrap().unwrap();
            assert_eq!(interim.status(), 103);
            assert_eq!(interim.headers().get_all("link").iter().count(), 2);
            let reply = patiently("a reply", Http2::read(response)).await.unwrap();
            assert_eq!((reply.status, reply.body.len()), (200, 5));
        }
    }
}

async fn an_early_reply_does_not_wait_for_the_body(protocol: Protocol) {
    let server = Server::start();
    let request = Request::new("POST", "/upload?dummy-early=413").field("content-length", "1000000");
    match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(server.http).await;
            client.send(&Line::of(&request)).await;
            let reply = patiently("a reply", client.reply("POST")).await.unwrap();
            assert_eq!((reply.status, reply.field("connection")), (413, Some("close")));
            assert!(patiently("a close", client.to_end()).await.unwrap().is_empty());
        }
        Protocol::Http2 => {
            let mut client = Http2::connect(server.http).await;
            let (response, mut body) = client.open(&request, false).await.unwrap();
            let reply = patiently("a reply", Http2::read(response)).await.unwrap();
            assert_eq!(reply.status, 413);
            let reason = patiently("RST_STREAM", poll_fn(|cx| body.poll_reset(cx))).await.unwrap();
            assert_eq!(reason, h2::Reason::NO_ERROR, "RFC 9113 section 8.1");
        }
    }
}

/// What an expectation of 100 met: the statuses in their order.
async fn expecting(protocol: Protocol, server: &Server, how: &str, expects: bool) -> Vec<u16> {
    let mut request =
        Request::new("POST", "/upload").field("content-length", "4").field("x-dummy-continue", how);
    if expects {
        request = request.field("expect", "100-continue");
    }
    let mut statuses = Vec::new();
    match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(server.http).await;
            client.send(&Line::of(&request)).await;
            if how == "ignore" {
                client.send(b"body").await;
            }
            let first = patiently("a head", client.head()).await.unwrap();
            statuses.push(first.status);
            if first.status == 100 {
                client.send(b"body").await;
                statuses.push(patiently("a reply", client.reply("POST")).await.unwrap().status);
            }
        }
        Protocol::Http2 => {
            let mut client = Http2::connect(server.http).await;
            let (mut response, mut body) = client.open(&request, false).await.unwrap();
            if how == "ignore" {
                body.send_data("body".into(), true).unwrap();
            }
            if let Some(interim) = patiently("a head", poll_fn(|cx| response.poll_informational(cx))).await {
                statuses.push(interim.unwrap().status().as_u16());
                body.send_data("body".into(), true).unwrap();
            }
            statuses.push(patiently("a reply", Http2::read(response)).await.unwrap().status);
        }
    }
    statuses
}

async fn expect_100_continue_is_handled_as_requested(protocol: Protocol) {
    let server = Server::start();
    for (how, expects, statuses) in [
        ("send", true, vec![100, 200]),
        ("send", false, vec![100, 200]),
        ("refuse", true, vec![417]),
        ("ignore", true, vec![200]),
    ] {
        assert_eq!(expecting(protocol, &server, how, expects).await, statuses, "{how} {expects}");
    }
}

async fn invalid_options_are_named(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for (target, field, named) in [
        ("/?dummy-nonsense=1", None, "dummy-nonsense"),
        ("/bin/1K?dummy-status=99", None, "'99' for dummy-status"),
        ("/", Some(("x-dummy-delay", "soon")), "'soon' for dummy-delay"),
        ("/bin/1K", Some(("X-Dummy-What", "1")), "dummy-what"),
        ("/health?dummy-abort=rst@", None, "dummy-abort"),
    ] {
        let mut request = Request::post(target, "the body is read");
        if let Some((name, value)) = field {
            request = request.field(name, value);
        }
        let reply = client.exchange(request).await;
        assert_eq!(reply.status, 400, "{target}");
        let said = reply.json();
        assert!(said["error"].as_str().unwrap().contains(named), "{target}: {said}");
        assert!(!said["accepted"].as_str().unwrap().is_empty());
    }
    // What only looks like it is the business of the endpoint.
    assert_eq!(client.get("/bin/3?crash-dummy-x=1&x=dummy-y").await.body.len(), 3);
}

async fn a_websocket_handshake_may_be_refused_or_delayed(protocol: Protocol) {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;
    let server = Server::start();
    let mut socket = websocket_over(protocol, server.http, "/ws?dummy-delay=20ms").await;
    socket.send(Message::text("late")).await.unwrap();
    let answer = patiently("an echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(answer, Message::text("late"));
    if protocol == Protocol::Http1 {
        let request = Request::get("/ws?dummy-status=429")
            .field("upgrade", "websocket")
            .field("connection", "upgrade")
            .field("sec-websocket-version", "13")
            .field("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==");
        assert_eq!(fetch(protocol, server.http, request).await.status, 429);
    }
}

async fn clients_of_http_1_0_get_no_informational_replies() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    client.send(b"GET /bin/3?dummy-hints=x&dummy-continue=send&dummy-trailer=a:b HTTP/1.0\r\n\r\n").await;
    let bytes = patiently("a reply", client.to_end()).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("HTTP/1.1 200 ") || text.starts_with("HTTP/1.0 200 "), "{text}");
    assert!(text.ends_with("\r\n\r\nABC"), "{text}");
}

async fn grpc_metadata_sets_the_behaviour_of_a_call() {
    let server = Server::start();
    let mut client = Client::connect(Protocol::Http2, server.http).await;
    let request = Request::post("/echo.EchoService/Echo", vec![0; 5])
        .field("content-type", "application/grpc")
        .field("te", "trailers")
        .field("x-dummy-status", "503");
    assert_eq!(client.exchange(request.clone()).await.status, 503);
    let reset = request.field("x-dummy-abort", "stream-reset(CANCEL)");
    let error = client.try_exchange(&reset).await.expect_err("it is reset");
    assert_eq!(error.downcast_ref::<h2::Error>().and_then(h2::Error::reason), Some(h2::Reason::CANCEL));
}
