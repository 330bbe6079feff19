//! The reverse: loads that look like attacks and are not.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use futures_util::future::join_all;
use integration::{
    PATIENCE,
    client::{Http2, Request, patiently},
};

use super::{LITTLE, Scene, raw::*};

tests!();

/// Four of five streams are reset, many more than the limit of resets in all.
async fn frequent_cancellation_by_a_busy_client_is_allowed() {
    const ROUNDS: usize = 150;
    const STREAMS: usize = 100;
    let scene = Scene::start(&[]).await;
    let mut client = Http2::connect(scene.server.http).await;
    for round in 0..ROUNDS {
        let mut kept = Vec::new();
        for number in 0..STREAMS {
            let cancelled = number % 5 != 0;
            let target = if cancelled { "/delay/60000" } else { "/bin/1000" };
            let (response, _) = client.open(&Request::get(target), true).await.unwrap();
            if !cancelled {
                kept.push(Http2::read(response));
            }
        }
        for reply in patiently("replies", join_all(kept)).await {
            let reply = reply.unwrap_or_else(|error| panic!("round {round}: {error:#}"));
            assert_eq!((reply.status, reply.body.len()), (200, 1000));
        }
    }
    assert!(!client.is_refused().await);
    scene.end(2 * LITTLE).await;
}

/// Two updates for each frame of a byte, and late, as simple clients and proxies do it.
async fn window_updates_for_each_frame_are_allowed() {
    const LENGTH: usize = 60_000;
    const DATA: u8 = 0;
    let scene = Scene::start(&[]).await;
    let mut stream = TcpStream::connect(scene.server.http).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let target = format!("/bin/{LENGTH}?dummy-chunk=1");
    let request = [http2_preface_with_window(0xffff), http2_request(1, "GET", &target, true, &[])].concat();
    stream.write_all(&request).expect("a request is taken");
    let (mut unread, mut buffer, mut seen) = (Vec::new(), vec![0; 256 << 10], 0);
    while seen < LENGTH {
        let count = stream.read(&mut buffer).expect("frames come");
        assert!(count > 0, "the connection was ended after {seen} bytes");
        unread.extend_from_slice(&buffer[..count]);
        let (mut at, mut updates) = (0, Vec::new());
        while let Some([a, b, c, kind, _, _, _, _, _]) = unread[at..].first_chunk::<9>() {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let kind = *kind;
            if unread.len() < at + 9 + length {
                break;
            }
            at += 9 + length;
            if kind == DATA && length > 0 {
                seen += length;
                let increment = u32::try_from(length).expect("a frame's length").to_be_bytes();
                updates.extend([frame(8, 0, 0, &increment), frame(8, 0, 1, &increment)].concat());
            }
        }
        unread.drain(..at);
        stream.write_all(&updates).unwrap_or_else(|error| panic!("after {seen} bytes: {error}"));
    }
    scene.end(2 * LITTLE).await;
}
