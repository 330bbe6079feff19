//! The same bytes to our server and to that of the crate h2: legal sequences with at most one thing in them that is
//! not, and the same verdict from both, or else an entry in the table of differences, which says why.

#[path = "../src/random.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod random;

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use http2::{
    Code, Config, Connection, Event, Head, PREFACE, Role,
    frame::{self, flag, kind},
};
use random::Random;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

const GET: &[u8] = &[0x82, 0x86, 0x84];
const POST: &[u8] = &[0x83, 0x86, 0x84];
const END: u8 = flag::END_STREAM;

/// What came of a stream, or of the connection as stream 0; others have neither been answered nor refused.
type Verdict = BTreeMap<u32, String>;

fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    frame::head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0, name.len() as u8][..], name, &[value.len() as u8], value].concat()
}

/// A client's bytes in the making.
struct Script {
    random: Random,
    bytes: Vec<u8>,
    next: u32,
    /// Streams whose request goes on.
    open: Vec<u32>,
    /// Streams whose request is complete.
    complete: Vec<u32>,
}

impl Script {
    fn new(seed: u64) -> Self {
        let mut bytes = PREFACE.to_vec();
        put(&mut bytes, kind::SETTINGS, 0, 0, b"");
        put(&mut bytes, kind::SETTINGS, flag::ACK, 0, b"");
        Self { random: Random::new(seed), bytes, next: 1, open: Vec::new(), complete: Vec::new() }
    }

    fn put(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        put(&mut self.bytes, kind, flags, stream, payload);
    }

    fn begin(&mut self, end: bool) -> u32 {
        let id = self.next;
        self.next += 2 + 2 * u32::from(self.random.one_in(5));
        if end {
            self.complete.push(id)
        } else {
            self.open.push(id)
        }
        id
    }

    /// One thing that every server must take.
    fn legal(&mut self) {
        let end = self.random.one_in(2);
        let flags = flag::END_HEADERS | if end { END } else { 0 };
        match self.random.below(12) {
            0 | 1 => {
                let id = self.begin(end);
                self.put(kind::HEADERS, flags, id, if end { GET } else { POST });
            }
            2 => {
                let id = self.begin(end);
                let padded = [&[2, 0, 0, 0, 0, 9][..], POST, &[0; 2]].concat();
                self.put(kind::HEADERS, flags | flag::PADDED | flag::PRIORITY, id, &padded);
            }
            3 => {
                let id = self.begin(end);
                self.put(kind::HEADERS, flags & END, id, POST);
                self.put(kind::CONTINUATION, flag::END_HEADERS, id, &field(b"a", b"b"));
            }
            4..=6 if !self.open.is_empty() => {
                let place = self.random.below(self.open.len());
                self.go_on(place);
            }
            7 => self.put(kind::PING, 0, 0, b"12345678"),
            8 => self.put(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 9, 9]),
            9 => self.put(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0x10, 0]),
            10 => self.put(200, 0xff, 7, b"unknown"),
            _ => {
                let id = self.next + 20;
                self.put(kind::PRIORITY, 0, id, &[0, 0, 0, 0, 9]);
            }
        }
    }

    /// Goes on with an open stream.
    fn go_on(&mut self, place: usize) {
        let id = self.open[place];
        match self.random.below(5) {
            0 => self.put(kind::DATA, 0, id, b"content"),
            1 => self.put(kind::DATA, flag::PADDED, id, b"\x03content\0\0\0"),
            2 => {
                self.put(kind::DATA, END, id, b"");
                self.complete.push(self.open.swap_remove(place));
            }
            3 => {
                self.put(kind::HEADERS, END | flag::END_HEADERS, id, &field(b"t", b"u"));
                self.complete.push(self.open.swap_remove(place));
            }
            _ => {
                self.put(kind::RST_STREAM, 0, id, &Code::CANCEL.0.to_be_bytes());
                self.open.swap_remove(place);
            }
        }
    }

    /// An open stream; one is opened if there is none.
    fn some_open(&mut self) -> u32 {
        if let Some(id) = self.open.last() {
            return *id;
        }
        let id = self.begin(false);
        self.put(kind::HEADERS, flag::END_HEADERS, id, POST);
        id
    }

    fn some_complete(&mut self) -> u32 {
        if let Some(id) = self.complete.last() {
            return *id;
        }
        let id = self.begin(true);
        self.put(kind::HEADERS, flag::END_HEADERS | END, id, GET);
        id
    }

    fn some_reset(&mut self) -> u32 {
        let id = self.begin(false);
        self.put(kind::HEADERS, flag::END_HEADERS, id, POST);
        self.put(kind::RST_STREAM, 0, id, &Code::CANCEL.0.to_be_bytes());
        self.open.pop();
        id
    }

    fn request_of(&mut self, block: &[u8]) {
        let id = self.begin(true);
        self.put(kind::HEADERS, flag::END_HEADERS | END, id, block);
    }
}

