//! What each kind of frame may do (RFC 9113 sections 3.4, 4, 5.1 and 6).

use super::*;

const PROTOCOL: Code = Code::PROTOCOL_ERROR;
const SIZE: Code = Code::FRAME_SIZE_ERROR;

#[test]
fn a_connection_begins_with_the_preface_and_settings() {
    let mut server = End::new(&Config::new(Role::Server));
    assert_eq!(server.feed(b"GET / HTTP/1.1\r\n"), "error PROTOCOL_ERROR");
    for first in [headers(1, END, GET), ack(), frame(kind::PING, 0, 0, &[0; 8]), goaway(0, Code::NO_ERROR)] {
        let mut server = End::new(&Config::new(Role::Server));
        assert_eq!(server.feed(&[&PREFACE[..], &first].concat()), "error PROTOCOL_ERROR");
        let mut client = End::new(&Config::new(Role::Client));
        assert_eq!(client.feed(&first), "error PROTOCOL_ERROR");
    }
}

#[test]
fn a_client_opens_no_stream_before_the_servers_settings() {
    let mut client = End::new(&Config::new(Role::Client));
    assert_eq!(client.conn.open(true, false, |_| ()), None);
    client.feed(&settings(&[(3, 1)]));
    assert!(client.conn.open(true, false, |_| ()).is_some());
    assert_eq!(client.conn.open(true, false, |_| ()), None, "the server allows one");
}

#[test]
fn frames_on_a_wrong_kind_of_stream_id_end_the_connection() {
    for bytes in [
        data(0, 0, b"x"),
        headers(0, END, GET),
        frame(kind::PRIORITY, 0, 0, &[0, 0, 0, 9, 1]),
        rst_stream(0),
        frame(kind::SETTINGS, 0, 1, b""),
        frame(kind::PING, 0, 1, &[0; 8]),
        frame(kind::GOAWAY, 0, 1, &[0; 8]),
        frame(kind::PRIORITY_UPDATE, 0, 1, &[0; 5]),
        frame(kind::CONTINUATION, HEADERS, 0, b""),
    ] {
        assert_eq!(server_says(&bytes), ends(PROTOCOL, 3), "{bytes:?}");
    }
}

#[test]
fn frames_of_invalid_size_end_the_connection() {
    for bytes in [
        rst_stream(3)[..9 + 3].to_vec(),
        frame(kind::RST_STREAM, 0, 3, &[0; 5]),
        frame(kind::SETTINGS, 0, 0, &[0; 5]),
        frame(kind::SETTINGS, flag::ACK, 0, &[0; 6]),
        frame(kind::PING, 0, 0, &[0; 7]),
        frame(kind::GOAWAY, 0, 0, &[0; 7]),
        frame(kind::WINDOW_UPDATE, 0, 3, &[0; 3]),
        frame(kind::DATA, 0, 3, &[0; 16_385]),
        frame(kind::HEADERS, HEADERS | flag::PRIORITY, 5, &[0; 4]),
        frame(kind::DATA, flag::PADDED, 3, b""),
        frame(kind::HEADERS, HEADERS | flag::PADDED, 5, b""),
        frame(200, 0, 0, &[0; 16_385]),
    ] {
        // The first is cut: its frame header is adjusted to that.
        let mut bytes = bytes;
        let len = (bytes.len() - 9) as u32;
        bytes[..3].copy_from_slice(&len.to_be_bytes()[1..]);
        assert_eq!(server_says(&bytes), ends(SIZE, 3), "{:?}", &bytes[..9]);
    }
}

#[test]
fn padding_longer_than_the_frame_ends_the_connection() {
    let request = [&[1][..], GET, b"\0"].concat();
    assert_eq!(server_says(&headers(5, END | flag::PADDED, &request)), says("request 5 end", ""));
    assert_eq!(server_says(&headers(5, END | flag::PADDED, &[4, 0x82, 0x86, 0x84])), ends(PROTOCOL, 3));
    assert_eq!(server_says(&data(3, flag::PADDED, &[2, 0, 0])), says("data 3 ", ""));
    assert_eq!(server_says(&data(3, flag::PADDED, &[3, 0, 0])), ends(PROTOCOL, 3));
    assert_eq!(server_says(&data(3, flag::PADDED | END, b"\x01hi\0")), says("data 3 hi end", ""));
}

#[test]
fn frames_on_streams_that_were_never_opened_end_the_connection() {
    for stream in [5, 2] {
        for bytes in [data(stream, 0, b"x"), rst_stream(stream), window_update(stream, 1)] {
            assert_eq!(server_says(&bytes), ends(PROTOCOL, 3));
        }
    }
    for stream in [7, 2] {
        for bytes in
            [data(stream, 0, b"x"), rst_stream(stream), window_update(stream, 1), headers(stream, 0, OK)]
        {
            assert_eq!(client_says(&bytes), ends(PROTOCOL, 0));
        }
    }
}

