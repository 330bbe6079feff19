//! Connections that lie idle after one request each, and what they took to open.
//!
//! Each is opened, used once and left, one after the other: what a server keeps for them then is for idle
//! connections alone. Nothing is sent on them afterwards.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use http2::{
    PREFACE,
    frame::{HEAD, Head, flag, head, kind},
};
use websocket::{opcode, write};

use super::{Client, Outcome, Place, Run, on, sockets};
use crate::{
    interrupt, probe,
    rows::{Body, Load, Protocol},
};

/// How long one exchange may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Open files that the programs need beside their connections.
const OTHER_FILES: u64 = 256;

/// The first stream of a connection.
const FIRST: u32 = 1;

/// How long to wait between two looks at an interrupt.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Raises the limit of open files of this process and of those it starts from now on.
///
/// # Errors
/// It cannot be raised far enough for `connections` on each side.
pub fn allow(connections: u32) -> Result<()> {
    let limit = runtime::files::raise_limit()?.now;
    let needed = u64::from(connections) + OTHER_FILES;
    ensure!(limit >= needed, "the limit of open files is {limit}: raise it to {needed} (ulimit -Hn)");
    Ok(())
}

/// Our connections, each used once.
#[derive(Debug)]
pub struct Idle;

impl Client for Idle {
    /// Opens the connections and checks the body of one reply on each.
    fn run(&self, load: &Load, at: &Place<'_>) -> Result<Run> {
        let ((streams, took), cpu) = on(at.cpu, || {
            let start = Instant::now();
            let mut streams = Vec::with_capacity(load.connections as usize);
            for number in 1..=load.connections {
                let stream = open(load, at.port);
                streams.push(stream.with_context(|| format!("connection {number} failed"))?);
                interrupt::check()?;
            }
            Ok((streams, start.elapsed()))
        })?;
        let outcome = Outcome::closed(load.connections.into(), 0, took.as_secs_f64());
        Ok(Run { outcome, cpu, printed: String::new(), held: Some(Held { streams }) })
    }

    fn leaves_connections(&self) -> bool {
        true
    }
}

/// Open connections; they are closed when dropped.
#[derive(Debug)]
pub struct Held {
    streams: Vec<TcpStream>,
}

impl Held {
    /// Lets the connections lie for `how_long`.
    ///
    /// # Errors
    /// The server has closed some of them, or the user interrupted.
    pub fn rest(&self, how_long: Duration) -> Result<()> {
        let end = Instant::now() + how_long;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            interrupt::check()?;
            thread::sleep(left.min(LOOK_EVERY));
        }
        let closed = self.streams.iter().filter(|stream| !is_open(stream)).count();
        ensure!(closed == 0, "the server closed {closed} of {} idle connections", self.streams.len());
        Ok(())
    }
}

/// Whether the server has not closed a connection, on which nothing is under way.
pub(crate) fn is_open(stream: &TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let open = match stream.peek(&mut [0]) {
        Ok(waiting) => waiting > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    open && stream.set_nonblocking(false).is_ok()
}

/// Opens one connection and uses it once.
fn open(load: &Load, port: u16) -> Result<TcpStream> {
    if load.protocol == Protocol::WebSocket {
        let (mut stream, message) = (sockets::open(port)?, load.body.bytes());
        let echo = websocket(&mut stream, &message)?;
        probe::compare(load.body.path(), load.body.size(), 200, &echo)?;
        return Ok(stream);
    }
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let mut used = Used::new(stream, load.protocol, port)?;
    used.ask(load.body)?;
    used.answered(load.body)?;
    Ok(used.stream)
}

/// A connection for one request now and another later.
#[derive(Debug)]
pub(crate) struct Used {
    stream: TcpStream,
    protocol: Protocol,
    port: u16,
    /// Requests so far.
    times: u32,
}

impl Used {
    /// Of a socket that is connected to `port`.
    pub(crate) fn new(stream: TcpStream, protocol: Protocol, port: u16) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WITHIN))?;
        stream.set_write_timeout(Some(WITHIN))?;
        Ok(Self { stream, protocol, port, times: 0 })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Asks for a body.
    pub(crate) fn ask(&mut self, body: Body) -> Result<()> {
        self.times += 1;
        match self.protocol {
            Protocol::Http1 => probe::ask_http1(&mut self.stream, self.port, body.path()),
            Protocol::H2c => Ok(self.stream.write_all(&request(self.port, body.path(), self.stream_id()))?),
            Protocol::WebSocket | Protocol::Tls => bail!("there are no such connections to be used again"),
        }
    }

    /// Reads what was asked for, and compares it.
    pub(crate) fn answered(&mut self, body: Body) -> Result<()> {
        let (status, bytes) = match self.protocol {
            // What it says of its status is compressed; the first request was asked with all of HTTP/2.
            Protocol::H2c => (200, h2c(&mut self.stream, self.times == 1)?),
            _ => probe::http1_reply(&mut self.stream)?,
        };
        probe::compare(body.path(), body.size(), status, &bytes)
    }

    /// The stream of the last request.
    fn stream_id(&self) -> u32 {
        2 * self.times - 1
    }
}

