//! The server's role.

use http1::Limits;

use crate::transcript;

fn read(wire: &str) -> Vec<String> {
    read_within(wire, Limits::default())
}

fn read_within(wire: &str, limits: Limits) -> Vec<String> {
    transcript::same(wire.len(), |pieces| transcript::requests(wire.as_bytes(), limits, pieces))
}

/// A request of HTTP/1.1 with a host and these other fields, which are lines.
fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// Expects a rejection and nothing before it.
fn refused(wire: &str, rejection: &str) {
    assert_eq!(read(wire), [rejection], "{wire:?}");
}

/// The only head in `wire`, from its framing on.
fn outcome(wire: &str) -> String {
    let seen = read(wire);
    let (_, outcome) = seen[0].rsplit_once("] ").unwrap_or_else(|| panic!("{wire:?}: {seen:?}"));
    outcome.to_owned()
}

#[test]
fn a_head_keeps_order_case_and_duplicates() {
    let wire = "gEt /A%2f?b=\u{e9}|c HTTP/1.1\r\nX-b: 1\r\nhOST:\ta:80 \r\nx-B:\r\nX-b: 1\r\n\r\n";
    let fields = r#"[("X-b", "1"), ("hOST", "a:80"), ("x-B", ""), ("X-b", "1")]"#;
    assert_eq!(read(wire), [format!("gEt /A%2f?b=\u{e9}|c Http11 {fields} None end")]);
}

#[test]
fn every_form_of_target_is_kept_raw() {
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/\\..//"),
        ("GET", "/?a=b?&c"),
        ("GET", "/\"<>^`{|}[]"),
        ("OPTIONS", "*"),
        ("GET", "http://a/b"),
        ("GET", "HTTPS://[::1]:443"),
        ("OPTIONS", "http://a:80?b"),
        ("CONNECT", "a:443"),
        ("CONNECT", "[::1]:443"),
    ] {
        let seen = read(&format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(seen[0].starts_with(&format!("{method} {target} Http11")), "{seen:?}");
    }
    let wire = b"GET /\xff\x80 HTTP/1.0\r\n\r\n";
    let (mut reader, mut head) = (http1::request::RequestReader::new(Limits::default()), Default::default());
    reader.read(&mut &wire[..], &mut head).unwrap();
    assert_eq!(head.target, b"/\xff\x80");
}

const BAD_TARGET: &str = "400: invalid request target: empty, or with a control character or '#'";
const BAD_VERSION: &str = "505: the version is neither HTTP/1.0 nor HTTP/1.1 to HTTP/1.9";

