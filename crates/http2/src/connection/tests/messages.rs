//! What makes a message well formed (RFC 9113 section 8).

use super::*;

#[test]
fn trailers_come_last_and_without_pseudo_fields() {
    assert_eq!(server_says(&headers(3, END, &field(b"a", b"b"))), says("trailers 3", ""));
    let malformed = says("reset 3 PROTOCOL_ERROR", "RST_STREAM 3 PROTOCOL_ERROR");
    assert_eq!(server_says(&headers(3, 0, &field(b"a", b"b"))), malformed);
    assert_eq!(server_says(&headers(3, END, GET)), malformed);
    assert_eq!(server_says(&headers(3, END, &field(b"A", b"b"))), malformed);
}

#[test]
fn malformed_requests_are_reset_and_not_delivered() {
    let with = |name: &[u8], value: &[u8]| [GET, &field(name, value)].concat();
    let cases = [
        vec![0x82, 0x86],
        vec![0x82, 0x84],
        vec![0x86, 0x84],
        vec![0x82, 0x82, 0x86, 0x84],
        [&[0x82, 0x86][..], &field(b":path", b"")].concat(),
        [&field(b":method", b"")[..], &[0x86, 0x84]].concat(),
        with(b":status", b"200"),
        with(b":other", b"x"),
        with(b":protocol", b"websocket"),
        with(b"Upper", b"x"),
        with(b"a b", b"x"),
        with(b"", b"x"),
        with(b"a", b" x"),
        with(b"a", b"x\n"),
        with(b"a", b"x\0y"),
        with(b"connection", b"close"),
        with(b"proxy-connection", b"close"),
        with(b"keep-alive", b"1"),
        with(b"transfer-encoding", b"chunked"),
        with(b"upgrade", b"h2c"),
        with(b"te", b"gzip"),
        with(b"content-length", b"1"),
        with(b"content-length", b"-1"),
        with(b"content-length", b"99999999999999999999"),
        [GET, &field(b"content-length", b"0"), &field(b"content-length", b"1")].concat(),
        [&field(b"a", b"b"), GET].concat(),
        [&[0x82, 0x86][..], &field(b"a", b"b"), &[0x84]].concat(),
        field(b":method", b"CONNECT"),
        [&field(b":method", b"CONNECT")[..], &[0x84], &field(b":authority", b"a:1")].concat(),
        // Extended, which was not offered.
        [&field(b":method", b"CONNECT")[..], &[0x86, 0x84], &field(b":protocol", b"websocket")].concat(),
    ];
    for block in cases {
        let (said, written) = server_says(&headers(5, END, &block));
        assert_eq!((&said[..], &written[..]), ("", "RST_STREAM 5 PROTOCOL_ERROR"), "{block:?}");
    }
}

/// The head of a request without an authority.
fn path(method: &[u8], scheme: &[u8], path: &[u8]) -> Vec<u8> {
    [field(b":method", method), field(b":scheme", scheme), field(b":path", path)].concat()
}

#[test]
fn an_invalid_path_is_reported_as_malformed_with_a_reason() {
    let mut server = End::server();
    let mut id = 1;
    for (method, scheme, target) in [
        (&b"GET"[..], &b"http"[..], &b"foo"[..]),
        (b"GET", b"https", b"?a"),
        (b"GET", b"HTTP", b"http://x/y"),
        (b"GET", b"http", b"*"),
        (b"OPTIONS", b"http", b"*x"),
        (b"GET", b"http", b"/a b"),
        (b"GET", b"http", b"/a#b"),
        (b"GET", b"http", b"/a\x01"),
        (b"GET", b"http", b"/a\tb"),
        (b"GET", b"http", b"/a\x7f"),
        (b"GET", b"ftp", b"a b"),
    ] {
        let shown = String::from_utf8_lossy(target);
        let frame = headers(id, END, &path(method, scheme, target));
        let event = server.conn.receive(&mut &frame[..], &mut server.head);
        let Ok(Some(Event::Malformed { stream, reason })) = event else { panic!("{shown}: {event:?}") };
        assert!(stream == id && !reason.is_empty(), "{shown}");
        assert_eq!((server.head.method(), server.head.path()), (method, target), "{shown}");
        assert_eq!(server.written(), format!("RST_STREAM {id} PROTOCOL_ERROR"), "{shown}");
        id += 2;
    }
    assert_eq!(server.feed(&headers(id, END, GET)), format!("request {id} end"), "the connection goes on");
}

