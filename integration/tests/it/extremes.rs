//! Flags at the ends of what they accept, under requests that use them to the full. `--max-header-bytes` is in `refused`.

use contract::pattern;
use grpc::message::Prefix;
use integration::{
    client::{
        Client, GrpcClient, Http1, Line, Protocol, Request, framed,
        frames::{ACK, END_HEADERS, END_STREAM, Frames, kind},
        patiently,
    },
    server::Server,
};
use websocket::{opcode, write};

use crate::planned_calls;

tests!();

const RESOURCE_EXHAUSTED: i32 = 8;

/// Numbers at both ends, as the help documents them.
const ENDS: [&str; 26] = [
    "--buffer-size=64",
    "--buffer-size=4096",
    "--max-connections=1",
    "--max-connections=100000000",
    "--max-streams=1",
    "--max-streams=2147483647",
    "--max-body-echo=0",
    "--max-body-echo=1G",
    "--grpc-max-message=1",
    "--grpc-max-message=2G",
    "--ws-max-message=1",
    "--ws-max-message=2G",
    "--ws-max-frame=1",
    "--ws-max-frame=2G",
    "--access-log-sample=1",
    "--access-log-sample=4294967295",
    "--h2-stream-window=1",
    "--h2-stream-window=2147483647",
    "--h2-connection-window=65535",
    "--h2-connection-window=2147483647",
    "--h2-max-frame-size=16384",
    "--h2-max-frame-size=16777215",
    "--h2-header-table-size=0",
    "--h2-header-table-size=4294967295",
    "--workers=1",
    "--workers=16",
];

async fn a_server_serves_with_any_number_at_its_limit(protocol: Protocol) {
    for flag in ENDS {
        let server = Server::with(&[flag]);
        let mut client = Client::connect(protocol, server.http).await;
        assert_eq!(client.get("/bin/100K").await.body.len(), 100 << 10, "{flag}");
        let reply = client.exchange(Request::post("/upload", vec![b'x'; 500])).await;
        assert_eq!(reply.json()["bytes_received"], 500, "{flag}");
    }
}

const TIMES: [&str; 8] = [
    "mem-interval",
    "idle-timeout",
    "max-connection-age",
    "header-timeout",
    "stall-timeout",
    "ws-message-timeout",
    "drain-delay",
    "drain-timeout",
];

async fn serve_with_times(protocol: Protocol, time: &str) {
    let flags: Vec<_> = TIMES.iter().map(|flag| format!("--{flag}={time}")).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Server::with(&flags);
    let mut client = Client::connect(protocol, server.http).await;
    let reply = client.exchange(Request::post("/delay/20/1", vec![b'x'; 100_000])).await;
    assert_eq!((reply.status, reply.json()["body_size"].as_u64()), (200, Some(100_000)), "{time}");
    let mut calls = GrpcClient::connect(server.grpc).await;
    let plan = contract::test::Plan::default();
    let mut call = planned_calls::begin(&mut calls, "Unary", plan, &[("grpc-timeout", "99999999H")]).await;
    call.finish_sending();
    assert_eq!(call.rest().await.1.status.code, 0, "{time}");
    // The drain adds its times to the clock, too. The server is aborted in it.
    server.drain();
}

async fn timeouts_of_a_year_affect_no_request(protocol: Protocol) {
    serve_with_times(protocol, "8760h").await;
}

async fn timeouts_of_zero_are_off(protocol: Protocol) {
    serve_with_times(protocol, "0").await;
}

async fn bodies_are_whole_with_the_smallest_and_the_largest_buffer(protocol: Protocol) {
    for size in ["64", "4096"] {
        let server = Server::with(&[&format!("--buffer-size={size}")]);
        let mut client = Client::connect(protocol, server.http).await;
        let reply = client.get("/bin/9M").await;
        assert_eq!(reply.body.len(), 9 << 20, "{size}");
        assert_eq!(pattern::verify(0, &reply.body), Ok(()), "{size}");
    }
}

async fn the_echo_repeats_nothing_or_all_of_a_body(protocol: Protocol) {
    const SIZE: usize = 4 << 20;
    for (most, truncated) in [("0", true), ("1G", false)] {
        let server = Server::with(&[&format!("--max-body-echo={most}")]);
        let mut client = Client::connect(protocol, server.http).await;
        let reply = client.exchange(Request::post("/", vec![b'x'; SIZE])).await.json();
        assert_eq!(reply["body_size"].as_u64(), Some(SIZE as u64), "{most}");
        let echoed = reply["body"].as_str().map_or(0, str::len);
        assert_eq!(echoed, if truncated { 0 } else { SIZE }, "{most}");
    }
}

async fn uploads_work_with_the_smallest_and_the_largest_windows() {
    for (stream, connection, size) in [("1", "65535", 200), ("2147483647", "2147483647", 32 << 20)] {
        let flags = [format!("--h2-stream-window={stream}"), format!("--h2-connection-window={connection}")];
        let server = Server::with(&[&flags[0], &flags[1]]);
        let mut client = Client::connect(Protocol::Http2, server.http).await;
        let reply = client.exchange(Request::post("/upload", vec![b'x'; size])).await;
        assert_eq!(reply.json()["bytes_received"].as_u64(), Some(size as u64), "{stream}");
    }
}

