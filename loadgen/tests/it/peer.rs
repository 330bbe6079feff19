//! Scripted servers, and runs against them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use clap::Parser as _;
use loadgen::{Plan, Run, Summary, cli::Args};
use socket2::{Domain, Socket, Type};

/// A server on a free port, for as long as the test runs.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Peer {
    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

/// Runs what would be typed, and checks what holds for every run.
pub(crate) fn run(line: &str) -> Summary {
    let plan = plan(line);
    let total = plan.load().total;
    let summary = finish(Run::new(plan));
    let counts = &summary.records.counts;
    if let Some(total) = total {
        assert_eq!(counts.offered, total, "{line}: {counts:?}");
    }
    summary
}

/// What would be typed, as a plan.
pub(crate) fn plan(line: &str) -> Plan {
    let words = std::iter::once("loadgen").chain(line.split_whitespace());
    Plan::try_from(&Args::try_parse_from(words).unwrap()).unwrap()
}

/// Runs to the end, and checks what holds for every run.
pub(crate) fn finish(run: Run) -> Summary {
    let summary = run.start().unwrap().join().unwrap();
    let counts = &summary.records.counts;
    assert!(counts.add_up(), "{counts:?}");
    let failed: u64 = summary.records.failures.iter().map(|(_, seen)| seen.count).sum();
    assert_eq!(failed, counts.transport_failed + counts.timed_out, "each failure has one cause");
    summary
}

/// A port without a listener, which no other test is given: it stays bound until the tests end.
pub(crate) fn closed_port() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}

/// Gives each connection, numbered from 0, to `handle` on its own thread.
pub(crate) fn serve(handle: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let (counter, handle) = (Arc::clone(&connections), Arc::new(handle));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (number, handle) = (counter.fetch_add(1, SeqCst), Arc::clone(&handle));
            thread::spawn(move || handle(number, stream));
        }
    });
    Peer { address, connections }
}

/// Answers each HTTP/1 request, numbered over all connections, with the bytes that `reply` gives; after an
/// empty reply, or one that ends with `!close`, it closes.
pub(crate) fn serve_http1(reply: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Peer {
    let requests = AtomicUsize::new(0);
    serve(move |_, mut stream| {
        while read_request(&mut stream).is_some() {
            let mut reply = reply(requests.fetch_add(1, SeqCst));
            let close = reply.is_empty() || reply.ends_with(b"!close");
            if reply.ends_with(b"!close") {
                reply.truncate(reply.len() - b"!close".len());
            }
            if stream.write_all(&reply).is_err() || close {
                return;
            }
        }
    })
}

/// Reads a request without a body; `None` when the client has closed.
pub(crate) fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// Closes with RST instead of FIN.
pub(crate) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
}

/// The causes of a run's failures and how many there were of each.
pub(crate) fn failures(summary: &Summary) -> Vec<(String, u64)> {
    summary.records.failures.iter().map(|(cause, seen)| (cause.to_string(), seen.count)).collect()
}