#[test]
fn a_target_in_no_form_of_its_method_is_refused() {
    const NO_FORM: &str =
        "400: invalid request target: not a path, an http or https URL, or '*' with OPTIONS";
    const NO_TUNNEL: &str = "400: invalid request target: CONNECT takes host:port";
    const FOREIGN: &str = "421: the scheme of the request target is neither http nor https";
    for (method, target, rejection) in [
        ("GET", "foo", NO_FORM),
        ("GET", "?a", NO_FORM),
        ("GET", "a:443", NO_FORM),
        ("GET", "*", NO_FORM),
        ("options", "*", NO_FORM),
        ("OPTIONS", "*a", NO_FORM),
        ("GET", "://a/", NO_FORM),
        ("GET", "1a://a/", NO_FORM),
        ("GET", "a/b://a/", NO_FORM),
        ("GET", "http:///a", NO_FORM),
        ("GET", "http://:80/", NO_FORM),
        ("GET", "http://u:p@a/", NO_FORM),
        ("GET", "http://a^/", NO_FORM),
        ("GET", "ftp://a/b", FOREIGN),
        ("GET", "h2c+x://", FOREIGN),
        ("CONNECT", "a", NO_TUNNEL),
        ("CONNECT", "a:", NO_TUNNEL),
        ("CONNECT", "http://a:80", NO_TUNNEL),
    ] {
        refused(&format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"), rejection);
    }
}

#[test]
fn a_refused_request_is_named_by_its_method_and_raw_target() {
    for (wire, method, target) in [
        ("GET foo HTTP/1.1\r\n", "GET", "foo"),
        ("GET /a b HTTP/1.1\r\n", "GET", "/a b"),
        ("\r\nGET /a#b HTTP/1.1\r\n", "GET", "/a#b"),
        ("GET /old\r\n", "GET", "/old"),
        ("HEAD / HTTP/3.0\r\n", "HEAD", "/"),
        ("POST /x HTTP/1.1\r\n\r\n", "POST", "/x"),
        ("POST /x HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", "POST", "/x"),
        ("G(T / HTTP/1.1\r\n", "", ""),
        ("garbage\r\n", "", ""),
        // The body of a request that was read is not the beginning of another.
        ("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nGET / HTTP/1.1\r\n", "", ""),
    ] {
        let mut reader = http1::request::RequestReader::new(Limits::default());
        let mut head = http1::request::RequestHead { target: b"/of/another".to_vec(), ..Default::default() };
        let mut input = wire.as_bytes();
        while reader.read(&mut input, &mut head).is_ok_and(|event| event.is_some()) {}
        let seen = (String::from_utf8_lossy(&head.method), String::from_utf8_lossy(&head.target));
        assert_eq!((seen.0.as_ref(), seen.1.as_ref()), (method, target), "{wire:?}");
        assert!(head.fields.is_empty(), "{wire:?}");
    }
    let (mut reader, mut head) = (http1::request::RequestReader::new(Limits::default()), Default::default());
    let long = format!("GET /{}", "x".repeat(100_000));
    assert!(reader.read(&mut long.as_bytes(), &mut head).is_err());
    assert!(head.target.starts_with(b"/xxx") && head.target.len() < 10_000, "only the beginning is kept");
}

#[test]
fn later_minor_versions_are_read_as_http11() {
    for minor in 2..=9 {
        let seen = read(&format!("GET / HTTP/1.{minor}\r\nHost: a\r\n\r\n"));
        assert!(seen[0].starts_with("GET / Http11 "), "{seen:?}");
    }
    refused("GET / HTTP/1.5\r\n\r\n", "400: a request of HTTP/1.1 without host");
}

#[test]
fn a_bad_request_line_is_refused() {
    for (line, rejection) in [
        ("G(T / HTTP/1.1", "400: the method is not a token"),
        (" GET / HTTP/1.1", "400: the method is not a token"),
        ("GET\t/ HTTP/1.1", "400: the method is not a token"),
        ("\u{16}\u{3}\u{1}", "400: the method is not a token"),
        ("GET", "400: the request line is not method, target and version"),
        ("GET /", "400: the request line is not method, target and version"),
        ("GET / ", "400: the request line is not method, target and version"),
        ("GET / HTTP/1.1 ", "400: the request line is not method, target and version"),
        ("GET /  HTTP/1.1", "400: the request line is not method, target and version"),
        ("GET /a b HTTP/1.1", "400: the request line is not method, target and version"),
        ("GET / http/1.1", "400: the request line is not method, target and version"),
        ("GET / HTTP/1", "400: the request line is not method, target and version"),
        ("GET / HTTP/1.10", "400: the request line is not method, target and version"),
        ("GET / HTTP/1.1\r", "400: the request line is not method, target and version"),
        ("GET  / HTTP/1.1", BAD_TARGET),
        ("GET /\t HTTP/1.1", BAD_TARGET),
        ("GET /\r HTTP/1.1", BAD_TARGET),
        ("GET /\0 HTTP/1.1", BAD_TARGET),
        ("GET /\x7f HTTP/1.1", BAD_TARGET),
        ("GET /a#b HTTP/1.1", BAD_TARGET),
        ("GET http://a/b#c HTTP/1.1", BAD_TARGET),
        ("GET / HTTP/2.0", BAD_VERSION),
        ("GET / HTTP/0.9", BAD_VERSION),
    ] {
        refused(&format!("{line}\r\nHost: a\r\n\r\n"), rejection);
    }
    // It is refused before the head has ended: perhaps it never does.
    refused("GET / HTTP/3.0\r\n", BAD_VERSION);
    refused("PRI * HTTP/2.0\r\n", BAD_VERSION);
    refused("\u{16}\u{3}\u{1}", "400: the method is not a token");
}

#[test]
fn a_few_empty_lines_before_a_request_are_skipped() {
    for count in 0..=4 {
        let wire = format!("{}{}{}", "\r\n".repeat(count), get(""), get(""));
        assert_eq!(read(&wire).len(), 2);
    }
    refused(&format!("{}{}", "\r\n".repeat(5), get("")), "400: too many empty lines before the request line");
    refused(&format!("\n{}", get("")), "400: a line ends with LF alone");
    refused(&format!("\r{}", get("")), "400: a CR without LF");
    let after_each = format!("{}\r\n\r\n\r\n", get("")).repeat(4);
    assert_eq!(read(&after_each).len(), 4, "they are counted anew after each request");
}

#[test]
fn bad_lines_are_refused() {
    for (wire, rejection) in [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(), "400: a line ends with LF alone"),
        (get("a: b\n"), "400: a line ends with LF alone"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n".to_owned(), "400: a line ends with LF alone"),
        (get("a: b\rc: d\r\n"), "400: a CR without LF"),
        (get("a: b\r\n c\r\n"), "400: a field is folded over lines"),
        (get("a: b\r\n\t\r\n"), "400: a field is folded over lines"),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_owned(), "400: whitespace before the first field"),
        (get("a : b\r\n"), "400: whitespace before the colon of a field"),
        (get("Content-Length : 1\r\n"), "400: whitespace before the colon of a field"),
        (get("a\r\n"), "400: a field line has no colon"),
        (get("(a): b\r\n"), "400: a field name is not a token"),
        (get(": b\r\n"), "400: a field name is not a token"),
        (get("a: \0\r\n"), "400: a field value has control characters"),
    ] {
        refused(&wire, rejection);
    }
}

