//! What is recorded of connections: opened, reopened, and closed by which end.

use std::{
    io::Write as _,
    net::Shutdown,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
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

#[test]
fn a_connection_has_as_many_requests_as_it_may_have() {
    for (flag, opened) in [
        ("--requests-per-connection 10", 10),
        ("--requests-per-connection 30", 4),
        ("--requests-per-connection 100", 1),
        ("--requests-per-connection 1", 100),
        ("--no-keepalive", 100),
        ("--requests-per-connection 1000000000000000", 1),
    ] {
        let http1 = serve_http1(|_| OK.to_vec());
        let found = connections(&format!("-n 100 -c 1 {flag} http://{}", http1.address));
        assert_eq!(
            (found[0], found[1], http1.connections()),
            (opened, opened - 1, opened as usize),
            "{flag}"
        );
        let http2 = serve_http2(&[], |_, wire| {
            loop {
                let stream = wire.request()?;
                wire.reply(stream)?;
            }
        });
        let found = connections(&format!("-n 100 -c 1 -m 4 {flag} {}", http2.address));
        assert_eq!((found[0], http2.connections()), (opened, opened as usize), "{flag}");
        assert_eq!(found[2], 0, "they are closed by loadgen");
    }
}

#[test]
fn no_more_connections_than_asked_for_are_open_at_the_same_time() {
    let open = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let seen = Arc::clone(&open);
    let peer = serve(move |_, mut stream| {
        let now = seen.0.fetch_add(1, SeqCst) + 1;
        seen.1.fetch_max(now, SeqCst);
        while read_request(&mut stream).is_some() {
            // The next one may be open as soon as the reply is read.
            seen.0.fetch_sub(1, SeqCst);
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    });
    let found = connections(&format!("-n 200 -c 3 --workers 1 --no-keepalive http://{}", peer.address));
    assert_eq!(found[0], 200);
    assert!(open.1.load(SeqCst) <= 3, "{}", open.1.load(SeqCst));
}

#[test]
fn the_only_request_of_a_connection_says_so_over_http1() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let peer = serve(move |_, mut stream| {
        while let Some(head) = read_request(&mut stream) {
            seen.lock().unwrap().push(head);
            stream.write_all(OK).unwrap();
        }
    });
    for (flags, closes) in [
        ("--no-keepalive", 1),
        ("--requests-per-connection 1", 1),
        ("--requests-per-connection 2", 0),
        ("--no-keepalive -H Connection:close", 1),
    ] {
        let _ = run(&format!("-n 1 -c 1 {flags} http://{}", peer.address));
        let head = heads.lock().unwrap().pop().unwrap().to_ascii_lowercase();
        let count = head.matches("connection:close").count() + head.matches("connection: close").count();
        assert_eq!(count, closes, "{flags}: {head}");
    }
}

#[test]
fn connections_are_replaced_at_their_age_even_when_they_are_idle() {
    for (scheme, flags) in [("http://", ""), ("", "-m 1")] {
        let http1 = serve_http1(|_| OK.to_vec());
        let http2 = serve_http2(&[], |_, wire| {
            loop {
                let stream = wire.request()?;
                wire.reply(stream)?;
            }
        });
        let peer = if scheme.is_empty() { &http2 } else { &http1 };
        let line = format!(
            "-r 10 -d 1s -c 1 --fixed-connections --connection-age 150ms {flags} {scheme}{}",
            peer.address
        );
        let summary = run(&line);
        assert_eq!(summary.records.counts.succeeded, 10, "{line}");
        let found = &summary.records.connections;
        assert!(found.opened >= 3 && found.closed_by_server == 0, "{line}: {found:?}");
        assert_eq!(found.reopened, found.opened - 1, "{line}: {found:?}");
    }
}

#[test]
fn connections_are_opened_no_faster_than_asked_for() {
    for (scheme, workers) in [("http://", 1), ("http://", 2), ("", 1)] {
        let http1 = serve_http1(|_| OK.to_vec());
        let http2 = serve_http2(&[], |_, wire| {
            loop {
                let stream = wire.request()?;
                wire.reply(stream)?;
            }
        });
        let address = if scheme.is_empty() { http2.address } else { http1.address };
        let line =
            format!("-d 400ms -c 50 --workers {workers} --connections-per-second 20 {scheme}{address}");
        let summary = run(&line);
        let (counts, found) = (&summary.records.counts, &summary.records.connections);
        assert_eq!(counts.succeeded, counts.offered, "{line}");
        // At once for each worker, then by time; 50 ms may be made up for.
        let most = 1 + ((summary.elapsed.as_secs_f64() + 0.05) * 20.0) as u64 + workers;
        assert!((2..=most).contains(&found.opened), "{line}: {} of {most}", found.opened);
    }
}
