//! The same bytes to our readers and to those of the crate hyper, in both roles: legal messages with at most one
//! thing among them that is not, and the same verdict from both, or else an entry in the table of differences, which
//! says why.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    error::Error,
    io::ErrorKind,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use http1::{
    Event, Limits, Version, request,
    response::{self, Kind},
};
use hyper::{body::Incoming, client, header::HeaderMap, server, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// A generator of numbers (xorshift), the same at every run.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, from: &[u8], most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.pick(from)).collect()
    }
}

/// What was read of a message, part by part.
type Parts = BTreeMap<String, String>;

/// What came after the last whole message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outcome {
    /// Nothing, or nothing that was read, because the connection was to end.
    #[default]
    Ends,
    /// Something that is refused.
    Refused,
    /// A message whose end did not come.
    Cut,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    messages: Vec<Parts>,
    outcome: Outcome,
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Puts down fields by their lower-case names, because hyper keeps the order of duplicates alone.
fn put<'f>(parts: &mut Parts, what: &str, fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) {
    for (name, value) in fields {
        let all = parts.entry(format!("{what} {}", text(&name.to_ascii_lowercase()))).or_default();
        *all = format!("{all}[{}]", text(value));
    }
}

fn put_map(parts: &mut Parts, what: &str, fields: &HeaderMap) {
    put(parts, what, fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
}

fn parts<const N: usize>(parts: [(&str, String); N]) -> Parts {
    parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect()
}

fn version(version: Version) -> String {
    text(version.bytes())
}

/// Fields that are legal in any message and mean nothing.
fn fields(random: &mut Random, out: &mut Vec<u8>, most: usize) {
    for _ in 0..random.below(most + 1) {
        out.push(b'x');
        out.extend(random.bytes(b"aZ09-_.!#$%&'*+^`|~", 8));
        out.push(b':');
        out.extend(random.bytes(b" \t", 3));
        out.extend(random.bytes(b"aZ09 \t,;:=\"()<>@/[]?{}\\\x80\xff", 20));
        out.extend_from_slice(b"\r\n");
    }
}

/// The fields that frame a body, the end of the head, and the body.
fn body(random: &mut Random, out: &mut Vec<u8>, is_needed: bool) {
    let bytes = random.bytes(b"abc\r\n\0\xff01", 60);
    match random.below(3) {
        0 if !is_needed => out.extend_from_slice(b"\r\n"),
        1 => {
            let zeros = random.pick(&["", "", "00"]);
            out.extend_from_slice(format!("content-LENGTH: {zeros}{}\r\n\r\n", bytes.len()).as_bytes());
            out.extend_from_slice(&bytes);
        }
        _ => {
            out.extend_from_slice(
                random
                    .pick(&[
                        "Transfer-Encoding: chunked\r\n\r\n",
                        "transfer-encoding:CHUNKED\r\n\r\n",
                        "Transfer-Encoding: ,chunked\r\n\r\n",
                    ])
                    .as_bytes(),
            );
            let mut left = &bytes[..];
            while !left.is_empty() {
                let (chunk, rest) = left.split_at(1 + random.below(left.len()));
                let size = if random.below(2) == 0 {
                    format!("{:x}", chunk.len())
                } else {
                    format!("{:04X}", chunk.len())
                };
                let extension = random.pick(&["", "", ";a", ";a=b", " ; a = \"b c\"", ";a=b;c=\"\\\"\""]);
                out.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
                left = rest;
            }
            out.extend_from_slice(random.pick(&["0\r\n", "000\r\n", "0;last\r\n"]).as_bytes());
            fields(random, out, 2);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn legal_request(random: &mut Random) -> Vec<u8> {
    let mut out = b"\r\n".repeat(random.pick(&[0, 0, 0, 1, 3]));
    let method = random.pick(&["GET", "POST", "HEAD", "OPTIONS", "x-~!", "get"]);
    let target = random.pick(&["/", "/a?b=c&d", "/%20//..", "*", "http://a.b:80/c?d", "/?", "/a\"b"]);
    let is_old = random.below(5) == 0;
    out.extend_from_slice(format!("{method} {target} HTTP/1.{}\r\n", u8::from(!is_old)).as_bytes());
    fields(random, &mut out, 3);
    if is_old {
        out.extend_from_slice(b"Connection: x, Keep-Alive\r\n");
    } else {
        let host = random.pick(&["a", "a.b:80", "[::1]:9", "", "127.0.0.1"]);
        out.extend_from_slice(format!("hOST: {host}\r\n").as_bytes());
        out.extend_from_slice(
            random.pick(&["", "", "Expect: 100-continue\r\n", "Upgrade: x\r\n"]).as_bytes(),
        );
    }
    fields(random, &mut out, 3);
    if is_old {
        out.extend_from_slice(random.pick(&["\r\n", "Content-Length: 2\r\n\r\nab"]).as_bytes());
    } else {
        body(random, &mut out, false);
    }
    out
}

fn legal_response(random: &mut Random) -> (Kind, Vec<u8>) {
    let mut out = Vec::new();
    for _ in 0..random.pick(&[0, 0, 1, 2]) {
        let line = random.pick(&["100 Continue", "103 Early Hints", "102 ", "199"]);
        out.extend_from_slice(format!("HTTP/1.1 {line}\r\n").as_bytes());
        fields(random, &mut out, 2);
        out.extend_from_slice(b"\r\n");
    }
    let kind = random.pick(&[Kind::Usual, Kind::Usual, Kind::Head]);
    let line = random.pick(&["200 OK", "404 Not Found", "500 ", "302", "999 a\tb", "204 x", "304 "]);
    out.extend_from_slice(format!("HTTP/1.1 {line}\r\n").as_bytes());
    fields(random, &mut out, 3);
    if kind == Kind::Head || line.starts_with("204") || line.starts_with("304") {
        out.extend_from_slice(random.pick(&["\r\n", "X: y\r\n\r\n"]).as_bytes());
        if kind == Kind::Head {
            out.splice(out.len() - 2.., *b"Content-Length: 77\r\n\r\n");
        }
    } else {
        body(random, &mut out, true);
    }
    (kind, out)
}

/// Where what is odd stands in a message that is legal otherwise.
enum Odd {
    /// It is the whole message.
    Whole(&'static [&'static str]),
    /// It is the first line, without its end.
    Line(&'static [&'static str]),
    /// It is one or more of the field lines, without the last end; nothing else frames a request.
    Field(&'static [&'static str]),
    /// It is the last of the field lines, the empty line and the body.
    Rest(&'static [&'static str]),
    /// It is a chunked body.
    Chunks(&'static [&'static str]),
}