#[test]
fn one_valid_host_is_needed_but_not_in_http10() {
    refused("GET / HTTP/1.1\r\n\r\n", "400: a request of HTTP/1.1 without host");
    assert_eq!(read("GET / HTTP/1.0\r\n\r\n"), ["GET / Http10 [] None close end"]);
    for version in ["0", "1"] {
        let get = |fields: &str| format!("GET / HTTP/1.{version}\r\n{fields}\r\n\r\n");
        refused(&get("Host: a\r\nhost: a"), "400: more than one host");
        refused(&get("Host: a/b"), "400: the host is neither a name nor an address");
        refused(&get("Host: a b"), "400: the host is neither a name nor an address");
        assert_eq!(read(&get("Host:")).len(), 1);
    }
}

#[test]
fn a_body_is_framed_by_a_length() {
    assert_eq!(outcome(&get("Content-Length: 0\r\n")), "Length(0) end");
    for fields in
        ["Content-Length: 2\r\n", "Content-Length: 2, 2\r\n", "content-length: 2\r\nContent-Length:2\r\n"]
    {
        let wire = format!("{}ab{}", get(fields), get(""));
        let seen = read(&wire);
        assert!(seen[0].ends_with("Length(2)") && seen[1] == "body \"ab\"" && seen.len() == 3, "{seen:?}");
    }
    assert_eq!(
        read(&format!("{}a", get("Content-Length: 2\r\n")))[1..],
        ["part \"a\"", "0 left, idle: false"]
    );
    for (value, rejection) in [
        ("2, 3", "400: several content-lengths that differ"),
        ("2\r\nContent-Length: 3", "400: several content-lengths that differ"),
        ("", "400: the content-length is not a valid number"),
        ("+2", "400: the content-length is not a valid number"),
        ("-2", "400: the content-length is not a valid number"),
        ("2 2", "400: the content-length is not a valid number"),
        ("2,", "400: the content-length is not a valid number"),
        ("0x2", "400: the content-length is not a valid number"),
        ("18446744073709551616", "400: the content-length is not a valid number"),
    ] {
        refused(&get(&format!("Content-Length: {value}\r\n")), rejection);
    }
    assert_eq!(
        read(&get("Content-Length: 18446744073709551615\r\n"))[1..],
        ["0 left, idle: false"],
        "a length has no limit but its type's"
    );
}

