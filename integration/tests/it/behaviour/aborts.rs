//! `abort`: what is on the wire before a reply, or its connection, breaks off, and how it does.

use integration::{
    client::{
        Client, Http1, Line, Protocol, Request,
        frames::{Frame, Frames, INITIAL_WINDOW_SIZE, STATUS_200, kind},
        patiently,
    },
    metrics::Metrics,
    server::Server,
};
use tokio::io::AsyncReadExt as _;

tests!();

/// What a client saw of a reply.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    head: bool,
    content: usize,
    end: End,
}

#[derive(Debug, Default, PartialEq)]
enum End {
    /// The reply is complete.
    #[default]
    Complete,
    /// TCP FIN.
    Fin,
    /// TCP RST.
    Rst,
    /// RST_STREAM.
    Stream(u32),
    /// GOAWAY (last stream, code), then TCP FIN.
    GoAway(u32, u32),
}

fn seen(head: bool, content: usize, end: End) -> Seen {
    Seen { head, content, end }
}

async fn look(protocol: Protocol, server: &Server, request: Request) -> Seen {
    match protocol {
        Protocol::Http1 => patiently("an end", look_at_bytes(server, &request)).await,
        Protocol::Http2 => patiently("an end", look_at_frames(server, &request)).await,
    }
}

/// The reply to one request, after which the connection would go on.
async fn look_at_bytes(server: &Server, request: &Request) -> Seen {
    let mut client = Http1::connect(server.http).await;
    client.send(&Line::of(request)).await;
    let mut stream = client.into_stream();
    let mut bytes = Vec::new();
    let end = loop {
        match stream.read_buf(&mut bytes).await {
            Ok(0) => break End::Fin,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                break End::Rst;
            }
        }
    };
    let Some(split) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        assert!(bytes.is_empty(), "half a head: {}", String::from_utf8_lossy(&bytes));
        return seen(false, 0, end);
    };
    seen(true, bytes.len() - split - 4, end)
}

async fn look_at_frames(server: &Server, request: &Request) -> Seen {
    // With room for more content than any of these tests requests: no more is granted later.
    let mut client = Frames::connect(server.http, &[(INITIAL_WINDOW_SIZE, 1 << 20)]).await;
    client.send(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 20).to_be_bytes()).await;
    if request.body.is_empty() {
        client.get(1, &request.target, &[]).await;
    } else {
        client.post(1, &request.target, &[]).await;
    }
    frames_of(&mut client).await
}

async fn frames_of(client: &mut Frames) -> Seen {
    let mut seen = Seen::default();
    let mut go_away = None;
    loop {
        let frame = match client.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                seen.end = go_away.map_or(End::Fin, |(last, code)| End::GoAway(last, code));
                return seen;
            }
            Err(_) => {
                seen.end = End::Rst;
                return seen;
            }
        };
        match frame.kind {
            kind::HEADERS if frame.stream == 1 => seen.head = frame.payload[0] == STATUS_200,
            kind::DATA if frame.stream == 1 => seen.content += frame.payload.len(),
            kind::RST_STREAM if frame.stream == 1 => {
                seen.end = End::Stream(code(&frame));
                return seen;
            }
            kind::GOAWAY => go_away = frame.go_away(),
            _ => {}
        }
        if frame.stream == 1 && frame.ends() {
            return seen;
        }
    }
}

fn code(frame: &Frame) -> u32 {
    u32::from_be_bytes(frame.payload[..4].try_into().expect("four bytes"))
}

