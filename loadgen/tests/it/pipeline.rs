//! Pipelining over HTTP/1.1 (RFC 9112 section 9.3.2): several requests at the same time on a connection, replies in their order, and
//! what happens to those without one.

use std::{
    io::{self, Write as _},
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use crate::peer::{failures, read_request, reset, run, serve};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Nothing has come behind what was read.
fn assert_silent(stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let seen = stream.peek(&mut [0]).map_err(|error| error.kind());
    stream.set_nonblocking(false).unwrap();
    assert_eq!(seen, Err(io::ErrorKind::WouldBlock));
}

#[test]
fn so_many_requests_are_in_flight_and_no_more() {
    for depth in [1, 2, 5] {
        for path in ["/", "/{{seq}}"] {
            let peer = serve(move |_, mut stream| {
                // Whole rounds, whose replies come together.
                while let Some(first) = read_request(&mut stream) {
                    let rest: Vec<_> = (1..depth).map(|_| read_request(&mut stream).unwrap()).collect();
                    assert!(rest.iter().all(|head| head.starts_with("GET /")) && first.starts_with("GET /"));
                    assert_silent(&stream);
                    stream.write_all(&OK.repeat(depth)).unwrap();
                }
            });
            let summary =
                run(&format!("-n {} -c 1 --pipeline {depth} http://{}{path}", 6 * depth, peer.address));
            let counts = &summary.records.counts;
            assert_eq!(
                (counts.succeeded, counts.resent),
                (6 * depth as u64, 0),
                "{depth}: {:?}",
                failures(&summary)
            );
            assert_eq!((peer.connections(), summary.run.streams), (1, depth));
        }
    }
}

#[test]
fn replies_are_those_of_the_requests_in_order_however_they_are_cut() {
    for piece in [1, 7, 1000] {
        let peer = serve(move |_, mut stream| {
            stream.set_nodelay(true).unwrap();
            loop {
                let heads: Vec<_> = (0..4).map_while(|_| read_request(&mut stream)).collect();
                let mut bytes = Vec::new();
                for head in &heads {
                    let path = head.split(' ').nth(1).unwrap();
                    // Every form of a body's end; HEAD has none.
                    match path.trim_start_matches('/').parse::<u64>().unwrap() % 4 {
                        _ if head.starts_with("HEAD") => {
                            bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
                        }
                        0 => bytes.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
                        1 => bytes.extend_from_slice(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
                        _ => bytes.extend_from_slice(OK),
                    }
                }
                if heads.is_empty() || bytes.chunks(piece).any(|part| stream.write_all(part).is_err()) {
                    break;
                }
            }
        });
        for (method, [succeeded, missing]) in [("GET", [30, 10]), ("HEAD", [40, 0])] {
            let line = format!("-n 40 -c 1 -X {method} --pipeline 4 http://{}/{{{{seq}}}}", peer.address);
            let summary = run(&line);
            let counts = &summary.records.counts;
            assert_eq!(
                [counts.succeeded, counts.client_errors],
                [succeeded, missing],
                "{piece}: {:?}",
                failures(&summary)
            );
        }
    }
}

#[test]
fn requests_without_a_reply_are_retried_as_the_policy_says() {
    // One reply for each connection, of four requests; what lies behind it is read, so that it is not lost in a reset.
    let close = |announced: bool| {
        serve(move |_, mut stream| {
            if read_request(&mut stream).is_none() {
                return;
            }
            let reply = match announced {
                true => &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"[..],
                false => OK,
            };
            let _ = stream.write_all(reply);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = io::copy(&mut stream, &mut io::sink());
        })
    };
    for (announced, flags, sent_again) in [
        (true, "", true),
        (true, "--retry none", false),
        (true, "-X POST", false),
        (true, "-X PUT", false),
        (true, "-X PUT --retry idempotent", true),
        (false, "--retry none", false),
        (false, "-X POST", false),
    ] {
        let peer = close(announced);
        let summary = run(&format!("-n 8 -c 1 --pipeline 4 {flags} http://{}", peer.address));
        let counts = &summary.records.counts;
        if sent_again {
            assert_eq!(counts.succeeded, 8, "{flags}: {:?}", failures(&summary));
            assert_eq!(peer.connections(), 8, "{flags}");
            assert!(counts.resent >= 8, "{flags}: {counts:?}");
        } else {
            assert_eq!((counts.resent, counts.succeeded + counts.transport_failed), (0, 8), "{flags}");
            assert!(
                failures(&summary).iter().all(|(cause, _)| cause == "closed early"),
                "{:?}",
                failures(&summary)
            );
            assert!(
                counts.transport_failed > 0 && counts.succeeded == peer.connections() as u64,
                "{counts:?}"
            );
        }
    }
    // Unannounced, they are retried three times at most.
    let peer = close(false);
    let summary = run(&format!("-n 40 -c 1 --pipeline 20 http://{}", peer.address));
    let counts = &summary.records.counts;
    assert!(counts.transport_failed > 0 && counts.resent <= 3 * 40, "{counts:?}");
}

#[test]
fn a_reset_gives_back_what_has_no_reply() {
    let replied = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&replied);
    let peer = serve(move |number, mut stream| {
        // Each other connection is reset when three of four have come, without a reply.
        if number % 2 == 0 {
            for _ in 0..3 {
                read_request(&mut stream);
            }
            return reset(stream);
        }
        for _ in 0..6 {
            if read_request(&mut stream).is_none() {
                return;
            }
            count.fetch_add(1, SeqCst);
            let _ = stream.write_all(OK);
        }
        let _ = io::copy(&mut stream, &mut io::sink());
    });
    let summary = run(&format!("-n 10 -c 1 --pipeline 4 --timeout 500ms http://{}", peer.address));
    let counts = &summary.records.counts;
    assert!(counts.resent + counts.transport_failed >= 3, "{counts:?}");
    assert_eq!(counts.succeeded as usize, replied.load(SeqCst), "{:?}", failures(&summary));
}

#[test]
fn a_timeout_ends_what_is_due_and_gives_back_the_others() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let peer = serve(move |_, mut stream| {
        while let Some(head) = read_request(&mut stream) {
            seen.lock().unwrap().push(head);
        }
    });
    let summary = run(&format!("-n 6 -c 1 --pipeline 3 --timeout 200ms http://{}", peer.address));
    let counts = &summary.records.counts;
    assert_eq!((counts.timed_out, counts.succeeded), (6, 0), "{:?}", failures(&summary));
    assert_eq!((summary.records.connections.closed_by_loadgen, peer.connections()), (2, 2));
    assert_eq!(heads.lock().unwrap().len(), 6);
}

