//! Bodies: every byte of the pattern, across sizes, chunks, ranges and buffers; time between chunks; reading
//! that holds back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use contract::pattern;
use integration::{
    cases::AndTls,
    client::{Client, Http1, Http2, Line, Protocol, Request, fetch, patiently},
    server::Server,
};
use serde_json::json;
use tokio::time::timeout;

tests!();

async fn bodies_are_the_pattern_at_every_size(protocol: Protocol, _: AndTls) {
    for buffer in ["--buffer-size=64", "--buffer-size=256"] {
        let server = Server::with(&[buffer]);
        let mut client = Client::connect(protocol, server.http).await;
        for (size, bytes) in [
            ("1", 1),
            ("35", 35),
            ("36", 36),
            ("37", 37),
            ("16384", 16_384),
            ("16385", 16_385),
            ("64k", 65_536),
            ("65537", 65_537),
            ("256K", 262_144),
            ("262145", 262_145),
            ("3m", 3 << 20),
            ("8M", 8 << 20),
        ] {
            let exchange = client.get(&format!("/bin/{size}")).await;
            assert_eq!((exchange.status, exchange.body.len()), (200, bytes), "{size}");
            assert_eq!(exchange.field("content-length"), Some(bytes.to_string().as_str()));
            assert_eq!(exchange.field("content-type"), Some("application/octet-stream"));
            assert_eq!(exchange.field("content-disposition"), Some("attachment; filename=\"data.bin\""));
            assert_eq!(pattern::verify(0, &exchange.body), Ok(()), "{size}");
        }
    }
}

async fn a_body_without_length_is_the_pattern_too(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for yes in ["true", "1", "yes", "on"] {
        let exchange = client.get(&format!("/bin/1000001?chunked={yes}")).await;
        assert_eq!((exchange.status, exchange.body.len()), (200, 1_000_001), "{yes}");
        assert_eq!(exchange.field("content-length"), None, "{yes}");
        if protocol == Protocol::Http1 {
            assert_eq!(exchange.field("transfer-encoding"), Some("chunked"));
        }
        assert_eq!(pattern::verify(0, &exchange.body), Ok(()), "{yes}");
    }
    assert!(client.get("/bin/10?chunked=no").await.field("content-length").is_some());
}

async fn one_range_is_cut_from_the_pattern(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for (range, start, end) in [
        ("bytes=0-0", 0, 0),
        ("bytes=10-45", 10, 45),
        ("bytes=262143-262144", 262_143, 262_144),
        ("bytes=999990-", 999_990, 999_999),
        ("bytes=-7", 999_993, 999_999),
        ("bytes=5-5000000", 5, 999_999),
        ("bytes=-5000000", 0, 999_999),
    ] {
        let exchange = client.exchange(Request::get("/bin/1000000").field("range", range)).await;
        assert_eq!(exchange.status, 206, "{range}");
        let expected = format!("bytes {start}-{end}/1000000");
        assert_eq!(exchange.field("content-range"), Some(expected.as_str()), "{range}");
        assert_eq!(exchange.body.len() as u64, end - start + 1, "{range}");
        assert_eq!(pattern::verify(start, &exchange.body), Ok(()), "{range}");
    }
    for range in ["bytes=1000000-", "bytes=1000000-1000001", "bytes=-0"] {
        let exchange = client.exchange(Request::get("/bin/1000000").field("range", range)).await;
        assert_eq!(exchange.status, 416, "{range}");
        assert_eq!(exchange.field("content-range"), Some("bytes */1000000"), "{range}");
    }
    // What is not a range of bytes, or is more than one, is answered whole (RFC 9110 section 14.2).
    for range in ["lines=1-2", "bytes=5-2", "bytes=a-b", "bytes=0-1,4-5"] {
        let exchange = client.exchange(Request::get("/bin/1000").field("range", range)).await;
        assert_eq!((exchange.status, exchange.body.len()), (200, 1000), "{range}");
    }
    let head = client.exchange(Request::new("HEAD", "/bin/1000").field("range", "bytes=0-9")).await;
    assert!(head.status == 200 || head.status == 206, "{head:?}");
    assert_eq!(client.get("/health").await.status, 200);
}

async fn a_range_that_depends_on_a_validator_is_answered_whole(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for validator in ["\"x\"", "W/\"x\"", "Sat, 29 Oct 1994 19:43:31 GMT"] {
        for range in ["bytes=0-9", "bytes=2000-"] {
            let request = Request::get("/bin/1000").field("range", range).field("if-range", validator);
            let reply = client.exchange(request).await;
            assert_eq!((reply.status, reply.body.len()), (200, 1000), "{range} if {validator}");
            assert_eq!(reply.field("content-range"), None);
        }
    }
}

async fn booleans_are_read_in_any_case(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for (word, chunked) in [("TRUE", true), ("Yes", true), ("oN", true), ("FALSE", false), ("Off", false)] {
        for target in [format!("/bin/100?chunked={word}"), format!("/bin/100?dummy-no-length={word}")] {
            let reply = client.get(&target).await;
            assert_eq!(reply.field("content-length").is_none(), chunked, "{target}");
            assert_eq!(reply.body.len(), 100, "{target}");
        }
    }
}