async fn a_reply_is_aborted_at_the_requested_point_and_way(protocol: Protocol) {
    let server = Server::start();
    let both = [
        ("rst", seen(false, 0, End::Rst)),
        ("rst@before-headers", seen(false, 0, End::Rst)),
        ("rst@after-headers", seen(true, 0, End::Rst)),
        ("rst@body(100)", seen(true, 100, End::Rst)),
        ("rst@body(300000)", seen(true, 300_000, End::Rst)),
        ("fin", seen(false, 0, End::Fin)),
        ("fin@after-headers", seen(true, 0, End::Fin)),
        ("fin@body(1)", seen(true, 1, End::Fin)),
        ("fin@body(0)", seen(true, 0, End::Fin)),
    ];
    let http2 = [
        ("stream-reset", seen(false, 0, End::Stream(2))),
        ("stream-reset(CANCEL)@after-headers", seen(true, 0, End::Stream(8))),
        ("stream-reset(4242)@body(70000)", seen(true, 70_000, End::Stream(4242))),
        ("goaway", seen(false, 0, End::GoAway(0, 0))),
        ("goaway(ENHANCE_YOUR_CALM)@body(5)", seen(true, 5, End::GoAway(1, 11))),
        ("short@body(77)", seen(true, 77, End::Complete)),
    ];
    let size = 400_000;
    let cases = both.into_iter().chain(http2.into_iter().filter(|_| protocol == Protocol::Http2));
    for (abort, expected) in cases {
        let target = format!("/bin/{size}?dummy-abort={abort}");
        assert_eq!(look(protocol, &server, Request::get(&target)).await, expected, "{abort}");
    }
}

async fn a_stream_is_reset_and_its_connection_goes_on() {
    let server = Server::start();
    let mut client = Client::connect(Protocol::Http2, server.http).await;
    for point in ["before-headers", "after-headers", "body(10)"] {
        let target = format!("/bin/1K?dummy-abort=stream-reset(REFUSED_STREAM)@{point}");
        let error = client.try_exchange(&Request::get(&target)).await.expect_err(point);
        let reason = error.downcast_ref::<h2::Error>().and_then(h2::Error::reason);
        assert_eq!(reason, Some(h2::Reason::REFUSED_STREAM), "{point}: {error:#}");
        assert_eq!(client.get("/bin/1K").await.body.len(), 1024);
    }
}

async fn goaway_names_the_last_processed_stream() {
    let server = Server::start();
    for (abort, last) in [("goaway(2)", 3), ("goaway(2)@after-headers", 5)] {
        let mut client = Frames::connect(server.http, &[]).await;
        for (stream, target) in [(1, "/bin/1"), (3, "/bin/2"), (5, &*format!("/bin/3?dummy-abort={abort}"))] {
            client.get(stream, target, &[]).await;
        }
        let go_away = patiently("GOAWAY", client.await_frame(kind::GOAWAY, 0)).await.unwrap().go_away();
        assert_eq!(go_away, Some((last, 2)), "{abort}");
    }
}

/// RFC 9113 section 6.8.
async fn nothing_above_the_last_stream_is_processed_after_goaway() {
    let server = Server::start();
    for abort in ["goaway", "goaway@after-headers", "goaway@body(5)"] {
        for _ in 0..20 {
            let mut client = Frames::connect(server.http, &[]).await;
            let target = format!("/bin/100?dummy-abort={abort}");
            client.get_together(&[1, 3, 5, 7].map(|stream| (stream, &*target))).await;
            let mut last = None;
            while let Ok(Some(frame)) = patiently("the end", client.next()).await {
                let go_away = frame.go_away();
                assert!(go_away.is_none() || last.is_none(), "{abort}: a second GOAWAY: {go_away:?}");
                last = last.or(go_away.map(|(last, _)| last));
                assert!(last.is_none_or(|last| frame.stream <= last), "{abort}: {frame:?} after {last:?}");
            }
            assert!(last.is_some(), "{abort}: no GOAWAY");
        }
    }
}

async fn a_short_body_is_shorter_than_its_content_length(protocol: Protocol) {
    let server = Server::start();
    for (abort, announced, sent) in
        [("short", 1000, 500), ("short@body(10)", 1000, 10), ("short@body(1000)", 1001, 1000)]
    {
        let request = Request::get(&format!("/bin/1000?dummy-abort={abort}"));
        let end = if protocol == Protocol::Http1 { End::Fin } else { End::Complete };
        assert_eq!(look(protocol, &server, request.clone()).await, seen(true, sent, end), "{abort}");
        if protocol == Protocol::Http1 {
            let mut client = Http1::connect(server.http).await;
            client.send(&Line::of(&request)).await;
            let head = patiently("a head", client.head()).await.unwrap();
            assert_eq!(head.field("content-length"), Some(&*announced.to_string()), "{abort}");
        }
    }
}

