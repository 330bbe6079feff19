//! Tests of a connection by bytes: what one end reads, what it makes of that and what it writes.

mod drain;
mod limits;
mod messages;
mod rules;
mod sending;
mod settings;
mod split;
mod windows;

use super::{Config, Connection, Event, PREFACE, Role};
use crate::{
    error::{Code, Error},
    frame::{self, flag, kind},
    head::Head,
    streams::Key,
};

/// GET / by http.
const GET: &[u8] = &[0x82, 0x86, 0x84];
/// POST / by http.
const POST: &[u8] = &[0x83, 0x86, 0x84];
/// Status 200.
const OK: &[u8] = &[0x88];

const END: u8 = flag::END_STREAM;
const HEADERS: u8 = flag::END_HEADERS;

/// Any frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::head(&mut out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
    out
}

fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, HEADERS | flags, stream, block)
}

fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, payload)
}

fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

fn rst_stream(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &Code::CANCEL.0.to_be_bytes())
}

fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let entries: Vec<u8> = entries
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(kind::SETTINGS, 0, 0, &entries)
}

fn ack() -> Vec<u8> {
    frame(kind::SETTINGS, flag::ACK, 0, b"")
}

fn goaway(last: u32, code: Code) -> Vec<u8> {
    frame(kind::GOAWAY, 0, 0, &[last.to_be_bytes(), code.0.to_be_bytes()].concat())
}

/// A literal field.
fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0, name.len() as u8][..], name, &[value.len() as u8], value].concat()
}

/// One end under test, and what it has said.
struct End {
    conn: Connection,
    head: Head,
    /// What was not taken in.
    rest: Vec<u8>,
    /// Release received content immediately.
    releases: bool,
    keys: Vec<Key>,
}

impl End {
    fn new(config: &Config) -> Self {
        let (conn, head) = (Connection::new(config), Head::new());
        Self { conn, head, rest: Vec::new(), releases: true, keys: Vec::new() }
    }

    /// Both prefaces are over, and nothing is in the output.
    fn settled(config: &Config) -> Self {
        let mut end = Self::new(config);
        if config.role == Role::Server {
            assert_eq!(end.feed(PREFACE), "");
        }
        assert_eq!(end.feed(&[settings(&[]), ack()].concat()), "settings");
        end.written();
        end
    }

    fn server() -> Self {
        Self::settled(&Config::new(Role::Server))
    }

    fn client() -> Self {
        Self::settled(&Config::new(Role::Client))
    }

    /// A client with this many requests in flight, each without content if `end`.
    fn asking(requests: usize, end: bool) -> Self {
        let mut client = Self::client();
        for _ in 0..requests {
            let key = client.conn.open(end, false, |block| block.raw(GET)).unwrap();
            client.keys.push(key);
        }
        client.written();
        client
    }

