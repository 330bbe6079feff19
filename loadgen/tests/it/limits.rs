//! What the verdict names as the limit, of the program itself: each by a queue, or a delay, that grows by construction.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use loadgen::{Summary, embedded::Embedded, recorder::Reached, verdict::Limit};

use crate::{
    mix::loadgen,
    peer::{Peer, read_request, serve},
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// How many runs other programs may keep loadgen from: it then concludes nothing.
const ATTEMPTS: usize = 20;

/// A run of the program that it was not kept from, and what it said of the limit.
fn run(words: &[&str]) -> (Summary, String) {
    let of_run = |_| {
        let words = [&["--no-progress", "-o", "json", "-r", "200", "-d", "1s"], words].concat();
        let (code, out, err) = loadgen(&words);
        assert_eq!(code, Some(0), "{words:?}: {err}");
        Summary::read(&mut out.as_bytes()).unwrap()
    };
    let is_undisturbed = |summary: &Summary| summary.records.held_up.0 < 100_000_000;
    let summary = (0..ATTEMPTS).map(of_run).find(is_undisturbed).expect("a run with a CPU");
    let [_, sentence] = summary.verdict();
    (summary, sentence)
}

fn assert_limit(words: &[&str], limit: Limit, said: &str) {
    let (summary, sentence) = run(words);
    assert_eq!(summary.limit(), limit, "{words:?}: {sentence}");
    assert!(sentence.contains(said), "{words:?}: {sentence}");
}

/// What lets one through at a time, in turn, and takes this time for each: half of the rate is all that it can do.
fn turnstile() -> impl Fn() + Send + Sync + 'static {
    const SERVICE: Duration = Duration::from_millis(10);
    let free = Mutex::new(Instant::now());
    move || {
        let done = {
            let mut free = free.lock().unwrap_or_else(PoisonError::into_inner);
            *free = free.max(Instant::now()) + SERVICE;
            *free
        };
        let (_never, until) = mpsc::sync_channel::<()>(1);
        let _ = until.recv_timeout(done.saturating_duration_since(Instant::now()));
    }
}

/// A proxy that gives requests to a server one at a time.
fn slow_proxy(server: SocketAddr) -> Peer {
    let pass = turnstile();
    serve(move |_, client| {
        let server = TcpStream::connect(server).unwrap();
        let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let back = thread::spawn(move || std::io::copy(&mut from, &mut to));
        let (mut client, mut server) = (client, server);
        let mut buffer = [0; 4096];
        // A connection has one request at a time, which fits into a buffer.
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            pass();
            if server.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(std::net::Shutdown::Write);
        let _ = back.join();
    })
}

#[test]
fn a_rate_that_is_held_has_no_limit() {
    let server = Embedded::start().unwrap();
    assert_limit(&[&format!("http://{}/bin/10", server.address())], Limit::None, "the rate was held");
    server.stop();
}

#[test]
fn too_few_connections_or_streams_are_the_limit() {
    let server = Embedded::start().unwrap();
    // Half of the rate is all that it can do over one connection, or two streams.
    let (http1, http2) =
        (format!("http://{}/delay/10", server.address()), format!("h2c://{}/delay/20", server.address()));
    assert_limit(&["-c", "1", "--fixed-connections", &http1], Limit::Connections, "--connections 1 may");
    let said = "--connections 1 with --streams 2";
    assert_limit(&["-c", "1", "-m", "2", &http2], Limit::Connections, said);
    server.stop();
}

#[test]
fn the_bound_that_was_reached_is_named_and_no_other() {
    let server = Embedded::start().unwrap();
    let slow = format!("http://{}/delay/20", server.address());
    for (words, in_flight, connections, said) in [
        (&["--max-in-flight", "2"][..], true, false, "--max-in-flight 2 may"),
        (&["-c", "2", "--fixed-connections", "--max-in-flight", "500"], false, true, "--connections 2 may"),
        (&[], false, false, "the rate was held"),
    ] {
        let (summary, sentence) = run(&[words, &[&slow]].concat());
        assert_eq!(
            summary.records.reached,
            Some(Reached { in_flight, connections, pace: false }),
            "{words:?}: {sentence}"
        );
        assert!(sentence.contains(said), "{words:?}: {sentence}");
    }
    server.stop();
}

#[test]
fn a_slow_proxy_is_the_way_to_the_server() {
    let server = Embedded::start().unwrap();
    let proxy = slow_proxy(server.address().parse().unwrap());
    assert_limit(&[&format!("http://{}/bin/10", proxy.address)], Limit::Way, "a proxy or the network");
    server.stop();
}

/// Each request asks it to take a millisecond longer than the one before.
#[test]
fn a_server_that_reports_that_it_gets_slower_is_the_limit() {
    let server = Embedded::start().unwrap();
    for scheme in ["http", "h2c"] {
        let url = format!("{scheme}://{}/delay/{{{{seq}}}}", server.address());
        assert_limit(&["-m", "1000", &url], Limit::DummyServer, "dummy-server was the limit");
    }
    server.stop();
}

#[test]
fn a_server_that_reports_nothing_is_the_target() {
    let pass = turnstile();
    let peer = serve(move |_, mut stream| {
        while read_request(&mut stream).is_some() {
            pass();
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    });
    assert_limit(&[&format!("http://{}", peer.address)], Limit::Target, "the target was the limit");
}

#[test]
fn connections_that_loadgen_slows_itself_are_its_own() {
    let server = Embedded::start().unwrap();
    let url = format!("http://{}/bin/10", server.address());
    // A request has more than 80 bytes: at most half of the rate is sent.
    let words = ["-c", "1", "--fixed-connections", "--send-rate", "8K", "--timeout", "60s", &url];
    assert_limit(&words, Limit::Loadgen, "each of its connections was held to --send-rate 8K");
    server.stop();
}