use Odd::{Chunks, Field, Line, Rest, Whole};

impl Odd {
    /// `line` and `host` are legal, and `end` frames no body.
    fn message(&self, random: &mut Random, line: &str, host: &str, end: &str) -> Vec<u8> {
        let (Whole(ways) | Line(ways) | Field(ways) | Rest(ways) | Chunks(ways)) = self;
        let way = random.pick(ways);
        if matches!(self, Whole(_)) {
            return way.as_bytes().to_vec();
        }
        let mut out = if matches!(self, Line(_)) { way } else { line }.as_bytes().to_vec();
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(host.as_bytes());
        fields(random, &mut out, 2);
        match self {
            Whole(_) | Line(_) => out.extend_from_slice(format!("{end}\r\n").as_bytes()),
            Field(_) => {
                // Otherwise what is to come would be the first field in some rounds only.
                out.extend_from_slice(format!("before: x\r\n{way}\r\n").as_bytes());
                fields(random, &mut out, 2);
                out.extend_from_slice(format!("{end}\r\n").as_bytes());
            }
            Rest(_) => out.extend_from_slice(way.as_bytes()),
            Chunks(_) => out.extend_from_slice(format!("Transfer-Encoding: chunked\r\n\r\n{way}").as_bytes()),
        }
        out
    }
}

