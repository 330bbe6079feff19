//! Frames in large numbers or of bad shapes: each named limit of the engine ends a connection, with its code.

use std::{cell::Cell, net::SocketAddr};

use integration::{
    cases::{Cases, block_on},
    client::{
        frames::{ACK, END_STREAM, Frames, kind},
        patiently,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{LITTLE, MIB, Scene};

tests!();

fn rows() -> Cases {
    let mut cases = Cases::new();
    for (name, attack, code) in FLOODS {
        cases = cases.named(format!("attacks::http2::{name}"), move || {
            block_on(async {
                let scene = Scene::start(&[]).await;
                let seen = patiently("the end", flood(scene.server.http, attack())).await;
                assert_eq!(seen.go_away, Some(*code), "{seen:?}");
                scene.end(LITTLE).await;
            });
        });
    }
    cases
}

const PRIORITY: u8 = 2;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0x42;
const END_HEADERS: u8 = 4;

/// Codes (RFC 9113 section 7).
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const SETTINGS_TIMEOUT: u32 = 4;
const ENHANCE_YOUR_CALM: u32 = 11;

/// What is sent first, and then again and again with a number that counts from 0.
struct Flood {
    first: Vec<u8>,
    next: Box<dyn Fn(u32) -> Vec<u8>>,
}

/// What came of it.
#[derive(Debug, Default)]
struct Seen {
    /// The code of GOAWAY.
    go_away: Option<u32>,
    /// Codes of RST_STREAM.
    resets: Vec<u32>,
    /// How often a head came.
    heads: usize,
}

/// Each with its name and the code of its end.
type Named = (&'static str, fn() -> Flood, u32);

const FLOODS: &[Named] = &[
    ("rapid_reset", || flood_of(&[], |number| [hang(number), reset(number)].concat()), ENHANCE_YOUR_CALM),
    ("streams_beyond_the_limit", || flood_of(&[], hang), ENHANCE_YOUR_CALM),
    (
        "continuations_without_end",
        || flood_of(&frame(kind::HEADERS, 0, 1, &[0x82]), |_| frame(CONTINUATION, 0, 1, &[0x86])),
        ENHANCE_YOUR_CALM,
    ),
    (
        "empty_continuations",
        || flood_of(&frame(kind::HEADERS, 0, 1, &[]), |_| frame(CONTINUATION, 0, 1, &[])),
        ENHANCE_YOUR_CALM,
    ),
    (
        "a_block_without_end",
        || flood_of(&frame(kind::HEADERS, 0, 1, &[0x82]), |_| frame(CONTINUATION, 0, 1, &[0x86; 1 << 14])),
        ENHANCE_YOUR_CALM,
    ),
    ("an_hpack_bomb", || flood_of(&[], hpack_bomb), ENHANCE_YOUR_CALM),
    ("settings", || flood_of(&[], |_| frame(kind::SETTINGS, 0, 0, &[])), ENHANCE_YOUR_CALM),
    ("acknowledged_settings", || flood_of(&[], |_| frame(kind::SETTINGS, ACK, 0, &[])), ENHANCE_YOUR_CALM),
    ("settings_that_move_every_window", settings_that_move_every_window, ENHANCE_YOUR_CALM),
    ("pings", || flood_of(&[], |_| frame(kind::PING, 0, 0, b"are you?")), ENHANCE_YOUR_CALM),
    (
        "empty_data",
        || flood_of(&post(1, "/upload", &[]), |_| frame(kind::DATA, 0, 1, &[])),
        ENHANCE_YOUR_CALM,
    ),
    (
        "tiny_window_updates",
        || flood_of(&get(1, "/delay/60000"), |_| frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ENHANCE_YOUR_CALM,
    ),
    (
        "a_window_beyond_the_largest",
        || flood_of(&[], |_| frame(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        FLOW_CONTROL_ERROR,
    ),
    ("priorities", || flood_of(&[], |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])), ENHANCE_YOUR_CALM),
    ("frames_of_unknown_types", || flood_of(&[], |_| frame(UNKNOWN, 0, 0, b"?")), ENHANCE_YOUR_CALM),
    ("streams_that_break_rules", || flood_of(&[], too_much_data), ENHANCE_YOUR_CALM),
];

fn flood_of(first: &[u8], next: impl Fn(u32) -> Vec<u8> + 'static) -> Flood {
    Flood { first: [&preface(&[])[..], first].concat(), next: Box::new(next) }
}

/// A separate stream, which the endpoint holds open.
fn hang(number: u32) -> Vec<u8> {
    get(2 * number + 1, "/delay/60000")
}

fn reset(number: u32) -> Vec<u8> {
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    frame(kind::RST_STREAM, 0, 2 * number + 1, &CANCEL)
}

/// A field of 4,000 bytes goes into the table once, and a byte repeats it.
fn hpack_bomb(number: u32) -> Vec<u8> {
    let mut block = block("GET", "/", &[]);
    // A literal with incremental indexing: a name of one byte, and a value whose length has a prefix of 7 bits.
    block.extend([0x40, 1, b'x', 0x7f]);
    let mut length = 4000 - 0x7f;
    while length >= 0x80 {
        block.push(length as u8 | 0x80);
        length >>= 7;
    }
    block.push(length as u8);
    block.extend([b'y'; 4000]);
    block.extend([0xbe; 8000]);
    frame(kind::HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &block)
}

fn settings_that_move_every_window() -> Flood {
    let streams: Vec<u8> = (0..1000).flat_map(hang).collect();
    flood_of(&streams, |number| {
        const INITIAL_WINDOW_SIZE: u8 = 4;
        frame(kind::SETTINGS, 0, 0, &[0, INITIAL_WINDOW_SIZE, 0, 0, (number % 2) as u8, 0])
    })
}

fn too_much_data(number: u32) -> Vec<u8> {
    let stream = 2 * number + 1;
    [post(stream, "/upload", &[("content-length", "1")]), frame(kind::DATA, 0, stream, b"xx")].concat()
}

/// Frames that carry a byte each fill the windows of streams whose endpoints read 64 KiB, and then no more.
async fn one_byte_data_frames_take_memory_for_their_content_only() {
    const STREAMS: u32 = 4;
    const FRAMES: u32 = ((256 + 64) << 10) + 1;
    let scene = Scene::start(&[]).await;
    let heads: Vec<u8> = (0..STREAMS).flat_map(|n| post(2 * n + 1, "/delay/0/60000", &[])).collect();
    let attack = flood_of(&heads, |number| {
        if number >= STREAMS {
            return Vec::new();
        }
        frame(kind::DATA, 0, 2 * number + 1, b"x").repeat(FRAMES as usize)
    });
    // All but the last byte of each stream may be allowed.
    let seen =
        patiently("resets", flood_until(scene.server.http, attack, |seen| seen.resets.len() == 4)).await;
    assert_eq!((seen.go_away, &seen.resets[..]), (None, &[FLOW_CONTROL_ERROR; 4][..]));
    scene.end(LITTLE).await;
}

async fn every_field_block_over_the_limit_is_answered_with_431() {
    const STREAMS: usize = 50;
    let scene = Scene::start(&[]).await;
    let attack = flood_of(&[], |number| {
        let large = "x".repeat(100);
        let fields: Vec<(&str, &str)> = (0..700).map(|_| ("x-large", &large[..])).collect();
        let block = block("GET", "/", &fields);
        let stream = 2 * number + 1;
        let mut frames = frame(kind::HEADERS, END_STREAM, stream, &block[..1 << 14]);
        let rest: Vec<_> = block[1 << 14..].chunks(1 << 14).collect();
        for (at, part) in rest.iter().enumerate() {
            let flags = if at + 1 == rest.len() { END_HEADERS } else { 0 };
            frames.extend(frame(CONTINUATION, flags, stream, part));
        }
        frames
    });
    let seen =
        patiently("replies", flood_until(scene.server.http, attack, |seen| seen.heads >= STREAMS)).await;
    assert_eq!((seen.go_away, seen.resets.len()), (None, 0));
    let rejected = [("endpoint", "rejected"), ("status", "431")];
    let rejected = scene.server.metrics().await.sum(integration::metrics::REQUESTS, &rejected);
    assert!(rejected >= STREAMS as u64, "{rejected} were refused");
    scene.end(LITTLE).await;
}

/// Whether something is in flight or not, and though nothing more is read.
async fn settings_that_are_never_acknowledged_end_the_connection() {
    let scene = Scene::start(&[]).await;
    let mut frames = Frames::connect(scene.server.http, &[]).await;
    frames.get(1, "/delay/60000", &[]).await;
    let go_away = patiently("the end", frames.await_frame(kind::GOAWAY, 0)).await.unwrap();
    assert_eq!(go_away.go_away(), Some((1, SETTINGS_TIMEOUT)));
    scene.end(LITTLE).await;
}

/// What a proxy that speaks HTTP/1.1 behind itself could be led astray by (RFC 9113 sections 8.2 and 10.3).
async fn smuggling_fields_end_their_stream() {
    const BAD: &[&[(&str, &str)]] = &[
        &[("transfer-encoding", "chunked")],
        &[("connection", "close")],
        &[("proxy-connection", "keep-alive")],
        &[("keep-alive", "1")],
        &[("upgrade", "h2c")],
        &[("te", "gzip")],
        &[("content-length", "5")],
        &[("content-length", "0"), ("content-length", "1")],
        &[("content-length", "+0")],
        &[("x", "a\r\nb: c")],
        &[("x", "a\nb: c")],
        &[("x", "a\0b")],
        &[("x", " a")],
        &[("x\r\ny", "a")],
        &[("x:", "a")],
        &[("x y", "a")],
        &[("X-Upper", "a")],
        &[("", "a")],
        &[(":path", "/other")],
        &[(":status", "200")],
    ];
    let scene = Scene::start(&[]).await;
    let mut frames = Frames::connect(scene.server.http, &[]).await;
    for (number, fields) in BAD.iter().enumerate() {
        let stream = 2 * number as u32 + 1;
        frames.get(stream, "/health", fields).await;
        loop {
            let frame = patiently("an answer", frames.next()).await.unwrap().expect("an open connection");
            assert_ne!(frame.kind, kind::HEADERS, "{fields:?} was answered");
            assert_ne!(frame.kind, kind::GOAWAY, "{fields:?} ended the connection: {frame:?}");
            if frame.kind == kind::RST_STREAM {
                let code = PROTOCOL_ERROR.to_be_bytes().to_vec();
                assert_eq!((frame.stream, frame.payload), (stream, code), "{fields:?}");
                break;
            }
        }
    }
    scene.end(LITTLE).await;
}

async fn flood(address: SocketAddr, attack: Flood) -> Seen {
    flood_until(address, attack, |_| false).await
}

/// Sends until the connection has ended, or until what was seen is enough.
async fn flood_until(address: SocketAddr, attack: Flood, enough: impl Fn(&Seen) -> bool) -> Seen {
    const BATCH: usize = 64 << 10;
    let (mut reader, mut writer) = TcpStream::connect(address).await.expect("connected").into_split();
    let told = Cell::new(false);
    let writing = async {
        let mut sent = writer.write_all(&attack.first).await;
        let mut number = 0;
        while sent.is_ok() && !told.get() {
            let mut bytes = Vec::new();
            while bytes.len() < BATCH {
                let next = (attack.next)(number);
                number += 1;
                if next.is_empty() {
                    break;
                }
                bytes.extend(next);
            }
            if bytes.is_empty() {
                break;
            }
            sent = writer.write_all(&bytes).await;
            tokio::task::yield_now().await;
        }
        // A server that has ended the connection takes nothing more; what it said is the reader's.
        std::future::pending::<()>().await;
    };
    let reading = async {
        let mut seen = Seen::default();
        let mut bytes = Vec::with_capacity(MIB as usize);
        while matches!(reader.read_buf(&mut bytes).await, Ok(1..)) && !enough(&seen) {
            let mut rest = &bytes[..];
            while let [a, b, c, frame_kind, _, _, _, _, _, payload @ ..] = rest {
                let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
                let Some((payload, next)) = payload.split_at_checked(length) else { break };
                rest = next;
                let number =
                    |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four bytes"));
                match *frame_kind {
                    kind::GOAWAY => {
                        seen.go_away = Some(number(4));
                        told.set(true);
                    }
                    kind::RST_STREAM => seen.resets.push(number(0)),
                    kind::HEADERS => seen.heads += 1,
                    _ => {}
                }
            }
            let taken = bytes.len() - rest.len();
            bytes.drain(..taken);
            if enough(&seen) {
                break;
            }
        }
        seen
    };
    tokio::select! {
        seen = reading => seen,
        () = writing => unreachable!("writing waits for the reader"),
    }
}

fn preface(settings: &[u8]) -> Vec<u8> {
    // The server's SETTINGS count as acknowledged from the first on.
    let settings = [frame(kind::SETTINGS, 0, 0, settings), frame(kind::SETTINGS, ACK, 0, &[])].concat();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame");
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn get(stream: u32, target: &str) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block("GET", target, &[]))
}

fn post(stream: u32, target: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS, stream, &block("POST", target, fields))
}

/// Literals without indexing (RFC 7541 section 6.2.2).
fn block(method: &str, target: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "http"), (":authority", "dummy.test"), (":path", target)];
    let mut block = Vec::new();
    for (name, value) in own.iter().chain(fields) {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|len| *len < 0x7f).expect("a short text"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}
