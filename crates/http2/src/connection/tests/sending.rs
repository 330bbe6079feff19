//! What this end writes.

use super::*;

#[test]
fn a_long_field_block_continues_in_continuation_frames() {
    let mut client = End::client();
    let value = vec![b'#'; 20_000];
    client.conn.open(true, false, |block| {
        block.raw(GET);
        block.varying(b"x", &value);
        block.varying(b"y", &value);
    });
    let bytes = client.bytes();
    let mut server = End::server();
    assert_eq!(server.feed(&bytes), "request 1 end");
    assert_eq!(server.head.fields().get("y"), Some(&value[..]));
    let first = frame::FrameHead::read(&bytes).unwrap();
    assert_eq!((first.kind, first.flags, first.len), (kind::HEADERS, END, 16_384));
    let second = frame::FrameHead::read(&bytes[9 + 16_384..]).unwrap();
    assert_eq!((second.kind, second.flags, second.len), (kind::CONTINUATION, 0, 16_384));
    let third = frame::FrameHead::read(&bytes[2 * (9 + 16_384)..]).unwrap();
    assert_eq!((third.kind, third.flags), (kind::CONTINUATION, HEADERS));
}

#[test]
fn content_is_split_by_the_peers_max_frame_size() {
    let mut server = End::server();
    server.feed(&[settings(&[(5, 20_000)]), headers(1, END, GET)].concat());
    server.written();
    server.conn.data(server.keys[0], vec![0; 50_000].into(), true);
    assert_eq!(server.written(), "DATA 1 20000, DATA 1 20000, DATA 1 10000 end");
}

#[test]
fn an_end_without_content_is_an_empty_data_frame() {
    let mut server = End::server();
    server.feed(&headers(1, END, GET));
    let key = server.keys[0];
    server.conn.data_static(key, b"", false);
    assert_eq!(server.written(), "");
    server.conn.data_static(key, b"", true);
    assert_eq!(server.written(), "DATA 1 0 end");
}

#[test]
fn nothing_is_sent_on_a_stream_that_has_ended_here() {
    let mut server = End::server();
    server.feed(&headers(1, 0, POST));
    let key = server.keys[0];
    server.conn.head(key, false, |block| block.status(200));
    server.conn.head(key, true, |block| block.varying(b"a", b"b"));
    server.conn.head(key, true, |block| block.varying(b"a", b"b"));
    server.conn.data_static(key, b"x", true);
    assert_eq!(server.written(), "HEADERS 1, HEADERS 1 end");
    assert_eq!(server.conn.open_streams(), 1, "the client is still sending");
    assert_eq!(server.feed(&data(1, END, b"x")), "data 1 x end");
    assert_eq!(server.conn.open_streams(), 0);
    server.conn.reset(key, Code::CANCEL);
    server.conn.want(key);
    server.conn.release(key, 1);
    assert_eq!((server.written(), server.conn.next_ready()), (String::new(), None));
}

#[test]
fn a_stale_key_does_not_address_the_next_stream_in_its_slot() {
    let mut server = End::server();
    server.feed(&[headers(1, END, GET), rst_stream(1), headers(3, END, GET)].concat());
    let (old, new) = (server.keys[0], server.keys[1]);
    assert_eq!(old.slot, new.slot);
    server.conn.head(old, true, |block| block.status(200));
    server.conn.reset(old, Code::CANCEL);
    assert_eq!((server.written(), server.conn.open_streams()), (String::new(), 1));
}

#[test]
fn a_reply_that_is_complete_before_its_request_ends_the_stream() {
    let mut server = End::server();
    server.feed(&headers(1, 0, POST));
    let key = server.keys[0];
    server.conn.finish(key);
    assert_eq!(server.written(), "", "the reply is not complete");
    server.conn.head(key, true, |block| block.status(200));
    server.conn.finish(key);
    server.conn.finish(key);
    assert_eq!(server.written(), "HEADERS 1 end, RST_STREAM 1 NO_ERROR");
}

#[test]
fn a_client_respects_max_concurrent_streams_and_goaway() {
    let mut client = End::client();
    assert_eq!(client.conn.room(), usize::MAX);
    client.feed(&settings(&[(3, 2)]));
    assert_eq!(client.conn.room(), 2);
    let keys: Vec<Key> =
        std::iter::from_fn(|| client.conn.open(true, false, |block| block.raw(GET))).collect();
    assert_eq!(keys.iter().map(|key| key.id).collect::<Vec<_>>(), [1, 3]);
    client.feed(&settings(&[(3, 1)]));
    assert_eq!(client.conn.room(), 0);
    assert_eq!(
        client.feed(&[headers(1, END, OK), headers(3, END, OK)].concat()),
        "response 1 200 end, response 3 200 end"
    );
    assert_eq!(client.conn.room(), 1);
    client.feed(&goaway(3, Code::NO_ERROR));
    assert_eq!((client.conn.room(), client.conn.open(true, false, |_| ())), (0, None));
    assert!(client.conn.is_going_away());
}

#[test]
fn a_client_opens_no_stream_after_the_last_identifier() {
    let mut client = End::client();
    client.conn.highest = (1 << 31) - 5;
    assert_eq!(client.conn.open(true, false, |_| ()).map(|key| key.id), Some((1 << 31) - 3));
    assert_eq!(client.conn.open(true, false, |_| ()).map(|key| key.id), Some((1 << 31) - 1));
    assert_eq!((client.conn.room(), client.conn.open(true, false, |_| ())), (0, None));
}

#[test]
fn streams_over_the_limit_get_refused_stream() {
    let mut config = Config::new(Role::Server);
    config.settings.max_concurrent_streams = Some(1);
    let mut server = End::settled(&config);
    assert_eq!(server.feed(&[headers(1, END, GET), headers(3, 0, POST)].concat()), "request 1 end");
    assert_eq!(server.written(), "RST_STREAM 3 REFUSED_STREAM");
    assert_eq!(server.conn.counters().refused, 1);
    assert_eq!(
        server.feed(&[data(3, 0, b"x"), headers(3, END, b"")].concat()),
        "",
        "what follows is ignored"
    );
    server.conn.head(server.keys[0], true, |block| block.status(200));
    assert_eq!(server.feed(&headers(5, END, GET)), "request 5 end");
}
