//! HTTP/2 servers that allow no more streams or violate the protocol: each request has one outcome, and the server gets
//! the error code.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
};

use crate::{
    frames::{
        DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, SETTINGS, STATUS_200, frame, serve_http2,
        serve_http2_with_settings,
    },
    peer::{failures, run},
};

/// SETTINGS_MAX_CONCURRENT_STREAMS with 0 (RFC 9113 section 6.5.2).
const NO_STREAMS: &[u8] = &[0, 3, 0, 0, 0, 0];

#[test]
fn a_server_that_allows_no_more_streams_does_not_hold_up_the_run() {
    // Only the first connection begins with some, until its first reply.
    let settings = |number| if number == 0 { &[] } else { NO_STREAMS };
    let peer = serve_http2_with_settings(settings, |_, wire| {
        let stream = wire.request()?;
        wire.send(SETTINGS, 0, 0, NO_STREAMS)?;
        wire.reply(stream)?;
        // Until the client closes.
        wire.request().map(drop)
    });
    let summary = run(&format!("-n 6 -c 1 -m 1 --connect-timeout 100ms {}", peer.address));
    let counts = summary.records.counts;
    assert_eq!((counts.succeeded, counts.transport_failed), (1, 5), "{counts:?}");
    assert_eq!(failures(&summary), [("connect timeout".to_owned(), 5)]);
}

#[test]
fn a_connection_whose_server_allows_no_more_streams_is_replaced() {
    let peer = serve_http2(&[], |_, wire| {
        let stream = wire.request()?;
        wire.send(SETTINGS, 0, 0, NO_STREAMS)?;
        wire.reply(stream)?;
        // Until the client closes.
        wire.request().map(drop)
    });
    let counts = run(&format!("-n 5 -c 1 -m 1 --connect-timeout 100ms {}", peer.address)).records.counts;
    assert_eq!((counts.succeeded, counts.transport_failed), (5, 0), "{counts:?}");
    assert_eq!(peer.connections(), 5);
}

#[test]
fn a_connection_is_reused_when_streams_are_allowed_again() {
    let peer = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            wire.send(SETTINGS, 0, 0, NO_STREAMS)?;
            wire.reply(stream)?;
            // The client has seen both when it has acknowledged the SETTINGS.
            wire.until(SETTINGS)?;
            wire.send(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1])?;
        }
    });
    let counts = run(&format!("-n 10 -c 1 -m 1 {}", peer.address)).records.counts;
    assert_eq!((counts.succeeded, counts.resent, peer.connections()), (10, 0, 1), "{counts:?}");
}

#[test]
fn goaway_with_an_error_fails_processed_streams_and_retries_the_rest() {
    const INTERNAL_ERROR: u32 = 2;
    for closes in [true, false] {
        let peer = serve_http2(&[], move |number, wire| {
            if number > 0 {
                loop {
                    let stream = wire.request()?;
                    wire.reply(stream)?;
                }
            }
            let streams = [wire.request()?, wire.request()?, wire.request()?, wire.request()?];
            wire.go_away(streams[1], INTERNAL_ERROR)?;
            if closes {
                return wire.leave();
            }
            // Those that were processed may still be answered.
            wire.reply(streams[0])?;
            wire.leave()
        });
        let summary = run(&format!("-n 20 -c 1 -m 4 -X POST {}", peer.address));
        let counts = &summary.records.counts;
        let failed = if closes { 2 } else { 1 };
        assert_eq!((counts.succeeded, counts.resent), (20 - failed, 2), "{closes}: {counts:?}");
        assert_eq!(failures(&summary), [("GOAWAY INTERNAL_ERROR".to_owned(), failed)], "{closes}");
        assert_eq!(peer.connections(), 2);
    }
}

