//! The client's role.

use http1::{
    Event, Limits,
    response::{Broken, Kind, ResponseReader},
};

use crate::transcript;

const CUT: &str = "the connection was closed within a response";
const BODY_ENDED: &str = "closed, a body's end: true, 0 left";

fn read(wire: &str) -> Vec<String> {
    read_to(wire, &[])
}

fn read_to(wire: &str, kinds: &[Kind]) -> Vec<String> {
    read_within(wire, kinds, Limits::default())
}

fn read_within(wire: &str, kinds: &[Kind], limits: Limits) -> Vec<String> {
    transcript::same(wire.len(), |pieces| transcript::responses(wire.as_bytes(), kinds, limits, pieces))
}

/// A head with these fields, which are lines.
fn ok(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n")
}

/// The first entry from its framing on, and the others.
fn outcome(wire: &str, kind: Kind) -> Vec<String> {
    let mut seen = read_to(wire, &[kind]);
    let (_, outcome) = seen[0].rsplit_once("] ").unwrap_or_else(|| panic!("{wire:?}: {seen:?}"));
    seen[0] = outcome.to_owned();
    seen
}

#[test]
fn the_status_line_and_fields_are_kept_verbatim() {
    let wire = "HTTP/1.1 299 So  what\u{e9} \r\nX-b: 1\r\nx-B:\r\nContent-LENGTH: 0\r\nX-b: 1\r\n\r\n";
    let fields = r#"[("X-b", "1"), ("x-B", ""), ("Content-LENGTH", "0"), ("X-b", "1")]"#;
    assert_eq!(read(wire), [format!("299 \"So  what\u{e9} \" Http11 {fields} Length(0) end")]);
}

#[test]
fn a_reason_may_be_empty_or_missing() {
    for line in ["HTTP/1.1 204 ", "HTTP/1.1 204"] {
        assert_eq!(read(&format!("{line}\r\n\r\n")), ["204 \"\" Http11 [] None end"]);
    }
    assert_eq!(read("HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n").len(), 1);
}

#[test]
fn bodies_of_every_framing_end_where_they_should() {
    for (wire, expected) in [
        (ok("Content-Length: 5\r\n") + "hello", &["Length(5)", "body \"hello\""][..]),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(), &["Length(0) end"]),
        (ok("") + "until the end", &["UntilClose close", "part \"until the end\"", BODY_ENDED]),
        (ok(""), &["UntilClose close", BODY_ENDED]),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), &["None end"]),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n".to_owned(), &["None end"]),
        ("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), &["None end"]),
        (ok("Connection: foo, Close\r\nContent-Length: 1\r\n") + "x", &["Length(1) close", "body \"x\""]),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx".to_owned(), &["Length(1) close", "body \"x\""]),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx".to_owned(),
            &["Length(1)", "body \"x\""],
        ),
        (
            ok("Transfer-Encoding: chunked\r\n") + "5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
            &["Chunked", "body \"hello0123456789\"", r#"trailers [("X", "y")]"#],
        ),
        (ok("Content-Length: 2, 2\r\nContent-Length: 2\r\n") + "ab", &["Length(2)", "body \"ab\""]),
    ] {
        assert_eq!(outcome(&wire, Kind::Usual), expected, "{wire:?}");
    }
}

#[test]
fn a_transfer_coding_frames_a_reply_and_closes_an_http10_connection() {
    let chunks = "1\r\na\r\n0\r\n\r\n";
    for (fields, expected) in [
        ("Transfer-Encoding: gzip, chunked\r\n", "Chunked"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "Chunked"),
    ] {
        assert_eq!(outcome(&(ok(fields) + chunks), Kind::Usual), [expected, "body \"a\""], "{fields:?}");
    }
    let http10 = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(outcome(&format!("{http10}{chunks}"), Kind::Usual), ["Chunked close", "body \"a\""]);
    for fields in ["Transfer-Encoding: gzip\r\n", "Transfer-Encoding: chunked, gzip\r\n"] {
        let seen = outcome(&(ok(fields) + "abc"), Kind::Usual);
        assert_eq!(seen, ["UntilClose close", "part \"abc\"", BODY_ENDED], "{fields:?}");
    }
}

#[test]
fn a_reply_with_both_a_coding_and_a_length_is_refused_whatever_its_kind() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: x\r\n",
        "Transfer-Encoding: gzip\r\nContent-Length: 1\r\n",
    ] {
        for kind in [Kind::Usual, Kind::Head] {
            let seen = read_to(&(ok(fields) + "0\r\n\r\n"), &[kind]);
            assert_eq!(seen, ["both transfer-encoding and content-length"], "{fields:?}");
        }
    }
}

