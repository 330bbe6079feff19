//! The client of the gRPC rows: unary calls in a closed loop, each reply checked: its status and its message.
//!
//! h2load checks neither, and third-party clients take more of their CPU than the servers of theirs, which
//! would then lie idle between requests.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Instant,
};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use contract::echo::{EchoRequest, EchoResponse};
use grpc::{
    CONTENT_TYPE, Code,
    message::{self, PREFIX, Prefix},
    status::STATUS,
};
use http2::{Config, Connection, Event, Head, Key, Prepared, Role, Settings};
use prost::Message as _;
use rustix::event::{PollFd, PollFlags};

use super::{Client, Outcome, Place, Run, run_on, wait};
use crate::{interrupt, rows::Load};

/// Maximum number of bytes per read.
const READ: usize = 256 << 10;

/// Our client of gRPC, which calls a method.
#[derive(Debug)]
pub struct Calls(pub Call);

/// A method that is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Call {
    /// `echo.EchoService/Echo` of a short text.
    Echo,
    /// `grpc.health.v1.Health/Check` of the whole server.
    Check,
}

impl Call {
    const fn path(self) -> &'static str {
        match self {
            Self::Echo => "/echo.EchoService/Echo",
            Self::Check => "/grpc.health.v1.Health/Check",
        }
    }

    /// The request with its prefix.
    fn request(self) -> Bytes {
        let content = match self {
            Self::Echo => {
                let request = EchoRequest { message: text(), timestamp: TIMESTAMP, response_code: 0 };
                request.encode_to_vec()
            }
            Self::Check => Vec::new(),
        };
        let mut framed = Vec::new();
        message::append(&mut framed, false, |out| out.extend_from_slice(&content));
        framed.into()
    }

    /// What a response begins with: what it repeats of the request, or all of it.
    fn response(self) -> Vec<u8> {
        match self {
            Self::Echo => {
                let request_timestamp = TIMESTAMP;
                EchoResponse { message: text(), request_timestamp, ..EchoResponse::default() }.encode_to_vec()
            }
            Self::Check => vec![8, 1],
        }
    }
}

/// The message that an echo repeats.
const TIMESTAMP: i64 = 1_700_000_000_000_000_000;

fn text() -> String {
    "hello from the bench ".repeat(3)
}

impl Client for Calls {
    fn run(&self, load: &Load, at: &Place<'_>) -> Result<Run> {
        run_on(at.cpu, || {
            let connect = |_| Connected::new(at.port, self.0, load.streams as usize);
            let mut clients: Vec<_> = (0..load.connections).map(connect).collect::<Result<_>>()?;
            let mut buffer = vec![0; READ];
            let start = Instant::now();
            let end = start + load.time();
            let mut ending = false;
            while !clients.iter().all(Connected::is_over) {
                interrupt::check()?;
                if !ending && Instant::now() >= end {
                    ending = true;
                    for client in &mut clients {
                        client.last = Some(client.begun);
                    }
                    continue;
                }
                await_any(&clients)?;
                for client in &mut clients {
                    client.turn(&mut buffer)?;
                }
            }
            let sum = |of: fn(&Connected) -> u64| clients.iter().map(of).sum();
            let (done, failed) = (sum(|client| client.done), sum(|client| client.failed));
            Ok(Outcome::closed(done, failed, start.elapsed().as_secs_f64()))
        })
    }

    /// Makes one call and checks the reply.
    fn prepare(&self, _: &Load, at: &Place<'_>) -> Result<()> {
        let path = self.0.path();
        let mut client = Connected::new(at.port, self.0, 1)?;
        client.last = Some(1);
        let mut buffer = vec![0; READ];
        while client.done == 0 {
            await_any(std::slice::from_ref(&client)).with_context(|| format!("{path} was not answered"))?;
            client.turn(&mut buffer)?;
        }
        ensure!(client.failed == 0, "{path} was answered with something else");
        Ok(())
    }

    fn content(&self, _: &Load) -> usize {
        self.0.request().len()
    }
}

/// Waits until something can be done on some connection.
fn await_any(clients: &[Connected]) -> Result<usize> {
    let polled = clients.iter().map(|client| {
        let out = if client.http2.output.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        PollFd::new(&client.stream, PollFlags::IN | out)
    });
    wait(&mut polled.collect::<Vec<_>>())
}

/// One connection.
struct Connected {
    stream: TcpStream,
    http2: Connection,
    head: Head,
    prepared: Prepared,
    call: Call,
    request: Bytes,
    response: Vec<u8>,
    /// What has come of each reply, by the slot of its stream.
    replies: Vec<Vec<u8>>,
    /// Calls at a time.
    streams: usize,
    begun: u64,
    done: u64,
    failed: u64,
    /// How many calls there are to be; none: as many as can be.
    last: Option<u64>,
    /// Read and not taken in.
    rest: Vec<u8>,
}

