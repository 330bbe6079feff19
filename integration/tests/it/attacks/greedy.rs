//! One client that asks for as much as the grammar allows, or sends as fast as it can: others on the same worker wait no
//! longer than beside a plain download, the server holds little, and a drain ends in its time.
//!
//! What others wait beside the attack is compared with what they wait beside `/bin/1T` in the same run, on the same
//! server: the ratio is asserted, the times are printed.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use integration::{
    binaries::ServerProcess,
    cases::{Cases, block_on},
    client::{Client, Protocol},
};
use rustix::process::Signal;
use websocket::opcode;

use super::{MIB, Usage, raw::*};

/// What replies may take that are made while they are sent.
const MEMORY: u64 = 32 * MIB;
/// How much longer others may wait than beside a download.
const RATIO: u32 = 5;
/// Waits below this are the machine's: a pause of a process that shares it.
const NOISE: Duration = Duration::from_millis(8);
/// A pause of the machine may hit one attempt.
const ATTEMPTS: usize = 4;
/// Requests of the bystander in one measurement.
const REQUESTS: usize = 60;
const PAUSE: Duration = Duration::from_millis(5);
/// What a drain may take beyond `--drain-timeout`.
const GRACE: Duration = Duration::from_secs(8);

tests!();

fn rows() -> Cases {
    let mut cases = Cases::alone();
    for (number, attack) in attacks().into_iter().enumerate() {
        let name = format!("attacks::greedy::{number:02}_{}", attack.name);
        cases = cases.named(name, move || others_are_served_beside(&attack));
    }
    cases
}

/// What an attacker does, on connections of its own.
#[derive(Clone)]
struct Attack {
    name: String,
    /// Which download it is compared with.
    like: Protocol,
    run: Arc<dyn Fn(TcpStream) + Send + Sync>,
}

impl Attack {
    fn new(name: impl Into<String>, like: Protocol, run: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self { name: name.into(), like, run: Arc::new(run) }
    }
}

/// The largest that can be asked for, in each way content comes about.
const TARGETS: [&str; 15] = [
    "/chunked/1?size=100T",
    "/chunked/1?size=1T&dummy-trailer=a:b",
    "/chunked/1?size=1T&dummy-chunk=16M",
    "/chunked/1000000000?size=1",
    "/bin/1T?dummy-chunk=1",
    "/bin/1T?dummy-chunk=16M&dummy-trailer=a:b",
    "/bin/1T?dummy-rate=1T",
    "/bin/1T?chunked=true",
    "/bin/1T?digest=true",
    "/bin/10G?dummy-gzip=forced",
    "/bin/10G?dummy-gzip=forced&dummy-chunk=1",
    "/sse?count=0&delay=0",
    "/sse?count=0&delay=0&dummy-gzip=forced",
    "/ndjson?count=0&delay=0",
    "/ndjson?count=0&delay=0&dummy-chunk=1",
];

fn attacks() -> Vec<Attack> {
    let mut all = Vec::new();
    for target in TARGETS {
        for protocol in Protocol::ALL {
            all.push(Attack::new(format!("{protocol} GET {target}"), protocol, move |stream| {
                download(stream, protocol, target);
            }));
        }
    }
    let target = TARGETS[0];
    all.push(Attack::new(format!("http10 GET {target}"), Protocol::Http1, move |stream| {
        exchange(stream, &http1_request("GET", target, "1.0", ""), std::iter::empty());
    }));
    let request = http1_request("GET", "/health", "1.1", "").repeat(100);
    all.push(Attack::new("http1 pipelined requests", Protocol::Http1, move |stream| {
        exchange(stream, &[], std::iter::repeat(request.clone()));
    }));
    for target in ["/upload", "/digest", "/"] {
        all.push(Attack::new(
            format!("http1 POST {target} in chunks of a byte"),
            Protocol::Http1,
            move |stream| {
                let head = http1_request("POST", target, "1.1", "Transfer-Encoding: chunked\r\n");
                exchange(stream, &head, std::iter::repeat(b"1\r\nx\r\n".repeat(1000)));
            },
        ));
    }
    all.push(Attack::new("http2 requests", Protocol::Http2, |stream| {
        let requests = (0_u32..).map(|batch| {
            let ids = (0..100).map(|number| (batch * 100 + number) * 2 + 1);
            ids.flat_map(|id| http2_request(id, "GET", "/health", true, &[])).collect()
        });
        exchange(stream, &http2_preface(), requests);
    }));
    for target in ["/upload", "/digest"] {
        all.push(Attack::new(
            format!("http2 POST {target} in frames of a byte"),
            Protocol::Http2,
            move |stream| {
                // As many as a stream's window allows, then another stream.
                let uploads = (0_u32..).map(|number| {
                    let id = number * 2 + 1;
                    let mut frames = http2_request(id, "POST", target, false, &[]);
                    (0..10_000).for_each(|_| frames.extend(frame(0, 0, id, b"x")));
                    frames.extend(frame(0, 1, id, b"x"));
                    frames
                });
                exchange(stream, &http2_preface(), uploads);
            },
        ));
    }
    all.push(Attack::new("http1 WebSocket messages of a byte", Protocol::Http1, |stream| {
        exchange(
            stream,
            &websocket_request("/ws"),
            std::iter::repeat(websocket_frame(opcode::BINARY, true, b"x").repeat(1000)),
        );
    }));
    all.push(Attack::new("http1 WebSocket in fragments of a byte", Protocol::Http1, |stream| {
        let message = websocket_frame(opcode::BINARY, true, &vec![7; 1 << 20]);
        exchange(stream, &websocket_request("/ws?fragment=1"), std::iter::repeat(message));
    }));
    all.push(Attack::new("http1 WebSocket message from fragments of a byte", Protocol::Http1, |stream| {
        let first = [websocket_request("/ws"), websocket_frame(opcode::BINARY, false, b"x")].concat();
        exchange(
            stream,
            &first,
            std::iter::repeat(websocket_frame(opcode::CONTINUATION, false, b"x").repeat(10_000)),
        );
    }));
    for (name, plan) in [
        ("http2 gRPC messages of no bytes", PLAN_OF_SMALL_MESSAGES),
        ("http2 gRPC messages of 10 MiB", PLAN_OF_LARGE_MESSAGES),
    ] {
        for gzip in [false, true] {
            let name = format!("{name}{}", if gzip { " in gzip" } else { "" });
            all.push(Attack::new(name, Protocol::Http2, move |stream| {
                exchange(stream, &[http2_preface(), grpc_call(1, plan, gzip)].concat(), std::iter::empty());
            }));
        }
    }
    all
}

