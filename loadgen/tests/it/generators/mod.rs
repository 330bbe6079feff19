//! What users of other load generators rely on, row by row: the program itself, held against what servers have counted.

mod hammer;
mod heyyall;
mod heyyall_mistakes;
mod load_tester;
mod toy_loadgen;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::Value;

use crate::peer::{Peer, serve};

/// A run of the program that is over.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ran {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The program, without variables of its own.
pub(super) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("LOADGEN_")) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the program with these words.
pub(super) fn loadgen(words: &[&str]) -> Ran {
    ended(program().args(words))
}

/// The same of a line of words without spaces.
pub(super) fn typed(line: &str) -> Ran {
    loadgen(&line.split_whitespace().collect::<Vec<_>>())
}

pub(super) fn ended(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// The run is refused in one line, before anything is sent.
pub(super) fn assert_refused(ran: &Ran, said: &str) {
    let is_line = ran.err.starts_with("loadgen: error: ") && ran.err.trim_end().lines().count() == 1;
    let has_parts = ran.err.contains("; accepted: ") && ran.err.contains("; example: ");
    assert!(ran.code == Some(2) && is_line && has_parts, "{ran:?}");
    assert!(ran.err.contains(said) && ran.out.is_empty(), "not '{said}': {ran:?}");
}

#[test]
fn the_help_of_each_lists_its_options_in_one_line() {
    let mut all = String::new();
    for words in [&["load-tester"][..], &["heyyall"], &["hammer"], &["hammer", "run", "scenario"]] {
        let help = ended(program().args(words).arg("-h").env("COLUMNS", "100"));
        assert!(help.code == Some(0) && help.err.is_empty(), "{help:?}");
        all += &help.out;
        all += "\n";
        let long = ended(program().args(words).arg("--help").env("COLUMNS", "100"));
        assert!(long.out.len() > help.out.len() && !long.out.contains("env:"), "{long:?}");
    }
    let options = all.lines().filter(|line| line.trim_start().starts_with('-')).count();
    assert!(all.lines().all(|line| line.len() <= 100) && options == 34, "{options} in\n{all}");
    insta::assert_snapshot!(all);
}

/// A request as a server has seen it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) at: Instant,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) head: String,
    pub(super) body: String,
}

impl Request {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What a server over HTTP/1.1 has seen.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Watched>>);

#[derive(Default)]
struct Watched {
    requests: Vec<Request>,
    in_flight: usize,
    most_in_flight: usize,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.lock().most_in_flight
    }

    /// How many requests there were, by method and path.
    pub(super) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for Request { method, path, .. } in &self.lock().requests {
            *counts.entry(format!("{method} {path}")).or_default() += 1;
        }
        counts
    }
}

/// A server that keeps what it is sent, and answers a path of three digits with that status, others with 200.
pub(super) fn server() -> (Peer, Seen) {
    let seen = Seen::default();
    let of_peer = seen.clone();
    let peer = serve(move |_, mut stream| {
        while let Some(request) = read(&mut stream) {
            let path = request.path.split('?').next().unwrap_or_default();
            let status = path.trim_start_matches('/').parse::<u16>().unwrap_or(200);
            {
                let mut watched = of_peer.lock();
                watched.requests.push(request);
                watched.in_flight += 1;
                watched.most_in_flight = watched.most_in_flight.max(watched.in_flight);
            }
            std::thread::yield_now();
            of_peer.lock().in_flight -= 1;
            let reply = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok");
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    });
    (peer, seen)
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let at = Instant::now();
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut request = Request { at, method, path, head, body: String::new() };
    let length = request.field("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}

/// A dummy-server in this process with its metrics.
#[cfg(feature = "embedded")]
pub(super) struct Dummy(dummy_server::Running);

#[cfg(feature = "embedded")]
impl Dummy {
    pub(super) fn start() -> Self {
        Self::with(&[])
    }

    /// With more flags.
    pub(super) fn with(more: &[&str]) -> Self {
        let flags = ["--addr=127.0.0.1:0", "--grpc-addr=", "--admin-addr=127.0.0.1:0", "--pprof-addr="];
        let config = dummy_server::Config::from_args(&[&flags, more].concat()).unwrap();
        Self(dummy_server::run(config, dummy_server::Shutdown::new()).unwrap())
    }

    pub(super) fn address(&self) -> String {
        self.0.addresses().http.to_string()
    }

    pub(super) fn tls_port(&self) -> String {
        let address = self.0.addresses().tls.as_ref().unwrap().to_string();
        address.rsplit(':').next().unwrap().to_owned()
    }

    /// The sum of a counter over all series with these labels, such as `protocol="HTTP/2"`.
    pub(super) fn counted(&self, counter: &str, labels: &[&str]) -> u64 {
        let mut stream = TcpStream::connect(self.0.addresses().admin.unwrap()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut metrics = String::new();
        stream.read_to_string(&mut metrics).unwrap();
        let counter = format!("dummy_server_{counter}_total");
        let series = metrics.lines().filter(|line| {
            line.strip_prefix(&counter).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        series.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}

#[cfg(feature = "embedded")]
impl Drop for Dummy {
    fn drop(&mut self) {
        self.0.shutdown().begin();
    }
}
