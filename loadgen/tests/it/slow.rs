//! Slow clients: bytes are read and written no faster than asked for.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::{
    frames::{DATA, END_STREAM, serve_http2},
    peer::{failures, read_request, run, serve, serve_http1},
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Reads a number of bytes, and asserts that by each moment no more have come than by the rate, with what a part of 10 ms has and
/// a tenth for the clocks of two threads.
fn read_at(stream: &mut TcpStream, began: Instant, most: usize, per_second: f64) -> io::Result<usize> {
    let mut bytes = vec![0; 64 << 10];
    let mut all = 0;
    while all < most {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            break;
        }
        all += count;
        let allowed = (began.elapsed().as_secs_f64() + 0.05) * per_second * 1.1 + 1.0;
        assert!(all as f64 <= allowed, "{all} bytes after {:?} at {per_second}/s", began.elapsed());
    }
    Ok(all)
}

#[test]
fn a_slow_writer_sends_head_and_body_by_time() {
    for flags in ["--body-file", "--chunked --body-file"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body");
        std::fs::write(&file, vec![b'x'; 20_000]).unwrap();
        let took = Arc::new(Mutex::new(Duration::ZERO));
        let told = Arc::clone(&took);
        // Before the connection, so that no thread that is late sees more than there may be.
        let began = Instant::now();
        let peer = serve(move |_, mut stream| {
            let all = read_at(&mut stream, began, 20_100, 50_000.0).unwrap();
            assert!(all >= 20_100);
            *told.lock().unwrap() = began.elapsed();
            stream.write_all(OK).unwrap();
            let _ = io::copy(&mut stream, &mut io::sink());
        });
        let line = format!("-n 1 -c 1 --send-rate 50000 {flags} {} http://{}", file.display(), peer.address);
        let summary = run(&line);
        assert_eq!(summary.records.counts.succeeded, 1, "{flags}: {:?}", failures(&summary));
        assert!(*took.lock().unwrap() >= Duration::from_millis(380), "{took:?}");
    }
}

#[test]
fn a_slow_writer_of_http2_sends_all_frames_by_time() {
    let began = Instant::now();
    let peer = serve_http2(&[], move |_, wire| {
        let mut wanted = 0;
        loop {
            let stream = wire.request()?;
            let mut body = 0;
            while body < 4000 {
                body += wire.until(DATA)?.1.len();
            }
            wanted += body;
            // Beside frames' heads and fields.
            let allowed = (began.elapsed().as_secs_f64() + 0.05) * 20_000.0 * 1.1;
            assert!(wanted as f64 <= allowed, "{wanted} after {:?}", began.elapsed());
            wire.reply(stream)?;
        }
    });
    let line = format!("-n 4 -c 1 -m 1 --send-rate 20000 -b {} {}", "x".repeat(4000), peer.address);
    let summary = run(&line);
    assert_eq!(summary.records.counts.succeeded, 4, "{:?}", failures(&summary));
    assert!(summary.elapsed >= Duration::from_millis(750), "{:?}", summary.elapsed);
}

#[test]
fn a_slow_reader_takes_a_reply_by_time() {
    let http1 = serve(|_, mut stream| {
        while read_request(&mut stream).is_some() {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n";
            stream.write_all(&[&head[..], &[b'x'; 10_000]].concat()).unwrap();
        }
    });
    let http2 = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            wire.send(1, 4, stream, &[0x88])?;
            wire.send(DATA, END_STREAM, stream, &[b'x'; 10_000])?;
        }
    });
    for target in [format!("http://{}", http1.address), http2.address.to_string()] {
        let summary = run(&format!("-n 2 -c 1 -m 1 --recv-rate 40000 {target}"));
        assert_eq!(summary.records.counts.succeeded, 2, "{target}: {:?}", failures(&summary));
        assert_eq!(summary.records.body_bytes, 20_000);
        // 20,000 bytes, other than what may be read immediately at first.
        assert!(summary.elapsed >= Duration::from_millis(470), "{target}: {:?}", summary.elapsed);
    }
}

/// It waits for its timer: a loop that asks again and again would keep a CPU busy.
#[test]
fn a_slow_client_sleeps_in_between() {
    let peer = serve(|_, mut stream| {
        while read_request(&mut stream).is_some() {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n";
            if stream.write_all(&[&head[..], &[b'x'; 10_000]].concat()).is_err() {
                break;
            }
        }
    });
    let line = format!(
        "-d 1s -c 20 --workers 1 --recv-rate 10000 --send-rate 1000 --timeout 5s http://{}",
        peer.address
    );
    let summary = run(&line);
    assert_eq!(summary.records.counts.succeeded, summary.records.counts.offered, "{:?}", failures(&summary));
    assert!(summary.busiest_worker < 0.5, "{}", summary.busiest_worker);
}

#[test]
fn a_request_that_is_too_slow_times_out() {
    let peer = serve(|_, mut stream| while read_request(&mut stream).is_some() {});
    let summary = run(&format!("-n 2 -c 1 --send-rate 10 --timeout 300ms http://{}", peer.address));
    assert_eq!(failures(&summary), [("timeout".to_owned(), 2)]);
    assert_eq!(summary.records.connections.closed_by_loadgen, 2);
}

#[cfg(feature = "embedded")]
#[test]
fn slow_clients_speak_tls_and_wait_to_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    let flags = ["--tls-addr=127.0.0.1:0", &format!("--tls-self-signed={}", authority.display())];
    let server = crate::server::Server::with(&flags);
    for flag in ["--http1.1", "--http2"] {
        let line = format!(
            "-n 4 -c 2 -m 1 {flag} --recv-rate 20K --send-rate 20K --expect-continue -b {} --cacert {} https://{}/bin/5000",
            "x".repeat(3000),
            authority.display(),
            server.tls()
        );
        let summary = run(&line);
        assert_eq!(summary.records.counts.succeeded, 4, "{flag}: {:?}", failures(&summary));
        assert_eq!((summary.records.body_bytes, summary.records.connections.opened), (20_000, 2), "{flag}");
        assert!(summary.elapsed >= Duration::from_millis(600), "{flag}: {:?}", summary.elapsed);
    }
}

#[test]
fn a_slow_client_does_not_blame_the_target() {
    let peer = serve_http1(|_| {
        [&b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"[..], &[b'x'; 100_000]].concat()
    });
    let summary = run(&format!("-r 20 -d 1s -c 4 --recv-rate 10K --timeout 1s http://{}", peer.address));
    assert!(summary.records.counts.succeeded < 20, "{:?}", summary.records.counts);
    let said = summary.verdict().join(" ");
    assert!(said.contains("held to --recv-rate 10K") && !said.contains("the target"), "{said}");
}