/// Gives the message that comes back for `message` on a WebSocket (RFC 6455).
fn websocket(stream: &mut TcpStream, message: &[u8]) -> Result<Vec<u8>> {
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    // With a mask that changes nothing.
    write::frame(&mut sent, opcode::BINARY, true, message, Some([0; 4]));
    stream.write_all(&sent)?;
    write::head(&mut expected, opcode::BINARY, true, message.len() as u64, None);
    let mut head = vec![0; expected.len()];
    stream.read_exact(&mut head).context("no echo came")?;
    ensure!(head == expected, "the echo is not the message in one frame");
    let mut echo = vec![0; message.len()];
    stream.read_exact(&mut echo).context("no whole echo came")?;
    Ok(echo)
}

/// Reads the body of a reply; of the first on a connection with both sides' SETTINGS in force.
fn h2c(stream: &mut TcpStream, first: bool) -> Result<Vec<u8>> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 16 * 1024]);
    let (mut body, mut ended, mut settled) = (Vec::new(), false, !first);
    while !(ended && settled) {
        let read = stream.read(&mut piece).context("no whole reply came")?;
        ensure!(read > 0, "the connection was closed after {} bytes of a body", body.len());
        bytes.extend_from_slice(&piece[..read]);
        while let Some(frame) = Head::read(&bytes) {
            let Some(payload) = bytes.get(HEAD..HEAD + frame.len) else { break };
            match frame.kind {
                kind::DATA => body.extend_from_slice(payload),
                kind::SETTINGS if !frame.has(flag::ACK) => {
                    let mut acknowledgement = Vec::new();
                    head(&mut acknowledgement, 0, kind::SETTINGS, flag::ACK, 0);
                    stream.write_all(&acknowledgement)?;
                    settled = true;
                }
                kind::RST_STREAM | kind::GOAWAY => bail!("the server refused the request"),
                _ => {}
            }
            ended |= matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.has(flag::END_STREAM);
            bytes.drain(..HEAD + frame.len);
        }
    }
    Ok(body)
}

/// A GET on a stream (RFC 9113 section 8.3.1); before the first, the preface and SETTINGS that change nothing (section
/// 3.4).
fn request(port: u16, path: &str, id: u32) -> Vec<u8> {
    // Two fields of HPACK's static table, and two literals without indexing with names from it (RFC 7541
    // section 6 and appendix A). Both values fit the one byte of their length.
    const GET: u8 = 0x82;
    const HTTP: u8 = 0x86;
    const PATH: u8 = 4;
    const AUTHORITY: u8 = 1;
    let authority = format!("127.0.0.1:{port}");
    let mut block = vec![GET, HTTP];
    for (name, value) in [(PATH, path), (AUTHORITY, &authority)] {
        block.extend_from_slice(&[name, value.len() as u8]);
        block.extend_from_slice(value.as_bytes());
    }
    let mut bytes = Vec::new();
    if id == FIRST {
        bytes.extend_from_slice(PREFACE);
        head(&mut bytes, 0, kind::SETTINGS, 0, 0);
    }
    head(&mut bytes, block.len(), kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, id);
    bytes.extend_from_slice(&block);
    bytes
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Shutdown, TcpListener},
        path::Path,
    };

    use super::{super::tests::load, *};
    use crate::{args::Mode, responder::Responder, tools::Tools};

    fn open_on(responder: &Responder, row: &str) -> Result<Held> {
        let load = Load { connections: 3, ..load(Mode::Memory, row) };
        let cpu = runtime::affinity::allowed()[0];
        let at = Place { port: responder.port(), cpu, tools: &Tools::at([]), dir: Path::new("") };
        Ok(Idle.run(&load, &at)?.held.unwrap())
    }

    #[test]
    fn connections_stay_open_in_both_protocols_until_the_server_closes_them() {
        let cpu = runtime::affinity::allowed()[0];
        for row in ["h1-idle", "h2c-idle"] {
            let responder = Responder::start(cpu, &Body::K1.bytes()).unwrap();
            let held = open_on(&responder, row).unwrap();
            held.rest(Duration::ZERO).unwrap();
            drop(responder);
            let error = held.rest(Duration::ZERO).unwrap_err().to_string();
            assert_eq!(error, "the server closed 3 of 3 idle connections");
        }
    }

    #[test]
    fn a_reply_that_is_not_the_payload_is_refused() {
        let cpu = runtime::affinity::allowed()[0];
        let responder = Responder::start(cpu, &[b'!'; 1024]).unwrap();
        for row in ["h1-idle", "h2c-idle"] {
            let error = format!("{:#}", open_on(&responder, row).unwrap_err());
            assert!(
                error.starts_with("connection 1 failed: ") && error.contains("not the payload"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_websocket_echo_must_equal_the_message() {
        let answer = |reply: &'static [u8]| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            far.write_all(reply).unwrap();
            far.shutdown(Shutdown::Write).unwrap();
            websocket(&mut near, b"ab").map_err(|error| format!("{error:#}"))
        };
        assert_eq!(answer(b"\x82\x02ab"), Ok(b"ab".to_vec()));
        for (reply, said) in [
            (&b""[..], "no echo came"),
            (b"\x02\x02ab", "the echo is not the message"),
            (b"\x82\x02a", "no whole echo came"),
        ] {
            let error = answer(reply).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn too_low_an_open_file_limit_is_reported() {
        allow(1).unwrap();
        // More than any system grants, if it has a limit at all.
        match (runtime::files::raise_limit().unwrap().now, allow(u32::MAX)) {
            (u64::MAX, result) => result.unwrap(),
            (_, result) => assert!(result.unwrap_err().to_string().contains("ulimit -Hn")),
        }
    }
}
