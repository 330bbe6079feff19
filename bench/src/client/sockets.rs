//! The client of the WebSocket row: a message on each connection, and the next one when it has come back. Each echo is
//! checked, byte for byte.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::event::{PollFd, PollFlags};
use websocket::{
    handshake::{self, VERSION},
    opcode, write,
};

use super::{Client, Outcome, Place, Run, run_on, wait};
use crate::{interrupt, rows::Load};

/// Bytes in a message.
const MESSAGE: usize = 64;
/// How long any step may take.
const WITHIN: Duration = Duration::from_secs(10);
const MASK: [u8; 4] = [0x5a, 0xc3, 0x1f, 0x88];

/// Opens a WebSocket on a new connection (RFC 6455 section 4).
///
/// # Errors
/// The connection fails, or the server does not agree.
pub fn open(port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    // The key of the example in section 1.3.
    let key = handshake::key(*b"the sample nonce");
    let request = format!(
        "GET /ws HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: {VERSION}\r\nsec-websocket-key: {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).context("the handshake was not answered")?;
        head.push(byte[0]);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101 "), "the handshake was refused");
    Ok(stream)
}

/// Our client of WebSocket.
#[derive(Debug)]
pub struct Sockets;

impl Client for Sockets {
    fn run(&self, load: &Load, at: &Place<'_>) -> Result<Run> {
        run_on(at.cpu, || {
            let open = |_| Socket::open(at.port);
            let mut sockets: Vec<_> = (0..load.connections).map(open).collect::<Result<_>>()?;
            let start = Instant::now();
            let end = start + load.time();
            for socket in &mut sockets {
                socket.send()?;
            }
            let mut ending = false;
            while sockets.iter().any(|socket| socket.waits) {
                interrupt::check()?;
                ending = ending || Instant::now() >= end;
                let polled = sockets.iter().map(|socket| PollFd::new(&socket.stream, PollFlags::IN));
                wait(&mut polled.collect::<Vec<_>>())?;
                for socket in &mut sockets {
                    if socket.receive()? && !ending {
                        socket.send()?;
                    }
                }
            }
            let sum = |of: fn(&Socket) -> u64| sockets.iter().map(of).sum();
            let (done, failed) = (sum(|socket| socket.done), sum(|socket| socket.failed));
            Ok(Outcome::closed(done, failed, start.elapsed().as_secs_f64()))
        })
    }

    /// Sends one message and checks its echo.
    fn prepare(&self, _: &Load, at: &Place<'_>) -> Result<()> {
        check(at.port)
    }

    fn content(&self, _: &Load) -> usize {
        MESSAGE
    }
}

fn check(port: u16) -> Result<()> {
    let mut stream = open(port)?;
    stream.write_all(&sent(0))?;
    let mut echo = vec![0; expected(0).len()];
    stream.read_exact(&mut echo).context("no echo came")?;
    ensure!(echo[..] == expected(0), "the echo is not the message");
    Ok(())
}

/// One connection.
struct Socket {
    stream: TcpStream,
    /// What has come of the echo.
    echo: Vec<u8>,
    /// An echo is awaited.
    waits: bool,
    done: u64,
    failed: u64,
}

impl Socket {
    fn open(port: u16) -> Result<Self> {
        let stream = open(port)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, echo: Vec::new(), waits: false, done: 0, failed: 0 })
    }

    fn send(&mut self) -> Result<()> {
        self.waits = true;
        // So little fits into any socket of which nothing waits to be read.
        Ok(self.stream.write_all(&sent(self.done))?)
    }

    /// Reads what has come. True: the echo is whole.
    fn receive(&mut self) -> Result<bool> {
        let mut buffer = [0; 4 * MESSAGE];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(anyhow!("the server closed a connection")),
            Ok(count) => self.echo.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let expected = expected(self.done);
        if self.echo.len() < expected.len() {
            return Ok(false);
        }
        self.failed += u64::from(self.echo != expected);
        self.echo.clear();
        self.done += 1;
        self.waits = false;
        Ok(true)
    }
}

/// The content of a message: no two in a row are the same.
fn content(number: u64) -> [u8; MESSAGE] {
    let mut content = [b'x'; MESSAGE];
    content[..8].copy_from_slice(&number.to_be_bytes());
    content
}

/// A message as a client sends it.
fn sent(number: u64) -> Vec<u8> {
    frame(number, Some(MASK))
}

/// The echo of a message.
fn expected(number: u64) -> Vec<u8> {
    frame(number, None)
}

fn frame(number: u64, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(MESSAGE + 6);
    write::frame(&mut out, opcode::BINARY, true, &content(number), mask);
    out
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_expected_echo_is_the_unmasked_message() {
        let mut sent = sent(7);
        websocket::apply_mask(&mut sent[6..], MASK);
        assert_eq!(sent[6..], expected(7)[2..]);
        assert_ne!(expected(7), expected(8));
    }

    #[test]
    fn a_websocket_handshake_needs_101_and_an_echo() {
        for (reply, said) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], "the handshake was refused"),
            (b"HTTP/1.1 101", "the handshake was not answered"),
            (b"HTTP/1.1 101 Yes\r\n\r\n", "no echo came"),
        ] {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let answer = thread::spawn(move || {
                let (mut far, _) = listener.accept().unwrap();
                // What the client sends is not left unread, which would reset the connection.
                let mut head = [0; 4096];
                let _ = far.read(&mut head).unwrap();
                far.write_all(reply).unwrap();
                far.shutdown(std::net::Shutdown::Write).unwrap();
                let _ = far.read(&mut head);
            });
            assert_eq!(check(port).unwrap_err().to_string(), said);
            answer.join().unwrap();
        }
    }
}
