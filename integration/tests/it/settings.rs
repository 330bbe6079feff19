//! What HTTP/2 clients are allowed (RFC 9113 section 6.5.2): the flags as they are on the wire, and that they hold.

use std::collections::BTreeMap;

use integration::{
    client::{
        frames::{ACK, END_STREAM, Frame, Frames, kind},
        patiently,
    },
    server::Server,
};

tests!();

const HEADER_TABLE_SIZE: u16 = 1;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

const RST_STREAM: u8 = 3;

/// Codes of errors (section 7).
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;

/// A connection whose SETTINGS have been exchanged, and the server's.
async fn connect(server: &Server) -> (Frames, Frame) {
    let mut frames = Frames::connect(server.http, &[]).await;
    let settings = await_frame(&mut frames, kind::SETTINGS, 0).await;
    frames.send(kind::SETTINGS, ACK, 0, &[]).await;
    (frames, settings)
}

async fn await_frame(frames: &mut Frames, kind: u8, stream: u32) -> Frame {
    let what = format!("a frame of type {kind}");
    patiently(&what, frames.await_frame(kind, stream)).await.unwrap_or_else(|error| panic!("{what}: {error}"))
}

fn increment(update: &Frame) -> u32 {
    u32::from_be_bytes(update.payload[..].try_into().expect("four bytes"))
}

/// SETTINGS, and the window of the connection.
async fn announced(server: &Server) -> (BTreeMap<u16, u32>, u32) {
    let mut frames = Frames::connect(server.http, &[]).await;
    let settings = await_frame(&mut frames, kind::SETTINGS, 0).await;
    let entries = settings.payload.chunks_exact(6).map(|entry| {
        let id = u16::from_be_bytes([entry[0], entry[1]]);
        (id, u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))
    });
    let update = await_frame(&mut frames, kind::WINDOW_UPDATE, 0).await;
    (entries.collect(), 65_535 + increment(&update))
}

async fn settings_are_the_documented_ones() {
    let (settings, window) = announced(&Server::start()).await;
    let expected = [
        (MAX_CONCURRENT_STREAMS, 1000),
        (INITIAL_WINDOW_SIZE, 256 << 10),
        (MAX_HEADER_LIST_SIZE, 64 << 10),
        (ENABLE_CONNECT_PROTOCOL, 1),
    ];
    // A frame of 16 KiB and a table of 4 KiB are what holds without a word.
    assert_eq!((settings, window), (expected.into(), 64 << 20));
}

async fn flags_become_settings() {
    let server = Server::with(&[
        "--max-streams=7",
        "--h2-stream-window=70000",
        "--h2-connection-window=1M",
        "--h2-max-frame-size=64K",
        "--h2-header-table-size=0",
        "--max-header-bytes=32K",
    ]);
    let (settings, window) = announced(&server).await;
    let expected = [
        (HEADER_TABLE_SIZE, 0),
        (MAX_CONCURRENT_STREAMS, 7),
        (INITIAL_WINDOW_SIZE, 70_000),
        (MAX_FRAME_SIZE, 64 << 10),
        (MAX_HEADER_LIST_SIZE, 32 << 10),
        (ENABLE_CONNECT_PROTOCOL, 1),
    ];
    assert_eq!((settings, window), (expected.into(), 1 << 20));
}

async fn frames_are_taken_up_to_their_size_and_no_further() {
    const SIZE: usize = 1 << 20;
    const UNKNOWN: u8 = 0x42;
    let server = Server::with(&["--h2-max-frame-size=1M", "--h2-stream-window=2M"]);
    let (mut frames, _) = connect(&server).await;
    // Larger than what is usually read in one go, and of a type that has to be passed over whole.
    frames.send(UNKNOWN, 0, 0, &vec![0; SIZE]).await;
    frames.send(kind::PING, 0, 0, b"are you?").await;
    assert_eq!(await_frame(&mut frames, kind::PING, 0).await.payload, b"are you?");
    frames.post(1, "/upload", &[]).await;
    frames.send(kind::DATA, END_STREAM, 1, &vec![b'x'; SIZE]).await;
    let reply = await_frame(&mut frames, kind::DATA, 1).await;
    let text = String::from_utf8_lossy(&reply.payload);
    assert!(text.contains("\"bytes_received\":1048576"), "{text}");
    // A byte too large: its head is enough to know.
    frames.send(kind::DATA, 0, 3, &vec![0; SIZE + 1]).await;
    let go_away = await_frame(&mut frames, kind::GOAWAY, 0).await;
    assert_eq!(go_away.go_away().map(|(_, code)| code), Some(FRAME_SIZE_ERROR));
}

async fn a_small_window_is_given_back_as_the_endpoint_reads() {
    let server = Server::with(&["--h2-stream-window=100"]);
    let (mut frames, _) = connect(&server).await;
    frames.post(1, "/upload", &[]).await;
    for _ in 0..10 {
        frames.send(kind::DATA, 0, 1, &[b'x'; 100]).await;
        let mut given = 0;
        while given < 100 {
            given += increment(&await_frame(&mut frames, kind::WINDOW_UPDATE, 1).await);
        }
    }
    frames.send(kind::DATA, 0, 1, &[b'x'; 101]).await;
    let reset = await_frame(&mut frames, RST_STREAM, 1).await;
    assert_eq!(reset.payload, FLOW_CONTROL_ERROR.to_be_bytes());
}