/// Something odd that a client might do.
type Odd = (&'static str, fn(&mut Script));

fn with(name: &[u8], value: &[u8]) -> Vec<u8> {
    [GET, &field(name, value)].concat()
}

const ODD: &[Odd] = &[
    ("nothing", |_| ()),
    ("DATA on no stream", |s| s.put(kind::DATA, 0, 0, b"x")),
    ("HEADERS on no stream", |s| s.put(kind::HEADERS, END | flag::END_HEADERS, 0, GET)),
    ("RST_STREAM on no stream", |s| s.put(kind::RST_STREAM, 0, 0, &[0; 4])),
    ("PRIORITY on no stream", |s| s.put(kind::PRIORITY, 0, 0, &[0, 0, 0, 1, 1])),
    ("SETTINGS on a stream", |s| s.put(kind::SETTINGS, 0, 1, b"")),
    ("PING on a stream", |s| s.put(kind::PING, 0, 1, &[0; 8])),
    ("GOAWAY on a stream", |s| s.put(kind::GOAWAY, 0, 1, &[0; 8])),
    ("SETTINGS of 5 bytes", |s| s.put(kind::SETTINGS, 0, 0, &[0; 5])),
    ("ACK with a payload", |s| s.put(kind::SETTINGS, flag::ACK, 0, &[0; 6])),
    ("PING of 7 bytes", |s| s.put(kind::PING, 0, 0, &[0; 7])),
    ("WINDOW_UPDATE of 3 bytes", |s| s.put(kind::WINDOW_UPDATE, 0, 0, &[0; 3])),
    ("GOAWAY of 7 bytes", |s| s.put(kind::GOAWAY, 0, 0, &[0; 7])),
    ("RST_STREAM of 3 bytes", |s| {
        let id = s.some_open();
        s.put(kind::RST_STREAM, 0, id, &[0; 3]);
    }),
    ("PRIORITY of 4 bytes", |s| {
        let id = s.some_open();
        s.put(kind::PRIORITY, 0, id, &[0; 4]);
        s.open.pop();
    }),
    ("DATA above the largest frame", |s| {
        let id = s.some_open();
        s.put(kind::DATA, 0, id, &[0; 16_385]);
    }),
    ("an unknown frame above the largest", |s| s.put(200, 0, 0, &[0; 16_385])),
    ("ENABLE_PUSH 2", |s| s.put(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2])),
    ("a largest frame of 16383", |s| s.put(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff])),
    ("a window above 2^31 - 1 by SETTINGS", |s| s.put(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])),
    ("an unknown setting", |s| s.put(kind::SETTINGS, 0, 0, &[0xfa, 0xfa, 0, 0, 0, 1])),
    ("no window for the connection", |s| s.put(kind::WINDOW_UPDATE, 0, 0, &[0; 4])),
    ("no window for a stream", |s| {
        let id = s.some_open();
        s.put(kind::WINDOW_UPDATE, 0, id, &[0; 4]);
        s.open.pop();
    }),
    ("too much window for the connection", |s| s.put(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
    ("too much window for a stream", |s| {
        let id = s.some_open();
        s.put(kind::WINDOW_UPDATE, 0, id, &[0x7f, 0xff, 0xff, 0xff]);
        s.open.pop();
    }),
    ("WINDOW_UPDATE of an idle stream", |s| {
        let id = s.next + 10;
        s.put(kind::WINDOW_UPDATE, 0, id, &[0, 0, 0, 1]);
    }),
    ("RST_STREAM of an idle stream", |s| {
        let id = s.next + 10;
        s.put(kind::RST_STREAM, 0, id, &[0; 4]);
    }),
    ("DATA of an idle stream", |s| {
        let id = s.next + 10;
        s.put(kind::DATA, 0, id, b"x");
    }),
    ("DATA of an idle stream of the server", |s| s.put(kind::DATA, 0, 2, b"x")),
    ("an even stream", |s| s.put(kind::HEADERS, END | flag::END_HEADERS, 2, GET)),
    ("an identifier that was passed over", |s| {
        s.next += 2;
        let passed = s.next - 2;
        s.request_of(GET);
        s.put(kind::HEADERS, END | flag::END_HEADERS, passed, GET);
    }),
    ("DATA after the end", |s| {
        let id = s.some_complete();
        s.put(kind::DATA, 0, id, b"x");
    }),
    ("HEADERS after the end", |s| {
        let id = s.some_complete();
        s.put(kind::HEADERS, END | flag::END_HEADERS, id, &field(b"a", b"b"));
    }),
    ("WINDOW_UPDATE after the end", |s| {
        let id = s.some_complete();
        s.put(kind::WINDOW_UPDATE, 0, id, &[0, 0, 0, 1]);
    }),
    ("DATA after RST_STREAM", |s| {
        let id = s.some_reset();
        s.put(kind::DATA, 0, id, b"x");
    }),
    ("HEADERS after RST_STREAM", |s| {
        let id = s.some_reset();
        s.put(kind::HEADERS, END | flag::END_HEADERS, id, GET);
    }),
    ("WINDOW_UPDATE after RST_STREAM", |s| {
        let id = s.some_reset();
        s.put(kind::WINDOW_UPDATE, 0, id, &[0, 0, 0, 1]);
    }),
    ("RST_STREAM twice", |s| {
        let id = s.some_reset();
        s.put(kind::RST_STREAM, 0, id, &[0; 4]);
    }),
    ("CONTINUATION of nothing", |s| s.put(kind::CONTINUATION, flag::END_HEADERS, 1, b"")),
    ("a block that is interrupted", |s| {
        let id = s.begin(true);
        s.put(kind::HEADERS, END, id, GET);
        s.put(kind::PING, 0, 0, &[0; 8]);
    }),
    ("a block that goes on elsewhere", |s| {
        let id = s.begin(true);
        s.put(kind::HEADERS, END, id, GET);
        s.put(kind::CONTINUATION, flag::END_HEADERS, id + 2, b"");
    }),
    ("PUSH_PROMISE of a client", |s| {
        let id = s.some_open();
        s.put(kind::PUSH_PROMISE, flag::END_HEADERS, id, &[0, 0, 0, 2, 0x82]);
    }),
    ("DATA with more padding than frame", |s| {
        let id = s.some_open();
        s.put(kind::DATA, flag::PADDED, id, &[2, 0]);
    }),
    ("DATA without room for its padding", |s| {
        let id = s.some_open();
        s.put(kind::DATA, flag::PADDED, id, b"");
    }),
    ("HEADERS with more padding than frame", |s| {
        let id = s.begin(true);
        s.put(kind::HEADERS, flag::PADDED | END | flag::END_HEADERS, id, &[4, 0x82, 0x86, 0x84]);
    }),
    ("HEADERS that depend on themselves", |s| {
        let id = s.begin(true);
        let block = [&id.to_be_bytes()[..], &[9], GET].concat();
        s.put(kind::HEADERS, flag::PRIORITY | END | flag::END_HEADERS, id, &block);
    }),
    ("PRIORITY that depends on itself", |s| {
        let id = s.some_open();
        s.put(kind::PRIORITY, 0, id, &[&id.to_be_bytes()[..], &[9]].concat());
        s.open.pop();
    }),
    ("an index of nothing", |s| s.request_of(&[0x82, 0x86, 0x84, 0xff, 0x20])),
    ("index 0", |s| s.request_of(&[0x80])),
    ("a string that breaks off", |s| s.request_of(&[0x82, 0x86, 0x84, 0, 9, b'a'])),
    ("a table above what is allowed", |s| s.request_of(&[0x3f, 0xe2, 0x1f, 0x82, 0x86, 0x84])),
    ("a table resized at the end of a block", |s| s.request_of(&[0x82, 0x86, 0x84, 0x20])),
    ("padding of Huffman code with zeros", |s| {
        s.request_of(&[0x82, 0x86, 0x84, 0, 1, b'a', 0x81, 0b0001_1000])
    }),
    ("trailers without an end", |s| {
        let id = s.some_open();
        s.put(kind::HEADERS, flag::END_HEADERS, id, &field(b"a", b"b"));
        s.open.pop();
    }),
    ("trailers with a pseudo-field", |s| {
        let id = s.some_open();
        s.put(kind::HEADERS, END | flag::END_HEADERS, id, GET);
        s.open.pop();
    }),
    ("no path", |s| s.request_of(&[0x82, 0x86])),
    ("an empty path", |s| s.request_of(&[&[0x82, 0x86][..], &field(b":path", b"")].concat())),
    ("no scheme", |s| s.request_of(&[0x82, 0x84])),
    ("no method", |s| s.request_of(&[0x86, 0x84])),
    ("two methods", |s| s.request_of(&[0x82, 0x82, 0x86, 0x84])),
    ("a status", |s| s.request_of(&with(b":status", b"200"))),
    ("an unknown pseudo-field", |s| s.request_of(&with(b":other", b"x"))),
    ("a pseudo-field after a field", |s| {
        s.request_of(&[&[0x82, 0x86][..], &field(b"a", b"b"), &[0x84]].concat());
    }),
    ("a name in upper case", |s| s.request_of(&with(b"Upper", b"x"))),
    ("a name with a space", |s| s.request_of(&with(b"a b", b"x"))),
    ("a value with a line feed", |s| s.request_of(&with(b"a", b"x\ny"))),
    ("a value with a space before it", |s| s.request_of(&with(b"a", b" x"))),
    ("connection", |s| s.request_of(&with(b"connection", b"close"))),
    ("transfer-encoding", |s| s.request_of(&with(b"transfer-encoding", b"chunked"))),
    ("te of gzip", |s| s.request_of(&with(b"te", b"gzip"))),
    ("te of trailers", |s| s.request_of(&with(b"te", b"trailers"))),
    ("protocol that was not offered", |s| {
        let block = [&field(b":method", b"CONNECT")[..], &[0x86, 0x84], &field(b":protocol", b"x")].concat();
        s.request_of(&[&block[..], &field(b":authority", b"a")].concat());
    }),
    ("content-length without content", |s| s.request_of(&with(b"content-length", b"1"))),
    ("content-length of letters", |s| s.request_of(&with(b"content-length", b"x"))),
    ("more content than its length", |s| {
        let id = s.begin(false);
        let block = [POST, &field(b"content-length", b"3")].concat();
        s.put(kind::HEADERS, flag::END_HEADERS, id, &block);
        s.put(kind::DATA, 0, id, b"four");
        s.open.pop();
    }),
    ("less content than its length", |s| {
        let id = s.begin(false);
        let block = [POST, &field(b"content-length", b"3")].concat();
        s.put(kind::HEADERS, flag::END_HEADERS, id, &block);
        s.put(kind::DATA, END, id, b"2b");
        s.open.pop();
    }),
    ("more than the window of a stream", |s| {
        let id = s.begin(false);
        s.put(kind::HEADERS, flag::END_HEADERS, id, POST);
        s.put(kind::DATA, 0, id, &[0; 5_001]);
        s.open.pop();
    }),
    ("a second GOAWAY with a higher stream", |s| {
        s.put(kind::GOAWAY, 0, 0, &[0; 8]);
        s.put(kind::GOAWAY, 0, 0, &[0, 0, 0, 2, 0, 0, 0, 0]);
    }),
];

/// A difference: what is odd, what we say and what h2 says, and why ours holds.
type Difference = (&'static str, &'static str, &'static str, &'static str);

const DIFFERENCES: &[Difference] = &[
    (
        "ACK with a payload",
        "connection FRAME_SIZE_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 6.5: FRAME_SIZE_ERROR",
    ),
    (
        "DATA after the end",
        "stream STREAM_CLOSED",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 5.1: half-closed (remote), a stream error",
    ),
    (
        "DATA without room for its padding",
        "connection FRAME_SIZE_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 4.2: too small for what it must contain",
    ),
    (
        "GOAWAY of 7 bytes",
        "connection FRAME_SIZE_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 4.2: too small for what it must contain",
    ),
    (
        "HEADERS after RST_STREAM",
        "connection STREAM_CLOSED",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 5.1: closed",
    ),
    (
        "HEADERS after the end",
        "stream STREAM_CLOSED",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 5.1: half-closed (remote), a stream error",
    ),
    (
        "PING of 7 bytes",
        "connection FRAME_SIZE_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 6.7: FRAME_SIZE_ERROR",
    ),
    (
        "PRIORITY of 4 bytes",
        "stream FRAME_SIZE_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 6.3: a stream error",
    ),
    (
        "RST_STREAM of 3 bytes",
        "connection FRAME_SIZE_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 6.4: FRAME_SIZE_ERROR",
    ),
    (
        "SETTINGS of 5 bytes",
        "connection FRAME_SIZE_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 6.5: FRAME_SIZE_ERROR",
    ),
    (
        "WINDOW_UPDATE of 3 bytes",
        "connection FRAME_SIZE_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 6.9: FRAME_SIZE_ERROR",
    ),
    (
        "a name in upper case",
        "stream PROTOCOL_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 sections 8.1.1 and 8.2.1: malformed, a stream error",
    ),
    (
        "a name with a space",
        "stream PROTOCOL_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 sections 8.1.1 and 8.2.1: malformed, a stream error",
    ),
    (
        "a string that breaks off",
        "connection COMPRESSION_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 4.3: COMPRESSION_ERROR",
    ),
    (
        "a table above what is allowed",
        "connection COMPRESSION_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 7541 section 6.3, RFC 9113 section 4.3",
    ),
    (
        "a table resized at the end of a block",
        "connection COMPRESSION_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 7541 section 4.2, RFC 9113 section 4.3",
    ),
    (
        "a value with a line feed",
        "stream PROTOCOL_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 sections 8.1.1 and 8.2.1: malformed, a stream error",
    ),
    (
        "a value with a space before it",
        "stream PROTOCOL_ERROR",
        "stream served",
        "RFC 9113 section 8.2.1: no white space at either end",
    ),
    (
        "a window above 2^31 - 1 by SETTINGS",
        "connection FLOW_CONTROL_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 6.5.2: FLOW_CONTROL_ERROR",
    ),
    (
        "an index of nothing",
        "connection COMPRESSION_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 7541 section 2.3.3, RFC 9113 section 4.3",
    ),
    (
        "an unknown pseudo-field",
        "stream PROTOCOL_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 sections 8.1.1 and 8.3: malformed, a stream error",
    ),
    (
        "index 0",
        "connection COMPRESSION_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 7541 section 6.1, RFC 9113 section 4.3",
    ),
    ("no path", "stream PROTOCOL_ERROR", "stream served", "RFC 9113 section 8.3.1: a request has a path"),
    (
        "no window for a stream",
        "stream PROTOCOL_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 9113 section 6.9: a stream error",
    ),
    (
        "padding of Huffman code with zeros",
        "connection COMPRESSION_ERROR",
        "connection PROTOCOL_ERROR",
        "RFC 7541 section 5.2, RFC 9113 section 4.3",
    ),
    (
        "trailers with a pseudo-field",
        "stream PROTOCOL_ERROR",
        "stream served",
        "RFC 9113 section 8.1: none in trailers",
    ),
];

const WINDOW: u32 = 5_000;

/// Reads a server's output.
fn verdict(output: &[u8]) -> Verdict {
    let mut verdict = Verdict::new();
    let mut rest = output;
    while let Some(head) = frame::Head::read(rest) {
        let payload = &rest[frame::HEAD..frame::HEAD + head.len];
        rest = &rest[frame::HEAD + head.len..];
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match head.kind {
            kind::GOAWAY if number(4) != 0 => {
                // Which streams were still served depends on when.
                return Verdict::from([(0, Code(number(4)).to_string())]);
            }
            kind::HEADERS => {
                verdict.entry(head.stream).or_insert_with(|| "served".into());
            }
            kind::RST_STREAM => {
                verdict.insert(head.stream, Code(number(0)).to_string());
            }
            _ => {}
        }
    }
    assert!(rest.is_empty());
    verdict
}

/// Our server answers requests that are complete when everything was taken in, as h2's does.
fn ours(bytes: &[u8]) -> Verdict {
    let mut config = Config::new(Role::Server);
    config.settings.initial_window_size = WINDOW;
    let mut conn = Connection::new(&config);
    let (mut head, mut input) = (Head::new(), bytes);
    let mut complete = Vec::new();
    while let Ok(Some(event)) = conn.receive(&mut input, &mut head) {
        match event {
            Event::Request { stream, end: true } | Event::Trailers { stream } => complete.push(stream),
            Event::Data { stream, end: true, .. } => complete.push(stream),
            _ => {}
        }
    }
    for key in complete {
        conn.head(key, true, |block| block.status(200));
    }
    verdict(conn.output.single().expect("heads are small"))
}

async fn answer(request: http::Request<h2::RecvStream>, mut respond: h2::server::SendResponse<bytes::Bytes>) {
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        if data.is_err() {
            return;
        }
    }
    if body.trailers().await.is_ok() {
        let _ = respond.send_response(http::Response::new(()), true);
    }
}

