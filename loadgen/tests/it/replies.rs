//! Replies in every legal form, over both protocols: each is one success, and its connection goes on.

use std::{collections::BTreeMap, io, io::Write as _, sync::atomic::AtomicUsize};

use loadgen::Summary;

use crate::{
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, STATUS_200, frame, head, serve_http2},
    peer::{Peer, read_request, run, serve, serve_http1},
};

const REQUESTS: usize = 10;

/// Runs against a server and asserts that all replies were taken for a 200 with this body, on one connection.
fn all_succeed(peer: &Peer, requests: usize, body: &str, what: &str) -> Summary {
    let summary = run(&format!("-n {requests} -c 1 -m 1 {}", peer.address));
    assert_succeeded(&summary, peer, requests, body, what);
    summary
}

fn all_succeed_over_http1(peer: &Peer, requests: usize, body: &str, what: &str) {
    let summary = run(&format!("-n {requests} -c 1 http://{}", peer.address));
    assert_succeeded(&summary, peer, requests, body, what);
}

fn assert_succeeded(summary: &Summary, peer: &Peer, requests: usize, body: &str, what: &str) {
    let counts = &summary.records.counts;
    assert_eq!((counts.succeeded, counts.resent), (requests as u64, 0), "{what}: {counts:?}");
    let statuses: BTreeMap<u16, u64> = summary.records.statuses().collect();
    assert_eq!(statuses, BTreeMap::from([(200, requests as u64)]), "{what}");
    assert_eq!(summary.records.body_bytes, (requests * body.len()) as u64, "{what}");
    assert_eq!(peer.connections(), 1, "{what}");
}

#[test]
fn lengths_informational_replies_and_trailers_of_http1_are_understood() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
         1\r\no\r\n1;ext=1\r\nk\r\n0\r\nX-Sum: 7\r\nX-More: 8\r\n\r\n",
    ] {
        let peer = serve_http1(move |_| reply.as_bytes().to_vec());
        all_succeed_over_http1(&peer, REQUESTS, "ok", reply);
    }
}