    /// Takes in bytes; the events or the error that came of them, as text.
    fn feed(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let mut input = &rest[..];
        let mut said = Vec::new();
        loop {
            match self.conn.receive(&mut input, &mut self.head) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    // What is written for them says it all.
                    if !matches!(event, Event::Malformed { .. }) {
                        said.push(self.show(&event));
                    }
                    if let Event::Data { stream, data, .. } = event
                        && self.releases
                    {
                        self.conn.release(stream, data.len());
                    }
                }
                Err(error) => {
                    said.push(format!("error {}", error.code));
                    break;
                }
            }
        }
        self.rest = input.to_vec();
        said.join(", ")
    }

    fn show(&mut self, event: &Event<'_>) -> String {
        let mark = |end: bool| if end { " end" } else { "" };
        match *event {
            Event::Request { stream, end } => {
                self.keys.push(stream);
                format!("request {}{}", stream.id, mark(end))
            }
            Event::Malformed { stream, reason } => format!("malformed {stream}: {reason}"),
            Event::Informational { stream } => format!("informational {} {}", stream.id, self.head.status()),
            Event::Response { stream, end } => {
                format!("response {} {}{}", stream.id, self.head.status(), mark(end))
            }
            Event::Data { stream, data, end } => {
                format!("data {} {}{}", stream.id, String::from_utf8_lossy(data), mark(end))
            }
            Event::Trailers { stream } => format!("trailers {}", stream.id),
            Event::Reset { stream, code, by_peer, .. } => {
                format!("{} {} {code}", if by_peer { "reset by peer" } else { "reset" }, stream.id)
            }
            Event::Unprocessed { stream } => format!("unprocessed {}", stream.id),
            Event::GoAway { last, code, .. } => format!("goaway {last} {code}"),
            Event::Settings => "settings".into(),
            Event::Pong(_) => "pong".into(),
        }
    }

    /// What it writes, as bytes.
    fn bytes(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while !self.conn.output.is_empty() {
            let mut slices = [std::io::IoSlice::new(&[]); 8];
            let count = self.conn.output.slices(&mut slices);
            let some: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            self.conn.output.advance(some.len());
            all.extend(some);
        }
        all
    }

    /// What it writes, as text.
    fn written(&mut self) -> String {
        let bytes = self.bytes();
        let mut rest = bytes.strip_prefix(&PREFACE[..]).unwrap_or(&bytes);
        let mut said = Vec::new();
        while let Some(head) = frame::FrameHead::read(rest) {
            let (payload, after) = rest[frame::HEAD..].split_at(head.len);
            rest = after;
            said.push(show_frame(&head, payload));
        }
        assert!(rest.is_empty(), "whole frames are written");
        said.join(", ")
    }
}

fn show_frame(head: &frame::FrameHead, payload: &[u8]) -> String {
    let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
    let end = if head.has(END) { " end" } else { "" };
    match head.kind {
        kind::DATA => format!("DATA {} {}{end}", head.stream, head.len),
        kind::HEADERS => format!("HEADERS {}{end}", head.stream),
        kind::CONTINUATION => format!("CONTINUATION {} {}", head.stream, head.flags),
        kind::RST_STREAM => format!("RST_STREAM {} {}", head.stream, Code(number(0))),
        kind::SETTINGS if head.has(flag::ACK) => "SETTINGS ack".into(),
        kind::SETTINGS => {
            let entry = |entry: &[u8]| {
                format!(" {}={}", entry[1], u32::from_be_bytes(entry[2..].try_into().unwrap()))
            };
            format!("SETTINGS{}", payload.chunks(6).map(entry).collect::<String>())
        }
        kind::PING if head.has(flag::ACK) => "PING ack".into(),
        kind::PING => "PING".into(),
        kind::GOAWAY => format!("GOAWAY {} {}", number(0), Code(number(4))),
        kind::WINDOW_UPDATE => format!("WINDOW_UPDATE {} {}", head.stream, number(0)),
        kind => format!("{kind}"),
    }
}

/// Feeds a server that has the requests 1 (complete) and 3 (with content to come), both unanswered.
fn server_says(bytes: &[u8]) -> (String, String) {
    let mut server = End::server();
    assert_eq!(
        server.feed(&[headers(1, END, GET), headers(3, 0, POST)].concat()),
        "request 1 end, request 3"
    );
    let said = server.feed(bytes);
    (said, server.written())
}

/// Feeds a client that has sent the requests 1 and 3 whole and is sending 5.
fn client_says(bytes: &[u8]) -> (String, String) {
    let mut client = End::asking(2, true);
    client.conn.open(false, false, |block| block.raw(POST)).unwrap();
    client.written();
    let said = client.feed(bytes);
    (said, client.written())
}

/// What both must be when the connection ends with an error.
fn ends(code: Code, last: u32) -> (String, String) {
    (format!("error {code}"), format!("GOAWAY {last} {code}"))
}

fn says(said: &str, written: &str) -> (String, String) {
    (said.into(), written.into())
}

#[test]
fn nothing_is_taken_in_after_an_error_and_goaway_is_sent_once() {
    let mut server = End::server();
    assert_eq!(server.feed(&data(0, 0, b"x")), "error PROTOCOL_ERROR");
    assert_eq!(server.feed(&headers(1, END, GET)), "");
    server.conn.fail(Error::new(Code::NO_ERROR, "again"));
    assert_eq!(server.written(), "GOAWAY 0 PROTOCOL_ERROR");
    assert!(server.conn.has_failed());
}