async fn theirs(bytes: &[u8]) -> Verdict {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(bytes).await.unwrap();
    tokio::task::spawn_local(async move {
        let mut builder = h2::server::Builder::new();
        builder.initial_window_size(WINDOW);
        let Ok(mut connection) = builder.handshake::<_, bytes::Bytes>(server).await else { return };
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::task::spawn_local(answer(request, respond));
        }
    });
    let mut output = Vec::new();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    loop {
        let mut space = [0; 4096];
        let mut buffer = ReadBuf::new(&mut space);
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut client).poll_read(&mut cx, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => output.extend_from_slice(buffer.filled()),
            _ => break,
        }
    }
    verdict(&output)
}

/// Where both differ, without the number of the stream.
fn difference(ours: &Verdict, theirs: &Verdict) -> Option<(String, String)> {
    if ours == theirs {
        return None;
    }
    let show = |verdict: &Verdict, other: &Verdict| {
        if let Some(code) = verdict.get(&0) {
            return format!("connection {code}");
        }
        let streams: BTreeSet<&u32> = verdict.keys().chain(other.keys()).filter(|id| **id != 0).collect();
        let mut said = BTreeSet::new();
        for id in streams {
            let what = verdict.get(id).map_or("nothing", |what| what);
            // An end of the connection says nothing of streams: then what was reset is what is odd.
            let odd =
                if other.contains_key(&0) { what != "served" } else { verdict.get(id) != other.get(id) };
            if odd {
                said.insert(format!("stream {what}"));
            }
        }
        if said.is_empty() { "goes on".into() } else { said.into_iter().collect::<Vec<_>>().join(", ") }
    };
    Some((show(ours, theirs), show(theirs, ours)))
}