#[test]
fn a_status_beyond_599_counts_as_5xx_and_is_named_in_the_report() {
    let http1 = serve_http1(|n| {
        let status = if n % 2 == 0 { 600 } else { 999 };
        format!("HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let http2 = serve_http2(&[], |_, wire| {
        for status in ["600", "999"].into_iter().cycle() {
            let stream = wire.request()?;
            wire.0.write_all(&head(stream, END_STREAM, &[(":status", status)]))?;
        }
        Ok(())
    });
    for url in [format!("http://{}", http1.address), http2.address.to_string()] {
        let summary = run(&format!("-n 10 -c 1 -m 1 {url}"));
        let counts = &summary.records.counts;
        assert_eq!(
            (counts.server_errors, counts.completed(), counts.errors()),
            (10, 10, 10),
            "{url}: {counts:?}"
        );
        let statuses: BTreeMap<u16, u64> = summary.records.statuses().collect();
        assert_eq!(statuses, BTreeMap::from([(600, 5), (999, 5)]), "{url}");
        let mut report = Vec::new();
        loadgen::report::text::write((&summary).into(), loadgen::report::text::Style::Plain, &mut report)
            .unwrap();
        let words: Vec<_> = std::str::from_utf8(&report).unwrap().split_whitespace().collect();
        let report = words.join(" ");
        assert!(report.contains("counted as 5xx: 10 (status 600, 999)"), "{report}");
    }
}

#[test]
fn informational_replies_and_trailers_of_http2_are_understood() {
    type Reply = fn(u32) -> Vec<Vec<u8>>;
    let replies: [(&str, Reply); 4] = [
        ("one informational reply", |stream| {
            vec![
                head(stream, 0, &[(":status", "103"), ("link", "</a>")]),
                head(stream, 0, &[(":status", "200"), ("content-length", "2")]),
                frame(DATA, END_STREAM, stream, b"ok"),
            ]
        }),
        ("several informational replies", |stream| {
            vec![
                head(stream, 0, &[(":status", "100")]),
                head(stream, 0, &[(":status", "103"), ("link", "</a>")]),
                head(stream, 0, &[(":status", "200")]),
                frame(DATA, 0, stream, b"o"),
                frame(DATA, END_STREAM, stream, b"k"),
            ]
        }),
        ("trailers", |stream| {
            vec![
                head(stream, 0, &[(":status", "200")]),
                frame(DATA, 0, stream, b"ok"),
                head(stream, END_STREAM, &[("x-sum", "7"), ("x-more", "8")]),
            ]
        }),
        ("an end without content", |stream| {
            vec![
                frame(HEADERS, END_HEADERS, stream, STATUS_200),
                frame(DATA, 0, stream, b"ok"),
                frame(DATA, END_STREAM, stream, b""),
            ]
        }),
    ];
    for (what, reply) in replies {
        let peer = serve_http2(&[], move |_, wire| {
            loop {
                let stream = wire.request()?;
                wire.0.write_all(&reply(stream).concat())?;
            }
        });
        all_succeed(&peer, REQUESTS, "ok", what);
    }
}

/// Writes two parts such that they are two segments, if the system likes.
fn write_split(stream: &mut impl io::Write, bytes: &[u8], at: usize) -> io::Result<()> {
    let (first, second) = bytes.split_at(at.min(bytes.len()));
    stream.write_all(first)?;
    // The reader has its turn, so that most splits are separate reads.
    std::thread::yield_now();
    stream.write_all(second)
}

#[test]
fn a_reply_of_http1_may_be_split_at_each_byte() {
    let reply = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
                 HTTP/1.1 200 OK\r\nX-One: 1\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
    let peer = serve(move |_, mut stream| {
        stream.set_nodelay(true).unwrap();
        for at in 0.. {
            if read_request(&mut stream).is_none() {
                return;
            }
            let _ = write_split(&mut stream, reply.as_bytes(), at);
        }
    });
    all_succeed_over_http1(&peer, reply.len() + 1, "ok", "a split");

    let peer = serve(move |_, mut stream| {
        stream.set_nodelay(true).unwrap();
        while read_request(&mut stream).is_some() {
            for at in 0..reply.len() {
                let _ = stream.write_all(&reply.as_bytes()[at..=at]);
            }
        }
    });
    all_succeed_over_http1(&peer, REQUESTS, "ok", "single bytes");
}

#[test]
fn a_reply_of_http2_may_be_split_at_each_byte() {
    let reply = |stream| {
        [
            head(stream, 0, &[(":status", "103"), ("link", "</a>")]),
            head(stream, 0, &[(":status", "200"), ("content-length", "2")]),
            frame(DATA, 0, stream, b"ok"),
            head(stream, END_STREAM, &[("x-sum", "7")]),
        ]
        .concat()
    };
    let next = AtomicUsize::new(0);
    let peer = serve_http2(&[], move |_, wire| {
        wire.0.set_nodelay(true)?;
        loop {
            let stream = wire.request()?;
            let at = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            write_split(&mut wire.0, &reply(stream), at)?;
        }
    });
    all_succeed(&peer, reply(1).len() + 1, "ok", "a split");

    let peer = serve_http2(&[], move |_, wire| {
        wire.0.set_nodelay(true)?;
        loop {
            for byte in reply(wire.request()?) {
                wire.0.write_all(&[byte])?;
            }
        }
    });
    all_succeed(&peer, REQUESTS, "ok", "single bytes");
}

#[test]
fn body_bytes_of_an_incomplete_reply_are_counted() {
    let http1 = serve(|_, mut stream| {
        while read_request(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nso far");
        }
    });
    let http2 = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            wire.send(HEADERS, END_HEADERS, stream, STATUS_200)?;
            wire.send(DATA, 0, stream, b"so far")?;
        }
    });
    for url in [format!("http://{}", http1.address), http2.address.to_string()] {
        let summary = run(&format!("-n 3 -c 1 -m 1 --timeout 200ms {url}"));
        let counts = &summary.records.counts;
        assert_eq!((counts.timed_out, summary.records.body_bytes), (3, 18), "{url}: {counts:?}");
    }
}
