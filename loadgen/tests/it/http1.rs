//! HTTP/1.1 against servers that close, reset, violate the protocol or keep silent.

use std::{
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use contract::id::Id;

use crate::peer::{closed_port, failures, read_request, reset, run, serve, serve_http1};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn each_request_carries_its_own_id() {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ids);
    let peer = serve(move |_, mut stream| {
        while let Some(request) = read_request(&mut stream) {
            let id = request.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
            seen.lock().unwrap().push(id.to_owned());
            stream.write_all(OK).unwrap();
        }
    });
    run(&format!("-n 100 -c 4 --workers 2 http://{}", peer.address));
    let mut ids = ids.lock().unwrap().clone();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100);
    assert!(ids.iter().enumerate().all(|(n, id)| id.ends_with(&format!("-00-{n:016x}-00"))), "{ids:?}");
}

#[test]
fn a_retry_has_the_next_attempt_in_its_id() {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ids);
    let peer = serve(move |connection, mut stream| {
        for number in 0.. {
            let Some(request) = read_request(&mut stream) else { return };
            let id = request.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
            seen.lock().unwrap().push(Id::read(id.as_bytes()).unwrap());
            if connection == 0 && number == 1 {
                // A server that closes an idle connection just then has not seen the request.
                return;
            }
            stream.write_all(OK).unwrap();
        }
    });
    let summary = run(&format!("-n 2 -c 1 http://{}", peer.address));
    assert_eq!((summary.records.counts.succeeded, summary.records.counts.resent), (2, 1));
    let sent: Vec<_> = ids.lock().unwrap().iter().map(|id| (id.load, id.number, id.attempt)).collect();
    assert_eq!(sent, [(0, 0, 0), (0, 1, 0), (0, 1, 1)]);
}

#[test]
fn a_connection_is_kept_unless_the_server_says_otherwise() {
    for (reply, connections) in [
        (OK.to_vec(), 1),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_vec(), 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok!close".to_vec(), 10),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok!close".to_vec(), 10),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end!close".to_vec(), 10),
    ] {
        let text = String::from_utf8_lossy(&reply).into_owned();
        let peer = serve_http1(move |_| reply.clone());
        let summary = run(&format!("-n 10 -c 1 http://{}", peer.address));
        assert_eq!(summary.records.counts.succeeded, 10, "{text}");
        assert_eq!((peer.connections(), summary.records.counts.resent), (connections, 0), "{text}");
    }
}

/// Answers the first request of each connection and closes at the second.
fn closes_at_the_second_request() -> crate::peer::Peer {
    serve(|_, mut stream| {
        if read_request(&mut stream).is_some() && stream.write_all(OK).is_ok() {
            read_request(&mut stream);
        }
    })
}

#[test]
fn requests_are_retried_by_policy_and_method_when_a_kept_connection_closes() {
    for (flags, succeeded, resent) in [
        ("", 10, 9),
        ("-X POST", 5, 0),
        ("-X PUT", 5, 0),
        ("--retry safe -X DELETE", 5, 0),
        ("--retry idempotent -X PUT", 10, 9),
        ("--retry idempotent -X DELETE", 10, 9),
        ("--retry idempotent -X POST", 5, 0),
        ("--retry none", 5, 0),
    ] {
        let peer = closes_at_the_second_request();
        let summary = run(&format!("-n 10 -c 1 {flags} http://{}", peer.address));
        let counts = &summary.records.counts;
        assert_eq!((counts.succeeded, counts.resent), (succeeded, resent), "{flags}");
        if succeeded < 10 {
            assert_eq!(failures(&summary), [("closed early".to_owned(), 5)], "{flags}");
        }
    }
}

#[test]
fn truncated_and_malformed_replies_have_their_cause() {
    for (reply, cause) in [
        (b"".as_slice(), "closed early"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ntoo short!close", "closed early"),
        (b"HTTP/1.1 200 O!close", "closed early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n!close", "closed early"),
        (b"this is no reply at all\r\n\r\n", "protocol error"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "protocol error",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "protocol error"),
    ] {
        for load in ["-c 2", "-r 500"] {
            let peer = serve_http1(move |_| reply.to_vec());
            let summary = run(&format!("{load} -n 10 http://{}", peer.address));
            assert_eq!(
                failures(&summary),
                [(cause.to_owned(), 10)],
                "{load}: {}",
                String::from_utf8_lossy(reply)
            );
        }
    }
}

#[test]
fn an_unrequested_reply_closes_the_connection_and_is_not_a_success() {
    const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    // In one piece, and in two of which the second may come at any time before the next request.
    for pieces in [&[&[NOT_FOUND, OK].concat()[..]][..], &[NOT_FOUND, OK]] {
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let peer = serve(move |_, mut stream| {
            stream.set_nodelay(true).unwrap();
            while read_request(&mut stream).is_some() {
                if pieces.iter().any(|piece| stream.write_all(piece).is_err()) {
                    return;
                }
            }
        });
        let summary = run(&format!("-n 5 -r 20 -c 1 http://{}", peer.address));
        let counts = &summary.records.counts;
        assert_eq!((counts.client_errors, counts.succeeded), (5, 0), "{counts:?}");
        assert_eq!(peer.connections(), 5);
        let warning = summary.warnings().join(" ");
        assert!(
            warning.contains("protocol error") && warning.contains("that no request asked for"),
            "{warning}"
        );
    }
}

#[test]
fn a_reset_is_distinguished_from_a_close() {
    let peer = serve(|_, mut stream| {
        read_request(&mut stream);
        reset(stream);
    });
    let summary = run(&format!("-n 10 -c 2 http://{}", peer.address));
    assert_eq!(failures(&summary), [("reset".to_owned(), 10)]);
}

#[test]
fn refused_connections_fail_every_request_and_end_the_run() {
    for load in ["-c 3", "-r 500", "-r 500 --fixed-connections"] {
        let summary = run(&format!("{load} -n 20 http://{}", closed_port()));
        assert_eq!(failures(&summary), [("refused".to_owned(), 20)], "{load}");
    }
}

#[test]
fn a_server_that_closes_every_connection_ends_the_run_too() {
    for load in ["-c 3", "-r 500"] {
        let peer = serve(|_, stream| drop(stream));
        let counts = run(&format!("{load} -n 20 http://{}", peer.address)).records.counts;
        assert_eq!((counts.transport_failed, counts.completed()), (20, 0), "{load}");
    }
}

#[test]
fn an_early_reply_to_a_large_body_is_read() {
    let body = "x".repeat(100_000);
    let peer = serve(|_, mut stream| {
        read_request(&mut stream);
        stream
            .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        // What the client still writes is read, so that the reply is not lost in a reset.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let counts = run(&format!("-n 3 -c 1 -b {body} http://{}", peer.address)).records.counts;
    assert_eq!(counts.client_errors, 3);
}

#[test]
fn several_addresses_and_several_workers_share_the_connections() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let peer = serve_http1(move |n| {
        seen.fetch_max(n + 1, SeqCst);
        OK.to_vec()
    });
    let counts =
        run(&format!("-n 101 -c 6 --workers 3 http://localhost:{}", peer.address.port())).records.counts;
    assert_eq!((counts.succeeded, most.load(SeqCst), peer.connections()), (101, 101, 6));
}
