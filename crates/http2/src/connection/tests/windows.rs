//! Flow control of what is received and of what is sent (RFC 9113 sections 5.2, 6.9).

use super::*;

fn small(window: u32) -> Config {
    let mut config = Config::new(Role::Server);
    config.settings.initial_window_size = window;
    config
}

#[test]
fn data_over_the_stream_window_resets_the_stream() {
    let mut server = End::settled(&small(10));
    server.releases = false;
    assert_eq!(
        server.feed(&[headers(1, 0, POST), data(1, 0, b"1234567890")].concat()),
        "request 1, data 1 1234567890"
    );
    assert_eq!(server.feed(&data(1, 0, b"")), "data 1 ");
    assert_eq!(server.feed(&data(1, 0, b"x")), "reset 1 FLOW_CONTROL_ERROR");
}

#[test]
fn data_over_the_connection_window_ends_the_connection() {
    let mut config = small(1 << 20);
    config.settings.max_frame_size = 1 << 20;
    let mut server = End::settled(&config);
    server.releases = false;
    server.feed(&headers(1, 0, POST));
    assert!(server.feed(&data(1, 0, &[b'x'; 65_535])).starts_with("data 1 x"));
    assert_eq!(server.feed(&data(1, 0, b"")), "data 1 ");
    assert_eq!(server.feed(&data(1, 0, b"x")), "error FLOW_CONTROL_ERROR");
    assert_eq!(server.written(), "GOAWAY 1 FLOW_CONTROL_ERROR");
}

#[test]
fn window_updates_are_sent_once_half_the_window_is_released() {
    let mut server = End::settled(&small(100));
    server.releases = false;
    server.feed(&[headers(1, 0, POST), data(1, 0, &[b'x'; 100])].concat());
    let key = server.keys[0];
    server.conn.release(key, 49);
    assert_eq!(server.written(), "");
    server.conn.release(key, 1);
    assert_eq!(server.written(), "WINDOW_UPDATE 1 50");
    server.conn.release(key, 5_000);
    assert_eq!(server.written(), "WINDOW_UPDATE 1 50", "no more than was received");
}

#[test]
fn padding_counts_against_the_window_and_is_returned() {
    let mut server = End::settled(&small(100));
    server.releases = false;
    let padded = [&[60][..], &[b'x'; 9], &[0; 60]].concat();
    server.feed(&[headers(1, 0, POST), data(1, flag::PADDED, &padded)].concat());
    assert_eq!(server.written(), "WINDOW_UPDATE 1 61");
    assert_eq!(server.feed(&data(1, flag::PADDED, &padded)), "data 1 xxxxxxxxx");
    assert_eq!(
        server.feed(&data(1, 0, &[b'x'; 83])),
        "reset 1 FLOW_CONTROL_ERROR",
        "18 are held, 82 are left"
    );
}

#[test]
fn unreleased_window_is_returned_when_the_stream_ends() {
    for end in ["reset by the peer", "reset here", "well", "a rule broken"] {
        let mut server = End::server();
        server.releases = false;
        server.feed(&[headers(1, 0, POST), data(1, 0, &[0; 16_384]), data(1, 0, &[0; 16_384])].concat());
        let key = server.keys[0];
        match end {
            "reset by the peer" => drop(server.feed(&rst_stream(1))),
            "reset here" => server.conn.reset(key, Code::CANCEL),
            "well" => {
                server.feed(&data(1, END, b""));
                server.conn.head(key, true, |block| block.status(200));
            }
            _ => drop(server.feed(&headers(1, 0, b""))),
        }
        let written = server.written();
        assert!(written.contains("WINDOW_UPDATE 0 32768"), "{end}: {written}");
        server.conn.release(key, 32_768);
        assert_eq!(server.written(), "", "{end}: not twice");
        assert_eq!(server.conn.open_streams(), 0);
    }
}

