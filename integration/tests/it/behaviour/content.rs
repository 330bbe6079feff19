//! What a behaviour does to content: length, pieces, coding, trailers, rate both ways.

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use contract::timing::{Timing, WorkerLoad};
use http::HeaderName;
use integration::{
    client::{
        Client, Http1, Http2, Line, Protocol, Request, fetch,
        frames::{Frames, INITIAL_WINDOW_SIZE, kind},
        patiently,
    },
    server::Server,
};

tests!();

async fn no_length_omits_content_length(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for target in ["/bin/100K?dummy-no-length", "/?dummy-no-length=true"] {
        let reply = client.get(target).await;
        assert_eq!((reply.status, reply.field("content-length")), (200, None), "{target}");
        assert!(!reply.body.is_empty());
    }
    let reply = client.get("/bin/10?dummy-no-length=false").await;
    assert_eq!(reply.field("content-length"), Some("10"));
}

async fn pieces_have_the_requested_size(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for target in ["/bin/1000?dummy-chunk=300", "/chunked/10?size=100&dummy-chunk=300"] {
        let reply = client.get(target).await;
        let pieces: Vec<_> = reply.pieces.iter().copied().filter(|size| *size > 0).collect();
        assert_eq!(pieces, [300, 300, 300, 100], "{target}");
        contract::pattern::verify(0, &reply.body).unwrap();
    }
}

async fn trailers_follow_every_endpoints_content(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for target in ["/bin/1M", "/", "/chunked/3", "/upload", "/status/404", "/bin/1"] {
        let request =
            Request::get(target).field("X-Dummy-Trailer", "X-Sum: 1").field("x-dummy-trailer", "t:2");
        let reply = client.exchange(request).await;
        let trailers: Vec<_> = reply.trailers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(trailers, [("x-sum", "1"), ("t", "2")], "{target}");
        assert_eq!(reply.field("trailer"), Some("X-Sum, t"), "{target}");
    }
}

async fn server_timing_has_the_worker_and_the_last_byte_on_request(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for (target, worker, last_byte) in [
        ("/bin/1K", false, false),
        ("/bin/1K?dummy-timing=worker", true, false),
        ("/bin/1K?dummy-timing=last-byte", false, true),
        ("/bin/1M?dummy-timing=all", true, true),
        ("/chunked/3?dummy-timing=all&dummy-gzip=forced", true, true),
        ("/bin/0?dummy-timing=all", true, true),
    ] {
        let reply = client.get(target).await;
        let values: Vec<_> =
            reply.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("server-timing")).collect();
        let timing = values.iter().find_map(|(_, value)| Timing::parse(value)).expect("it is in every reply");
        let load = values.iter().find_map(|(_, value)| WorkerLoad::parse(value));
        assert_eq!(load.is_some(), worker, "{target}: {values:?}");
        let done = reply.trailers.iter().find_map(|(_, value)| Timing::parse_done(value));
        assert_eq!(done.is_some(), last_byte, "{target}: {:?}", reply.trailers);
        if let Some(done) = done {
            assert_eq!(done.received_ns, timing.received_ns, "{target}");
            assert!(done.replied_ns >= timing.replied_ns, "{target}: {timing:?} {done:?}");
        }
    }
    // What is sent slowly ends late, though its head does not.
    let reply = client.get("/bin/20K?dummy-rate=40K&dummy-timing=last-byte").await;
    let done = reply.trailers.iter().find_map(|(_, value)| Timing::parse_done(value)).expect("a trailer");
    assert!(done.duration_ns() > 250_000_000, "{done:?}");
    contract::pattern::verify(0, &reply.body).unwrap();
    // A reply without content has no trailers, and the connection goes on.
    for target in ["/status/204?dummy-timing=all", "/bin/1K?dummy-timing=all"] {
        let reply = client.exchange(Request::new("HEAD", target)).await;
        assert!(reply.body.is_empty() && reply.trailers.is_empty(), "{target}");
    }
    let reply = client.get("/bin/1K?dummy-timing=sometimes").await;
    assert_eq!(reply.status, 400);
    assert!(String::from_utf8_lossy(&reply.body).contains("worker, last-byte or all"));
}

