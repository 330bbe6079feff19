//! How bodies of requests are sent: in chunks, without a length, with trailers behind them.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::{Arc, Condvar, Mutex},
};

use loadgen::{Plan, Run, plan::file::PlanFile};

use crate::{
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, STATUS_200, serve_http2},
    peer::{finish, run, serve},
};

const RST_STREAM: u8 = 3;

fn plan(text: &str) -> Plan {
    PlanFile::parse(text, "plan.yaml", Path::new("")).unwrap().builder(None).unwrap().build().unwrap()
}

/// Reads until this has come.
fn read_until(stream: &mut TcpStream, end: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(end) {
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    Ok(bytes)
}

#[cfg(feature = "embedded")]
#[test]
fn a_server_gets_bodies_in_chunks_and_trailers_of_each_request() {
    let server = crate::server::Server::with(&[]);
    for scheme in ["http", "h2c"] {
        let plan = plan(
            &format!(
                r#"
target: {scheme}://{}/
defaults: {{chunked: true, trailers: {{x-all: "1"}}, body: "{{{{seq}}}} hello"}}
requests:
  - name: defaults
    expect: {{body_contains: ['"trailers":[["x-all","1"]]', ' hello"']}}
  - name: own
    trailers: ["X-Own: 2", "X-Own: 3"]
    body: ""
    expect: {{body_contains: ['-own","2"],["', '-own","3"]]', '"body_size":0']}}
  - name: long
    chunked: true
    method: PUT
    body: {}
    expect: {{body_contains: ['"body_size":50000', '"trailers":[["x-all","1"]]']}}
load: {{total: 30, connections: 2}}
"#,
                server.http(),
                "x".repeat(50_000)
            )
            .replace("X-Own", if scheme == "http" { "x-own" } else { "X-Own" }),
        );
        let summary = finish(Run::new(plan));
        let unmet: Vec<_> = summary.records.unmet.iter().collect();
        assert!(unmet.is_empty(), "{scheme}: {unmet:?}");
        assert_eq!(summary.records.counts.succeeded, 30, "{scheme}: {:?}", summary.records.failures);
    }
}

#[test]
fn requests_without_a_body_have_none_of_what_defaults_say_of_bodies() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let peer = serve(move |_, mut stream| {
        while let Ok(head) = read_until(&mut stream, b"\r\n\r\n") {
            let head = String::from_utf8(head).unwrap();
            if head.contains("chunked") {
                assert_eq!(read_until(&mut stream, b"\r\n\r\n").unwrap(), b"2\r\nhi\r\n0\r\na: b\r\n\r\n");
            }
            seen.lock().unwrap().push(head);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    let plan = plan(&format!(
        "target: http://{}/\ndefaults: {{chunked: true, trailers: ['a: b']}}\n\
         requests: [{{path: /get, count: 2}}, {{path: /post, body: hi, count: 3}}]\nload: {{connections: 1}}",
        peer.address
    ));
    assert_eq!(finish(Run::new(plan)).records.counts.succeeded, 5);
    let heads = heads.lock().unwrap();
    let count = |text: &str| heads.iter().filter(|head| head.contains(text)).count();
    assert_eq!((count("GET /get"), count("POST /post"), heads.len()), (2, 3, 5));
    assert_eq!(
        (count("transfer-encoding: chunked"), count("trailer: a\r\n"), count("content-length")),
        (3, 3, 0)
    );
}

#[test]
fn over_http2_trailers_end_the_stream() {
    for (body, data) in [("--body=hello", Some(&b"hello"[..])), ("--body=", None)] {
        let peer = serve_http2(&[], move |_, wire| {
            let mut stream = 0;
            let mut seen = Vec::new();
            loop {
                let mut head = [0; 9];
                wire.0.read_exact(&mut head)?;
                let mut payload = vec![0; usize::from(head[2])];
                wire.0.read_exact(&mut payload)?;
                if head[3] > HEADERS {
                    continue;
                }
                stream = stream.max(u32::from(head[8]));
                seen.push((head[3], head[4], payload));
                if head[4] & END_STREAM != 0 {
                    break;
                }
            }
            let has_data = seen.iter().find(|(kind, ..)| *kind == DATA);
            assert_eq!(has_data.map(|(_, _, payload)| &payload[..]), data);
            assert_eq!((seen[0].0, seen[0].1), (HEADERS, END_HEADERS));
            let (kind, flags, _) = seen.last().unwrap();
            assert_eq!((*kind, *flags), (HEADERS, END_HEADERS | END_STREAM));
            assert_eq!(seen.len(), 2 + usize::from(data.is_some()));
            wire.reply(stream)?;
            wire.leave()
        });
        let summary = run(&format!("-n 1 -c 1 {body} --trailer x-sum:1 {}", peer.address));
        assert_eq!(summary.records.counts.succeeded, 1, "{body}: {:?}", summary.records.failures);
    }
}

#[test]
fn a_reply_before_the_end_of_a_body_takes_back_its_trailers() {
    let peer = serve_http2(&[0, 4, 0, 0, 0, 3], |_, wire| {
        loop {
            let stream = wire.request()?;
            // Three bytes of five: the window is used up.
            let (_, part) = wire.until(DATA)?;
            assert_eq!(part, b"hel");
            wire.send(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200)?;
            let (reset, code) = wire.until(RST_STREAM)?;
            assert_eq!((reset, &code[..]), (stream, &[0, 0, 0, 8][..]));
        }
    });
    let summary = run(&format!("-n 3 -c 1 -m 1 -b hello --trailer x-sum:1 {}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 3, "{:?}", summary.records.failures);
}

#[test]
fn a_server_that_answers_before_the_last_chunk_is_left() {
    let connections = Arc::new((Mutex::new(0), Condvar::new()));
    let peer = serve(move |number, mut stream| {
        let (count, changed) = &*connections;
        *count.lock().unwrap() += 1;
        changed.notify_all();
        read_until(&mut stream, b"\r\n\r\n").unwrap();
        stream.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n").unwrap();
        // It reads no more, and is left for another connection; the last one at the end of the run.
        if number == 0 {
            drop(changed.wait_while(count.lock().unwrap(), |count| *count < 2).unwrap());
        } else {
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    });
    // Far more than what sockets hold.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    std::fs::write(&file, vec![b'x'; 80 << 20]).unwrap();
    let summary = run(&format!("-n 2 -c 1 --chunked --body-file {} http://{}", file.display(), peer.address));
    assert_eq!(summary.records.counts.client_errors, 2, "{:?}", summary.records.failures);
    assert_eq!((summary.records.connections.opened, peer.connections()), (2, 2));
}

#[test]
fn a_call_has_neither_chunks_nor_its_own_trailers() {
    for flags in ["--chunked", "--trailer a:b"] {
        let words = format!("loadgen {flags} -b x grpc://127.0.0.1:1");
        let args = loadgen::cli::Args::read(words.split(' ')).unwrap();
        let said = Plan::try_from(&args).unwrap_err().to_string();
        assert!(said.starts_with("chunks or trailers of a gRPC call; accepted: neither"), "{said}");
    }
}