#[test]
fn a_partial_data_frame_is_delivered_and_its_rest_dropped_on_reset() {
    let mut server = End::server();
    server.releases = false;
    server.feed(&headers(1, 0, POST));
    let frame = data(1, END, &[b'x'; 16_384]);
    assert_eq!(server.feed(&frame[..12]), "data 1 xxx");
    assert!(server.conn.partial.is_some());
    server.conn.reset(server.keys[0], Code::CANCEL);
    assert_eq!(server.feed(&frame[12..]), "");
    assert!(server.conn.partial.is_none());
    server.feed(&headers(3, 0, POST));
    server.written();
    let more = data(3, 0, &[b'x'; 16_384]);
    server.feed(&more);
    server.conn.release(server.keys[1], 16_384);
    assert_eq!(server.written(), "WINDOW_UPDATE 0 32768", "all of both frames");
}

#[test]
fn a_stream_holding_the_connection_window_does_not_starve_others() {
    let mut server = End::server();
    server.releases = false;
    server.feed(&[headers(1, 0, POST), headers(3, 0, POST)].concat());
    for _ in 0..3 {
        server.feed(&data(1, 0, &[0; 16_000]));
    }
    // What is left is less than half: it would never come to an update.
    server.feed(&data(3, 0, &[0; 16_000]));
    server.conn.release(server.keys[1], 16_000);
    assert_eq!(server.written(), "WINDOW_UPDATE 0 16000");
}

#[test]
fn the_initial_window_applies_until_settings_are_acknowledged() {
    let mut server = End::new(&small(10));
    server.releases = false;
    server.feed(&[&PREFACE[..], &settings(&[]), &headers(1, 0, POST)].concat());
    assert!(server.feed(&data(1, 0, &[b'x'; 16_000])).starts_with("data 1 x"));
    server.written();
    assert_eq!(server.feed(&ack()), "");
    server.conn.release(server.keys[0], 16_000);
    assert_eq!(server.written(), "WINDOW_UPDATE 1 16000");
    assert_eq!(server.feed(&data(1, 0, b"1234567890")), "data 1 1234567890");
    assert_eq!(server.feed(&data(1, 0, b"x")), "reset 1 FLOW_CONTROL_ERROR");
    assert_eq!(
        server.feed(&[headers(3, 0, POST), data(3, 0, b"12345678901")].concat()),
        "request 3, reset 3 FLOW_CONTROL_ERROR"
    );
}

#[test]
fn a_larger_window_applies_immediately_a_smaller_once_acknowledged() {
    let mut server = End::settled(&small(10));
    server.releases = false;
    server.feed(&headers(1, 0, POST));
    server.conn.change_settings(|settings| settings.initial_window_size = 20);
    assert_eq!(server.feed(&data(1, 0, &[b'x'; 15])), "data 1 xxxxxxxxxxxxxxx");
    server.conn.change_settings(|settings| settings.initial_window_size = 5);
    assert_eq!(server.written(), "SETTINGS 4=20, SETTINGS 4=5");
    assert_eq!(server.feed(&[ack(), data(1, 0, b"12345")].concat()), "data 1 12345");
    assert_eq!(server.feed(&ack()), "");
    server.conn.release(server.keys[0], 20);
    assert_eq!(server.written(), "WINDOW_UPDATE 1 20");
    assert_eq!(server.feed(&data(1, 0, b"12345")), "data 1 12345");
    assert_eq!(server.feed(&data(1, 0, b"6")), "reset 1 FLOW_CONTROL_ERROR");
}

#[test]
fn data_room_is_the_smaller_of_both_windows() {
    let mut server = End::server();
    server.feed(&[settings(&[(4, 30)]), headers(1, END, GET)].concat());
    let key = server.keys[0];
    assert_eq!(server.conn.data_room(key), 30);
    server.feed(&window_update(1, 100_000));
    assert_eq!(server.conn.data_room(key), 65_535);
    server.feed(&window_update(0, 100_000));
    assert_eq!(server.conn.data_room(key), 100_030);
}

#[test]
fn a_window_may_become_negative_by_settings_and_recovers() {
    let mut server = End::server();
    server.feed(&[settings(&[(4, 100)]), headers(1, END, GET)].concat());
    let key = server.keys[0];
    server.conn.data_static(key, &[0; 90], false);
    server.conn.want(key);
    server.feed(&settings(&[(4, 10)]));
    assert_eq!(server.conn.data_room(key), 0);
    assert_eq!(server.conn.next_ready(), None);
    server.feed(&window_update(1, 80));
    assert_eq!((server.conn.data_room(key), server.conn.next_ready()), (0, None));
    server.feed(&window_update(1, 1));
    assert_eq!((server.conn.data_room(key), server.conn.next_ready()), (1, Some(key)));
    server.conn.want(key);
    server.conn.data_static(key, b"x", false);
    server.feed(&settings(&[(4, 17)]));
    assert_eq!((server.conn.data_room(key), server.conn.next_ready()), (7, Some(key)));
}