#[test]
fn a_body_is_framed_by_chunks() {
    let wire = format!(
        "{}3;a=\"b\"\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\nt: 2\r\n\r\n{}",
        get("Transfer-Encoding: , Chunked\r\n"),
        get("")
    );
    let seen = read(&wire);
    assert_eq!(seen[1..3], ["body \"abcd\"", r#"trailers [("T", "1"), ("t", "2")]"#]);
    assert!(seen[0].ends_with(" Chunked") && seen[3].ends_with(" None end"), "{seen:?}");
}

#[test]
fn codings_that_could_smuggle_are_refused() {
    for (fields, rejection) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", "400: both transfer-encoding and content-length"),
        ("Transfer-Encoding: chunked\r\nContent-Length: x", "400: both transfer-encoding and content-length"),
        ("Transfer-Encoding: gzip\r\nContent-Length: 5", "400: both transfer-encoding and content-length"),
        ("Transfer-Encoding: gzip", "400: the last transfer coding is not chunked"),
        ("Transfer-Encoding: xchunked", "400: the last transfer coding is not chunked"),
        ("Transfer-Encoding: chunked, gzip", "400: the last transfer coding is not chunked"),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            "400: the last transfer coding is not chunked",
        ),
        ("Transfer-Encoding: chunked;q=1", "400: the last transfer coding is not chunked"),
        ("Transfer-Encoding:", "400: the last transfer coding is not chunked"),
        ("Transfer-Encoding: identity", "400: the last transfer coding is not chunked"),
        ("Transfer-Encoding: chunked, chunked", "400: chunked more than once"),
        ("Transfer-Encoding: chunked\r\ntransfer-encoding: chunked", "400: chunked more than once"),
        ("Transfer-Encoding: gzip, chunked", "501: a transfer coding other than chunked"),
        ("Transfer-Encoding: x\r\nTransfer-Encoding: chunked", "501: a transfer coding other than chunked"),
    ] {
        refused(&get(&format!("{fields}\r\n")), rejection);
    }
    let http10 = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    refused(http10, "400: transfer-encoding in HTTP/1.0");
}

#[test]
fn bad_chunks_are_refused() {
    let head = get("Transfer-Encoding: chunked\r\n");
    for (body, last) in [
        ("x\r\n", "400: a chunk size is not a valid hexadecimal number"),
        ("1\na\r\n", "400: a line ends with LF alone"),
        ("8000000000000000\r\n", "400: a chunk size is too large"),
        ("00000000000000000000x\r\n", "400: invalid chunk extension"),
        ("1 \r\n", "400: invalid chunk extension"),
        ("5;\r\n", "400: invalid chunk extension"),
        ("0\r\nContent-Length: 1\r\n\r\n", "400: a field that frames or routes a message among the trailers"),
        ("0\r\n\n", "400: a line ends with LF alone"),
    ] {
        let seen = read(&format!("{head}{body}"));
        assert_eq!(seen[1..], [last], "{body:?}");
    }
    assert_eq!(
        read(&format!("{head}1\r\nab\r\n"))[1..],
        ["part \"a\"", "400: a chunk is longer than its size"]
    );
}

