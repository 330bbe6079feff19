//! HTTP/2 against servers that go away, refuse, reset, violate the protocol or keep silent, frame by frame (RFC 9113).

use std::{
    io::{self, Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use crate::{
    frames::{DATA, END_HEADERS, GOAWAY, HEADERS, STATUS_200, serve_http2},
    peer::{failures, run, serve},
};

#[test]
fn goaway_lets_earlier_streams_finish_and_later_ones_are_retried() {
    let answered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answered);
    let peer = serve_http2(&[], move |_, wire| {
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(wire.request()?);
        }
        wire.go_away(streams[1], 0)?;
        for stream in &streams[..2] {
            count.fetch_add(1, SeqCst);
            wire.reply(*stream)?;
        }
        // Until the client closes.
        wire.request().map(drop)
    });
    let counts = run(&format!("-n 20 -c 1 -m 4 --timeout 1s {}", peer.address)).records.counts;
    // The last two come with no request behind them, wait for four, and time out: all others are answered once.
    assert_eq!(counts.succeeded as usize, answered.load(SeqCst));
    assert!(counts.succeeded >= 16 && counts.resent >= 16, "{counts:?}");
}

#[test]
fn goaway_after_every_reply_loses_no_request() {
    let peer = serve_http2(&[], |_, wire| {
        let stream = wire.request()?;
        wire.go_away(stream, 0)?;
        wire.reply(stream)?;
        // What else has come is read, so that the reply is not lost in a reset.
        loop {
            wire.request()?;
        }
    });
    for load in ["-c 2 -m 3", "-r 300"] {
        let counts = run(&format!("{load} -n 30 {}", peer.address)).records.counts;
        assert_eq!(counts.succeeded, 30, "{load}: {counts:?}");
    }
    assert!(peer.connections() >= 60, "one reply for each connection");
}

#[test]
fn goaway_on_every_connection_ends_the_run_with_its_code() {
    let peer = serve_http2(&[], |_, wire| {
        wire.request()?;
        let calm = [&[0, 0, 0, 0, 0, 0, 0, 11], &b"too_many_pings"[..]].concat();
        wire.send(GOAWAY, 0, 0, &calm)?;
        // What else has come is read, so that the GOAWAY is not lost in a reset.
        loop {
            wire.request()?;
        }
    });
    for load in ["-c 2", "-r 300"] {
        let summary = run(&format!("{load} -n 10 {}", peer.address));
        let counts = summary.records.counts;
        assert_eq!((counts.transport_failed, counts.completed()), (10, 0), "{load}: {counts:?}");
        let causes = failures(&summary);
        assert!(causes.iter().any(|(cause, _)| cause == "GOAWAY ENHANCE_YOUR_CALM"), "{load}: {causes:?}");
        let mut examples = summary.records.failures.iter().map(|(_, seen)| seen.example.as_str());
        let said = "the server went away: ENHANCE_YOUR_CALM, \"too_many_pings\"";
        assert!(examples.any(|example| example == said), "{load}: {:?}", summary.verdict());
    }
}

#[test]
fn a_reset_stream_keeps_its_code() {
    let peer = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            wire.reset(stream, if stream % 4 == 1 { 2 } else { 8 })?;
        }
    });
    let summary = run(&format!("-n 20 -c 1 -m 1 {}", peer.address));
    let expected = [("RST_STREAM INTERNAL_ERROR".to_owned(), 10), ("RST_STREAM CANCEL".to_owned(), 10)];
    assert_eq!(failures(&summary), expected);
    assert_eq!((summary.records.counts.resent, peer.connections()), (0, 1));
}