/// The client takes the content of a reply only after a while: the kernel has the last byte no earlier.
async fn the_last_byte_is_reported_when_the_kernel_has_it(protocol: Protocol) {
    let (server, other) = (Server::start(), Server::start());
    let target = "/bin/12M?dummy-timing=last-byte";
    let meanwhile = || fetch(Protocol::Http1, other.http, Request::get("/delay/600"));
    let value = match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(server.http).await;
            client.send(&Line::of(&Request::get(target))).await;
            meanwhile().await;
            let reply = patiently("a reply", client.reply("GET")).await.expect("a reply");
            assert_eq!(reply.body.len(), 12 << 20);
            reply.trailers.iter().find(|(name, _)| name == "server-timing").expect("a trailer").1.clone()
        }
        Protocol::Http2 => {
            // With room for all of it: nothing but the socket holds it up.
            let room = (16 << 20) - 65_535;
            let mut client = Frames::connect(server.http, &[(INITIAL_WINDOW_SIZE, 16 << 20)]).await;
            client.send(kind::WINDOW_UPDATE, 0, 0, &(room as u32).to_be_bytes()).await;
            client.get(1, target, &[]).await;
            meanwhile().await;
            let mut length = 0;
            loop {
                let frame = patiently("a frame", client.next()).await.unwrap().expect("a frame");
                match frame.kind {
                    kind::DATA => length += frame.payload.len(),
                    kind::HEADERS if frame.ends() => {
                        assert_eq!(length, 12 << 20);
                        break String::from_utf8_lossy(&frame.payload).into_owned();
                    }
                    _ => {}
                }
            }
        }
    };
    // The server writes values of HPACK as they are, whatever comes before this one in the block.
    let value = &value[value.find("done;").expect("an entry for the last byte")..];
    let done = Timing::parse_done(value).expect("it has the last byte");
    assert!(done.duration_ns() > 500_000_000, "{done:?}");
}

async fn trailers_need_no_room_in_the_window() {
    let server = Server::start();
    for target in [
        "/bin/65535?dummy-timing=last-byte",
        "/bin/65535?dummy-trailer=a:b",
        "/chunked/5?size=13107&delay=20&dummy-trailer=a:b",
    ] {
        // No window is granted beyond what there is at the beginning, which is used up.
        let mut client = Frames::connect(server.http, &[(INITIAL_WINDOW_SIZE, 65_535)]).await;
        client.get(1, target, &[]).await;
        let mut length = 0;
        loop {
            let frame = patiently("the trailers", client.next()).await.unwrap().expect("a frame");
            length += if frame.kind == kind::DATA { frame.payload.len() } else { 0 };
            if frame.stream == 1 && frame.ends() {
                assert_eq!((frame.kind, length), (kind::HEADERS, 65_535), "{target}");
                break;
            }
        }
    }
}