#[test]
fn later_minor_versions_are_read_as_http11() {
    let seen = read("HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(seen, [r#"200 "OK" Http11 [("Content-Length", "0")] Length(0) end"#]);
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let wire = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
        HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno";
    assert_eq!(
        read(wire),
        [
            "interim 100 \"Continue\" Http11 [] None",
            r#"interim 103 "Early Hints" Http11 [("link", "x")] None"#,
            r#"500 "Oops" Http11 [("Content-Length", "2")] Length(2)"#,
            "body \"no\""
        ]
    );
    // They have no body, whatever they say, and do not use up the kind of the request.
    let wire = "HTTP/1.1 102 \r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(read_to(wire, &[Kind::Head]).len(), 2);
}

#[test]
fn replies_to_head_have_no_body_despite_length_or_coding() {
    let wire = ok("Content-Length: 5\r\n") + &ok("Transfer-Encoding: chunked\r\n") + &ok("");
    let seen = read_to(&wire, &[Kind::Head; 3]);
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|entry| entry.ends_with(" None end")), "{seen:?}");
}

#[test]
fn framing_fields_of_bodiless_replies_are_not_refused() {
    for fields in [
        "Content-Length: x\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
    ] {
        let seen = read_to(&ok(fields).repeat(2), &[Kind::Head; 2]);
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(seen.iter().all(|entry| entry.ends_with(" None end")), "{seen:?}");
        for status in ["204 No Content", "304 Not Modified"] {
            let seen = read_to(&ok(fields).replace("200 OK", status), &[Kind::Usual]);
            assert!(seen.len() == 1 && seen[0].ends_with(" None end"), "{seen:?}");
        }
    }
}

#[test]
fn an_expected_kind_applies_to_one_reply() {
    let (mut reader, mut head) = (ResponseReader::new(Limits::default()), Default::default());
    let wire = ok("Content-Length: 1\r\n").repeat(2);
    let mut input = wire.as_bytes();
    reader.expect(Kind::Head);
    for end in [true, false] {
        assert_eq!(reader.read(&mut input, &mut head), Ok(Some(Event::Head { end })));
    }
}

#[test]
fn a_2xx_reply_to_connect_starts_a_tunnel() {
    let tunnel = "HTTP/1.1 200 Go\r\nContent-Length: x\r\nTransfer-Encoding: y\r\n\r\n\0rest";
    let not_touched = "closed, a body's end: false, 5 left";
    assert_eq!(outcome(tunnel, Kind::Connect), ["None close end", not_touched]);
    assert_eq!(outcome("HTTP/1.1 299 Go\r\n\r\nrest!", Kind::Connect), ["None close end", not_touched]);
    let refusal = "HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\na";
    assert_eq!(outcome(refusal, Kind::Connect), ["Length(1)", "body \"a\""]);
}

#[test]
fn protocols_are_switched_only_when_that_was_offered() {
    let wire = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nHTTP/1.1 rest";
    assert_eq!(outcome(wire, Kind::Upgrade), ["None close end", "closed, a body's end: false, 13 left"]);
    for kind in [Kind::Usual, Kind::Head, Kind::Connect] {
        assert_eq!(read_to(wire, &[kind]), ["the server switched protocols unasked"]);
    }
    assert_eq!(outcome(&ok("Content-Length: 0\r\n"), Kind::Upgrade), ["Length(0) end"]);
}

#[test]
fn replies_follow_one_another() {
    let one = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    let two = "HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n";
    let head = "HTTP/1.1 202 OK\r\nContent-Length: 1\r\n\r\n";
    let seen = read_to(&[one, two, head, one].concat(), &[Kind::Usual, Kind::Usual, Kind::Head]);
    let firsts: Vec<_> = seen.iter().map(|entry| entry.split_at(8).0).collect();
    assert_eq!(
        firsts,
        ["200 \"OK\"", "body \"a\"", "201 \"OK\"", "body \"b\"", "202 \"OK\"", "200 \"OK\"", "body \"a\""]
    );
}

#[test]
fn lines_of_heads_and_trailers_may_end_with_lf_alone_and_be_folded() {
    let wire = "HTTP/1.1 200 OK\nTransfer-Encoding:\n chunked\nA: b\r\n\tc\n\n1\r\na\r\n0\r\nT: u\n\r\n";
    let seen = read(wire);
    assert_eq!(
        seen,
        [
            r#"200 "OK" Http11 [("Transfer-Encoding", "chunked"), ("A", "b  \tc")] Chunked"#,
            "body \"a\"",
            r#"trailers [("T", "u")]"#
        ]
    );
}

#[test]
fn a_close_within_a_message_is_an_error() {
    let chunked = ok("Transfer-Encoding: chunked\r\n");
    for wire in [
        "H".to_owned(),
        "HTTP/1.1 200".to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
        ok("Content-Length: 5\r\n"),
        ok("Content-Length: 5\r\n") + "hell",
        chunked.clone(),
        format!("{chunked}5\r\nhello\r\n"),
        format!("{chunked}5\r\nhello\r\n0\r\n"),
    ] {
        assert_eq!(read(&wire).last().unwrap(), CUT, "{wire:?}");
    }
    let mut reader = ResponseReader::new(Limits::default());
    assert_eq!((reader.has_begun(), reader.close()), (false, Ok(false)));
    let mut head = Default::default();
    assert_eq!(reader.read(&mut &b"HT"[..], &mut head), Ok(None));
    assert_eq!((reader.has_begun(), reader.close()), (true, Err(Broken(CUT))));
}

