//! HTTP/1.0: what it says, and when a connection has more than one request.

use std::sync::{Arc, Mutex};

use loadgen::{Plan, cli::Args};

use crate::peer::{failures, run, serve_http1};

#[test]
fn a_connection_has_one_request_whatever_the_server_says() {
    for (reply, [by_server, by_loadgen]) in [
        // Until the end, as the first servers did it.
        (&b"HTTP/1.0 200 OK\r\n\r\nhello!close"[..], [4, 0]),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", [4, 0]),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok!close", [4, 0]),
        // It would keep the connection, which was not requested.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", [0, 4]),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", [0, 4]),
    ] {
        for load in ["-c 1", "-r 100 -c 2"] {
            let peer = serve_http1(move |_| reply.to_vec());
            let summary = run(&format!("-n 4 {load} --http1.0 http://{}/", peer.address));
            assert_eq!(summary.records.counts.succeeded, 4, "{load}: {:?}", failures(&summary));
            let found = &summary.records.connections;
            // Those that are opened in vain, before they are needed, are closed at the end.
            let spare = found.opened - 4;
            assert!(spare <= 2, "{found:?}");
            assert_eq!(found.closed_by_server, by_server, "{load}: {}", String::from_utf8_lossy(reply));
            assert_eq!(found.closed_by_loadgen, by_loadgen + spare, "{load}");
        }
    }
}

#[test]
fn a_connection_is_kept_when_both_ends_say_so() {
    let kept = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nok";
    let peer = serve_http1(move |_| kept.to_vec());
    let line = |address| format!("-n 6 -c 1 --http1.0 -H Connection:keep-alive http://{address}/");
    let summary = run(&line(peer.address));
    assert_eq!((summary.records.counts.succeeded, peer.connections()), (6, 1), "{:?}", failures(&summary));
    let summary = run(&format!("--requests-per-connection 2 {}", line(peer.address)));
    assert_eq!((summary.records.counts.succeeded, peer.connections()), (6, 4), "{:?}", failures(&summary));
    let peer = serve_http1(|_| b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    let summary = run(&line(peer.address));
    assert_eq!((summary.records.counts.succeeded, peer.connections()), (6, 6), "{:?}", failures(&summary));
}

#[test]
fn the_first_line_says_it_and_the_fields_are_as_given() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let peer = crate::peer::serve(move |_, mut stream| {
        use std::io::Write as _;
        while let Some(head) = crate::peer::read_request(&mut stream) {
            seen.lock().unwrap().push(head);
            let _ = stream.write_all(b"HTTP/1.0 204 No Content\r\n\r\n");
        }
    });
    for (flags, path, line) in [
        ("", "/a?b", "GET /a?b HTTP/1.0\r\n"),
        ("", "/{{seq}}", "GET /0 HTTP/1.0\r\n"),
        ("-X HEAD --no-keepalive", "/", "HEAD / HTTP/1.0\r\n"),
    ] {
        let summary = run(&format!("-n 1 -c 1 --http1.0 {flags} http://{}{path}", peer.address));
        assert_eq!(summary.records.counts.succeeded, 1, "{:?}", failures(&summary));
        assert_eq!(summary.run.protocol, "HTTP/1.0");
        let head = heads.lock().unwrap().pop().unwrap();
        assert!(head.starts_with(&format!("{line}host: {}\r\nuser-agent: ", peer.address)), "{head}");
        assert!(!head.contains("connection"), "{head}");
    }
}

#[test]
fn what_it_does_not_have_is_refused() {
    for (line, said) in [
        ("--chunked -b x http://a", "--chunked with HTTP/1.0; accepted: it with HTTP/1.1 or HTTP/2"),
        ("--trailer a:b -b x http://a", "--trailer with HTTP/1.0"),
        ("--expect-continue -b x http://a", "--expect-continue with HTTP/1.0"),
        (
            "--h2-max-frame-size 16K http://a",
            "--h2-max-frame-size with HTTP/1.0; accepted: it with HTTP/2 alone",
        ),
        ("h2c://a", "h2c:// is HTTP/2, and --http1.0 is not"),
        ("grpc://a", "grpc:// is HTTP/2, and --http1.0 is not"),
        ("--http2 a:1", "--http1.0 and --http2 exclude each other"),
        ("--http1.1 a:1", "--http1.0 and --http1.1 exclude each other"),
    ] {
        let words = ["loadgen", "--http1.0"].into_iter().chain(line.split(' '));
        let refused = match Args::read(words) {
            Err(failure) => failure.to_string(),
            Ok(args) => Plan::try_from(&args).unwrap_err().to_string(),
        };
        assert!(refused.contains(said) && refused.contains("; example: "), "{line}: {refused}");
    }
}

#[cfg(feature = "embedded")]
#[test]
fn dummy_server_speaks_it_with_and_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    let flags = ["--tls-addr=127.0.0.1:0", &format!("--tls-self-signed={}", authority.display())];
    let server = crate::server::Server::with(&flags);
    let secure = format!("--cacert {} https://{}/bin/1K", authority.display(), server.tls());
    for target in [format!("http://{}/bin/1K", server.http()), secure] {
        for (flags, opened) in [("", 10), ("-H Connection:keep-alive", 1)] {
            let summary = run(&format!("-n 10 -c 1 --http1.0 {flags} {target}"));
            assert_eq!(summary.records.counts.succeeded, 10, "{target}: {:?}", failures(&summary));
            assert_eq!(
                (summary.records.body_bytes, summary.records.connections.opened),
                (10 << 10, opened),
                "{target}"
            );
        }
    }
}
