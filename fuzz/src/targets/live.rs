//! Whole requests to a server in this process, on one worker: whatever is requested, no thread of the server panics,
//! its memory stays within a limit, and a bystander on another connection is answered. Unlike the other targets these
//! open sockets and read the clock; how they are answered depends on time, so that the same input may meet other
//! things.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use dummy_server::{Address, Config, Shutdown};

use crate::feedback::met;

/// Words that requests are made of.
pub const WORDS: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"HEAD ",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b"host: a\r\n",
    b"\r\n\r\n",
    b"?",
    b"&",
    b"/bin/",
    b"/chunked/",
    b"/sse?",
    b"/ndjson?",
    b"/drip?",
    b"/delay/",
    b"/upload",
    b"/digest",
    b"/ws?",
    b"size=",
    b"count=",
    b"delay=",
    b"jitter=",
    b"duration=",
    b"chunked=true",
    b"digest=1",
    b"0",
    b"1",
    b"100T",
    b"10G",
    b"4294967295",
    b"9223372036854775807",
    b"dummy-",
    b"x-dummy-",
    b"dummy-delay=",
    b"dummy-rate=",
    b"dummy-chunk=",
    b"dummy-gzip=forced",
    b"dummy-timing=all",
    b"dummy-trailer=a:b",
    b"dummy-header=a:b",
    b"dummy-no-length",
    b"dummy-abort=",
    b"short@body(1)",
    b"hang@body(5)",
    b"pareto(1ns,0.01)",
    b"pareto(0,0.000001)",
    b"uniform(0,1h)",
    b"range: bytes=0-",
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"expect: 100-continue\r\n",
    b"PUT /behaviour HTTP/1.1\r\nhost: localhost\r\ncontent-length: ",
];

/// How much the process may grow over what it had when the server had started.
const MOST_MEMORY: u64 = 512 << 20;
/// How much of a reply is read before the connection is dropped.
const MOST_READ: usize = 512 << 10;
/// How long the next bytes of a reply are waited for.
const PATIENCE: Duration = Duration::from_millis(10);
/// How long a whole input may take to be sent and answered in part.
const LONGEST: Duration = Duration::from_millis(500);
/// How long the bystander may wait, on a machine with other work.
const SLOWEST: Duration = Duration::from_secs(10);

/// Panics of the server's threads.
static PANICS: AtomicU64 = AtomicU64::new(0);

struct Live {
    http: SocketAddr,
    admin: SocketAddr,
    /// Resident bytes when it had started.
    before: u64,
    bystander: Mutex<Option<TcpStream>>,
}

impl Live {
    /// The one server of this process for requests, or the one for its admin port: a default that is put there is not to
    /// change what requests meet.
    fn get(admin: bool) -> &'static Self {
        static LIVE: [OnceLock<Live>; 2] = [OnceLock::new(), OnceLock::new()];
        LIVE[usize::from(admin)].get_or_init(Self::start)
    }

    fn start() -> Self {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            if thread.name().is_some_and(|name| name.starts_with("worker-") || name == "admin") {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            usual(panic);
        }));
        let flags = [
            "--addr=127.0.0.1:0",
            "--admin-addr=127.0.0.1:0",
            "--grpc-addr=",
            "--pprof-addr=",
            "--mem-interval=0",
            "--workers=1",
        ];
        let config = Config::from_args(&flags).expect("the flags are accepted");
        let running = dummy_server::run(config, Shutdown::new()).expect("the server starts");
        let addresses = running.addresses().clone();
        let Address::Tcp(http) = addresses.http else { unreachable!("it listens on TCP") };
        let admin = addresses.admin.expect("the admin port is served");
        // It lives as long as the process.
        std::mem::forget(running);
        Self { http, admin, before: resident(), bystander: Mutex::new(None) }
    }

    /// What holds after every input.
    fn assert_well(&self) {
        let began = Instant::now();
        self.ask_bystander();
        let waited = began.elapsed();
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "a thread of the server has panicked");
        assert!(waited < SLOWEST, "the bystander was answered after {waited:?}");
        let grown = resident().saturating_sub(self.before);
        assert!(grown < MOST_MEMORY, "the process has grown by {} MiB", grown >> 20);
    }

    /// A request on a connection that is kept, or on a new one if the server has ended that.
    fn ask_bystander(&self) {
        let mut kept = self.bystander();
        for _ in 0..2 {
            let stream = kept.take().map_or_else(|| connect(self.http), Ok);
            let asked = stream.and_then(|mut stream| {
                stream.set_read_timeout(Some(SLOWEST))?;
                stream.write_all(b"GET /health HTTP/1.1\r\nhost: bystander\r\n\r\n")?;
                let mut reply = [0; 1024];
                let count = stream.read(&mut reply)?;
                Ok((stream, reply[..count].starts_with(b"HTTP/1.1 200 ")))
            });
            match asked {
                Ok((stream, true)) => {
                    *kept = Some(stream);
                    return;
                }
                Ok((_, false)) => {}
                Err(error) => {
                    assert!(error.kind() != io::ErrorKind::WouldBlock, "the bystander gets no answer")
                }
            }
        }
        panic!("the bystander is not served");
    }

    fn bystander(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.bystander.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, SLOWEST)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Resident bytes of this process; nothing where that is not known.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// Sends bytes and reads what comes, up to a limit; whether the server has ended the connection.
fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> (Vec<u8>, bool) {
    let began = Instant::now();
    // A server that does not read all of it has its reasons.
    let _ = stream.write_all(bytes);
    let (mut reply, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while reply.len() < MOST_READ && began.elapsed() < LONGEST {
        match stream.read(&mut buffer) {
            Ok(0) => return (reply, true),
            Ok(count) => reply.extend_from_slice(&buffer[..count]),
            Err(error) => return (reply, error.kind() != io::ErrorKind::WouldBlock),
        }
    }
    (reply, false)
}

/// What differs between replies: the status, how much came, and whether that was all.
fn meet(name: &str, (reply, ended): &(Vec<u8>, bool)) {
    let line = reply.split(|byte| *byte == b'\r').next().unwrap_or_default();
    met((name, line.get(..line.len().min(12)).map(<[u8]>::to_vec), reply.len().checked_ilog2(), ended));
}

/// Sends an input to the server; what begins with `PUT /behaviour` goes to the admin port, and what it sets is removed
/// afterwards.
pub fn requests(input: &[u8]) {
    let is_admin = input.starts_with(b"PUT /behaviour");
    let live = Live::get(false);
    let address = if is_admin { live.admin } else { live.http };
    match connect(address) {
        Ok(mut stream) => {
            meet("request", &exchange(&mut stream, input));
            // The client is still there: what is held for it counts.
            live.assert_well();
        }
        Err(error) => panic!("the server takes no connection: {error}"),
    }
    if is_admin {
        let request = b"DELETE /behaviour HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        if let Ok(mut stream) = connect(live.admin) {
            exchange(&mut stream, request);
        }
    }
    live.assert_well();
}

/// Puts an input as the server's default behaviour; what is accepted is answered in a form that is accepted again.
pub fn put_behaviour(input: &[u8]) {
    let live = Live::get(true);
    let put = |body: &[u8]| {
        let head = format!(
            "PUT /behaviour HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = connect(live.admin).expect("the admin port takes connections");
        stream.set_read_timeout(Some(SLOWEST)).expect("a socket takes a timeout");
        let (reply, _) = exchange(&mut stream, &[head.as_bytes(), body].concat());
        let text = String::from_utf8_lossy(&reply).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.get(9..12).unwrap_or_default().to_owned();
        (status, body.to_owned())
    };
    let (status, body) = put(input);
    assert!(["200", "400"].contains(&status.as_str()), "{status}: {body}");
    if status == "200" {
        let said: serde_json::Value = serde_json::from_str(&body).expect("it is JSON");
        let canonical = said["behaviour"].as_str().expect("it is text");
        assert_eq!(put(canonical.as_bytes()), (status.clone(), body.clone()));
    }
    let said: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let behaviour = said["behaviour"].as_str().map(|text| text.split('=').next().map(str::to_owned));
    met((status, said["accepted"].as_str().map(str::to_owned), behaviour));
    live.assert_well();
}
