//! What is recorded of connections: opened, reopened, and closed by which end.

use std::{
    io::Write as _,
    net::Shutdown,
    sync::{Arc, Barrier},
};

use crate::{
    frames::{DATA, SETTINGS, frame, serve_http2, serve_http2_with_settings},
    peer::{closed_port, read_request, run, serve, serve_http1},
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Opened, reopened, closed by the server and by loadgen, in a run of what would be typed.
fn connections(line: &str) -> [u64; 4] {
    let found = run(line).records.connections;
    assert_eq!(found.opened, found.closed_by_server + found.closed_by_loadgen, "{line}: {found:?}");
    assert_eq!((found.tcp.len(), found.setup.len()), (found.opened, found.opened), "{line}");
    [found.opened, found.reopened, found.closed_by_server, found.closed_by_loadgen]
}

#[test]
fn loadgen_closes_kept_connections_at_the_end() {
    let http1 = serve_http1(|_| OK.to_vec());
    assert_eq!(connections(&format!("-n 20 -c 2 --workers 2 http://{}", http1.address)), [2, 0, 0, 2]);
    let http2 = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            wire.reply(stream)?;
        }
    });
    assert_eq!(connections(&format!("-n 20 -c 2 -m 3 {}", http2.address)), [2, 0, 0, 2]);
}

#[test]
fn connections_that_the_server_ends_are_reopened() {
    for reply in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n!close"[..],
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end!close",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut!close",
    ] {
        let peer = serve_http1(move |_| reply.to_vec());
        let found = connections(&format!("-n 5 -c 1 http://{}", peer.address));
        assert_eq!(found, [5, 4, 5, 0], "{}", String::from_utf8_lossy(reply));
    }
}

#[test]
fn connections_ended_by_goaway_are_reopened() {
    let peer = serve_http2(&[], |_, wire| {
        let stream = wire.request()?;
        wire.go_away(stream, 0)?;
        wire.reply(stream)?;
        // Until the client closes.
        wire.request().map(drop)
    });
    assert_eq!(connections(&format!("-n 4 -c 1 -m 1 {}", peer.address)), [4, 3, 4, 0]);
}

#[test]
fn a_connection_whose_reply_times_out_is_closed_by_loadgen() {
    let peer = serve(|_, mut stream| while read_request(&mut stream).is_some() {});
    let found = connections(&format!("-n 3 -c 1 --timeout 100ms http://{}", peer.address));
    assert_eq!(found, [3, 2, 0, 3]);
}

#[test]
fn a_connection_that_breaks_the_protocol_is_closed_by_loadgen() {
    let http1 = serve_http1(|_| b"this is no reply\r\n\r\n".to_vec());
    assert_eq!(connections(&format!("-n 3 -c 1 http://{}", http1.address)), [3, 2, 0, 3]);
    let http2 = serve_http2(&[], |_, wire| {
        wire.request()?;
        wire.0.write_all(&frame(DATA, 0, 0, b"x"))?;
        wire.request().map(drop)
    });
    assert_eq!(connections(&format!("-n 3 -c 1 -m 1 {}", http2.address)), [3, 2, 0, 3]);
}

#[test]
fn failed_connection_attempts_are_not_counted_as_connections() {
    assert_eq!(connections(&format!("-n 3 -c 2 http://{}", closed_port())), [0; 4]);
    assert_eq!(connections(&format!("-n 3 -c 2 {}", closed_port())), [0; 4]);
}

#[test]
fn a_connection_that_is_closed_before_the_run_begins_fails_no_request() {
    let gate = Arc::new(Barrier::new(2));
    let last = Arc::clone(&gate);
    let settings = move |number| {
        // The other worker's first connection: the run can't begin before it is open.
        if number == 1 {
            last.wait();
        }
        &[][..]
    };
    let peer = serve_http2_with_settings(settings, move |number, wire| {
        if number == 0 {
            // The client's settings, and that it has ours.
            wire.until(SETTINGS)?;
            wire.until(SETTINGS)?;
            wire.0.shutdown(Shutdown::Both)?;
            gate.wait();
            return Ok(());
        }
        loop {
            let stream = wire.request()?;
            wire.reply(stream)?;
        }
    });
    let summary = run(&format!("-n 20 -c 2 --workers 2 {}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 20, "{:?}", summary.records.failures);
}