#[test]
fn a_client_opens_odd_streams_in_order() {
    assert_eq!(server_says(&headers(2, END, GET)), ends(PROTOCOL, 3));
    let passed = [headers(9, END, GET), headers(7, END, GET)].concat();
    let (said, written) = server_says(&passed);
    assert_eq!((&said[..], &written[..]), ("request 9 end, error PROTOCOL_ERROR", "GOAWAY 9 PROTOCOL_ERROR"));
}

#[test]
fn a_field_block_is_not_interrupted() {
    let begun = frame(kind::HEADERS, END, 5, GET);
    for other in [
        data(3, 0, b"x"),
        headers(7, END, GET),
        frame(kind::CONTINUATION, HEADERS, 3, b""),
        frame(kind::PING, 0, 0, &[0; 8]),
        frame(200, 0, 0, b""),
    ] {
        assert_eq!(server_says(&[begun.clone(), other].concat()), ends(PROTOCOL, 3));
    }
    let whole = [
        begun,
        frame(kind::CONTINUATION, 0, 5, &[]),
        frame(kind::CONTINUATION, HEADERS, 5, &field(b"a", b"b")),
    ];
    assert_eq!(server_says(&whole.concat()), says("request 5 end", ""));
    assert_eq!(server_says(&frame(kind::CONTINUATION, HEADERS, 3, b"")), ends(PROTOCOL, 3));
}

#[test]
fn an_undecodable_field_block_ends_the_connection_on_any_stream() {
    assert_eq!(server_says(&headers(5, END, &[0x80])), ends(Code::COMPRESSION_ERROR, 3));
    assert_eq!(server_says(&headers(1, END, &[0x80])), ends(Code::COMPRESSION_ERROR, 3));
    assert_eq!(client_says(&headers(1, END, &[0x80])), ends(Code::COMPRESSION_ERROR, 0));
}

#[test]
fn a_half_closed_stream_takes_no_content_and_no_head() {
    assert_eq!(server_says(&data(1, 0, b"x")), says("reset 1 STREAM_CLOSED", "RST_STREAM 1 STREAM_CLOSED"));
    assert_eq!(
        server_says(&headers(1, END, b"")),
        says("reset 1 STREAM_CLOSED", "RST_STREAM 1 STREAM_CLOSED")
    );
    assert_eq!(
        server_says(&[window_update(1, 1), frame(kind::PRIORITY, 0, 1, &[0; 5])].concat()),
        says("", "")
    );
}

#[test]
fn data_and_headers_on_a_completed_stream_are_refused() {
    let ended = || {
        let mut server = End::server();
        server.feed(&headers(1, END, GET));
        let key = server.keys[0];
        server.conn.head(key, true, |block| block.status(200));
        assert_eq!(server.written(), "HEADERS 1 end");
        assert_eq!(server.conn.open_streams(), 0);
        server
    };
    let mut server = ended();
    assert_eq!(server.feed(&data(1, 0, b"x")), "");
    assert_eq!(server.written(), "RST_STREAM 1 STREAM_CLOSED");
    assert_eq!(
        server.feed(&[window_update(1, 9), rst_stream(1), frame(kind::PRIORITY, 0, 1, &[0; 5])].concat()),
        ""
    );
    assert_eq!(server.written(), "");
    assert_eq!(ended().feed(&headers(1, END, GET)), "error STREAM_CLOSED");
}

#[test]
fn data_and_headers_after_the_peers_reset_are_refused() {
    let (said, written) = server_says(&[rst_stream(3), data(3, 0, b"x")].concat());
    assert_eq!((&said[..], &written[..]), ("reset by peer 3 CANCEL", "RST_STREAM 3 STREAM_CLOSED"));
    let (said, _) = server_says(&[rst_stream(3), headers(3, END, GET)].concat());
    assert_eq!(said, "reset by peer 3 CANCEL, error STREAM_CLOSED");
}

#[test]
fn frames_to_a_locally_reset_stream_are_ignored_and_return_window() {
    let mut server = End::server();
    server.feed(&headers(1, 0, POST));
    server.conn.reset(server.keys[0], Code::CANCEL);
    server.written();
    let flight =
        [data(1, 0, &[0; 16_000]), data(1, 0, &[0; 16_000]), data(1, 0, &[0; 767]), headers(1, END, b"")];
    assert_eq!(server.feed(&flight.concat()), "");
    assert_eq!(server.feed(&[window_update(1, 9), rst_stream(1)].concat()), "");
    assert_eq!(server.written(), "WINDOW_UPDATE 0 32767");
}