#[test]
fn violations_by_the_server_are_answered_with_goaway_and_their_code() {
    const PROTOCOL_ERROR: u32 = 1;
    const FLOW_CONTROL_ERROR: u32 = 3;
    const FRAME_SIZE_ERROR: u32 = 6;
    const COMPRESSION_ERROR: u32 = 9;
    const PUSH_PROMISE: u8 = 5;
    const WINDOW_UPDATE: u8 = 8;
    const CONTINUATION: u8 = 9;
    type Break = fn(u32) -> Vec<u8>;
    let cases: [(&str, u32, Break); 10] = [
        ("DATA on stream 0", PROTOCOL_ERROR, |_| frame(DATA, 0, 0, b"x")),
        ("a reply to nothing", PROTOCOL_ERROR, |stream| {
            frame(HEADERS, END_HEADERS | END_STREAM, stream + 2, STATUS_200)
        }),
        ("CONTINUATION of nothing", PROTOCOL_ERROR, |stream| {
            frame(CONTINUATION, END_HEADERS, stream, STATUS_200)
        }),
        ("a block that is interrupted", PROTOCOL_ERROR, |stream| {
            [frame(HEADERS, 0, stream, STATUS_200), frame(DATA, END_STREAM, stream, b"x")].concat()
        }),
        ("PUSH_PROMISE, which was not allowed", PROTOCOL_ERROR, |stream| {
            frame(PUSH_PROMISE, END_HEADERS, stream, &[0, 0, 0, 2, 0x82])
        }),
        ("a window beyond its largest", FLOW_CONTROL_ERROR, |_| {
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])
        }),
        ("an initial window beyond its largest", FLOW_CONTROL_ERROR, |_| {
            frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])
        }),
        ("a frame larger than allowed", FRAME_SIZE_ERROR, |stream| frame(DATA, 0, stream, &[0; 16_385])),
        ("SETTINGS of a wrong length", FRAME_SIZE_ERROR, |_| frame(SETTINGS, 0, 0, &[0; 5])),
        ("a field of no table", COMPRESSION_ERROR, |stream| {
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0xff, 0x7f])
        }),
    ];
    for (what, code, violation) in cases {
        let codes = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&codes);
        let peer = serve_http2(&[], move |_, wire| {
            let stream = wire.request()?;
            wire.0.write_all(&violation(stream))?;
            let (_, payload) = wire.until(GOAWAY)?;
            heard.lock().unwrap().push(payload[4..8].to_vec());
            Ok(())
        });
        let summary = run(&format!("-n 3 -c 1 -m 1 {}", peer.address));
        assert_eq!(failures(&summary), [("protocol error".to_owned(), 3)], "{what}");
        assert_eq!((summary.records.counts.resent, peer.connections()), (0, 3), "{what}");
        // The last connection's GOAWAY may still be on its way.
        let codes = codes.lock().unwrap().clone();
        assert!(
            codes.len() >= 2 && codes.iter().all(|found| *found == code.to_be_bytes()),
            "{what}: {codes:?}"
        );
    }
}

#[test]
fn a_stream_error_fails_only_its_own_request() {
    type Break = fn(u32) -> Vec<u8>;
    let cases: [(&str, Break); 4] = [
        ("content before a head", |stream| frame(DATA, END_STREAM, stream, b"x")),
        ("a head without a status", |stream| {
            frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\0\x01a\x01b")
        }),
        ("a name in upper case", |stream| {
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &[STATUS_200, b"\0\x01A\x01b"].concat())
        }),
        ("less content than was announced", |stream| {
            let head = [STATUS_200, b"\0\x0econtent-length\x013"].concat();
            [frame(HEADERS, END_HEADERS, stream, &head), frame(DATA, END_STREAM, stream, b"ab")].concat()
        }),
    ];
    for (what, violation) in cases {
        let peer = serve_http2(&[], move |_, wire| {
            loop {
                let stream = wire.request()?;
                // Streams count by two: each second reply is a good one.
                if stream % 4 == 1 { wire.0.write_all(&violation(stream))? } else { wire.reply(stream)? }
            }
        });
        let summary = run(&format!("-n 10 -c 1 -m 1 {}", peer.address));
        assert_eq!(failures(&summary), [("protocol error".to_owned(), 5)], "{what}");
        let counts = summary.records.counts;
        assert_eq!((counts.succeeded, counts.resent, peer.connections()), (5, 0, 1), "{what}");
    }
}