const REQUESTS: &[(&str, Odd)] = &[
    ("nothing", Field(&["odd: x"])),
    ("a method that is no token", Line(&["G(T / HTTP/1.1", "G@ / HTTP/1.1", "\u{e9} / HTTP/1.1"])),
    ("no method", Line(&[" / HTTP/1.1"])),
    ("no target", Line(&["GET HTTP/1.1", "GET  HTTP/1.1"])),
    ("no version", Line(&["GET /", "GET / "])),
    ("two spaces in the request line", Line(&["GET  / HTTP/1.1", "GET /  HTTP/1.1"])),
    ("a space after the version", Line(&["GET / HTTP/1.1 "])),
    ("a tab in the request line", Line(&["GET\t/ HTTP/1.1", "GET /\tHTTP/1.1"])),
    ("a target with a space", Line(&["GET /a b HTTP/1.1"])),
    ("a target with a control character", Line(&["GET /\x01 HTTP/1.1", "GET /\x7f HTTP/1.1"])),
    ("a target above ASCII", Line(&["GET /\u{e9} HTTP/1.1"])),
    ("a target with a fragment", Line(&["GET /a#b HTTP/1.1"])),
    ("a target with < or >", Line(&["GET /<a> HTTP/1.1"])),
    ("a target in no form", Line(&["GET a/b HTTP/1.1", "GET ?a HTTP/1.1"])),
    ("an absolute target without a path", Line(&["GET http://a HTTP/1.1"])),
    ("CONNECT", Line(&["CONNECT a:80 HTTP/1.1"])),
    ("HTTP/2.0", Line(&["GET / HTTP/2.0"])),
    ("HTTP/1.2", Line(&["GET / HTTP/1.2"])),
    ("HTTP/0.9", Line(&["GET / HTTP/0.9"])),
    ("a version in lower case", Line(&["GET / http/1.1"])),
    ("a version of two digits", Line(&["GET / HTTP/1.10", "GET / HTTP/11.1"])),
    ("the preface of HTTP/2", Whole(&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])),
    ("a record of TLS", Whole(&["\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03"])),
    ("four empty lines", Whole(&["\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"])),
    ("five empty lines", Whole(&["\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"])),
    ("an empty line of LF alone", Whole(&["\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"])),
    ("a CR before the request line", Whole(&["\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"])),
    ("a request line that ends with LF", Whole(&["GET / HTTP/1.1\nHost: a\r\n\r\n"])),
    ("a request line that ends with CR", Whole(&["GET / HTTP/1.1\rHost: a\r\n\r\n"])),
    ("a field that ends with LF", Field(&["odd: x\nodder: y"])),
    ("a field that ends with CR", Field(&["odd: x\rodder: y"])),
    ("an empty line of LF after the fields", Whole(&["GET / HTTP/1.1\r\nHost: a\r\n\n"])),
    ("a space before the first field", Whole(&["GET / HTTP/1.1\r\n Host: a\r\n\r\n"])),
    ("a folded field", Field(&["odd: x\r\n y", "odd: x\r\n\ty"])),
    ("a space before the colon", Field(&["odd : x", "odd\t: x"])),
    ("no colon", Field(&["odd"])),
    ("an empty name", Field(&[": x"])),
    ("a name that is no token", Field(&["o d: x", "o(d: x", "o\u{e9}d: x", "o\x01: x", "{: x"])),
    ("a value with a control character", Field(&["odd: \x01", "odd: a\x0bb", "odd: \x7f"])),
    ("a value with NUL", Field(&["odd: a\0b"])),
    ("an empty value", Field(&["odd:", "odd: \t "])),
    ("101 fields", Field(&[FIELDS_101])),
    ("no host", Whole(&["GET / HTTP/1.1\r\nodd: x\r\n\r\n", "GET http://a/ HTTP/1.1\r\n\r\n"])),
    ("no host in HTTP/1.0", Whole(&["GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"])),
    ("two hosts", Field(&["Host: a", "Host: b"])),
    (
        "a host that is none",
        Whole(&["GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"]),
    ),
    ("HTTP/1.0", Whole(&["GET / HTTP/1.0\r\n\r\n"])),
    ("close", Field(&["Connection: close", "Connection: x, CLOSE"])),
    ("close in one field of two", Field(&["Connection: close\r\nConnection: keep-alive"])),
    ("close in HTTP/1.0", Whole(&["GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"])),
    ("the expectation of something else", Field(&["Expect: x", "Expect: 100-continue, x"])),
    ("content-length of letters", Rest(&["Content-Length: x\r\n\r\n"])),
    ("content-length with a sign", Rest(&["Content-Length: +2\r\n\r\nab", "Content-Length: -2\r\n\r\nab"])),
    ("an empty content-length", Rest(&["Content-Length:\r\n\r\n"])),
    ("content-length above 2^64", Rest(&["Content-Length: 18446744073709551616\r\n\r\n"])),
    ("content-length of 2^64 - 1", Rest(&["Content-Length: 18446744073709551615\r\n\r\n"])),
    ("content-lengths that differ", Rest(&["Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"])),
    ("content-lengths that differ in a list", Rest(&["Content-Length: 2, 3\r\n\r\nabc"])),
    ("content-lengths that are equal", Rest(&["Content-Length: 2\r\nContent-Length: 2\r\n\r\nab"])),
    ("content-lengths that are equal in a list", Rest(&["Content-Length: 2, 2\r\n\r\nab"])),
    (
        "content-length, then chunked",
        Rest(&["Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]),
    ),
    (
        "chunked, then content-length",
        Rest(&["Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"]),
    ),
    ("chunked in HTTP/1.0", Whole(&["GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])),
    ("an unknown coding", Rest(&["Transfer-Encoding: x\r\n\r\n", "Transfer-Encoding: identity\r\n\r\n"])),
    ("an empty coding", Rest(&["Transfer-Encoding:\r\n\r\n"])),
    ("an unknown coding, then chunked", Rest(&["Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n"])),
    ("chunked, then an unknown coding", Rest(&["Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n"])),
    ("chunked twice", Rest(&["Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"])),
    (
        "chunked in one field of two",
        Rest(&["Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"]),
    ),
    ("chunked and an empty member", Rest(&["Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"])),
    ("chunked with a parameter", Rest(&["Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"])),
    ("a chunk size that is no number", Chunks(&["x\r\n\r\n", "-1\r\n", ";a\r\n", "0x1\r\na\r\n0\r\n\r\n"])),
    ("no chunk size", Chunks(&["\r\n0\r\n\r\n"])),
    ("a space before the chunk size", Chunks(&[" 1\r\na\r\n0\r\n\r\n"])),
    ("spaces after the chunk size", Chunks(&["1 \r\na\r\n0\r\n\r\n", "1\t \r\na\r\n0\r\n\r\n"])),
    ("a chunk size above 2^64", Chunks(&["10000000000000000\r\na"])),
    ("a chunk size above 2^63", Chunks(&["8000000000000000\r\na"])),
    ("a chunk size of 17 digits", Chunks(&["00000000000000001\r\na\r\n0\r\n\r\n"])),
    ("an extension that is none", Chunks(&["1 a\r\na\r\n0\r\n\r\n"])),
    ("an extension with a control character", Chunks(&["1;a=\x01\r\na\r\n0\r\n\r\n"])),
    ("an extension with LF", Chunks(&["1;a\nb\r\na\r\n0\r\n\r\n"])),
    ("an extension with CR", Chunks(&["1;a\rb\r\na\r\n0\r\n\r\n"])),
    ("a chunk size that ends with LF", Chunks(&["1\na\r\n0\r\n\r\n"])),
    ("a chunk that ends with LF", Chunks(&["1\r\na\n0\r\n\r\n"])),
    ("a chunk that ends with CR", Chunks(&["1\r\na\r0\r\n\r\n"])),
    ("a chunk longer than its size", Chunks(&["1\r\nabc\r\n0\r\n\r\n"])),
    ("an empty line of LF after the chunks", Chunks(&["1\r\na\r\n0\r\n\n"])),
    ("trailers that end with LF", Chunks(&["0\r\na: b\nc: d\r\n\r\n"])),
    ("a trailer that is folded", Chunks(&["0\r\na: b\r\n c\r\n\r\n"])),
    ("a space before the first trailer", Chunks(&["0\r\n a: b\r\n\r\n"])),
    ("a trailer without colon", Chunks(&["0\r\na\r\n\r\n"])),
    ("a trailer whose name is no token", Chunks(&["0\r\na b: c\r\n\r\n"])),
    ("a trailer with a control character", Chunks(&["0\r\na: \x01\r\n\r\n"])),
    (
        "a trailer that frames",
        Chunks(&["0\r\nContent-Length: 5\r\n\r\n", "0\r\nTransfer-Encoding: x\r\n\r\n"]),
    ),
    ("a trailer that routes", Chunks(&["0\r\nHost: b\r\n\r\n"])),
];

const FIELDS_101: &str = const {
    const BYTES: [u8; 101 * 6 - 2] = {
        let mut bytes = [0; 101 * 6 - 2];
        let mut at = 0;
        while at < bytes.len() {
            bytes[at] = b"o: x\r\n"[at % 6];
            at += 1;
        }
        bytes
    };
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }
};

const RESPONSES: &[(&str, Kind, Odd)] = &[
    ("nothing", Kind::Usual, Field(&["odd: x"])),
    ("no status", Kind::Usual, Line(&["HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 OK"])),
    ("a status of two digits", Kind::Usual, Line(&["HTTP/1.1 20 OK", "HTTP/1.1 20"])),
    ("a status of four digits", Kind::Usual, Line(&["HTTP/1.1 2000 OK"])),
    ("a status below 100", Kind::Usual, Line(&["HTTP/1.1 099 x", "HTTP/1.1 000 "])),
    ("two spaces before the status", Kind::Usual, Line(&["HTTP/1.1  200 OK"])),
    ("a tab before the status", Kind::Usual, Line(&["HTTP/1.1\t200 OK"])),
    ("a reason above ASCII", Kind::Usual, Line(&["HTTP/1.1 200 \u{e9}"])),
    ("a reason with a control character", Kind::Usual, Line(&["HTTP/1.1 200 \x01", "HTTP/1.1 200 a\x7f"])),
    ("a reason with CR", Kind::Usual, Line(&["HTTP/1.1 200 a\rb"])),
    ("HTTP/2.0", Kind::Usual, Line(&["HTTP/2.0 200 OK"])),
    ("HTTP/1.2", Kind::Usual, Line(&["HTTP/1.2 200 OK"])),
    ("a version in lower case", Kind::Usual, Line(&["http/1.1 200 OK"])),
    ("another protocol", Kind::Usual, Whole(&["SSH-2.0-x\r\n", "220 x\r\n", "\x15\x03\x03\0\x02\x02\x46"])),
    (
        "an empty line before the status line",
        Kind::Usual,
        Whole(&["\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]),
    ),
    ("a status line that ends with LF", Kind::Usual, Whole(&["HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"])),
    ("a field that ends with LF", Kind::Usual, Field(&["odd: x\nodder: y"])),
    ("a field that ends with CR", Kind::Usual, Field(&["odd: x\rodder: y"])),
    (
        "an empty line of LF after the fields",
        Kind::Usual,
        Whole(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"]),
    ),
    (
        "a space before the first field",
        Kind::Usual,
        Whole(&["HTTP/1.1 200 OK\r\n Content-Length: 0\r\n\r\n"]),
    ),
    ("a folded field", Kind::Usual, Field(&["odd: x\r\n y"])),
    ("a space before the colon", Kind::Usual, Field(&["odd : x", "odd\t: x"])),
    ("no colon", Kind::Usual, Field(&["odd"])),
    ("an empty name", Kind::Usual, Field(&[": x"])),
    ("a name that is no token", Kind::Usual, Field(&["o d: x", "o(d: x", "o\u{e9}d: x"])),
    ("a value with a control character", Kind::Usual, Field(&["odd: \x01", "odd: a\x0bb", "odd: a\0b"])),
    ("an empty value", Kind::Usual, Field(&["odd:", "odd: \t "])),
    ("101 fields", Kind::Usual, Field(&[FIELDS_101])),
    ("close", Kind::Usual, Field(&["Connection: close", "Connection: x, CLOSE"])),
    ("close in one field of two", Kind::Usual, Field(&["Connection: close\r\nConnection: keep-alive"])),
    ("HTTP/1.0", Kind::Usual, Line(&["HTTP/1.0 200 OK"])),
    (
        "HTTP/1.0 with keep-alive",
        Kind::Usual,
        Whole(&["HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"]),
    ),
    ("a body until the close", Kind::Usual, Rest(&["\r\nabc", "\r\n"])),
    ("less than the length", Kind::Usual, Rest(&["Content-Length: 5\r\n\r\nabc"])),
    ("more than the length", Kind::Usual, Rest(&["Content-Length: 2\r\n\r\nabc"])),
    ("a body after the head for HEAD", Kind::Head, Rest(&["Content-Length: 2\r\n\r\nab"])),
    ("a body after 204", Kind::Usual, Whole(&["HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\nab"])),
    (
        "a head that is cut",
        Kind::Usual,
        Whole(&["HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n"]),
    ),
    ("an interim response alone", Kind::Usual, Whole(&["HTTP/1.1 100 x\r\n\r\n"])),
    ("nothing at all", Kind::Usual, Whole(&[""])),
    ("101 unasked", Kind::Usual, Whole(&["HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"])),
    (
        "101 as asked",
        Kind::Upgrade,
        Whole(&["HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nmore"]),
    ),
    ("200 to CONNECT", Kind::Connect, Whole(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nmore"])),
    ("404 to CONNECT", Kind::Connect, Whole(&["HTTP/1.1 404 x\r\nContent-Length: 2\r\n\r\nab"])),
    ("content-length of letters", Kind::Usual, Rest(&["Content-Length: x\r\n\r\n"])),
    ("content-length with a sign", Kind::Usual, Rest(&["Content-Length: +2\r\n\r\nab"])),
    ("an empty content-length", Kind::Usual, Rest(&["Content-Length:\r\n\r\n"])),
    ("content-length above 2^64", Kind::Usual, Rest(&["Content-Length: 18446744073709551616\r\n\r\n"])),
    ("content-length of 2^64 - 1", Kind::Usual, Rest(&["Content-Length: 18446744073709551615\r\n\r\n"])),
    (
        "content-lengths that differ",
        Kind::Usual,
        Rest(&["Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"]),
    ),
    (
        "content-lengths that are equal",
        Kind::Usual,
        Rest(&["Content-Length: 2\r\nContent-Length: 2\r\n\r\nab"]),
    ),
    ("content-lengths that are equal in a list", Kind::Usual, Rest(&["Content-Length: 2, 2\r\n\r\nab"])),
    ("content-length of letters for HEAD", Kind::Head, Rest(&["Content-Length: x\r\n\r\n"])),
    (
        "content-length and chunked",
        Kind::Usual,
        Rest(&["Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]),
    ),
    (
        "chunked in HTTP/1.0",
        Kind::Usual,
        Whole(&["HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]),
    ),
    ("an unknown coding", Kind::Usual, Rest(&["Transfer-Encoding: x\r\n\r\nabc"])),
    ("an empty coding", Kind::Usual, Rest(&["Transfer-Encoding:\r\n\r\nabc"])),
    (
        "an unknown coding, then chunked",
        Kind::Usual,
        Rest(&["Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n"]),
    ),
    (
        "chunked, then an unknown coding",
        Kind::Usual,
        Rest(&["Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n"]),
    ),
    ("chunked twice", Kind::Usual, Rest(&["Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"])),
    ("chunked and an empty member", Kind::Usual, Rest(&["Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"])),
    ("chunks that are cut", Kind::Usual, Chunks(&["5\r\nab", "5\r\nabcde\r\n", "0\r\n"])),
    (
        "a chunk size that is no number",
        Kind::Usual,
        Chunks(&["x\r\n\r\n", "-1\r\n", ";a\r\n", "0x1\r\na\r\n0\r\n\r\n"]),
    ),
    ("no chunk size", Kind::Usual, Chunks(&["\r\n0\r\n\r\n"])),
    ("spaces after the chunk size", Kind::Usual, Chunks(&["1 \r\na\r\n0\r\n\r\n"])),
    ("a chunk size above 2^64", Kind::Usual, Chunks(&["10000000000000000\r\na"])),
    ("a chunk size above 2^63", Kind::Usual, Chunks(&["8000000000000000\r\na"])),
    ("a chunk size of 17 digits", Kind::Usual, Chunks(&["00000000000000001\r\na\r\n0\r\n\r\n"])),
    ("an extension that is none", Kind::Usual, Chunks(&["1 a\r\na\r\n0\r\n\r\n"])),
    ("an extension with a control character", Kind::Usual, Chunks(&["1;a=\x01\r\na\r\n0\r\n\r\n"])),
    ("a chunk size that ends with LF", Kind::Usual, Chunks(&["1\na\r\n0\r\n\r\n"])),
    ("a chunk that ends with LF", Kind::Usual, Chunks(&["1\r\na\n0\r\n\r\n"])),
    ("a chunk longer than its size", Kind::Usual, Chunks(&["1\r\nabc\r\n0\r\n\r\n"])),
    ("an empty line of LF after the chunks", Kind::Usual, Chunks(&["1\r\na\r\n0\r\n\n"])),
    ("trailers that end with LF", Kind::Usual, Chunks(&["0\r\na: b\nc: d\r\n\r\n"])),
    ("a trailer that is folded", Kind::Usual, Chunks(&["0\r\na: b\r\n c\r\n\r\n"])),
    ("a trailer without colon", Kind::Usual, Chunks(&["0\r\na\r\n\r\n"])),
    ("a trailer that frames", Kind::Usual, Chunks(&["0\r\nContent-Length: 5\r\n\r\n"])),
];

/// A difference: what is odd, what we make of it and what hyper does, and why ours holds.
type Difference = (&'static str, &'static str, &'static str, &'static str);

const REQUEST_DIFFERENCES: &[Difference] = &[
    (
        "101 fields",
        "taken",
        "refused",
        "RFC 9110 section 5.4: the limit is the recipient's; ours is 1000, hyper's 100",
    ),
    (
        "a chunk size above 2^63",
        "refused",
        "cut",
        "RFC 9112 section 7.1: no overflow; such a chunk never ends, so it is refused at once",
    ),
    (
        "a chunk size of 17 digits",
        "refused",
        "taken",
        "RFC 9112 section 7.1: numbers too long for some peers are framed differently by them",
    ),
    (
        "a field that ends with LF",
        "refused",
        "taken",
        "RFC 9112 section 2.2: LF alone may be taken; requests are read strictly",
    ),
    (
        "a host that is none",
        "refused",
        "taken",
        "RFC 9112 section 3.2: an invalid host must be answered with 400",
    ),
    (
        "a request line that ends with LF",
        "refused",
        "taken",
        "RFC 9112 section 2.2: LF alone may be taken; requests are read strictly",
    ),
    (
        "a target in no form",
        "taken",
        "refused",
        "RFC 9112 section 3: refusing is no must; the raw target shows what a proxy let pass",
    ),
    (
        "a target with < or >",
        "taken",
        "refused",
        "RFC 9112 section 3: refusing is no must; the raw target shows what a proxy let pass",
    ),
    (
        "a target with a fragment",
        "target /a#b",
        "target /a",
        "RFC 9110 section 7.1: no target has a fragment; it is kept as sent, hyper drops it unseen",
    ),
    ("a trailer that frames", "refused", "taken", "RFC 9110 section 6.5.1: must not be sent as a trailer"),
    ("a trailer that routes", "refused", "taken", "RFC 9110 section 6.5.1: must not be sent as a trailer"),
    (
        "an absolute target without a path",
        "target http://a",
        "target http://a/",
        "RFC 9112 section 3.2.2: the target is kept as sent, hyper normalizes it",
    ),
    (
        "an empty line of LF after the chunks",
        "refused",
        "cut",
        "RFC 9112 section 7.1: CRLF ends the body; hyper takes LF for the beginning of a trailer",
    ),
    (
        "an empty line of LF after the chunks",
        "refused",
        "taken",
        "RFC 9112 section 7.1: CRLF ends the body; hyper takes the next request for trailers",
    ),
    (
        "an empty line of LF after the fields",
        "refused",
        "taken",
        "RFC 9112 section 2.2: LF alone may be taken; requests are read strictly",
    ),
    (
        "an empty line of LF alone",
        "refused",
        "taken",
        "RFC 9112 section 2.2: an empty line to be skipped is CRLF",
    ),
    (
        "an extension with a control character",
        "refused",
        "taken",
        "RFC 9112 section 7.1.1: a value is a token or a quoted string",
    ),
    (
        "an unknown coding, then chunked",
        "refused",
        "taken",
        "RFC 9112 section 6.1: a coding that is not understood should be answered with 501",
    ),
    (
        "chunked and an empty member",
        "taken",
        "refused",
        "RFC 9110 section 5.6.1.2: empty members of a list must be ignored",
    ),
    ("chunked twice", "refused", "taken", "RFC 9112 section 6.1: chunked must not be applied more than once"),
    (
        "chunked, then content-length",
        "refused",
        "taken",
        "RFC 9112 section 6.1: a server may refuse both together, which may be smuggling",
    ),
    (
        "content-length of 2^64 - 1",
        "cut",
        "refused",
        "RFC 9110 section 8.6: any number is legal, and this one fits",
    ),
    (
        "content-length, then chunked",
        "refused",
        "taken",
        "RFC 9112 section 6.1: a server may refuse both together, which may be smuggling",
    ),
    (
        "content-lengths that are equal",
        "field content-length [2][2]",
        "field content-length [2]",
        "RFC 9112 section 6.3: equal values count as one; the fields are kept as sent",
    ),
    (
        "content-lengths that are equal in a list",
        "taken",
        "refused",
        "RFC 9112 section 6.3 rule 5: a list of equal numbers may be taken as one",
    ),
    (
        "five empty lines",
        "refused",
        "taken",
        "RFC 9112 section 2.2: at least one is to be skipped; ours skips four",
    ),
    ("no host", "refused", "taken", "RFC 9112 section 3.2: no host in HTTP/1.1 must be answered with 400"),
    (
        "spaces after the chunk size",
        "refused",
        "taken",
        "RFC 9112 section 7.1: the grammar has none without an extension",
    ),
    (
        "the expectation of something else",
        "refused",
        "taken",
        "RFC 9110 section 10.1.1: may be answered with 417",
    ),
    ("two hosts", "refused", "taken", "RFC 9112 section 3.2: several hosts must be answered with 400"),
];

const RESPONSE_DIFFERENCES: &[Difference] = &[
    (
        "101 fields",
        "taken",
        "refused",
        "RFC 9110 section 5.4: the limit is the recipient's; ours is 1000, hyper's 100",
    ),
    (
        "101 unasked",
        "refused",
        "taken",
        "RFC 9110 section 7.8: a server must not switch to what was not offered",
    ),
    (
        "a chunk size above 2^63",
        "refused",
        "cut",
        "RFC 9112 section 7.1: no overflow; such a chunk never ends, so it is refused at once",
    ),
    (
        "a chunk size of 17 digits",
        "refused",
        "taken",
        "RFC 9112 section 7.1: numbers too long for some peers are framed differently by them",
    ),
    ("a folded field", "taken", "refused", "RFC 9112 section 5.2: a user agent must unfold it"),
    ("a trailer that frames", "refused", "taken", "RFC 9110 section 6.5.1: must not be sent as a trailer"),
    ("a trailer that is folded", "taken", "refused", "RFC 9112 section 5.2: a user agent must unfold it"),
    (
        "an empty line before the status line",
        "refused",
        "taken",
        "RFC 9112 section 2.2: only a server skips empty lines",
    ),
    (
        "an empty line of LF after the chunks",
        "refused",
        "cut",
        "RFC 9112 section 7.1: CRLF ends the body; hyper takes LF for the beginning of a trailer",
    ),
    (
        "an extension with a control character",
        "refused",
        "taken",
        "RFC 9112 section 7.1.1: a value is a token or a quoted string",
    ),
    (
        "chunked and an empty member",
        "body , then lasts",
        "body 0\\r\\n\\r\\n, then ends",
        "RFC 9110 section 5.6.1.2: empty members of a list must be ignored",
    ),
    (
        "chunked in HTTP/1.0",
        "taken",
        "refused",
        "RFC 9112 section 6.1: the message is processed, and the connection closed after it",
    ),
    ("chunked twice", "refused", "taken", "RFC 9112 section 6.1: chunked must not be applied more than once"),
    (
        "content-length and chunked",
        "then ends",
        "then lasts",
        "RFC 9112 section 6.3 rule 3: perhaps response splitting, so the connection is not used again",
    ),
    (
        "content-length of 2^64 - 1",
        "cut",
        "refused",
        "RFC 9110 section 8.6: any number is legal, and this one fits",
    ),
    ("trailers that end with LF", "taken", "refused", "RFC 9112 section 2.2: LF alone may be taken"),
];

/// Our server stops where a connection is to end, as hyper's does.
fn our_server(bytes: &[u8]) -> Verdict {
    let (mut reader, mut head) = (request::Reader::new(Limits::default()), request::Head::default());
    let (mut verdict, mut body, mut input) = (Verdict::default(), Vec::new(), bytes);
    loop {
        let event = match reader.read(&mut input, &mut head) {
            Err(_) => return Verdict { outcome: Outcome::Refused, ..verdict },
            Ok(None) => {
                let is_whole = input.is_empty() && reader.is_idle();
                verdict.outcome = if is_whole { Outcome::Ends } else { Outcome::Cut };
                return verdict;
            }
            Ok(Some(event)) => event,
        };
        if let Event::Data(part) = event {
            body.extend_from_slice(part);
        }
        if !matches!(event, Event::Head { end: true } | Event::End) {
            continue;
        }
        let mut message = parts([
            ("method", text(&head.method)),
            ("target", text(&head.target)),
            ("version", version(head.version)),
            ("body", text(&std::mem::take(&mut body))),
        ]);
        put(&mut message, "field", head.fields.iter());
        put(&mut message, "trailer", reader.trailers().iter());
        verdict.messages.push(message);
        if !head.keep_alive {
            return verdict;
        }
    }
}

/// There is no runtime: all that can get a future on is in this thread, so it is just polled again.
fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Polls more often than what hands itself on in pieces needs.
const POLLS: usize = 200;

fn settle<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    (0..POLLS).find_map(|_| poll(future.as_mut()))
}

/// Whether an error of hyper tells of bytes that did not come, or of such as it refuses.
fn outcome(error: &hyper::Error) -> Outcome {
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let is_cut = error.is_incomplete_message() || io.is_some_and(|io| io.kind() == ErrorKind::UnexpectedEof);
    if is_cut { Outcome::Cut } else { Outcome::Refused }
}

/// Puts down the body and the trailers.
async fn collect(message: &mut Parts, body: Incoming) -> Result<(), hyper::Error> {
    let body = body.collect().await?;
    if let Some(trailers) = body.trailers() {
        put_map(message, "trailer", trailers);
    }
    message.insert("body".to_owned(), text(&body.to_bytes()));
    Ok(())
}

fn their_server(bytes: &[u8]) -> Verdict {
    let (mut client, io) = tokio::io::duplex(1 << 20);
    settle(pin!(client.write_all(bytes))).expect("there is room").unwrap();
    settle(pin!(client.shutdown())).expect("no one is waited for").unwrap();
    let verdict = Rc::new(RefCell::new(Verdict::default()));
    let service = service_fn(|request: http::Request<Incoming>| {
        let verdict = verdict.clone();
        async move {
            let (head, body) = request.into_parts();
            let mut message = parts([
                ("method", head.method.to_string()),
                ("target", text(head.uri.to_string().as_bytes())),
                ("version", format!("{:?}", head.version)),
            ]);
            put_map(&mut message, "field", &head.headers);
            match collect(&mut message, body).await {
                Ok(()) => verdict.borrow_mut().messages.push(message),
                Err(error) => verdict.borrow_mut().outcome = outcome(&error),
            }
            // Not 2xx, so that CONNECT makes no tunnel.
            let mut response = http::Response::new(Empty::<Bytes>::new());
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = server::conn::http1::Builder::new();
    let connection = builder.half_close(true).serve_connection(TokioIo::new(io), service);
    let end = settle(pin!(connection)).expect("the client is gone");
    let mut verdict = verdict.take();
    if let (Err(error), Outcome::Ends) = (end, verdict.outcome) {
        verdict.outcome = outcome(&error);
    }
    verdict
}

type Exchange = (Kind, Vec<u8>);

fn our_response(head: &response::Head) -> Parts {
    let mut message = parts([("status", head.status.to_string()), ("version", version(head.version))]);
    put(&mut message, "field", head.fields.iter());
    message
}

fn their_response(status: http::StatusCode, version: http::Version, fields: &HeaderMap) -> Parts {
    let mut message = parts([("status", status.as_u16().to_string()), ("version", format!("{version:?}"))]);
    put_map(&mut message, "field", fields);
    message
}

/// What becomes of the connection after a response.
fn put_then(message: &mut Parts, lasts: bool) {
    message.insert("then".to_owned(), if lasts { "lasts" } else { "ends" }.to_owned());
}

/// Our client sends a request when the response to the one before was read; bytes that are left are unasked.
fn our_client(exchanges: &[Exchange]) -> Verdict {
    let (mut reader, mut head) = (response::Reader::new(Limits::default()), response::Head::default());
    let mut verdict = Verdict::default();
    for (kind, bytes) in exchanges {
        reader.expect(*kind);
        let (mut input, mut body) = (&bytes[..], Vec::new());
        loop {
            match reader.read(&mut input, &mut head) {
                Err(_) => return Verdict { outcome: Outcome::Refused, ..verdict },
                Ok(None) if reader.close() == Ok(true) => break,
                Ok(None) => return Verdict { outcome: Outcome::Cut, ..verdict },
                Ok(Some(Event::Data(part))) => body.extend_from_slice(part),
                Ok(Some(Event::Informational)) => verdict.messages.push(our_response(&head)),
                Ok(Some(Event::Head { end: false })) => {}
                Ok(Some(Event::Head { end: true } | Event::End)) => break,
            }
        }
        let mut message = our_response(&head);
        message.insert("body".to_owned(), text(&body));
        put(&mut message, "trailer", reader.trailers().iter());
        put_then(&mut message, head.keep_alive);
        verdict.messages.push(message);
        if !head.keep_alive {
            return verdict;
        }
        if !input.is_empty() {
            return Verdict { outcome: Outcome::Refused, ..verdict };
        }
    }
    verdict
}

fn request(kind: Kind) -> http::Request<Empty<Bytes>> {
    let mut request = http::Request::new(Empty::new());
    let (method, target) = match kind {
        Kind::Usual => (http::Method::GET, "/"),
        Kind::Head => (http::Method::HEAD, "/"),
        Kind::Connect => (http::Method::CONNECT, "a:80"),
        Kind::Upgrade => {
            request.headers_mut().insert("upgrade", http::HeaderValue::from_static("x"));
            request.headers_mut().insert("connection", http::HeaderValue::from_static("upgrade"));
            (http::Method::GET, "/")
        }
    };
    *request.method_mut() = method;
    *request.uri_mut() = target.parse().expect("it is legal");
    request
}

async fn read_request(server: &mut DuplexStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(server.read_u8().await.expect("the client is there"));
    }
}

fn their_client(exchanges: &[Exchange]) -> Verdict {
    let (mut server, io) = tokio::io::duplex(1 << 20);
    let handshake = pin!(client::conn::http1::handshake(TokioIo::new(io)));
    let (mut sender, connection) = settle(handshake).expect("nothing is sent").unwrap();
    let mut connection = Some(Box::pin(connection));
    let mut ended = Ok(());
    let verdict = Arc::new(Mutex::new(Verdict::default()));
    let mut drive = || {
        if let Some(end) = connection.as_mut().and_then(|connection| poll(connection.as_mut())) {
            connection = None;
            ended = end;
        }
        (connection.is_none(), ended.as_ref().err().map(outcome))
    };
    for (kind, bytes) in exchanges {
        let mut request = request(*kind);
        let interim = verdict.clone();
        hyper::ext::on_informational(&mut request, move |response| {
            let parts = their_response(response.status(), response.version(), response.headers());
            interim.lock().unwrap().messages.push(parts);
        });
        let mut exchange = Box::pin(async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let mut parts = their_response(head.status, head.version, &head.headers);
            collect(&mut parts, body).await?;
            Ok::<_, hyper::Error>(parts)
        });
        let mut turn = || {
            (0..POLLS).find_map(|_| {
                drive();
                poll(exchange.as_mut())
            })
        };
        let early = turn();
        assert!(early.is_none(), "there is no response yet");
        settle(pin!(read_request(&mut server))).expect("the request was sent");
        settle(pin!(server.write_all(bytes))).expect("there is room").unwrap();
        let result = turn().unwrap_or_else(|| {
            settle(pin!(server.shutdown())).expect("no one is waited for").unwrap();
            turn().unwrap_or_else(|| panic!("nothing more can come {kind:?} {}", text(bytes)))
        });
        drop(exchange);
        let (is_over, refusal) = (0..POLLS).map(|_| drive()).last().unwrap_or_default();
        let mut verdict = verdict.lock().unwrap();
        match result {
            Ok(mut parts) => {
                // What is refused now came after this message, which did not end the connection.
                put_then(&mut parts, !is_over || refusal.is_some());
                verdict.messages.push(parts);
                verdict.outcome = refusal.unwrap_or_default();
            }
            Err(error) => verdict.outcome = outcome(&error),
        }
        if is_over || verdict.outcome != Outcome::Ends {
            break;
        }
    }
    std::mem::take(&mut *verdict.lock().unwrap())
}

/// Where both differ first, and what each has there. What is after the odd message is told apart from it.
fn difference(ours: &Verdict, theirs: &Verdict, before: usize) -> Option<(String, String)> {
    if ours == theirs {
        return None;
    }
    let same = ours.messages.iter().zip(&theirs.messages).take_while(|(one, other)| one == other).count();
    let show = |verdict: &Verdict, other: &Verdict| {
        let what = match (verdict.messages.get(same), other.messages.get(same)) {
            (None, _) => match verdict.outcome {
                Outcome::Ends => "ends".to_owned(),
                Outcome::Refused => "refused".to_owned(),
                Outcome::Cut => "cut".to_owned(),
            },
            (Some(_), None) => "taken".to_owned(),
            (Some(one), Some(other)) => {
                let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
                let differ = names.into_iter().filter(|name| one.get(*name) != other.get(*name));
                let show = |name| format!("{name} {}", one.get(name).map_or("absent", |part| part));
                differ.map(show).collect::<Vec<_>>().join(", ")
            }
        };
        let place = if same < before {
            "early: "
        } else if same > before {
            "then "
        } else {
            ""
        };
        format!("{place}{what}")
    };
    Some((show(ours, theirs), show(theirs, ours)))
}

/// Compares the verdicts on every class of case and holds the differences against the table.
#[expect(clippy::print_stdout, reason = "the counts are for whoever looks at them")]
fn compare(
    names: impl Iterator<Item = &'static str>,
    known: &[Difference],
    mut both: impl FnMut(usize, &mut Random) -> (Verdict, Verdict, usize),
) {
    let mut met: BTreeMap<(&str, String, String), (u32, u64)> = BTreeMap::new();
    let (mut same, mut total) = (0, 0);
    for (place, name) in names.enumerate() {
        for round in 0..20 {
            let seed = place as u64 * 1000 + round;
            let (ours, theirs, before) = both(place, &mut Random::new(seed));
            total += 1;
            match difference(&ours, &theirs, before) {
                None => same += 1,
                Some((ours, theirs)) => met.entry((name, ours, theirs)).or_insert((0, seed)).0 += 1,
            }
        }
    }
    println!("{total} sequences, the same verdict of {same}");
    let mut unknown = Vec::new();
    for ((name, ours, theirs), (count, seed)) in &met {
        let entry = known.iter().find(|known| (known.0, known.1, known.2) == (*name, ours, theirs));
        println!(
            "{count:3} {name}: we: {ours}; hyper: {theirs}; {}",
            entry.map_or("UNKNOWN", |known| known.3)
        );
        if entry.is_none() {
            unknown.push(format!("{name} (seed {seed}): we: {ours}; hyper: {theirs}"));
        }
    }
    assert!(unknown.is_empty(), "differences without an entry:\n{}", unknown.join("\n"));
    let mut classes = BTreeSet::new();
    for entry in known {
        let key = (entry.0, entry.1.to_owned(), entry.2.to_owned());
        assert!(met.contains_key(&key), "no longer met: {entry:?}");
        assert!(classes.insert(key), "twice in the table: {entry:?}");
    }
}

#[test]
fn both_servers_come_to_the_same_verdict() {
    compare(REQUESTS.iter().map(|odd| odd.0), REQUEST_DIFFERENCES, |place, random| {
        let before = random.below(4);
        let mut bytes: Vec<u8> = (0..before).flat_map(|_| legal_request(random)).collect();
        let legal = our_server(&bytes);
        assert_eq!((legal.messages.len(), legal.outcome), (before, Outcome::Ends), "{}", text(&bytes));
        bytes.extend(REQUESTS[place].1.message(random, "GET /odd HTTP/1.1", "Host: a\r\n", ""));
        for _ in 0..random.below(3) {
            bytes.extend(legal_request(random));
        }
        (our_server(&bytes), their_server(&bytes), before)
    });
}

#[test]
fn both_clients_come_to_the_same_verdict() {
    compare(RESPONSES.iter().map(|odd| odd.0), RESPONSE_DIFFERENCES, |place, random| {
        let mut exchanges: Vec<_> = (0..random.below(4)).map(|_| legal_response(random)).collect();
        let legal = our_client(&exchanges);
        assert_eq!(legal.outcome, Outcome::Ends, "{exchanges:?}");
        let before = legal.messages.len();
        assert!(before >= exchanges.len(), "{exchanges:?}");
        let (_, kind, odd) = &RESPONSES[place];
        exchanges.push((*kind, odd.message(random, "HTTP/1.1 200 OK", "", "Content-Length: 0\r\n")));
        for _ in 0..random.below(3) {
            exchanges.push(legal_response(random));
        }
        (our_client(&exchanges), their_client(&exchanges), before)
    });
}