#[test]
fn late_trailers_on_a_locally_reset_stream_are_ignored() {
    let mut server = End::server();
    server.feed(&headers(1, 0, POST));
    server.conn.reset(server.keys[0], Code::NO_ERROR);
    for id in (3..9003).step_by(2) {
        server.feed(&headers(id, u8::from(id % 4 == 1), GET));
        let key = *server.keys.last().unwrap();
        server.conn.head(key, true, |block| block.status(200));
        server.conn.finish(key);
    }
    server.written();
    assert_eq!(server.feed(&[data(1, 0, b"x"), headers(1, END, &field(b"a", b"b"))].concat()), "");
    assert_eq!(server.written(), "");
}

#[test]
fn push_promise_and_enable_push_from_a_server_are_refused() {
    assert_eq!(client_says(&frame(kind::PUSH_PROMISE, HEADERS, 1, &[0, 0, 0, 2])), ends(PROTOCOL, 0));
    assert_eq!(server_says(&frame(kind::PUSH_PROMISE, HEADERS, 1, &[0, 0, 0, 2])), ends(PROTOCOL, 3));
    assert_eq!(client_says(&settings(&[(2, 1)])), ends(PROTOCOL, 0));
    assert_eq!(client_says(&settings(&[(2, 0)])), says("settings", "SETTINGS ack"));
}

#[test]
fn valid_priorities_are_ignored_and_invalid_ones_refused() {
    assert_eq!(server_says(&frame(kind::PRIORITY, 0, 9, &[0, 0, 0, 7, 1])), says("", ""));
    assert_eq!(server_says(&frame(kind::PRIORITY_UPDATE, 0, 0, &[0, 0, 0, 7, b'u'])), says("", ""));
    let own = |id: u8| frame(kind::PRIORITY, 0, u32::from(id), &[0, 0, 0, id, 1]);
    assert_eq!(server_says(&own(3)), says("reset 3 PROTOCOL_ERROR", "RST_STREAM 3 PROTOCOL_ERROR"));
    assert_eq!(
        server_says(&frame(kind::PRIORITY, 0, 3, &[0; 4])),
        says("reset 3 FRAME_SIZE_ERROR", "RST_STREAM 3 FRAME_SIZE_ERROR")
    );
    // An idle stream can't be reset.
    assert_eq!(server_says(&own(9)), ends(PROTOCOL, 3));
    let request = headers(5, END | flag::PRIORITY, &[&[0, 0, 0, 3, 1][..], GET].concat());
    assert_eq!(server_says(&request), says("request 5 end", ""));
}

#[test]
fn a_stream_that_depends_on_itself_is_reset() {
    let prioritized = |id: u8, flags: u8, block: &[u8]| {
        let payload = [&[0, 0, 0, id, 1], block].concat();
        frame(kind::HEADERS, flags | flag::PRIORITY, u32::from(id), &payload)
    };
    let rest = frame(kind::CONTINUATION, HEADERS, 5, &field(b"a", b"b"));
    assert_eq!(server_says(&prioritized(5, HEADERS | END, GET)), says("", "RST_STREAM 5 PROTOCOL_ERROR"));
    let in_two = [prioritized(5, END, GET), rest].concat();
    assert_eq!(server_says(&in_two), says("", "RST_STREAM 5 PROTOCOL_ERROR"));
    let trailers = prioritized(3, HEADERS | END, &field(b"a", b"b"));
    assert_eq!(server_says(&trailers), says("reset 3 PROTOCOL_ERROR", "RST_STREAM 3 PROTOCOL_ERROR"));
    let response = prioritized(1, HEADERS | END, OK);
    assert_eq!(client_says(&response), says("reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR"));
}

#[test]
fn unknown_frames_flags_and_settings_are_ignored() {
    assert_eq!(server_says(&frame(200, 0xff, 77, b"what")), says("", ""));
    assert_eq!(server_says(&settings(&[(0xfafa, 7)])), says("settings", "SETTINGS ack"));
    assert_eq!(server_says(&data(3, 0xf6 & !flag::PADDED, b"x")), says("data 3 x", ""));
    let mut reserved = data(3, 0, b"x");
    reserved[5] |= 0x80;
    assert_eq!(server_says(&reserved), says("data 3 x", ""));
}

#[test]
fn a_ping_is_acknowledged_and_a_ping_ack_is_reported() {
    assert_eq!(server_says(&frame(kind::PING, 0, 0, b"12345678")), says("", "PING ack"));
    assert_eq!(server_says(&frame(kind::PING, flag::ACK, 0, b"12345678")), says("pong", ""));
}