impl Connected {
    fn new(port: u16, call: Call, streams: usize) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let settings = Settings { enable_push: false, ..Settings::default() };
        let config = Config { settings, connection_window: 16 << 20, ..Config::new(Role::Client) };
        Ok(Self {
            stream,
            http2: Connection::new(&config),
            head: Head::new(),
            prepared: Prepared::default(),
            call,
            request: call.request(),
            response: call.response(),
            replies: Vec::new(),
            streams,
            begun: 0,
            done: 0,
            failed: 0,
            last: None,
            rest: Vec::new(),
        })
    }

    fn is_over(&self) -> bool {
        self.last == Some(self.done)
    }

    /// Takes in what has come, begins calls for those that have ended, and writes.
    fn turn(&mut self, buffer: &mut [u8]) -> Result<()> {
        let kept = self.rest.len();
        match self.stream.read(&mut buffer[kept..]) {
            Ok(0) => return Err(anyhow!("the server closed a connection")),
            Ok(read) => {
                buffer[..kept].copy_from_slice(&self.rest);
                self.take_in(&buffer[..kept + read])?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        self.begin();
        self.write()
    }

    fn begin(&mut self) {
        let Self { http2, prepared, call, .. } = self;
        // Nothing is known of what the server allows before it has said so.
        while http2.is_settled()
            && http2.open_streams() < self.streams
            && self.last.is_none_or(|last| self.begun < last)
        {
            let key = http2.open(false, false, |block| {
                block.prepared(prepared, |block| {
                    for (name, value) in [
                        (":method", "POST"),
                        (":scheme", "http"),
                        (":path", call.path()),
                        (":authority", "127.0.0.1"),
                        ("content-type", CONTENT_TYPE),
                        ("te", "trailers"),
                        ("user-agent", "bench"),
                    ] {
                        block.constant(name.as_bytes(), value.as_bytes());
                    }
                });
            });
            let Some(key) = key else { return };
            self.begun += 1;
            let slot = key.slot as usize;
            if self.replies.len() <= slot {
                self.replies.resize_with(slot + 1, Vec::new);
            }
            self.replies[slot].clear();
            // It is far smaller than any first window.
            http2.data(key, self.request.clone(), true);
        }
    }

    fn take_in(&mut self, mut input: &[u8]) -> Result<()> {
        loop {
            let event = self.http2.receive(&mut input, &mut self.head);
            match event.map_err(|error| anyhow!("the server broke HTTP/2: {error}"))? {
                None => break,
                Some(Event::Response { end, .. }) => {
                    // A reply that is nothing but a head has failed.
                    if end || self.head.status() != 200 {
                        self.ended(false);
                    }
                }
                Some(Event::Data { stream, data, end }) => {
                    self.replies[stream.slot as usize].extend_from_slice(data);
                    self.http2.release(stream, data.len());
                    if end {
                        self.ended(false);
                    }
                }
                Some(Event::Trailers { stream }) => {
                    let code = self.head.fields().get(STATUS).and_then(Code::read);
                    let well = code == Some(Code::Ok) && self.is_expected(stream);
                    self.ended(well);
                }
                Some(Event::Reset { .. } | Event::Unprocessed { .. }) => self.ended(false),
                Some(Event::GoAway { code, .. }) => return Err(anyhow!("the server said GOAWAY: {code}")),
                Some(_) => {}
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(input);
        Ok(())
    }

    /// Whether a reply is one message, which begins as it must.
    fn is_expected(&self, stream: Key) -> bool {
        let reply = &self.replies[stream.slot as usize];
        let Ok(Some(prefix)) = Prefix::read(reply) else { return false };
        let content = &reply[PREFIX..];
        !prefix.compressed && prefix.length as usize == content.len() && content.starts_with(&self.response)
    }

    fn ended(&mut self, well: bool) {
        self.done += 1;
        self.failed += u64::from(!well);
    }

    fn write(&mut self) -> Result<()> {
        while !self.http2.output.is_empty() {
            let mut slices = [std::io::IoSlice::new(&[]); 64];
            let count = self.http2.output.slices(&mut slices);
            match self.stream.write_vectored(&slices[..count]) {
                Ok(written) => self.http2.output.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, thread};

    use super::{super::tests::load, *};
    use crate::{args::Mode, tools::Tools};

    #[test]
    fn expected_response_is_a_prefix_of_the_encoded_one() {
        let request = Call::Echo.request();
        let request = EchoRequest::decode(&request[PREFIX..]).unwrap();
        let response = EchoResponse {
            message: request.message,
            request_timestamp: request.timestamp,
            response_timestamp: 7,
            method: "/echo.EchoService/Echo".to_owned(),
            ..EchoResponse::default()
        };
        assert!(response.encode_to_vec().starts_with(&Call::Echo.response()));
        assert_eq!(Call::Check.request(), Bytes::from_static(&[0; PREFIX]));
    }

    #[test]
    fn unexpected_health_responses_are_rejected() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = Connected::new(listener.local_addr().unwrap().port(), Call::Check, 1).unwrap();
        let mut expected = |reply: &[u8]| {
            client.replies = vec![reply.to_vec()];
            client.is_expected(Key { slot: 0, id: 1 })
        };
        assert!(expected(b"\0\0\0\0\x02\x08\x01"));
        for other in [
            &b""[..],
            b"\0\0\0\0\0",
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x02\x08\x02",
            b"\0\0\0\0\x02\x08\x01\0",
            b"\0\0\0\0\x03\x08\x01",
        ] {
            assert!(!expected(other), "{other:?}");
        }
    }

    #[test]
    fn a_server_that_closes_the_connection_is_an_error() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let closes = thread::spawn(move || drop(listener.accept()));
        let (tools, dir) = (Tools::at([]), Path::new(""));
        let load = load(Mode::Server, "grpc-echo");
        assert!(Calls(Call::Echo).prepare(&load, &Place { port, cpu: 0, tools: &tools, dir }).is_err());
        closes.join().unwrap();
    }
}