#[test]
fn a_window_over_the_maximum_is_a_flow_control_error() {
    let most = (1_u32 << 31) - 1;
    let flow = Code::FLOW_CONTROL_ERROR;
    assert_eq!(server_says(&window_update(0, most)), ends(flow, 3));
    assert_eq!(server_says(&window_update(0, most - 65_535)), says("", ""));
    let reset = says("reset 3 FLOW_CONTROL_ERROR", "RST_STREAM 3 FLOW_CONTROL_ERROR");
    assert_eq!(server_says(&window_update(3, most)), reset);
    assert_eq!(server_says(&window_update(3, most - 65_535)), says("", ""));
    let by_settings = [window_update(3, most - 65_535), settings(&[(4, 65_536)])].concat();
    assert_eq!(server_says(&by_settings), ends(flow, 3));
    let down_and_up = [settings(&[(4, 0)]), window_update(3, most), settings(&[(4, 0)])].concat();
    assert_eq!(server_says(&down_and_up).0, "settings, settings");
}

#[test]
fn a_window_update_of_zero_is_a_protocol_error() {
    assert_eq!(server_says(&window_update(0, 0)), ends(Code::PROTOCOL_ERROR, 3));
    let reset = says("reset 3 PROTOCOL_ERROR", "RST_STREAM 3 PROTOCOL_ERROR");
    assert_eq!(server_says(&window_update(3, 0)), reset);
    // The first bit is reserved.
    assert_eq!(server_says(&window_update(3, 1 << 31)), reset);
}

#[test]
fn ready_streams_are_scheduled_round_robin() {
    let mut server = End::server();
    server.feed(
        &[settings(&[(4, 10)]), headers(1, END, GET), headers(3, END, GET), headers(5, END, GET)].concat(),
    );
    let keys = server.keys.clone();
    for key in &keys {
        server.conn.want(*key);
        server.conn.want(*key);
    }
    for key in keys.iter().chain(&keys) {
        assert_eq!(server.conn.next_ready(), Some(*key));
        server.conn.data_static(*key, b"12345", false);
        server.conn.want(*key);
    }
    assert_eq!(server.conn.next_ready(), None);
    assert!(server.conn.is_blocked());
    server.feed(&[window_update(5, 1), window_update(1, 1)].concat());
    assert_eq!([server.conn.next_ready(), server.conn.next_ready()], [Some(keys[2]), Some(keys[0])]);
    assert_eq!(server.conn.next_ready(), None);
}

#[test]
fn streams_blocked_on_the_connection_window_keep_their_turn() {
    let mut server = End::server();
    server.feed(&[headers(1, END, GET), headers(3, END, GET)].concat());
    let (first, second) = (server.keys[0], server.keys[1]);
    server.conn.data(first, vec![0; 65_535].into(), false);
    server.conn.want(second);
    assert_eq!((server.conn.data_room(second), server.conn.next_ready()), (0, None));
    server.feed(&window_update(0, 9));
    assert_eq!((server.conn.data_room(second), server.conn.next_ready()), (9, Some(second)));
}

#[test]
fn window_of_rejected_content_is_returned_to_the_connection() {
    let mut server = End::server();
    let long = [POST, &field(b"content-length", b"3")].concat();
    for id in (1..201).step_by(2) {
        // Whole, and with a part still to come.
        let content = data(id, 0, &[0; 16_384]);
        let reset = format!("request {id}, reset {id} PROTOCOL_ERROR");
        assert_eq!(server.feed(&[headers(id, 0, &long), content[..5_000].to_vec()].concat()), reset);
        assert_eq!(server.feed(&content[5_000..]), "");
    }
    let given = server.written().matches("WINDOW_UPDATE 0 32768").count();
    assert_eq!(given, 50);
}
