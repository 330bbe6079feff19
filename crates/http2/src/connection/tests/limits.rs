//! What an attacker may not do, and what a busy peer may (RFC 9113 section 10.5).

use super::*;
use crate::{limits::Limits, random::Random};

/// Feeds the same bytes over and over; whether that ends with ENHANCE_YOUR_CALM, before the output becomes long.
fn calms(server: &mut End, mut bytes: impl FnMut(u32) -> Vec<u8>) -> bool {
    for round in 0..100_000 {
        let said = server.feed(&bytes(round));
        assert!(server.conn.output.len() < 2 << 20, "the output is bounded");
        if said.ends_with("error ENHANCE_YOUR_CALM") {
            assert!(server.written().ends_with("ENHANCE_YOUR_CALM"));
            return true;
        }
    }
    false
}

#[test]
fn rapid_resets_end_the_connection() {
    let mut server = End::server();
    assert!(
        calms(&mut server, |round| [headers(2 * round + 1, END, GET), rst_stream(2 * round + 1)].concat())
    );
    assert_eq!(server.conn.counters().resets_received, 10_001);
}

#[test]
fn making_the_server_reset_its_streams_ends_the_connection() {
    let wrong = |id: u32| {
        [window_update(id, 0), data(id, 0, b"x"), headers(id, END, GET), frame(kind::PRIORITY, 0, id, b"")]
    };
    for kind in 0..4 {
        let mut server = End::server();
        assert!(calms(&mut server, |round| {
            let id = 2 * round + 1;
            [headers(id, END, GET), wrong(id)[kind].clone()].concat()
        }));
        assert_eq!(server.conn.counters().stream_errors, 1001);
    }
}

#[test]
fn only_thousands_of_streams_over_the_limit_end_the_connection() {
    let mut config = Config::new(Role::Server);
    config.settings.max_concurrent_streams = Some(10);
    let mut server = End::settled(&config);
    // As a client does that has not seen SETTINGS.
    let burst: Vec<u8> = (0..5_000).flat_map(|round| headers(2 * round + 1, END, GET)).collect();
    assert!(server.feed(&burst).ends_with("request 19 end"));
    assert_eq!((server.conn.counters().refused, server.conn.counters().stream_errors), (4_990, 0));
    assert!(calms(&mut server, |round| headers(2 * round + 10_001, END, GET)));
}

#[test]
fn a_field_block_over_the_limit_is_refused_by_its_frame_length() {
    let mut config = Config::new(Role::Server);
    config.settings.max_frame_size = (1 << 24) - 1;
    let most = config.limits.block as u32 + 261;
    let begun = |len: u32| {
        let mut head = len.to_be_bytes()[1..].to_vec();
        head.extend_from_slice(&[kind::HEADERS, END, 0, 0, 0, 1]);
        head
    };
    assert_eq!(End::settled(&config).feed(&begun(most)), "");
    assert!(End::settled(&config).feed(&begun(most + 1)).ends_with("error ENHANCE_YOUR_CALM"));
}

#[test]
fn a_flood_of_continuations_ends_the_connection() {
    for payload in [&b""[..], b"\x88", &[0x88; 16_384]] {
        let mut server = End::server();
        server.feed(&frame(kind::HEADERS, END, 1, GET));
        let mut rounds = 0;
        assert!(calms(&mut server, |round| {
            rounds = round;
            frame(kind::CONTINUATION, 0, 1, payload)
        }));
        assert!(rounds <= 64);
    }
}

#[test]
fn an_hpack_bomb_ends_the_connection_whether_a_limit_was_announced_or_not() {
    for announced in [None, Some(65_536)] {
        let mut config = Config::new(Role::Server);
        config.settings.max_header_list_size = announced;
        let mut server = End::settled(&config);
        let large = [GET, &[0x40, 1, b'a', 0x7f, 0xd1, 0x1e], &[b'x'; 4048 - 127 + 127 - 32]].concat();
        let len = large.len() - GET.len() - 6;
        let mut large = large;
        let rest = len - 127;
        large[GET.len() + 4] = rest as u8 | 0x80;
        large[GET.len() + 5] = (rest >> 7) as u8;
        assert_eq!(server.feed(&headers(1, END, &large)), "request 1 end");
        // Each byte stands for four thousand.
        let within = [GET, &[0x80 | 62; 100]].concat();
        assert_eq!(server.feed(&headers(3, END, &within)), "request 3 end");
        assert_eq!(server.head.is_too_large(), announced.is_some());
        let bomb = [GET, &[0x80 | 62; 16_000]].concat();
        assert_eq!(server.feed(&headers(5, END, &bomb)), "error ENHANCE_YOUR_CALM");
    }
}

#[test]
fn a_list_within_the_announced_limit_is_never_an_attack() {
    let mut config = Config::new(Role::Server);
    config.settings.max_header_list_size = Some(10_000);
    config.limits.list = 100;
    let mut server = End::settled(&config);
    assert_eq!(server.feed(&headers(1, END, &[GET, &field(b"a", &[b'x'; 100])].concat())), "request 1 end");
    assert!(!server.head.is_too_large());
}

#[test]
fn floods_of_useless_frames_end_the_connection() {
    let floods: [fn() -> Vec<u8>; 9] = [
        || settings(&[]),
        || settings(&[(4, 0), (4, 65_535)]),
        || frame(kind::PING, 0, 0, &[0; 8]),
        || frame(kind::PING, flag::ACK, 0, &[0; 8]),
        || frame(kind::PRIORITY, 0, 3, &[0; 5]),
        || frame(kind::PRIORITY_UPDATE, 0, 0, &[0; 5]),
        || frame(250, 0, 0, b""),
        || goaway(0, Code::NO_ERROR),
        || data(1, 0, b""),
    ];
    for (index, flood) in floods.iter().enumerate() {
        let mut server = End::server();
        server.feed(&headers(1, 0, POST));
        assert!(calms(&mut server, |_| flood()), "flood {index}");
    }
}