#[test]
fn a_scheme_other_than_http_or_https_is_flagged() {
    let schemes = [(&b"http"[..], false), (b"HttpS", false), (b"ftp", true), (b"", true), (b"https2", true)];
    let mut server = End::server();
    for (id, (scheme, foreign)) in (1..).step_by(2).zip(schemes) {
        let said = server.feed(&headers(id, END, &path(b"GET", scheme, b"/")));
        assert_eq!(said, format!("request {id} end"));
        assert_eq!(server.head.has_foreign_scheme(), foreign, "{}", String::from_utf8_lossy(scheme));
    }
}

#[test]
fn paths_are_checked_in_cached_field_blocks() {
    let mut server = End::server();
    for (id, target) in (1..).step_by(2).zip([&b"/0"[..], b"/1", b"x1", b"/#", b"/2", b"/ ", b"/3"]) {
        let block = [&[0x82, 0x86, 0x04, target.len() as u8][..], target, &field(b"z", b"y")].concat();
        let taken = target[0] == b'/' && target[1].is_ascii_digit();
        let expected = if taken { format!("request {id} end") } else { String::new() };
        assert_eq!(server.feed(&headers(id, END, &block)), expected, "{target:?}");
        server.written();
    }
}

#[test]
fn requests_of_every_form_are_taken() {
    let with = |name: &[u8], value: &[u8]| [GET, &field(name, value)].concat();
    for block in [
        GET.to_vec(),
        with(b"te", b"Trailers"),
        with(b"content-length", b"0"),
        with(b"x", b""),
        with(b"x", b"a\tb \xff"),
        path(b"OPTIONS", b"http", b"*"),
        path(b"GET", b"HTTPS", b"/"),
        path(b"GET", b"http", b"/a?b=c?&d"),
        path(b"GET", b"http", b"/\"<>[]^`{|}\\\xff"),
        // What a path is, its scheme says.
        path(b"GET", b"ftp", b"a/b"),
        path(b"GET", b"ftp", b"*"),
        [&field(b":method", b"CONNECT")[..], &field(b":authority", b"a:1")].concat(),
    ] {
        assert_eq!(server_says(&headers(5, END, &block)), says("request 5 end", ""), "{block:?}");
    }
}

#[test]
fn a_host_that_differs_from_the_authority_is_kept() {
    let mut server = End::server();
    let block = [GET, &field(b":authority", b"a"), &field(b"host", b"b")].concat();
    assert_eq!(server.feed(&headers(1, END, &block)), "request 1 end");
    assert_eq!(server.head.authority(), Some(&b"a"[..]));
    assert!(server.head.regular().eq([(&b"host"[..], &b"b"[..])]));
}

#[test]
fn extended_connect_is_taken_where_it_was_offered() {
    let mut config = Config::new(Role::Server);
    config.settings.enable_connect_protocol = true;
    let mut server = End::settled(&config);
    let connect = field(b":method", b"CONNECT");
    let protocol = field(b":protocol", b"websocket");
    assert_eq!(server.feed(&headers(1, 0, &[&connect[..], &[0x86, 0x84], &protocol].concat())), "request 1");
    assert_eq!(server.head.protocol(), Some(&b"websocket"[..]));
    assert_eq!(server.feed(&headers(3, 0, &[&connect[..], &protocol].concat())), "");
    assert_eq!(server.feed(&headers(5, 0, &[GET, &protocol].concat())), "");
    assert_eq!(server.written(), "RST_STREAM 3 PROTOCOL_ERROR, RST_STREAM 5 PROTOCOL_ERROR");
}

