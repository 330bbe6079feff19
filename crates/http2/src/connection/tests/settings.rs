//! SETTINGS of both ends, and when they hold (RFC 9113 section 6.5).

use super::*;
use crate::settings::Settings;

#[test]
fn settings_that_differ_from_the_defaults_are_announced_first() {
    let mut config = Config::new(Role::Client);
    config.connection_window = 1 << 20;
    config.settings.initial_window_size = 100;
    let mut client = End::new(&config);
    assert_eq!(client.bytes()[..24], PREFACE[..]);
    let mut client = End::new(&config);
    assert_eq!(client.written(), format!("SETTINGS 2=0 4=100, WINDOW_UPDATE 0 {}", (1 << 20) - 65_535));
    let mut server = End::new(&Config::new(Role::Server));
    assert_eq!(server.written(), "SETTINGS");
}

#[test]
fn out_of_range_settings_end_the_connection() {
    let protocol = ends(Code::PROTOCOL_ERROR, 3);
    assert_eq!(server_says(&settings(&[(2, 2)])), protocol);
    assert_eq!(server_says(&settings(&[(5, 16_383)])), protocol);
    assert_eq!(server_says(&settings(&[(5, 1 << 24)])), protocol);
    assert_eq!(server_says(&settings(&[(8, 2)])), protocol);
    assert_eq!(server_says(&settings(&[(4, 1 << 31)])), ends(Code::FLOW_CONTROL_ERROR, 3));
    assert_eq!(
        server_says(&settings(&[(4, (1 << 31) - 1), (5, (1 << 24) - 1)])),
        says("settings", "SETTINGS ack")
    );
    let taken_back = [settings(&[(8, 1)]), settings(&[(8, 0)])].concat();
    assert_eq!(client_says(&taken_back).0, "settings, error PROTOCOL_ERROR");
}

#[test]
fn the_peers_settings_are_recorded() {
    let mut server = End::server();
    server.feed(&settings(&[(1, 7), (3, 5), (4, 99), (5, 20_000), (6, 400), (8, 1)]));
    let expected = Settings {
        header_table_size: 7,
        enable_push: true,
        max_concurrent_streams: Some(5),
        initial_window_size: 99,
        max_frame_size: 20_000,
        max_header_list_size: Some(400),
        enable_connect_protocol: true,
    };
    assert_eq!(server.conn.remote(), &expected);
}

#[test]
fn every_header_table_size_in_one_frame_is_applied() {
    let mut server = End::server();
    server.feed(&[settings(&[(1, 0), (1, 4096)]), headers(1, END, GET)].concat());
    server.written();
    server.conn.head(server.keys[0], true, |block| block.status(200));
    assert_eq!(server.bytes()[9..], [0x20, 0x3f, 0xe1, 0x1f, 0x88], "0, then 4096");
}

#[test]
fn a_smaller_header_table_applies_once_acknowledged() {
    let mut config = Config::new(Role::Server);
    config.settings.header_table_size = 0;
    let mut server = End::new(&config);
    server.feed(&[&PREFACE[..], &settings(&[])].concat());
    // Sent before the server's SETTINGS were seen: with an entry, which is used again.
    let insert = [GET, &[0x40, 1, b'a', 1, b'b']].concat();
    assert_eq!(server.feed(&headers(1, END, &insert)), "request 1 end");
    assert_eq!(server.feed(&headers(3, END, &[GET, &[0x80 | 62]].concat())), "request 3 end");
    assert_eq!(server.head.fields().get("a"), Some(&b"b"[..]));
    let shrunk = [&[0x20][..], GET].concat();
    assert_eq!(server.feed(&[ack(), headers(5, END, &shrunk)].concat()), "request 5 end");
    assert_eq!(server.feed(&headers(7, END, &[GET, &[0x80 | 62]].concat())), "error COMPRESSION_ERROR");
    let mut server = End::new(&config);
    server.feed(&[&PREFACE[..], &settings(&[]), &ack()].concat());
    assert_eq!(server.feed(&headers(1, END, GET)), "error COMPRESSION_ERROR");
}

#[test]
fn a_smaller_max_frame_size_applies_once_acknowledged() {
    let mut config = Config::new(Role::Server);
    config.settings.max_frame_size = 20_000;
    let mut server = End::settled(&config);
    server.releases = false;
    server.conn.change_settings(|settings| settings.max_frame_size = 16_384);
    assert_eq!(server.written(), "SETTINGS 5=16384", "the initial value too is told");
    server.feed(&headers(1, 0, POST));
    assert!(server.feed(&data(1, 0, &[b'x'; 20_000])).starts_with("data 1 x"));
    assert_eq!(server.feed(&ack()), "");
    assert_eq!(server.feed(&data(1, 0, &[b'x'; 16_385])), "error FRAME_SIZE_ERROR");
}

#[test]
fn only_changed_settings_are_sent() {
    let mut server = End::server();
    server.conn.change_settings(|settings| settings.max_concurrent_streams = Some(1));
    assert_eq!(server.written(), "SETTINGS 3=1");
    server.conn.change_settings(|settings| settings.max_concurrent_streams = None);
    assert_eq!(server.written(), format!("SETTINGS 3={}", u32::MAX));
    assert!(server.conn.awaits_settings());
    server.feed(&ack());
    assert!(server.conn.awaits_settings());
    server.feed(&ack());
    assert!(!server.conn.awaits_settings());
    assert_eq!(server.feed(&ack()), "", "one more than was asked for is no harm");
}

#[test]
fn settings_that_are_not_acknowledged_in_time_end_the_connection() {
    let mut server = End::new(&Config::new(Role::Server));
    server.written();
    assert_eq!(server.conn.tick(5_000), Ok(()));
    assert_eq!(server.conn.tick(15_000), Ok(()));
    assert_eq!(server.conn.tick(15_001).map_err(|error| error.code), Err(Code::SETTINGS_TIMEOUT));
    assert_eq!(server.written(), "GOAWAY 0 SETTINGS_TIMEOUT");
    assert_eq!(server.conn.tick(20_000), Ok(()), "it is said once");
}

#[test]
fn each_settings_frame_has_its_own_ack_timeout() {
    let mut server = End::server();
    server.conn.change_settings(|settings| settings.max_concurrent_streams = Some(1));
    assert_eq!(server.conn.tick(1_000), Ok(()));
    server.conn.change_settings(|settings| settings.max_concurrent_streams = Some(2));
    assert_eq!(server.conn.tick(10_000), Ok(()));
    server.feed(&ack());
    assert_eq!(server.conn.tick(12_000), Ok(()));
    server.feed(&ack());
    assert_eq!(server.conn.tick(100_000), Ok(()));
}
