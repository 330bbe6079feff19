//! GOAWAY from both ends (RFC 9113 section 6.8).

use super::*;

#[test]
fn a_drain_serves_streams_until_the_ping_ack_and_ignores_later_ones() {
    let mut server = End::server();
    server.feed(&headers(1, END, GET));
    server.conn.drain();
    server.conn.drain();
    assert_eq!(server.written(), "GOAWAY 2147483647 NO_ERROR, PING");
    assert!(!server.conn.is_drained());
    assert_eq!(server.feed(&headers(3, END, GET)), "request 3 end");
    assert_eq!(server.feed(&frame(kind::PING, flag::ACK, 0, b"draining")), "");
    assert_eq!(server.written(), "GOAWAY 3 NO_ERROR");
    assert!(server.conn.is_drained());
    assert_eq!(server.feed(&headers(5, END, GET)), "");
    server.conn.head(server.keys[1], true, |block| block.status(200));
    server.conn.finish_drain();
    assert_eq!(server.written(), "HEADERS 3 end");
}

#[test]
fn ignored_streams_still_update_hpack_and_return_connection_window() {
    let mut server = End::server();
    server.feed(&headers(1, END, GET));
    server.conn.finish_drain();
    server.written();
    let insert = [POST, &[0x40, 1, b'a', 1, b'b']].concat();
    let upload = [
        headers(7, 0, &insert),
        data(7, 0, &[0; 16_384]),
        data(7, 0, &[0; 16_384]),
        window_update(7, 10),
        window_update(5, 10),
        headers(7, END, &field(b"a", b"b")),
        rst_stream(7),
    ];
    assert_eq!(server.feed(&upload.concat()), "");
    assert_eq!(server.written(), "WINDOW_UPDATE 0 32768");
    assert_eq!(server.conn.open_streams(), 1);
    // Its block has changed the table all the same.
    assert_eq!(server.feed(&headers(9, END, &[GET, &[0x80 | 62]].concat())), "");
    assert_eq!(server.feed(&data(11, 0, b"x")), "error PROTOCOL_ERROR", "this one was never opened");
    assert_eq!(server.written(), "GOAWAY 1 PROTOCOL_ERROR", "no more than was announced");
}

#[test]
fn a_clients_goaway_has_last_stream_0() {
    let mut client = End::asking(2, true);
    client.conn.finish_drain();
    assert_eq!(client.written(), "GOAWAY 0 NO_ERROR");
}

#[test]
fn requests_above_goaway_are_reported_unprocessed_and_forgotten() {
    let mut client = End::asking(4, false);
    assert_eq!(client.feed(&goaway(3, Code::NO_ERROR)), "goaway 3 NO_ERROR, unprocessed 5, unprocessed 7");
    assert_eq!(client.conn.open_streams(), 2);
    client.conn.data_static(client.keys[2], b"x", true);
    assert_eq!(client.written(), "", "nothing is sent on them");
    assert_eq!(client.feed(&headers(3, END, OK)), "response 3 200 end");
    assert_eq!(client.feed(&headers(5, END, OK)), "", "whatever the server says of them");
}

#[test]
fn a_second_goaway_may_name_fewer_streams_but_not_more() {
    let mut client = End::asking(3, true);
    assert_eq!(client.feed(&goaway(0x7fff_ffff, Code::NO_ERROR)), "goaway 2147483647 NO_ERROR");
    assert_eq!(client.feed(&goaway(3, Code::NO_ERROR)), "goaway 3 NO_ERROR, unprocessed 5");
    assert_eq!(
        client.feed(&goaway(0, Code::INTERNAL_ERROR)),
        "goaway 0 INTERNAL_ERROR, unprocessed 1, unprocessed 3"
    );
    assert_eq!(client.feed(&goaway(1, Code::NO_ERROR)), "error PROTOCOL_ERROR");
}

#[test]
fn goaway_within_content_ends_only_higher_streams() {
    let mut client = End::asking(2, true);
    let reply = [headers(1, 0, OK), data(1, 0, b"a"), goaway(1, Code::NO_ERROR), data(1, END, b"b")].concat();
    assert_eq!(
        client.feed(&reply),
        "response 1 200, data 1 a, goaway 1 NO_ERROR, unprocessed 3, data 1 b end"
    );
    assert_eq!(client.conn.open_streams(), 0);
}

#[test]
fn a_server_reports_the_clients_goaway_and_keeps_serving() {
    let mut server = End::server();
    server.feed(&headers(1, END, GET));
    assert_eq!(server.feed(&goaway(0, Code::NO_ERROR)), "goaway 0 NO_ERROR");
    server.conn.head(server.keys[0], true, |block| block.status(200));
    assert_eq!(server.written(), "HEADERS 1 end");
    assert_eq!(server.feed(&headers(3, END, GET)), "request 3 end");
}