async fn a_hanging_reply_ends_with_the_drain(protocol: Protocol) {
    for (point, content) in [("before-headers", None), ("after-headers", Some(0)), ("body(5)", Some(5))] {
        let server = Server::start();
        let request = Request::get(&format!("/bin/1K?dummy-abort=hang@{point}"));
        let looked = look(protocol, &server, request);
        let drained = async {
            Metrics::until(server.admin, |metrics| metrics.sum("dummy_server_aborts_total", &[]) == 1).await;
            server.drain();
        };
        let (looked, ()) = tokio::join!(looked, drained);
        let end = if protocol == Protocol::Http1 { End::Fin } else { End::Stream(8) };
        assert_eq!(looked, seen(content.is_some(), content.unwrap_or_default(), end), "{point}");
    }
}

async fn a_hanging_reply_ends_when_its_client_disconnects(protocol: Protocol) {
    let server = Server::start();
    for point in ["before-headers", "after-headers"] {
        let target = format!("/?dummy-abort=hang@{point}");
        let hang_up: Box<dyn FnOnce()> = match protocol {
            Protocol::Http1 => {
                let mut client = Http1::connect(server.http).await;
                client.send(&Line::of(&Request::get(&target))).await;
                Box::new(move || drop(client))
            }
            Protocol::Http2 => {
                let mut client = Frames::connect(server.http, &[]).await;
                client.get(1, &target, &[]).await;
                Box::new(move || drop(client))
            }
        };
        Metrics::until(server.admin, |metrics| metrics.sum("dummy_server_requests_in_flight", &[]) == 1)
            .await;
        hang_up();
        Metrics::until(server.admin, |metrics| metrics.sum("dummy_server_requests_in_flight", &[]) == 0)
            .await;
    }
}

async fn a_request_is_aborted_with_its_body_unread(protocol: Protocol) {
    let server = Server::start();
    let request = Request::post("/upload?dummy-abort=rst", vec![7; 100_000]);
    assert_eq!(look(protocol, &server, request).await, seen(false, 0, End::Rst));
}

async fn replies_without_content_are_aborted_after_their_head(protocol: Protocol) {
    let server = Server::start();
    for target in
        ["/bin/1K?dummy-abort=rst@body(10)&dummy-status=204", "/status/304?dummy-abort=rst@after-headers"]
    {
        let looked = look(protocol, &server, Request::get(target)).await;
        // The status is not 200, which frames show.
        assert_eq!((looked.content, looked.end), (0, End::Rst), "{target}");
    }
    if protocol == Protocol::Http1 {
        let request = Request::new("HEAD", "/bin/1K?dummy-abort=rst@body(10)");
        assert_eq!(look(protocol, &server, request).await, seen(true, 0, End::Rst));
    }
}

async fn aborts_are_counted(protocol: Protocol) {
    let server = Server::start();
    for _ in 0..3 {
        look(protocol, &server, Request::get("/?dummy-abort=fin")).await;
    }
    look(protocol, &server, Request::get("/?dummy-abort=rst")).await;
    let metrics = server.metrics().await;
    assert_eq!(metrics.sum("dummy_server_aborts_total", &[("fault", "fin")]), 3);
    assert_eq!(metrics.sum("dummy_server_aborts_total", &[("fault", "rst")]), 1);
}

async fn streams_that_a_goaway_refuses_are_not_counted_as_aborted() {
    let server = Server::start();
    let mut client = Frames::connect(server.http, &[]).await;
    let waiting = "/?dummy-delay=60s";
    client.get_together(&[(1, "/?dummy-abort=goaway"), (3, waiting), (5, waiting)]).await;
    let goes_on = async { while let Ok(Some(_)) = client.next().await {} };
    patiently("an end", goes_on).await;
    let metrics = server.metrics().await;
    let counted = |labels| metrics.sum("dummy_server_aborts_total", labels);
    assert_eq!((counted(&[("fault", "goaway")]), counted(&[])), (1, 1));
}

async fn http2_only_aborts_are_refused_over_http1() {
    let server = Server::start();
    let mut client = Client::connect(Protocol::Http1, server.http).await;
    for abort in ["goaway", "stream-reset(CANCEL)@body(1)"] {
        let reply = client.get(&format!("/?dummy-abort={abort}")).await;
        assert_eq!(reply.status, 400);
        assert!(reply.json()["error"].as_str().unwrap().contains("HTTP/1.1"), "{}", reply.text());
    }
}