#[test]
fn a_body_ended_by_close_leaves_nothing_begun() {
    let (mut reader, mut head) = (ResponseReader::new(Limits::default()), Default::default());
    let wire = ok("");
    assert_eq!(reader.read(&mut wire.as_bytes(), &mut head), Ok(Some(Event::Head { end: false })));
    assert_eq!((reader.has_begun(), reader.close()), (true, Ok(true)));
    assert_eq!((reader.has_begun(), reader.close()), (false, Ok(false)));
}

#[test]
fn malformed_responses_are_refused() {
    let no_response = "expected a response in HTTP/1.0 or HTTP/1.1, got something else";
    for (wire, broken) in [
        ("garbage, no more than garbage\r\n\r\n".to_owned(), no_response),
        ("g".to_owned(), no_response),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n".to_owned(), no_response),
        ("HTTP/2 200 OK\r\n\r\n".to_owned(), no_response),
        ("HTTP/1.10 200 OK\r\n\r\n".to_owned(), no_response),
        ("http/1.1 200 OK\r\n\r\n".to_owned(), no_response),
        ("HTTP/1.1 20\r\n\r\n".to_owned(), no_response),
        ("HTTP/1.1 2000 OK\r\n\r\n".to_owned(), no_response),
        ("HTTP/1.1 2x0 OK\r\n\r\n".to_owned(), no_response),
        ("HTTP/1.1  200 OK\r\n\r\n".to_owned(), no_response),
        ("HTTP/1.1 200 O\rK\r\n\r\n".to_owned(), no_response),
        ("HTTP/1.1 200 O\0K\r\n\r\n".to_owned(), no_response),
        ("HTTP/1.1 099 Too Low\r\n\r\n".to_owned(), "the status is below 100"),
        ("HTTP/1.1 000 Nothing\r\n\r\n".to_owned(), "the status is below 100"),
        (ok("Content-Length: 1\r\nContent-Length: 2\r\n"), "several content-lengths that differ"),
        (ok("Content-Length: +1\r\n"), "the content-length is not a valid number"),
        (ok("Content-Length:\r\n"), "the content-length is not a valid number"),
        (ok("Transfer-Encoding: chunked, chunked\r\n"), "chunked more than once"),
        (ok("a : b\r\n"), "whitespace before the colon of a field"),
        (ok("a: b\rc\r\n"), "a CR without LF"),
        (ok(" a: b\r\n"), "whitespace before the first field"),
    ] {
        assert_eq!(read(&wire), [broken], "{wire:?}");
    }
}

#[test]
fn bad_chunks_are_refused() {
    let head = ok("Transfer-Encoding: chunked\r\n");
    for (body, broken) in [
        ("\r\n", "a chunk size is not a valid hexadecimal number"),
        ("x\r\n", "a chunk size is not a valid hexadecimal number"),
        ("10000000000000000\r\n", "a chunk size is too large"),
        ("8000000000000000\r\n", "a chunk size is too large"),
        ("1\na\r\n0\r\n\r\n", "a line ends with LF alone"),
        ("0\r\n\n", "a line ends with LF alone"),
        ("0\r\nHost: a\r\n\r\n", "a field that frames or routes a message among the trailers"),
    ] {
        assert_eq!(read(&format!("{head}{body}"))[1..], [broken], "{body:?}");
    }
    for (body, broken) in
        [("1\r\nab\r\n", "a chunk is longer than its size"), ("1\r\na\n", "a line ends with LF alone")]
    {
        assert_eq!(read(&format!("{head}{body}"))[1..], ["part \"a\"", broken], "{body:?}");
    }
}

#[test]
fn every_limit_is_kept_to_the_byte() {
    let limits = Limits { head: 60, fields: 3, ..Limits::default() };
    let sized = |len: usize| {
        let rest = "Content-Length: 0\r\n";
        ok(&format!("{rest}a: {}\r\n", "b".repeat(len - ok(rest).len() - 5)))
    };
    assert_eq!(sized(60).len(), 60);
    let read = |wire: &str| read_within(wire, &[], limits);
    assert_eq!(read(&(sized(60) + &sized(59))).len(), 2);
    assert_eq!(read(&sized(61)), ["the head is too large"]);
    assert_eq!(read(&sized(61)[..60]), ["the head is too large"]);
    assert_eq!(read(&sized(61)[..59]), [CUT]);
    assert_eq!(read(&format!("HTTP/1.1 200 {}", "a".repeat(50))), ["the head is too large"]);
    assert_eq!(read(&ok("a:b\r\nc:d\r\ne:f\r\n")).len(), 2);
    assert_eq!(read(&ok("a:b\r\nc:d\r\ne:f\r\ng:h\r\n")), ["too many fields"]);
}
