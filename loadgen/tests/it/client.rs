//! How connections behave that have directives: what servers see of it, byte by byte.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
};

use clap::Parser as _;
use loadgen::{Plan, cli::Args};

use crate::{
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, STATUS_200, frame, serve_http2},
    peer::{plan, run},
};

const WINDOW_UPDATE: u8 = 8;
const PADDED: u8 = 8;

/// A setting, as it is in a SETTINGS frame.
fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

#[test]
fn settings_of_http2_are_announced_at_their_ends() {
    for (flags, expected, window) in [
        ("", vec![setting(4, 4 << 20)], Some((16 << 20) - 65_535)),
        ("--h2-stream-window 1", vec![setting(4, 1)], Some((16 << 20) - 65_535)),
        ("--h2-stream-window 2147483647", vec![setting(4, (1 << 31) - 1)], Some((16 << 20) - 65_535)),
        ("--h2-connection-window 65535", vec![setting(4, 4 << 20)], None),
        ("--h2-connection-window 2147483647", vec![setting(4, 4 << 20)], Some((1 << 31) - 1 - 65_535)),
        ("--h2-max-frame-size 16777215", vec![setting(5, 16_777_215)], Some((16 << 20) - 65_535)),
        ("--h2-header-table-size 0", vec![setting(1, 0)], Some((16 << 20) - 65_535)),
        ("--h2-header-table-size 4294967295", vec![setting(1, u32::MAX)], Some((16 << 20) - 65_535)),
    ] {
        let seen = Arc::new(Mutex::new((Vec::new(), None)));
        let told = Arc::clone(&seen);
        let peer = serve_http2(&[], move |_, wire| {
            let (_, settings) = wire.until(SETTINGS)?;
            told.lock().unwrap().0 = settings;
            // The window comes before the request, if it comes at all.
            let mut head = [0; 9];
            loop {
                use std::io::Read as _;
                wire.0.read_exact(&mut head)?;
                let mut payload = vec![0; usize::from(head[2])];
                wire.0.read_exact(&mut payload)?;
                match head[3] {
                    WINDOW_UPDATE => {
                        told.lock().unwrap().1 = Some(u32::from_be_bytes(payload.try_into().unwrap()));
                    }
                    HEADERS => break,
                    _ => {}
                }
            }
            wire.reply(1)?;
            wire.leave()
        });
        let counts = run(&format!("-n 1 -c 1 {flags} {}", peer.address)).records.counts;
        assert_eq!(counts.succeeded, 1, "{flags}");
        let (settings, told) = seen.lock().unwrap().clone();
        for expected in expected {
            assert!(settings.chunks(6).any(|setting| setting == expected), "{flags}: {settings:?}");
        }
        assert_eq!(told, window, "{flags}");
    }
}

#[test]
fn a_window_of_one_byte_is_given_back_byte_by_byte() {
    let peer = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            wire.send(HEADERS, END_HEADERS, stream, STATUS_200)?;
            for byte in 0..5 {
                wire.send(DATA, if byte == 4 { END_STREAM } else { 0 }, stream, b"x")?;
                if byte < 4 {
                    let (updated, by) = wire.until(WINDOW_UPDATE)?;
                    // That of the connection comes first.
                    if updated == stream {
                        assert_eq!(by, [0, 0, 0, 1]);
                    } else {
                        wire.until(WINDOW_UPDATE)?;
                    }
                }
            }
        }
    });
    let line = format!("-n 3 -c 1 -m 1 --timeout 5s --h2-stream-window 1 {}", peer.address);
    assert_eq!(run(&line).records.counts.succeeded, 3);
}

#[test]
fn a_frame_of_the_largest_size_is_taken_whole() {
    const SIZE: usize = 16_777_215;
    let peer = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            wire.send(HEADERS, END_HEADERS, stream, STATUS_200)?;
            // With padding it is taken in when it is there to its end.
            let mut payload = vec![b'x'; SIZE];
            payload[0] = 9;
            wire.0.write_all(&frame(DATA, END_STREAM | PADDED, stream, &payload))?;
        }
    });
    let line = format!(
        "-n 2 -c 1 -m 1 --h2-max-frame-size 16777215 --h2-stream-window 32M --h2-connection-window 32M {}",
        peer.address
    );
    let summary = run(&line);
    assert_eq!(summary.records.counts.succeeded, 2, "{:?}", summary.records.failures);
    let summary = run(&line.replace("16777215", "16777214"));
    assert_eq!(summary.records.counts.transport_failed, 2, "a frame larger than announced");
}

#[test]
fn a_server_compresses_with_the_largest_table() {
    let peer = serve_http2(&[], |_, wire| {
        // The size of the table becomes 4294967295 (RFC 7541 section 6.3); a field goes into it, and comes from it.
        let first =
            [&[0x3f, 0xe0, 0xff, 0xff, 0xff, 0x0f, 0x88, 0x40, 6][..], b"x-many", &[1], b"1"].concat();
        let stream = wire.request()?;
        wire.send(HEADERS, END_HEADERS | END_STREAM, stream, &first)?;
        let stream = wire.request()?;
        wire.send(HEADERS, END_HEADERS | END_STREAM, stream, &[0x88, 0xbe])?;
        wire.leave()
    });
    let line = format!("-n 2 -c 1 -m 1 --h2-header-table-size 4294967295 {}", peer.address);
    let summary = run(&line);
    assert_eq!(summary.records.counts.succeeded, 2, "{:?}", summary.records.failures);
}

#[test]
fn websockets_refuse_what_requests_alone_have() {
    for (args, said) in [
        ("--http1.0 ws://a", "begins with HTTP/1.1"),
        ("--recv-rate 1K ws://a", "with a WebSocket"),
        ("--send-rate 1K wss://a", "with a WebSocket"),
        ("--pipeline 2 ws://a", "with a WebSocket"),
        ("--chunked -b x ws://a", "messages have their own form"),
        ("--expect-continue -b x ws://a", "messages have their own form"),
        ("--h2-stream-window 1M ws://a", "it with HTTP/2 alone"),
    ] {
        let words = std::iter::once("loadgen").chain(args.split_whitespace());
        let error = Plan::try_from(&Args::try_parse_from(words).unwrap()).unwrap_err().to_string();
        assert!(error.contains(said), "{args}: {error}");
    }
    let plan = plan("--http2 --h2-stream-window 1M --h2-max-frame-size 32K --idle-connections 3 ws://a");
    assert_eq!(plan.client().http2.stream_window, 1 << 20);
}