#[test]
fn settings_that_move_many_windows_cost_more_than_one_frame() {
    let mut server = End::server();
    let open: Vec<u8> = (0..64 * 9).flat_map(|number| headers(2 * number + 1, END, GET)).collect();
    server.feed(&open);
    assert_eq!(server.conn.open_streams(), 64 * 9);
    let mut last = 0;
    assert!(calms(&mut server, |round| {
        last = round;
        settings(&[(4, 1000 + round % 2)])
    }));
    assert!((990..=1000).contains(&last), "{last}");
}

#[test]
fn padded_data_frames_without_content_are_a_flood() {
    let mut server = End::server();
    server.feed(&headers(1, 0, POST));
    assert!(calms(&mut server, |_| data(1, flag::PADDED, &[3, 0, 0, 0])));
}

#[test]
fn floods_of_headers_and_resets_on_closed_streams_end_the_connection() {
    for wrong in [rst_stream(1), headers(1, END, GET)] {
        let mut server = End::server();
        server.feed(&headers(1, 0, POST));
        server.conn.reset(server.keys[0], Code::CANCEL);
        assert!(calms(&mut server, |_| wrong.clone()));
    }
}

#[test]
fn a_flood_of_tiny_window_updates_ends_the_connection() {
    let mut server = End::server();
    server.feed(&headers(1, END, GET));
    let key = server.keys[0];
    server.conn.data(key, vec![0; 65_535].into(), false);
    server.written();
    let ended = (0..20_000).find(|_| {
        let said = server.feed(&[window_update(0, 1), window_update(1, 1)].concat());
        let room = server.conn.data_room(key);
        server.conn.data(key, vec![0; room].into(), false);
        !said.is_empty()
    });
    assert_eq!(ended, Some(4_999));
}

#[test]
fn window_updates_for_many_small_messages_are_allowed() {
    let mut server = End::server();
    server.feed(&headers(1, END, GET));
    let key = server.keys[0];
    for _ in 0..100_000 {
        server.conn.data_static(key, b"a small message", false);
        server.conn.output.clear();
        assert_eq!(server.feed(&[window_update(0, 15), window_update(1, 15)].concat()), "");
    }
}

#[test]
fn tiny_updates_of_a_tiny_window_are_allowed() {
    let mut server = End::server();
    server.feed(&[settings(&[(4, 100)]), headers(1, END, GET)].concat());
    let key = server.keys[0];
    for round in 0..100_000_u32 {
        let room = server.conn.data_room(key);
        server.conn.data(key, vec![0; room].into(), false);
        server.conn.output.clear();
        let more = if round.is_multiple_of(300) { window_update(0, 30_000) } else { vec![] };
        assert_eq!(server.feed(&[window_update(1, 100), more].concat()), "");
    }
}

#[test]
fn unread_control_frames_end_the_connection_unread_content_does_not() {
    let mut config = Config::new(Role::Server);
    config.limits = Limits { control: u32::MAX, waiting_control: 10_000, ..Limits::default() };
    let ping = frame(kind::PING, 0, 0, &[0; 8]);
    let mut server = End::settled(&config);
    let mut pings = 0;
    assert!(calms(&mut server, |round| {
        pings = round + 1;
        ping.clone()
    }));
    assert_eq!(pings, 10_000 / 17 + 1);
    let mut server = End::settled(&config);
    server.feed(&headers(1, END, GET));
    server.conn.data(server.keys[0], vec![0; 8 << 20].into(), false);
    for _ in 0..100 {
        assert_eq!(server.feed(&ping), "");
    }
    for _ in 0..10_000 {
        server.written();
        assert_eq!(server.feed(&ping), "");
    }
}

#[test]
fn closed_streams_that_waited_for_window_do_not_pile_up() {
    let mut server = End::server();
    server.feed(&headers(1, END, GET));
    server.conn.data(server.keys[0], vec![0; 65_535].into(), false);
    for id in (3..6_003).step_by(2) {
        server.feed(&headers(id, END, GET));
        server.conn.want(*server.keys.last().unwrap());
        server.feed(&rst_stream(id));
        assert!(server.conn.ready.len() <= 40);
    }
}

#[test]
fn frequent_cancellation_by_a_busy_client_is_allowed() {
    // Half, and four fifths.
    for (cancelled, of) in [(1, 2), (4, 5)] {
        let mut random = Random::new(7);
        let mut server = End::server();
        let mut next = 1;
        for _ in 0..100_000 {
            while server.keys.len() < 100 {
                assert_eq!(server.feed(&headers(next, END, GET)), format!("request {next} end"));
                next += 2;
            }
            let key = server.keys.swap_remove(random.below(100));
            if random.below(of) < cancelled {
                assert_eq!(server.feed(&rst_stream(key.id)), format!("reset by peer {} CANCEL", key.id));
            } else {
                server.conn.head(key, true, |block| block.status(200));
                server.conn.output.clear();
                // A cancel that came too late, and small change for small replies.
                assert_eq!(server.feed(&rst_stream(key.id)), "");
                assert_eq!(server.feed(&window_update(0, 5)), "");
            }
        }
    }
}

#[test]
fn flood_budgets_refill_over_time() {
    let mut server = End::server();
    let ping = frame(kind::PING, 0, 0, &[0; 8]);
    for second in 0..60 {
        server.conn.tick(second * 1000).unwrap();
        for _ in 0..1_000 {
            assert_eq!(server.feed(&ping), "", "in second {second}");
        }
        server.written();
    }
}