/// What a bystander waited for its replies.
#[derive(Clone, Copy, Debug)]
struct Waits {
    p99: Duration,
    max: Duration,
}

impl Waits {
    fn is_within(self, times: u32, other: Self) -> bool {
        self.p99 <= times * other.p99.max(NOISE) && self.max <= times * other.max.max(NOISE)
    }
}

#[expect(clippy::print_stderr, reason = "the times are for people, the ratio is for the test")]
fn others_are_served_beside(attack: &Attack) {
    let server = ServerProcess::start(&["--workers=1", "--drain-timeout=1s"]);
    let address = server.http;
    // What a build without optimization sets aside once.
    waits(address);
    let before = Usage::of(server.process().id());
    let mut seen = Vec::new();
    let held = loop {
        let like = attack.like;
        let download = Attacker::start(address, move |stream| download(stream, like, "/bin/1T"));
        let beside_download = waits(address);
        download.stop();
        let run = Arc::clone(&attack.run);
        let attacker = Attacker::start(address, move |stream| run(stream));
        let beside_attack = waits(address);
        seen.push((beside_attack, beside_download));
        if beside_attack.is_within(RATIO, beside_download) {
            break attacker;
        }
        attacker.stop();
        assert!(seen.len() < ATTEMPTS, "{}: beside it and beside a download {seen:?}", attack.name);
    };
    let (attacked, downloaded) = seen[seen.len() - 1];
    eprintln!(
        "{:<60} p99 {:?} max {:?}, beside /bin/1T p99 {:?} max {:?}",
        attack.name, attacked.p99, attacked.max, downloaded.p99, downloaded.max
    );
    let grown = Usage::of(server.process().id()).memory.saturating_sub(before.memory);
    assert!(grown <= MEMORY, "{}: it took {} KiB", attack.name, grown >> 10);
    // In the middle of it.
    server.signal(Signal::TERM);
    let ended = block_on(server.finish(Duration::from_secs(1) + GRACE));
    assert_eq!(ended.code, Some(0), "{ended}");
    held.stop();
}

/// The response time of a client that sends one request after the other.
fn waits(address: SocketAddr) -> Waits {
    block_on(async {
        let mut clients = Vec::new();
        for protocol in Protocol::ALL {
            clients.push(Client::connect(protocol, address).await);
        }
        let mut waits = Vec::with_capacity(REQUESTS);
        let mut ticks = tokio::time::interval(PAUSE);
        for number in 0..REQUESTS {
            ticks.tick().await;
            let begun = Instant::now();
            let reply = clients[number % 2].get("/bin/1000").await;
            assert_eq!((reply.status, reply.body.len()), (200, 1000));
            waits.push(begun.elapsed());
        }
        waits.sort();
        // One of sixty is more than a hundredth: the second largest.
        Waits { p99: waits[REQUESTS - 2], max: waits[REQUESTS - 1] }
    })
}

/// A client on its own thread.
struct Attacker {
    socket: TcpStream,
    thread: thread::JoinHandle<()>,
}

impl Attacker {
    fn start(address: SocketAddr, run: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        let socket = TcpStream::connect(address).expect("connected");
        let stream = socket.try_clone().expect("another handle");
        Self { socket, thread: thread::spawn(move || run(stream)) }
    }

    fn stop(self) {
        // Fails when the server has closed it.
        let _ = self.socket.shutdown(Shutdown::Both);
        self.thread.join().expect("an attacker ends with its connection");
    }
}

/// Asks for content and takes it as fast as it comes.
fn download(stream: TcpStream, protocol: Protocol, target: &str) {
    let request = match protocol {
        Protocol::Http1 => http1_request("GET", target, "1.1", ""),
        Protocol::Http2 => [http2_preface(), http2_request(1, "GET", target, true, &[])].concat(),
    };
    exchange(stream, &request, std::iter::empty());
}

/// Sends `first` and then more as fast as it is taken, and takes all that comes, until the connection ends.
fn exchange(mut stream: TcpStream, first: &[u8], more: impl Iterator<Item = Vec<u8>>) {
    let mut reader = stream.try_clone().expect("another handle");
    let over = Arc::<AtomicBool>::default();
    let end = Arc::clone(&over);
    let reading = thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        while matches!(reader.read(&mut buffer), Ok(1..)) {}
        end.store(true, Ordering::Release);
    });
    if stream.write_all(first).is_ok() {
        for part in more {
            if over.load(Ordering::Acquire) || stream.write_all(&part).is_err() {
                break;
            }
        }
    }
    reading.join().expect("a reader ends with its connection");
}
