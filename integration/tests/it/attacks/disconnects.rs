//! Clients that have gone while they are owed a reply, as every proxy with a timeout does to a slow server: they are not
//! kept for as long as the reply would take.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use integration::{
    PATIENCE,
    client::Protocol,
    metrics::{IN_FLIGHT, Metrics},
};

use super::{LITTLE, Scene, raw::*};

tests!();

const CLIENTS: u64 = 200;
const GONE: &str = "dummy_server_clients_gone_total";
/// The longest that can be asked for.
const LONGEST: &str = "/delay/4294967295";

/// Connections that wait for a reply.
async fn waiting(scene: &Scene, protocol: Protocol, target: &str, count: u64) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(scene.server.http).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = match protocol {
            Protocol::Http1 => http1_request("GET", target, "1.1", ""),
            Protocol::Http2 => [http2_preface(), http2_request(1, "GET", target, true, &[])].concat(),
        };
        stream.write_all(&request).expect("a request is taken");
        streams.push(stream);
    }
    Metrics::until(scene.server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) >= count).await;
    streams
}

async fn gone(scene: Scene, count: u64, memory: u64) {
    scene.only_the_bystander_is_left().await;
    let metrics = Metrics::until(scene.server.admin, |metrics| metrics.sum(GONE, &[]) >= count).await;
    assert_eq!(metrics.sum(GONE, &[]), count);
    scene.end(memory).await;
}

async fn half_closed_connections_end_after_the_half_close_timeout(protocol: Protocol) {
    let scene = Scene::start(&["--half-close-timeout=500ms"]).await;
    let streams = waiting(&scene, protocol, LONGEST, CLIENTS).await;
    for stream in &streams {
        stream.shutdown(Shutdown::Write).expect("an end");
    }
    gone(scene, CLIENTS, LITTLE).await;
}

async fn a_reply_begun_in_time_reaches_a_half_closed_client(protocol: Protocol) {
    let scene = Scene::start(&["--half-close-timeout=10s"]).await;
    let mut streams = waiting(&scene, protocol, "/delay/1000", 1).await;
    let mut stream = streams.remove(0);
    stream.shutdown(Shutdown::Write).expect("an end");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("a whole reply");
    let text = String::from_utf8_lossy(&reply);
    assert!(text.contains("\"duration_ms\":1000"), "{text}");
    assert_eq!(scene.server.metrics().await.sum(GONE, &[]), 0);
    scene.end(LITTLE).await;
}

/// Has the end of a connection be a reset.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).expect("a reset");
    drop(stream);
}

async fn reset_connections_are_released(protocol: Protocol) {
    let scene = Scene::start(&["--half-close-timeout=1h"]).await;
    waiting(&scene, protocol, LONGEST, CLIENTS).await.into_iter().for_each(reset);
    gone(scene, CLIENTS, LITTLE).await;
}

async fn half_closed_and_later_reset_connections_are_released(protocol: Protocol) {
    let scene = Scene::start(&["--half-close-timeout=1h"]).await;
    let streams = waiting(&scene, protocol, LONGEST, CLIENTS).await;
    for stream in &streams {
        stream.shutdown(Shutdown::Write).expect("an end");
    }
    // The server has seen the end by then, but no reset.
    let after = scene.answered.clone();
    let now = *after.borrow();
    let mut after = after;
    let _ = after.wait_for(|count| *count > now + 2).await;
    assert_eq!(scene.server.metrics().await.sum(GONE, &[]), 0);
    streams.into_iter().for_each(reset);
    gone(scene, CLIENTS, LITTLE).await;
}

/// The server has stopped reading from them, and would see neither an end nor a reset.
async fn closed_connections_with_unread_input_are_released() {
    const EACH: u64 = 10;
    let ahead = http1_request("GET", LONGEST, "1.1", "").repeat(3000);
    // What is read, and some that the system takes: an end behind more than that does not arrive.
    let slow = |target: &str| {
        let head = http1_request("POST", target, "1.1", "Content-Length: 3145728\r\n");
        [head, vec![b'x'; 400 << 10]].concat()
    };
    let requests = [ahead, slow("/delay/0/4294967295"), slow("/?dummy-read-rate=1")];
    for ends in [true, false] {
        let scene = Scene::start(&["--half-close-timeout=500ms"]).await;
        let mut streams = Vec::new();
        for request in requests.iter().cycle().take(requests.len() * EACH as usize) {
            let mut stream = TcpStream::connect(scene.server.http).expect("connected");
            let mut writer = stream.try_clone().expect("another handle");
            stream.set_nonblocking(true).expect("it does not wait");
            // As much as the systems take.
            let mut sent = 0;
            while let Ok(count) = writer.write(&request[sent..]) {
                sent += count;
                if sent == request.len() {
                    break;
                }
            }
            let _ = stream.flush();
            streams.push(stream);
        }
        let count = streams.len() as u64;
        Metrics::until(scene.server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) >= count).await;
        if ends {
            streams.iter().for_each(|stream| stream.shutdown(Shutdown::Write).expect("an end"));
            gone(scene, count, 4 * LITTLE).await;
        } else {
            streams.into_iter().for_each(reset);
            gone(scene, count, 4 * LITTLE).await;
        }
    }
}
