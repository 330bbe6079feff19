//! Replies that are compressed: what is expected of them, and how they are shown.

use std::path::Path;

use clap::Parser as _;
use loadgen::{
    Run, Summary,
    cli::{Args, command},
    plan::file::PlanFile,
};

use crate::{
    peer::{failures, finish, serve_http1},
    server::Server,
};

fn checked(target: &str, tls: Option<&Path>, expect: &str) -> Summary {
    let text = format!(
        "target: {target}\ndefaults: {{headers: {{accept-encoding: gzip}}, expect: {{{expect}}}}}\n\
         load: {{total: 6, connections: 2}}\n"
    );
    let file = PlanFile::parse(&text, "plan.yaml", Path::new("")).unwrap();
    let mut builder = file.builder(None).unwrap();
    if let Some(authority) = tls {
        builder = builder.cacert(authority);
    }
    finish(Run::new(builder.build().unwrap()))
}

#[test]
fn compressed_bodies_are_checked_as_they_were_before_in_every_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    let flags = ["--tls-addr=127.0.0.1:0", &format!("--tls-self-signed={}", authority.display())];
    let server = Server::with(&flags);
    for (base, tls) in [
        (format!("http://{}", server.http()), None),
        (format!("h2c://{}", server.http()), None),
        (format!("https://{}", server.tls()), Some(&*authority)),
    ] {
        let target = format!("{base}/bin/50K?dummy-gzip=negotiated");
        // What dummy-server generates begins so; on the wire it is far shorter.
        let met = checked(
            &target,
            tls,
            "headers: {content-encoding: gzip}, body_contains: '0123456789', size: 1-20K",
        );
        let unmet: Vec<_> =
            met.records.unmet.iter().map(|(what, seen)| (what.to_owned(), seen.count)).collect();
        assert_eq!((met.records.counts.succeeded, unmet), (6, Vec::new()), "{target}: {:?}", failures(&met));
        let json = format!("{base}/?dummy-gzip=forced");
        let met = checked(&json, tls, "json: {$.method: GET}");
        assert_eq!(met.records.unmet.replies(), 0, "{json}: {:?}", met.records.unmet);
        let other = checked(&json, tls, "json: {$.method: PUT}");
        let (expected, seen) = other.records.unmet.iter().next().unwrap();
        assert_eq!((expected, &*seen.example, seen.count), ("json $.method is \"PUT\"", "\"GET\"", 6));
    }
}

#[test]
fn a_body_that_is_not_what_it_says_is_unmet_with_the_reason() {
    for (coding, reason) in [
        ("gzip", "the body can't be decoded: it is not gzip"),
        ("br", "the body can't be decoded: it is not br"),
        ("zstd", "the body can't be decoded: it is not zstd"),
        ("compress", "the body can't be decoded: it is in 'compress', and only gzip, deflate, br and zstd"),
    ] {
        let peer = serve_http1(move |_| {
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: 4\r\n\r\nabcd")
                .into_bytes()
        });
        let summary = checked(&format!("http://{}", peer.address), None, "body_contains: abcd");
        let (expected, seen) = summary.records.unmet.iter().next().unwrap();
        assert_eq!((expected, seen.count, summary.records.counts.succeeded), ("body contains 'abcd'", 6, 6));
        assert!(seen.example.starts_with(reason), "{}", seen.example);
    }
}

#[test]
fn once_shows_what_was_compressed_with_the_flag_and_what_came_without() {
    let server = Server::with(&[]);
    for (flags, is_decoded) in [("--compressed", true), ("-H accept-encoding:gzip", false)] {
        for scheme in ["http", "h2c"] {
            let line = format!("loadgen --once {flags} {scheme}://{}/?dummy-gzip=negotiated", server.http());
            let mut out = Vec::new();
            command(&Args::try_parse_from(line.split(' ')).unwrap(), &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains("ontent-encoding: gzip"), "{text}");
            assert_eq!(
                text.contains("\"method\": \"GET\"") || text.contains("\"method\":\"GET\""),
                is_decoded,
                "{text}"
            );
            assert_eq!(text.contains("bytes, beginning with 1f 8b"), !is_decoded, "{text}");
        }
    }
    let peer = serve_http1(|_| {
        b"HTTP/1.1 200 OK\r\ncontent-encoding: compress\r\ncontent-length: 4\r\n\r\nabcd".to_vec()
    });
    let line = format!("loadgen --once --compressed http://{}", peer.address);
    let mut out = Vec::new();
    command(&Args::try_parse_from(line.split(' ')).unwrap(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\nabcd\n\n[the body can't be decoded: it is in 'compress'"), "{text}");
}

#[test]
fn bodies_in_br_and_zstd_are_checked_and_shown_as_they_were_before() {
    // The last block, as it is.
    let zstd: &[u8] = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
    for (coding, body) in [("br", &b"\x0b\x02\x80hello\x03"[..]), ("zstd", zstd)] {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let reply = [head.as_bytes(), body].concat();
        let peer = serve_http1(move |_| reply.clone());
        let target = format!("http://{}", peer.address);
        let expect = format!("body_contains: hello, size: {}", body.len());
        let met = checked(&target, None, &expect);
        assert_eq!(
            (met.records.counts.succeeded, met.records.unmet.replies()),
            (6, 0),
            "{:?}",
            met.records.unmet
        );
        let unmet = checked(&target, None, "body_contains: 'hello!'");
        let (_, seen) = unmet.records.unmet.iter().next().unwrap();
        assert_eq!((seen.count, &*seen.example), (6, "'hello'"));
        let mut out = Vec::new();
        let line = format!("loadgen --once --compressed {target}");
        command(&Args::try_parse_from(line.split(' ')).unwrap(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("accept-encoding: gzip, deflate, br, zstd\n") && text.contains("\nhello\n"),
            "{text}"
        );
    }
}