async fn trailers_of_a_request_are_echoed(protocol: Protocol) {
    let server = Server::start();
    for target in ["/", "/upload", "/delay/1", "/delay/0/1", "/status/404"] {
        let request = Request::post(target, "").field("Trailer", "X-Sum");
        let reply = match protocol {
            Protocol::Http1 => {
                let mut client = Http1::connect(server.http).await;
                let head = Line::of(&request.field("transfer-encoding", "chunked"));
                client.send(&[&head[..], b"4\r\nbody\r\n0\r\nX-Sum: 1\r\nx-two: 2\r\n\r\n"].concat()).await;
                patiently("a reply", client.reply("POST")).await.unwrap()
            }
            Protocol::Http2 => {
                let mut client = Http2::connect(server.http).await;
                let (response, mut body) = client.open(&request, false).await.unwrap();
                body.send_data("body".into(), false).unwrap();
                let trailers = [("x-sum", "1"), ("x-two", "2")];
                let pair = |(name, value): (&'static str, &str)| {
                    (HeaderName::from_static(name), value.parse().unwrap())
                };
                body.send_trailers(trailers.into_iter().map(pair).collect()).unwrap();
                patiently("a reply", Http2::read(response)).await.unwrap()
            }
        };
        let name = if protocol == Protocol::Http1 { "X-Sum" } else { "x-sum" };
        let expected = serde_json::json!([[name, "1"], ["x-two", "2"]]);
        let said = reply.json();
        assert_eq!((&said["trailers"], said["body_size"].as_u64()), (&expected, Some(4)), "{target}");
    }
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut plain).expect("it is gzip, and whole");
    plain
}

async fn gzip_is_negotiated_or_forced(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for (how, accept, coded) in [
        ("negotiated", Some("br, gzip"), true),
        ("negotiated", Some("gzip;q=0, *"), false),
        ("negotiated", Some("*"), true),
        ("negotiated", None, false),
        ("forced", None, true),
    ] {
        let mut request = Request::get(&format!("/bin/200K?dummy-gzip={how}"));
        if let Some(accept) = accept {
            request = request.field("accept-encoding", accept);
        }
        let reply = client.exchange(request).await;
        assert_eq!(reply.field("content-encoding"), coded.then_some("gzip"), "{how} {accept:?}");
        assert_eq!(reply.field("vary"), (how == "negotiated").then_some("accept-encoding"));
        let plain = if coded { unzipped(&reply.body) } else { reply.body };
        assert_eq!(plain.len(), 200 << 10);
        contract::pattern::verify(0, &plain).unwrap();
    }
}

async fn content_is_sent_at_the_requested_rate(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let begun = Instant::now();
    assert_eq!(client.get("/bin/20K?dummy-rate=40K").await.body.len(), 20 << 10);
    // Never faster; how much slower is the machine's affair.
    assert!(begun.elapsed() >= Duration::from_millis(490), "{:?}", begun.elapsed());
}

async fn a_request_is_read_at_the_requested_rate(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for target in ["/upload", "/"] {
        let begun = Instant::now();
        let request = Request::post(target, vec![b'x'; 20 << 10]).field("x-dummy-read-rate", "40K");
        let reply = patiently("a reply", client.try_exchange(&request)).await.unwrap();
        assert_eq!(reply.json()["body_size"], 20 << 10, "{target}");
        assert!(begun.elapsed() >= Duration::from_millis(490), "{target}: {:?}", begun.elapsed());
    }
}

async fn head_has_the_fields_of_get_and_no_content(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for target in ["/bin/1K?dummy-rate=1G", "/bin/1K?dummy-header=a:b", "/bin/1K?dummy-trailer=a:b"] {
        let get = client.get(target).await;
        let head = client.exchange(Request::new("HEAD", target)).await;
        assert_eq!((get.body.len(), head.body.len()), (1024, 0));
        assert_eq!(head.field("content-length"), get.field("content-length"), "{target}");
    }
}

async fn all_content_options_work_together(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let target = "/bin/300K?dummy-gzip=forced&dummy-chunk=1000&dummy-rate=10M&dummy-trailer=t:1&dummy-header=a:1\
        &dummy-delay=1ms&dummy-status=299&dummy-hints=x&dummy-content-type=x/y";
    for _ in 0..3 {
        let reply = client.get(target).await;
        assert_eq!(
            (reply.status, reply.field("a"), reply.field("content-type")),
            (299, Some("1"), Some("x/y"))
        );
        assert_eq!(unzipped(&reply.body).len(), 300 << 10);
        assert_eq!(reply.trailers, [("t".to_owned(), "1".to_owned())]);
    }
}
