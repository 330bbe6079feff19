//! A whole server, some of whose requests do what no request may: panic, or keep their worker.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::{Ended, Running, drain::Shutdown, run, settings::Config};

static STUCK: AtomicBool = AtomicBool::new(false);

/// Does with a request for one of these paths what no request may.
pub(crate) fn do_harm(target: &[u8]) {
    match target {
        b"/panic" => panic!("a test has asked for it"),
        b"/stuck" => {
            STUCK.store(true, Ordering::Release);
            // Until the process of the tests ends.
            loop {
                std::thread::park();
            }
        }
        _ => {}
    }
}

fn server(flags: &[&str]) -> Running {
    let own =
        ["--addr=127.0.0.1:0", "--grpc-addr=", "--pprof-addr=", "--admin-addr=127.0.0.1:0", "--workers=1"];
    let config = Config::from_args(&[&own, flags].concat()).unwrap();
    run(config, Shutdown::new()).unwrap()
}

fn address(running: &Running) -> SocketAddr {
    running.addresses().http.to_string().parse().unwrap()
}

/// What comes back on a connection that is closed after it.
fn fetch(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    let _ = stream.read_to_string(&mut reply);
    reply
}

#[test]
fn a_panic_ends_one_connection_and_is_counted_and_the_worker_goes_on() {
    let running = server(&[]);
    let http = address(&running);
    for _ in 0..3 {
        assert_eq!(fetch(http, "/panic"), "");
        assert!(fetch(http, "/health").starts_with("HTTP/1.1 200"));
    }
    let metrics = || fetch(running.addresses().admin.unwrap(), "/metrics");
    let says = |metrics: &str, line: &str| metrics.lines().any(|found| found == line);
    // A client sees the end of its connection a moment before it counts as closed.
    let begun = Instant::now();
    while !says(&metrics(), "dummy_server_connections_open 0") {
        assert!(begun.elapsed() < Duration::from_secs(60), "a connection stays open: {}", metrics());
    }
    let metrics = metrics();
    for line in ["dummy_server_panics_total 3", "dummy_server_requests_in_flight 0"] {
        assert!(says(&metrics, line), "{line}: {metrics}");
    }
    running.shutdown().begin();
    assert_eq!(running.join(), Ended::Drained);
}

#[test]
fn a_worker_that_is_stuck_does_not_keep_the_process_beyond_the_drain_timeout() {
    let running = server(&["--drain-timeout=100ms"]);
    let http = address(&running);
    let mut stream = TcpStream::connect(http).unwrap();
    write!(stream, "GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    while !STUCK.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    let begun = Instant::now();
    running.shutdown().begin();
    assert_eq!(running.join(), Ended::Cut { connections: 1 });
    assert!(begun.elapsed() < Duration::from_secs(60), "it waited for its worker");
}
