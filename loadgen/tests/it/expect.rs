//! Bodies that wait until the server asks for them (RFC 9110 section 10.1.1).

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, STATUS_200, Wire, serve_http2},
    peer::{failures, read_request, run, serve},
};

const RST_STREAM: u8 = 3;
/// `:status: 100`, as a literal with the name of entry 8 (RFC 7541 section 6.2.2).
const STATUS_100: &[u8] = &[8, 3, b'1', b'0', b'0'];
const STATUS_103: &[u8] = &[8, 3, b'1', b'0', b'3'];
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Nothing has come behind what was read.
fn assert_silent(stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let seen = stream.peek(&mut [0]).map_err(|error| error.kind());
    stream.set_nonblocking(false).unwrap();
    assert_eq!(seen, Err(io::ErrorKind::WouldBlock));
}

fn read(stream: &mut TcpStream, count: usize) -> String {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_body_follows_when_the_server_asks_for_it() {
    for (flags, body) in [
        ("-b hello", "hello"),
        ("-b h{{pick.e.}}llo --no-templates", "h{{pick.e.}}llo"),
        ("-b {{'hello'}}", "hello"),
        ("-b hello --chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("-b hello --trailer a:b", "5\r\nhello\r\n0\r\na: b\r\n\r\n"),
    ] {
        let length = body.len();
        let peer = serve(move |_, mut stream| {
            while let Some(head) = read_request(&mut stream) {
                assert_eq!(head.matches("expect: 100-continue\r\n").count(), 1, "{head}");
                assert_silent(&stream);
                // This one asks for nothing.
                stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n").unwrap();
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
                assert_eq!(read(&mut stream, length), body);
                stream.write_all(OK).unwrap();
            }
        });
        let summary = run(&format!("-n 5 -c 1 {flags} --expect-continue http://{}", peer.address));
        assert_eq!(summary.records.counts.succeeded, 5, "{flags}: {:?}", failures(&summary));
        assert_eq!(peer.connections(), 1, "{flags}");
    }
}

#[test]
fn a_body_follows_when_the_server_says_nothing_for_a_second() {
    let began = Instant::now();
    let peer = serve(move |_, mut stream| {
        read_request(&mut stream).unwrap();
        assert_eq!(read(&mut stream, 5), "hello");
        assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
        // It comes too late, which is harmless.
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        stream.write_all(OK).unwrap();
    });
    let summary = run(&format!("-n 1 -c 1 -b hello --expect-continue http://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 1, "{:?}", failures(&summary));
    let began = Instant::now();
    let peer = serve_http2(&[], move |_, wire| {
        let stream = wire.request()?;
        assert_eq!(wire.until(DATA)?, (stream, b"hello".to_vec()));
        assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
        wire.reply(stream)?;
        wire.leave()
    });
    let summary = run(&format!("-n 1 -c 1 -b hello --expect-continue {}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 1, "{:?}", failures(&summary));
}

#[test]
fn after_a_final_status_there_is_no_body_and_the_connection_ends() {
    for (reply, closed) in [
        (&b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"[..], [0, 3]),
        (b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", [3, 0]),
    ] {
        let peer = serve(move |_, mut stream| {
            read_request(&mut stream).unwrap();
            stream.write_all(reply).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"");
        });
        let summary = run(&format!("-n 3 -c 1 -b hello --expect-continue http://{}", peer.address));
        assert_eq!(summary.records.counts.client_errors, 3, "{:?}", failures(&summary));
        let found = &summary.records.connections;
        assert_eq!([found.closed_by_server, found.closed_by_loadgen], closed);
        assert_eq!(peer.connections(), 3);
    }
}

/// The reply has begun, so that the body is not sent any more, however long the rest of it takes.
#[test]
fn after_the_head_of_a_final_status_time_asks_for_nothing() {
    fn silent(stream: &mut TcpStream) {
        stream.set_read_timeout(Some(Duration::from_millis(1200))).unwrap();
        let seen = stream.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(seen, Err(io::ErrorKind::WouldBlock));
        stream.set_read_timeout(None).unwrap();
    }
    let peer = serve(|_, mut stream| {
        read_request(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nn").unwrap();
        silent(&mut stream);
        stream.write_all(b"o").unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let summary = run(&format!("-n 1 -c 1 -b hello --expect-continue http://{}", peer.address));
    assert_eq!(summary.records.counts.client_errors, 1, "{:?}", failures(&summary));
    let peer = serve_http2(&[], |_, wire| {
        // The settings and that ours have come lie before the request, or behind it.
        let stream = wire.request()?;
        wire.send(6, 0, 0, b"dummyrun")?;
        wire.until(6)?;
        wire.send(HEADERS, END_HEADERS, stream, STATUS_200)?;
        silent(&mut wire.0);
        wire.send(DATA, END_STREAM, stream, b"no")?;
        assert_eq!(wire.until(RST_STREAM)?, (stream, vec![0, 0, 0, 8]));
        wire.leave()
    });
    let summary = run(&format!("-n 1 -c 1 -b hello --expect-continue {}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 1, "{:?}", failures(&summary));
}

#[test]
fn over_http2_a_body_follows_when_the_server_asks_and_only_then() {
    fn ask(wire: &mut Wire, stream: u32) -> io::Result<()> {
        // What was sent before the answer to this has come by then.
        wire.send(6, 0, 0, b"dummyrun")?;
        let mut head = [0; 9];
        loop {
            wire.0.read_exact(&mut head)?;
            let mut payload = vec![0; usize::from(head[2])];
            wire.0.read_exact(&mut payload)?;
            assert_ne!(head[3], DATA, "nobody has asked");
            if head[3] == 6 {
                break;
            }
        }
        wire.send(HEADERS, END_HEADERS, stream, STATUS_103)?;
        wire.send(HEADERS, END_HEADERS, stream, STATUS_100)
    }
    for trailers in ["", "--trailer a:b"] {
        let peer = serve_http2(&[], move |_, wire| {
            loop {
                let stream = wire.request()?;
                ask(wire, stream)?;
                assert_eq!(wire.until(DATA)?, (stream, b"hello".to_vec()));
                if !trailers.is_empty() {
                    assert_eq!(wire.request()?, stream, "trailers");
                }
                wire.reply(stream)?;
            }
        });
        let line = format!("-n 5 -c 1 -m 1 -b hello --expect-continue {trailers} {}", peer.address);
        let summary = run(&line);
        assert_eq!(summary.records.counts.succeeded, 5, "{trailers}: {:?}", failures(&summary));
        assert_eq!(peer.connections(), 1);
    }
    // A final status before the body: the stream ends, and the connection goes on.
    let peer = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            wire.send(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200)?;
            let mut head = [0; 9];
            while head[3] != RST_STREAM {
                wire.0.read_exact(&mut head)?;
                let mut payload = vec![0; usize::from(head[2])];
                wire.0.read_exact(&mut payload)?;
                assert_ne!(head[3], DATA, "nobody has asked");
            }
        }
    });
    let summary = run(&format!("-n 5 -c 1 -m 1 -b hello --expect-continue {}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 5, "{:?}", failures(&summary));
    assert_eq!(peer.connections(), 1);
}

#[test]
fn an_empty_body_is_nothing_to_wait_for() {
    let peer = serve(|_, mut stream| {
        while let Some(head) = read_request(&mut stream) {
            assert!(!head.contains("expect"), "{head}");
            stream.write_all(OK).unwrap();
        }
    });
    // The same of one that is found to be empty: it says that it waits, and does not.
    let summary = run(&format!("-n 2 -c 1 --body= --expect-continue http://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 2, "{:?}", failures(&summary));
}

#[cfg(feature = "embedded")]
#[test]
fn dummy_server_asks_for_bodies() {
    let server = crate::server::Server::with(&[]);
    for scheme in ["http", "h2c"] {
        let line = format!(
            "-n 30 -c 2 --timeout 900ms -b hello --expect-continue {scheme}://{}/upload",
            server.http()
        );
        let summary = run(&line);
        // Without being asked it would send the body after a second, and time out before.
        assert_eq!(summary.records.counts.succeeded, 30, "{scheme}: {:?}", failures(&summary));
        assert_eq!(summary.records.connections.opened, 2, "{scheme}");
    }
}
