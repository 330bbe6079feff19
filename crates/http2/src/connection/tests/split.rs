//! Bytes arrive in pieces of any size, which must not matter.

use super::*;

/// A client's bytes with everything in them that a server takes.
fn client_bytes() -> Vec<u8> {
    let padded = [&[3, 0, 0, 0, 9, 1][..], GET, &[0; 3]].concat();
    [
        PREFACE.to_vec(),
        settings(&[(4, 1000), (1, 0)]),
        ack(),
        headers(1, END | flag::PADDED | flag::PRIORITY, &padded),
        frame(kind::PRIORITY, 0, 9, &[0, 0, 0, 3, 1]),
        frame(kind::HEADERS, 0, 3, POST),
        frame(kind::CONTINUATION, 0, 3, &field(b"a", b"b")),
        frame(kind::CONTINUATION, HEADERS, 3, &field(b"content-length", b"9")),
        data(3, 0, b"abc"),
        frame(kind::PING, 0, 0, b"12345678"),
        data(3, flag::PADDED, b"\x04def\0\0\0\0"),
        frame(200, 7, 5, b"unknown"),
        headers(5, 0, POST),
        data(5, 0, b"to be reset"),
        data(3, END, b"ghi"),
        rst_stream(5),
        headers(7, END, &[0x82, 0x86]),
        headers(9, 0, POST),
        data(9, 0, b""),
        data(9, 0, b"x"),
        headers(9, END, &field(b"t", b"u")),
        window_update(0, 7000),
        window_update(1, 7000),
        headers(11, 0, &[POST, &field(b"content-length", b"2")].concat()),
        data(11, 0, b"too long"),
        data(11, END, b"more"),
        goaway(0, Code::NO_ERROR),
        headers(2, END, GET),
    ]
    .concat()
}

fn server_bytes() -> Vec<u8> {
    [
        settings(&[(3, 100), (5, 20_000)]),
        ack(),
        headers(1, 0, &field(b":status", b"103")),
        headers(1, 0, OK),
        data(1, 0, b"hello "),
        headers(3, END, OK),
        data(1, END, b"world"),
        headers(5, 0, &[OK, &field(b"content-length", b"3")].concat()),
        data(5, END, b"four"),
        goaway(7, Code::NO_ERROR),
        headers(7, 0, OK),
        data(7, 0, b"x"),
        headers(7, END, &field(b"t", b"u")),
        data(99, 0, b"never opened"),
    ]
    .concat()
}

/// Events with content of one stream in a row put together, and what was written.
fn run(role: Role, pieces: &[&[u8]]) -> (Vec<String>, String) {
    let mut end = End::new(&Config::new(role));
    if role == Role::Client {
        end.conn.stage = crate::connection::Stage::Open;
        for _ in 0..5 {
            end.conn.open(true, false, |block| block.raw(GET));
        }
        end.conn.stage = crate::connection::Stage::Settings;
    }
    let mut said: Vec<String> = Vec::new();
    for piece in pieces {
        let events = end.feed(piece);
        for event in events.split(", ").filter(|event| !event.is_empty()) {
            let part = event.strip_prefix("data ").and_then(|rest| rest.split_once(' '));
            match (part, said.last_mut()) {
                (Some((stream, more)), Some(last)) if last.starts_with(&format!("data {stream} ")) => {
                    last.push_str(more);
                }
                _ => said.push(event.into()),
            }
        }
        assert!(end.rest.len() < 60, "no more is left over than a frame");
    }
    (said, end.written())
}

#[test]
fn every_split_gives_the_same_events() {
    for (role, bytes) in [(Role::Server, client_bytes()), (Role::Client, server_bytes())] {
        let whole = run(role, &[&bytes]);
        assert!(whole.0.last().is_some_and(|last| last == "error PROTOCOL_ERROR"), "{whole:?}");
        for at in 0..bytes.len() {
            assert_eq!(run(role, &[&bytes[..at], &bytes[at..]]), whole, "split at {at}");
        }
        for size in 1..50 {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(run(role, &pieces), whole, "in pieces of {size}");
        }
    }
}

#[test]
fn the_events_and_replies_of_each_frame_are_as_expected() {
    let (said, written) = run(Role::Server, &[&client_bytes()]);
    assert_eq!(
        said.join(", "),
        "settings, request 1 end, request 3, data 3 abcdef, request 5, data 5 to be reset, data 3 ghi end, \
         reset by peer 5 CANCEL, request 9, data 9 x, trailers 9, request 11, reset 11 PROTOCOL_ERROR, \
         goaway 0 NO_ERROR, error PROTOCOL_ERROR"
    );
    assert_eq!(
        written,
        "SETTINGS, SETTINGS ack, PING ack, RST_STREAM 7 PROTOCOL_ERROR, RST_STREAM 11 PROTOCOL_ERROR, \
         GOAWAY 11 PROTOCOL_ERROR"
    );
    let (said, _) = run(Role::Client, &[&server_bytes()]);
    assert_eq!(
        said.join(", "),
        "settings, informational 1 103, response 1 200, data 1 hello , response 3 200 end, data 1 world end, \
         response 5 200, reset 5 PROTOCOL_ERROR, goaway 7 NO_ERROR, unprocessed 9, response 7 200, data 7 x, \
         trailers 7, error PROTOCOL_ERROR"
    );
}