#[test]
fn a_refused_stream_is_retried_up_to_the_limit() {
    let peer = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            if stream % 4 == 1 { wire.reset(stream, 7)? } else { wire.reply(stream)? }
        }
    });
    let counts = run(&format!("-n 20 -c 1 -m 1 -X POST {}", peer.address)).records.counts;
    assert_eq!((counts.succeeded, counts.resent), (20, 20));

    let peer = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            wire.reset(stream, 7)?;
        }
    });
    let summary = run(&format!("-n 5 -c 1 -m 1 {}", peer.address));
    assert_eq!(failures(&summary), [("RST_STREAM REFUSED_STREAM".to_owned(), 5)]);
    assert_eq!(summary.records.counts.resent, 15);
    let summary = run(&format!("-n 5 -c 1 -m 1 --retry none {}", peer.address));
    assert_eq!(failures(&summary), [("RST_STREAM REFUSED_STREAM".to_owned(), 5)]);
    assert_eq!(summary.records.counts.resent, 0);
}

#[test]
fn max_concurrent_streams_of_the_server_is_respected() {
    // SETTINGS_MAX_CONCURRENT_STREAMS = 2.
    let peer = serve_http2(&[0, 3, 0, 0, 0, 2], |_, wire| {
        loop {
            let both = [wire.request()?, wire.request()?];
            // A third stream would come before the replies.
            wire.0.set_nonblocking(true)?;
            let third = wire.request();
            wire.0.set_nonblocking(false)?;
            if third.is_ok() {
                return wire.go_away(0, 1);
            }
            for stream in both {
                wire.reply(stream)?;
            }
        }
    });
    let counts = run(&format!("-n 20 -c 1 -m 10 {}", peer.address)).records.counts;
    assert_eq!((counts.succeeded, counts.resent, peer.connections()), (20, 0, 1));
}

#[test]
fn a_server_that_is_cut_off_mid_reply_fails_what_was_in_flight() {
    let peer = serve_http2(&[], |_, wire| {
        let stream = wire.request()?;
        wire.send(HEADERS, END_HEADERS, stream, STATUS_200)?;
        wire.send(DATA, 0, stream, b"half of")
    });
    let summary = run(&format!("-n 6 -c 2 -m 1 {}", peer.address));
    let counts = summary.records.counts;
    assert_eq!((counts.transport_failed, counts.resent), (6, 0), "{:?}", failures(&summary));
}

#[test]
fn the_announced_window_bounds_memory() {
    let largest = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&largest);
    let peer = serve(move |_, mut stream| {
        let mut start = [0; 24];
        if stream.read_exact(&mut start).is_err() {
            return;
        }
        // The client's SETTINGS: identifiers of two bytes with values of four.
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut settings = vec![0; usize::from(head[2])];
        stream.read_exact(&mut settings).unwrap();
        for setting in settings.chunks(6).filter(|setting| setting[..2] == [0, 4]) {
            let window = u32::from_be_bytes(setting[2..].try_into().unwrap());
            seen.store(window as usize, SeqCst);
        }
    });
    run(&format!("-n 1 -c 1 {}", peer.address));
    let largest = largest.load(SeqCst);
    assert!((1 << 20..=16 << 20).contains(&largest), "{largest}");
}

#[test]
fn an_http1_reply_over_http2_is_a_protocol_error() {
    let peer = serve(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        let _ = io::copy(&mut stream, &mut io::sink());
    });
    for load in ["-c 2", "-r 300"] {
        let summary = run(&format!("{load} -n 10 {}", peer.address));
        assert_eq!(failures(&summary), [("protocol error".to_owned(), 10)], "{load}");
    }
}

#[test]
fn silence_before_settings_is_a_connect_timeout() {
    let peer = serve(|_, mut stream| {
        let _ = io::copy(&mut stream, &mut io::sink());
    });
    let summary = run(&format!("-n 10 -c 2 --connect-timeout 200ms {}", peer.address));
    assert_eq!(failures(&summary), [("connect timeout".to_owned(), 10)]);
}

#[test]
fn silence_after_settings_times_out_and_cancels_the_stream() {
    let peer = serve_http2(&[], |_, wire| {
        loop {
            wire.request()?;
        }
    });
    let summary = run(&format!("-n 10 -c 1 -m 5 --timeout 200ms {}", peer.address));
    assert_eq!(failures(&summary), [("timeout".to_owned(), 10)]);
    assert_eq!(peer.connections(), 1, "the connection outlives its streams");
}