#[test]
fn persistence_follows_the_version_and_the_connection_field() {
    for (version, fields, expected) in [
        ("1.1", "", "None end"),
        ("1.1", "Connection: Close\r\n", "None close end"),
        ("1.1", "Connection: keep-alive\r\nconnection: x, close\r\n", "None close end"),
        ("1.0", "", "None close end"),
        ("1.0", "Connection: Keep-Alive\r\n", "None end"),
        ("1.0", "Connection: keep-alive, close\r\n", "None close end"),
    ] {
        assert_eq!(
            outcome(&format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n")),
            expected,
            "{fields:?}"
        );
    }
}

#[test]
fn expect_100_continue_is_detected() {
    let fields = "Expect: 100-Continue\r\nContent-Length: 1\r\n";
    assert_eq!(outcome(&format!("{}a", get(fields))), "Length(1) continue");
    assert_eq!(outcome(&get("Expect: 100-continue\r\n")), "None end", "there is nothing to wait with");
    let http10 = format!("POST / HTTP/1.0\r\n{fields}\r\na");
    assert_eq!(outcome(&http10), "Length(1) close");
    refused(&get("Expect: more\r\n"), "417: an expectation other than 100-continue");
    refused(&get("Expect: 100-continue, more\r\n"), "417: an expectation other than 100-continue");
}

#[test]
fn an_offered_upgrade_is_detected() {
    assert_eq!(outcome(&get("Connection: Upgrade\r\nUpgrade: websocket\r\n")), "None upgrade end");
    assert_eq!(outcome(&get("Upgrade: websocket\r\n")), "None end");
    assert_eq!(outcome("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), "None close end");
}

#[test]
fn every_limit_is_kept_to_the_byte() {
    let limits = Limits { head: 100, fields: 3, ..Limits::default() };
    let sized = |len: usize| get(&format!("a: {}\r\n", "b".repeat(len - get("a: \r\n").len())));
    assert_eq!(sized(100).len(), 100);
    assert_eq!(read_within(&format!("{}{}", sized(100), sized(99)), limits).len(), 2);
    assert_eq!(read_within(&sized(101), limits), ["431: the head is too large"]);
    assert_eq!(read_within(&sized(101)[..100], limits), ["431: the head is too large"]);
    assert_eq!(read_within(&sized(101)[..99], limits), ["99 left, idle: true"]);

    let targeted = |len: usize| format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", "/".repeat(len));
    assert_eq!(read_within(&targeted(50), limits).len(), 1);
    assert_eq!(read_within(&targeted(51), limits), ["414: the request line is too long"]);
    assert_eq!(read_within(&"G".repeat(100), limits), ["414: the request line is too long"]);
    assert_eq!(read_within(&"G".repeat(99), limits), ["99 left, idle: true"]);

    assert_eq!(read_within(&get("a: b\r\nc: d\r\n"), limits).len(), 1);
    assert_eq!(read_within(&get("a: b\r\nc: d\r\ne: f\r\n"), limits), ["431: too many fields"]);
}

#[test]
fn pipelined_requests_are_read_one_by_one() {
    let post = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let chunked = "PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n";
    let wire = format!("{}{post}{chunked}{}{post}", get(""), get(""));
    let seen = read(&wire);
    let targets: Vec<_> = seen.iter().map(|entry| entry.split(' ').nth(1).unwrap()).collect();
    assert_eq!(targets, ["/", "/b", "\"abc\"", "/c", "\"de\"", "/", "/b", "\"abc\""]);
}

#[test]
fn the_trailers_of_one_request_are_not_those_of_the_next() {
    let (mut reader, mut head) = (http1::request::RequestReader::new(Limits::default()), Default::default());
    let chunked = get("Transfer-Encoding: chunked\r\n");
    let wire = format!("{chunked}0\r\na: b\r\n\r\n{}", get(""));
    let mut input = wire.as_bytes();
    for trailers in [0, 1, 0] {
        assert!(reader.read(&mut input, &mut head).unwrap().is_some());
        assert_eq!(reader.trailers().len(), trailers);
    }
    assert_eq!((reader.read(&mut input, &mut head), input), (Ok(None), &[][..]));
}