#[test]
#[expect(clippy::print_stdout, reason = "the counts are for whoever looks at them")]
fn both_servers_come_to_the_same_verdict() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut met: BTreeMap<(&str, String, String), (u32, u64)> = BTreeMap::new();
    let (mut same, mut total) = (0, 0);
    for (place, (name, odd)) in ODD.iter().enumerate() {
        for round in 0..30 {
            let seed = place as u64 * 1000 + round;
            let mut script = Script::new(seed);
            for _ in 0..script.random.below(8) {
                script.legal();
            }
            odd(&mut script);
            for _ in 0..script.random.below(4) {
                script.legal();
            }
            let local = tokio::task::LocalSet::new();
            let theirs = runtime.block_on(pin!(local.run_until(theirs(&script.bytes))));
            total += 1;
            match difference(&ours(&script.bytes), &theirs) {
                None => same += 1,
                Some((ours, theirs)) => {
                    let entry = met.entry((name, ours, theirs)).or_insert((0, seed));
                    entry.0 += 1;
                }
            }
        }
    }
    println!("{total} sequences, the same verdict of {same}");
    let mut unknown = Vec::new();
    for ((name, ours, theirs), (count, seed)) in &met {
        let known = DIFFERENCES.iter().find(|known| (known.0, known.1, known.2) == (*name, ours, theirs));
        println!("{count:3} {name}: we: {ours}; h2: {theirs}; {}", known.map_or("UNKNOWN", |known| known.3));
        if known.is_none() {
            unknown.push(format!("{name} (seed {seed}): we: {ours}; h2: {theirs}"));
        }
    }
    assert!(unknown.is_empty(), "differences without an entry:\n{}", unknown.join("\n"));
    for known in DIFFERENCES {
        let key = (known.0, known.1.to_owned(), known.2.to_owned());
        assert!(met.contains_key(&key), "no longer met: {known:?}");
    }
}