async fn a_frame_of_the_largest_size_is_taken() {
    const SIZE: usize = 16_777_215;
    let server = Server::with(&["--h2-max-frame-size=16777215", "--h2-stream-window=16M"]);
    let mut frames = Frames::connect(server.http, &[]).await;
    let settings = patiently("SETTINGS", frames.await_frame(kind::SETTINGS, 0)).await;
    assert!(settings.is_ok());
    frames.send(kind::SETTINGS, ACK, 0, &[]).await;
    frames.post(1, "/upload", &[]).await;
    frames.send(kind::DATA, END_STREAM, 1, &vec![b'x'; SIZE]).await;
    let reply = patiently("the reply", frames.await_frame(kind::DATA, 1)).await.expect("a reply");
    let text = String::from_utf8_lossy(&reply.payload);
    assert!(text.contains(&format!("\"bytes_received\":{SIZE}")), "{text}");
}

/// A literal that is added to the table, with a new name (RFC 7541 section 6.2.1).
fn added(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0x40];
    for text in [name, value] {
        field.push(u8::try_from(text.len()).expect("a short text"));
        field.extend_from_slice(text.as_bytes());
    }
    field
}

async fn the_largest_header_table_is_used() {
    let server = Server::with(&["--h2-header-table-size=4294967295"]);
    let mut frames = Frames::connect(server.http, &[]).await;
    frames.send(kind::SETTINGS, ACK, 0, &[]).await;
    // The size of the table becomes 4294967295 (section 6.3): 31 and the rest in seven bits a byte.
    let mut block = vec![0x3f, 0xe0, 0xff, 0xff, 0xff, 0x0f];
    for (name, value) in
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/bin/1"), ("x-many", "1")]
    {
        block.extend(added(name, value));
    }
    frames.send(kind::HEADERS, END_HEADERS | END_STREAM, 1, &block).await;
    assert_eq!(patiently("a body", frames.await_frame(kind::DATA, 1)).await.expect("a reply").payload, b"A");
    // The same fields from the table, the oldest of which has the largest index.
    frames.send(kind::HEADERS, END_HEADERS | END_STREAM, 3, &[0xc2, 0xc1, 0xc0, 0xbf, 0xbe]).await;
    assert_eq!(patiently("a body", frames.await_frame(kind::DATA, 3)).await.expect("a reply").payload, b"A");
}

async fn max_streams_of_1_serves_consecutive_requests() {
    let server = Server::with(&["--max-streams=1"]);
    let mut client = Client::connect(Protocol::Http2, server.http).await;
    for _ in 0..5 {
        assert_eq!(client.get("/bin/1").await.status, 200);
    }
}

async fn the_largest_grpc_message_is_announced_and_the_smallest_limit_holds() {
    use prost::Message as _;
    const LARGEST: u64 = (2 << 30) - 512;
    let server = Server::with(&["--grpc-max-message=2G"]);
    let mut frames = Frames::connect(server.grpc, &[]).await;
    frames.send(kind::SETTINGS, ACK, 0, &[]).await;
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    frames.post(1, "/dummy.v1.TestService/ServerStream", &fields).await;
    let plan = contract::test::Plan { size: LARGEST, ..Default::default() };
    let request = contract::test::TestRequest { plan: Some(plan), ..Default::default() };
    frames.send(kind::DATA, END_STREAM, 1, &framed(&request.encode_to_vec(), false)).await;
    let first = patiently("a message", frames.await_frame(kind::DATA, 1)).await.expect("a reply").payload;
    let prefix = Prefix::read(&first).expect("a flag").expect("a prefix");
    let length = u64::from(prefix.length);
    assert!((LARGEST..=2 << 30).contains(&length), "{length}");
    frames.reset();

    let server = Server::with(&["--grpc-max-message=1"]);
    let mut calls = GrpcClient::connect(server.grpc).await;
    for (bytes, code) in [(&b""[..], 0), (b"\x0a\x00", RESOURCE_EXHAUSTED)] {
        let mut call =
            calls.begin::<contract::test::TestResponse>("/dummy.v1.TestService/ServerStream", &[]).await;
        call.send_bytes(&framed(bytes, false));
        call.finish_sending();
        assert_eq!(call.rest().await.1.status.code, code, "{bytes:?}");
    }
}

async fn websocket_limits_hold_at_their_extremes() {
    // What the last frame is answered with: the close code 1009, or an echo.
    for (flags, length, refused) in [
        (["--ws-max-frame=1", "--ws-max-message=2G"], 1, false),
        (["--ws-max-frame=1", "--ws-max-message=2G"], 2, true),
        (["--ws-max-frame=2G", "--ws-max-message=1"], 1, false),
        (["--ws-max-frame=2G", "--ws-max-message=1"], 2, true),
        (["--ws-max-frame=2G", "--ws-max-message=2G"], 100_000, false),
        (["--ws-max-frame=2G", "--ws-max-message=2G"], (2 << 30) + 1, true),
        (["--ws-max-frame=2G", "--ws-max-message=2G"], i64::MAX as u64, true),
    ] {
        let server = Server::with(&flags);
        let mut client = Http1::connect(server.http).await;
        let upgrade = Request::get("/ws")
            .field("upgrade", "websocket")
            .field("connection", "upgrade")
            .field("sec-websocket-version", "13")
            .field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        client.send(&Line::of(&upgrade)).await;
        assert_eq!(patiently("101", client.head()).await.expect("a reply").status, 101);
        let mut head = Vec::new();
        // The mask changes nothing.
        write::head(&mut head, opcode::BINARY, true, length, Some([0; 4]));
        client.send(&head).await;
        if !refused {
            client.send(&vec![b'x'; usize::try_from(length).expect("a small one")]).await;
        }
        let first = patiently("a frame", client.exactly(2)).await.expect("a frame")[0];
        if refused {
            let code = patiently("a code", client.exactly(2)).await.expect("a code");
            assert_eq!((first, &code[..]), (0x88, &1009_u16.to_be_bytes()[..]), "{flags:?} {length}");
        } else {
            assert_eq!(first, 0x82, "{flags:?} {length}");
        }
    }
}