async fn chunks_arrive_as_they_were_asked_for(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    for (target, count, size) in [
        ("/chunked/1", 1, 1024),
        ("/chunked/7", 7, 1024),
        ("/chunked/50?size=1", 50, 1),
        ("/chunked/9?size=1000&delay=0", 9, 1000),
        // A client's first window is a byte less than four of the largest frames.
        ("/chunked/3?size=16384&delay=1", 3, 16_384),
    ] {
        // On one connection, window that is not given back yet would cut a chunk.
        let exchange = fetch(protocol, server.http, Request::get(target)).await;
        assert_eq!(exchange.status, 200);
        assert_eq!(exchange.field("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(exchange.pieces, vec![size; count], "{target}");
        assert_eq!(pattern::verify(0, &exchange.body), Ok(()), "{target}");
    }
    let large = fetch(protocol, server.http, Request::get("/chunked/2?size=600000")).await;
    assert_eq!(large.body.len(), 1_200_000);
    assert_eq!(pattern::verify(0, &large.body), Ok(()));
    if protocol == Protocol::Http1 {
        assert_eq!(large.pieces, [600_000, 600_000]);
    }
}

async fn chunks_are_spaced_by_the_delay(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let start = Instant::now();
    let exchange = fetch(protocol, server.http, Request::get("/chunked/4?size=10&delay=100")).await;
    assert_eq!(exchange.pieces, [10; 4]);
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
}

async fn a_reply_is_delayed(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let start = Instant::now();
    let exchange = fetch(protocol, server.http, Request::get("/delay/200")).await;
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    assert_eq!(exchange.status, 200);
    let echo = exchange.json();
    assert!(echo["duration_ms"].as_f64().unwrap() >= 200.0, "{echo:#}");
    assert!(echo.get("read_chunks").is_none(), "{echo:#}");
}

async fn a_slow_reader_reads_piece_by_piece(protocol: Protocol, _: AndTls) {
    const PIECE: usize = 64 * 1024;
    let server = Server::start();
    let start = Instant::now();
    let request = Request::post("/delay/0/50", vec![b'x'; 4 * PIECE]);
    let exchange = fetch(protocol, server.http, request).await;
    assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
    let echo = exchange.json();
    assert_eq!((&echo["read_delay_ms"], &echo["read_chunks"]), (&json!(50), &json!(4)));
    assert!(echo["total_read_time_ms"].as_f64().unwrap() >= 150.0, "{}", echo["total_read_time_ms"]);
    assert_eq!((&echo["body_size"], echo["body"].as_str().unwrap().len()), (&json!(4 * PIECE), 4 * PIECE));
}

async fn a_slow_reader_does_not_wait_before_the_first_piece_and_echoes_the_body(protocol: Protocol) {
    let server = Server::start();
    // Waiting would take an hour.
    for (body, target) in
        [("", "/delay/0/3600000"), ("some body", "/delay/0/3600000"), ("x", "/delay/1/3600000")]
    {
        let echo = fetch(protocol, server.http, Request::post(target, body)).await.json();
        assert_eq!(echo["body"], body, "{echo:#}");
        assert_eq!((&echo["body_size"], &echo["read_chunks"]), (&json!(body.len()), &json!(1)), "{echo:#}");
        assert!(echo.get("body_truncated").is_none(), "{echo:#}");
    }
    let server = Server::with(&["--max-body-echo=10"]);
    let echo = fetch(protocol, server.http, Request::post("/delay/0/1", vec![b'x'; 100_000])).await.json();
    assert_eq!((&echo["body"], &echo["body_truncated"]), (&json!("x".repeat(10)), &json!(true)));
    assert_eq!((&echo["body_size"], &echo["read_chunks"]), (&json!(100_000), &json!(2)));
}

async fn each_chunk_is_on_the_wire_before_the_next_is_due() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    client.send(&Line::of(&Request::get("/chunked/3?size=100&delay=1500"))).await;
    let start = Instant::now();
    patiently("a head", client.head()).await.unwrap();
    let chunk = patiently("a chunk", client.chunk()).await.unwrap();
    assert_eq!(chunk.len(), 100);
    assert_eq!(client.waiting(), 0, "nothing else is on the wire yet");
    assert!(start.elapsed() < Duration::from_millis(1500), "the chunk waited for the next one");
}

async fn a_slow_reader_returns_window_only_as_it_reads() {
    let server = Server::start();
    let mut client = Http2::connect(server.http).await;
    let request = Request::new("POST", "/delay/0/30000");
    let (_response, mut body) = client.open(&request, false).await.unwrap();
    // Far more than the server may hold for a reader that has not read yet.
    const OFFERED: usize = 64 << 20;
    let mut sent = 0;
    body.reserve_capacity(OFFERED);
    // The window comes in steps; when none comes for a second, the server holds back.
    while let Ok(granted) =
        timeout(Duration::from_secs(1), std::future::poll_fn(|cx| body.poll_capacity(cx))).await
    {
        let granted = granted.expect("the stream is open").unwrap();
        body.send_data(Bytes::from(vec![b'x'; granted]), false).unwrap();
        sent += granted;
        assert!(sent < 16 << 20, "the server takes all that it does not read");
        body.reserve_capacity(OFFERED - sent);
    }
    assert!(sent > 0);
}

async fn a_slow_reader_holds_back_the_sender() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    client.send(b"POST /delay/0/30000 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n").await;
    let mut stream = client.into_stream();
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    let sending = async {
        loop {
            sent +=
                tokio::io::AsyncWriteExt::write(&mut stream, &piece).await.expect("the connection is open");
        }
    };
    // Socket buffers take some megabytes; a server that reads on takes gigabytes in this time.
    let ended: Result<(), _> = timeout(Duration::from_secs(2), sending).await;
    assert!(ended.is_err());
    assert!(sent < 64 << 20, "the server took {sent} bytes that it did not read");
}