#[test]
fn content_has_the_length_that_was_announced() {
    let request = headers(5, 0, &[POST, &field(b"content-length", b"3")].concat());
    let after = |frames: &[Vec<u8>]| server_says(&[request.clone(), frames.concat()].concat());
    let malformed = "RST_STREAM 5 PROTOCOL_ERROR";
    assert_eq!(
        after(&[data(5, 0, b"ab"), data(5, END, b"c")]),
        says("request 5, data 5 ab, data 5 c end", "")
    );
    assert_eq!(
        after(&[data(5, 0, b"abc"), headers(5, END, b"")]),
        says("request 5, data 5 abc, trailers 5", "")
    );
    let reset = "request 5, reset 5 PROTOCOL_ERROR";
    assert_eq!(after(&[data(5, 0, b"abcd")]), says(reset, malformed));
    assert_eq!(after(&[data(5, END, b"ab")]), says(reset, malformed));
    assert_eq!(after(&[headers(5, END, b"")]), says(reset, malformed));
    assert_eq!(after(&[data(5, flag::PADDED, b"\x05abc\0\0\0\0\0")]), says("request 5, data 5 abc", ""));
}

#[test]
fn responses_come_in_order_informational_final_content_trailers() {
    let early = field(b":status", b"103");
    let whole =
        [headers(1, 0, &early), headers(1, 0, OK), data(1, 0, b"x"), headers(1, END, &field(b"a", b"b"))];
    assert_eq!(client_says(&whole.concat()).0, "informational 1 103, response 1 200, data 1 x, trailers 1");
    let malformed = says("reset 1 PROTOCOL_ERROR", "RST_STREAM 1 PROTOCOL_ERROR");
    for block in [
        field(b":status", b"101"),
        field(b":status", b"20"),
        field(b":status", b"2000"),
        field(b":status", b"abc"),
        field(b":status", b"099"),
        vec![],
        vec![0x88, 0x88],
        vec![0x88, 0x82],
        [&field(b"a", b"b")[..], OK].concat(),
        [OK, &field(b"Connection", b"b")].concat(),
    ] {
        assert_eq!(client_says(&headers(1, 0, &block)), malformed, "{block:?}");
    }
    assert_eq!(client_says(&headers(1, END, &early)), malformed);
    assert_eq!(client_says(&data(1, 0, b"x")), malformed);
    let (said, _) = client_says(&[headers(1, 0, OK), headers(1, 0, OK)].concat());
    assert_eq!(said, "response 1 200, reset 1 PROTOCOL_ERROR");
}

#[test]
fn responses_without_content_may_have_a_content_length() {
    let length = field(b"content-length", b"5");
    for status in [&[0x89][..], &[0x8b]] {
        let (said, written) = client_says(&headers(1, END, &[status, &length].concat()));
        assert!(said.starts_with("response 1 ") && said.ends_with("4 end") && written.is_empty(), "{said}");
    }
    assert_eq!(client_says(&headers(1, END, &[OK, &length].concat())).0, "reset 1 PROTOCOL_ERROR");
    let mut client = End::client();
    client.conn.open(true, true, |block| block.raw(GET)).unwrap();
    assert_eq!(client.feed(&headers(1, END, &[OK, &length].concat())), "response 1 200 end");
    client.conn.open(true, true, |block| block.raw(GET)).unwrap();
    assert_eq!(
        client.feed(&[headers(3, 0, OK), data(3, 0, b"x")].concat()),
        "response 3 200, reset 3 PROTOCOL_ERROR"
    );
}

#[test]
fn too_long_a_field_list_is_flagged_and_refused_in_trailers() {
    let mut config = Config::new(Role::Server);
    config.settings.max_header_list_size = Some(200);
    let mut server = End::settled(&config);
    let long = field(b"x", &[b'x'; 100]);
    assert_eq!(server.feed(&headers(1, 0, &[POST, &long].concat())), "request 1");
    assert!(server.head.is_too_large() && server.head.fields().is_empty());
    assert_eq!(server.feed(&headers(1, END, &[&long[..], &long].concat())), "reset 1 PROTOCOL_ERROR");
}