#[test]
fn more_replies_than_requests_break_the_protocol() {
    let peer = serve(|_, mut stream| {
        for _ in 0..2 {
            read_request(&mut stream).unwrap();
        }
        stream.write_all(&OK.repeat(3)).unwrap();
        let _ = io::copy(&mut stream, &mut io::sink());
    });
    let summary = run(&format!("-n 4 -c 1 --pipeline 2 http://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 4, "{:?}", failures(&summary));
    assert_eq!(summary.records.unasked.as_ref().map(|(count, _)| *count), Some(2));
    assert_eq!(peer.connections(), 2);
}

#[test]
fn bodies_are_written_one_behind_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    // More than what sockets take in one piece.
    std::fs::write(&file, vec![b'x'; 3 << 20]).unwrap();
    let peer = serve(|_, mut stream| {
        use std::io::Read as _;
        let mut body = vec![0; 3 << 20];
        let mut heads = 0;
        while let Some(head) = read_request(&mut stream) {
            assert!(
                head.starts_with("POST / HTTP/1.1\r\n") && head.contains("content-length: 3145728"),
                "{head}"
            );
            stream.read_exact(&mut body).unwrap();
            assert!(body.iter().all(|byte| *byte == b'x'));
            heads += 1;
            if heads % 3 == 0 {
                stream.write_all(&OK.repeat(3)).unwrap();
            }
        }
    });
    for flags in ["", "-H x:{{seq}}"] {
        let line =
            format!("-n 12 -c 1 --pipeline 3 {flags} --body-file {} http://{}", file.display(), peer.address);
        let summary = run(&line);
        assert_eq!(summary.records.counts.succeeded, 12, "{flags}: {:?}", failures(&summary));
    }
    assert_eq!(peer.connections(), 2);
}

#[cfg(feature = "embedded")]
#[test]
fn dummy_server_answers_pipelines_of_every_kind() {
    let server = crate::server::Server::with(&[]);
    for flags in [
        "-r 2000",
        "-c 3",
        "--expect-continue --chunked -b hello{{seq}}",
        "--requests-per-connection 7",
        "--no-keepalive",
        "--idle-connections 2",
        "--workers 2 -c 2",
        "-X HEAD",
    ] {
        let line = format!("-n 200 --pipeline 4 {flags} http://{}/bin/100", server.http());
        let summary = run(&line);
        assert_eq!(summary.records.counts.succeeded, 200, "{flags}: {:?}", failures(&summary));
        let least = if flags.contains("per-connection") {
            29
        } else if flags.contains("keepalive") {
            200
        } else {
            1
        };
        assert!(summary.records.connections.opened >= least, "{flags}");
        let bytes = if flags.contains("HEAD") { 0 } else { 20_000 };
        assert_eq!(summary.records.body_bytes, bytes, "{flags}");
    }
}
