//! A proxy that does to chosen requests what real ones should not: HTTP/1.1 with lengths, one connection to the server for
//! each of a client's, a thread for each.
//!
//! It chooses by the number in the request's token, so that a test knows what has to be found.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use contract::id::Id;

use crate::{PATIENCE, ending::Ending, rewrite::Rewrite};

/// What is done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Passed on as it is, and so is its reply.
    None,
    /// One bit of the byte at this offset of the reply's body is another.
    Flip(usize),
    /// The reply's body ends here, and its length says so.
    Shorten(usize),
    /// The first two blocks of this number of bytes of the reply's body change places.
    Swap(usize),
    /// The connection ends after this number of bytes of the reply's body.
    CutReply(usize),
    /// The connection ends before the request is passed on.
    Lose,
    /// Answered with this status, and not passed on.
    Answer(u16),
    /// Passed on, and answered with this status.
    Replace(u16),
    /// Passed on again after its reply has arrived, which is discarded.
    Repeat,
    /// Passed on to this server first, this number of times, each over another connection; the replies are discarded.
    RepeatAt(SocketAddr, usize),
    /// Passed on once more at the same time, over another connection.
    Double,
    /// Answered with the reply to the last request that this connection has passed on, and not passed on itself.
    Cache,
    /// Passed on, and answered with the reply to the last request that this connection has passed on.
    Cross,
    /// Passed on without its token.
    TakeToken,
    /// Passed on without its token, even where it is in the query.
    TakeTokens,
    /// Passed on, and its reply without its token.
    TakeSeen,
    /// Passed on with another head.
    Request(Rewrite),
    /// Passed on, and its reply with another head.
    Reply(Rewrite),
    /// Passed on without its token, and its reply without it, too.
    TakeBoth,
    /// Passed on with the number of another request, which nobody has sent.
    Renumber(u64),
    /// One bit of the byte at this offset of the request's body is another.
    FlipUpload(usize),
    /// The first two blocks of this size in the request's body change places.
    SwapUpload(usize),
    /// The request's body ends here, and cleanly.
    ShortenUpload(usize),
    /// The connections end after this number of bytes of the request's body.
    CutUpload(usize),
    /// Passed on so much later.
    HoldRequest(Duration),
    /// Its reply is passed back so much later.
    HoldReply(Duration),
}

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct Planted {
    /// Where it listens.
    pub address: SocketAddr,
    ending: Ending,
    held: Arc<Held>,
}

/// For how long messages were held, as measured, and what ends that early.
#[derive(Debug)]
struct Held {
    times: Mutex<Vec<Duration>>,
    ending: Ending,
}

impl Planted {
    /// In front of a server; `fault` says what is done to the request of a number. Requests without a token are passed on.
    ///
    /// # Panics
    /// When it can't listen.
    #[must_use]
    pub fn start(server: SocketAddr, fault: impl Fn(u64) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let ending = Ending::default();
        let fault: Arc<dyn Fn(u64) -> Fault + Send + Sync> = Arc::new(fault);
        let held = Arc::new(Held { times: Mutex::default(), ending: ending.clone() });
        let holding = Arc::clone(&held);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if holding.ending.has_come() {
                    break;
                }
                let (fault, held) = (Arc::clone(&fault), Arc::clone(&holding));
                thread::spawn(move || serve(client, server, &*fault, &held));
            }
        });
        Self { address, ending, held }
    }

    /// For how long messages were held, each as measured: from when the whole of it had been read until just before the first byte
    /// of it was written.
    #[must_use]
    pub fn held(&self) -> Vec<Duration> {
        self.held.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        self.ending.end();
        drop(TcpStream::connect(self.address));
    }
}

/// A request or a reply.
#[derive(Clone, Debug)]
struct Message {
    first: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    /// Its body is passed on as one chunk.
    is_chunked: bool,
}

impl Message {
    /// None at the end of the connection.
    fn read(from: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let head = loop {
            if let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
                break rest.drain(..end + 4).collect::<Vec<u8>>();
            }
            let mut buffer = [0; 16 << 10];
            match from.read(&mut buffer)? {
                0 => return Ok(None),
                count => rest.extend_from_slice(&buffer[..count]),
            }
        };
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_owned(), value.trim().to_owned())
        };
        let fields = lines.map(field).collect();
        let mut message = Self { first, fields, body: Vec::new(), is_chunked: false };
        message.is_chunked = message.field("transfer-encoding") == Some("chunked");
        if message.is_chunked {
            return Ok(message.read_chunks(from, rest)?.then_some(message));
        }
        let length: usize = message.field("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while rest.len() < length {
            let mut buffer = [0; 64 << 10];
            match from.read(&mut buffer)? {
                0 => return Ok(None),
                count => rest.extend_from_slice(&buffer[..count]),
            }
        }
        message.body = rest.drain(..length).collect();
        Ok(Some(message))
    }

    /// Whether all of them came.
    fn read_chunks(&mut self, from: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            let line = rest.windows(2).position(|window| window == b"\r\n");
            let size =
                line.and_then(|end| usize::from_str_radix(str::from_utf8(&rest[..end]).ok()?, 16).ok());
            if let (Some(end), Some(size)) = (line, size)
                && rest.len() >= end + 2 + size + 2
            {
                self.body.extend_from_slice(&rest[end + 2..end + 2 + size]);
                rest.drain(..end + 2 + size + 2);
                if size == 0 {
                    return Ok(true);
                }
                continue;
            }
            let mut buffer = [0; 64 << 10];
            match from.read(&mut buffer)? {
                0 => return Ok(false),
                count => rest.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// With another body, whose length it announces.
    fn with_body(self, body: Vec<u8>) -> Self {
        let length = body.len().to_string();
        let message = Self { body, ..self };
        if message.is_chunked { message } else { message.with("content-length", length) }
    }

    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn token_in_query(&self) -> Option<&str> {
        let (_, rest) = self.first.split_once("dummy-token=")?;
        rest.split([' ', '&']).next()
    }

    fn without_query(mut self) -> Self {
        if let Some((before, rest)) = self.first.split_once('?') {
            let after = rest.split_once(' ').map_or("", |(_, after)| after);
            self.first = format!("{before} {after}");
        }
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    fn with(self, name: &str, value: String) -> Self {
        let mut message = self.without(name);
        message.fields.push((name.to_owned(), value));
        message
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        if !self.is_chunked {
            return [text.as_bytes(), &self.body].concat();
        }
        let size = format!("{:x}\r\n", self.body.len());
        [text.as_bytes(), size.as_bytes(), &self.body, b"\r\n0\r\n\r\n"].concat()
    }

    fn of_status(status: u16) -> Self {
        let first = format!("HTTP/1.1 {status} Planted");
        let fields = vec![("content-length".to_owned(), "0".to_owned())];
        Self { first, fields, body: Vec::new(), is_chunked: false }
    }
}

/// A connection to the server.
struct Upstream {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Upstream {
    fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, rest: Vec::new() })
    }

    fn exchange(&mut self, request: &Message) -> io::Result<Message> {
        self.stream.write_all(&request.bytes())?;
        Message::read(&mut self.stream, &mut self.rest)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Whatever breaks ends the client's connection.
fn serve(mut client: TcpStream, server: SocketAddr, fault: &dyn Fn(u64) -> Fault, held: &Held) {
    let _ = client.set_nodelay(true);
    let _ = relay(&mut client, server, fault, held);
    let _ = client.shutdown(Shutdown::Both);
}

/// Holds a message, for less time if the proxy ends.
fn hold(time: Duration, held: &Held) {
    let began = Instant::now();
    held.ending.comes_within(time);
    held.times.lock().unwrap_or_else(PoisonError::into_inner).push(began.elapsed());
}

fn relay(
    client: &mut TcpStream,
    server: SocketAddr,
    fault: &dyn Fn(u64) -> Fault,
    held: &Held,
) -> io::Result<()> {
    let mut rest = Vec::new();
    let mut upstream = Upstream::connect(server)?;
    let mut last: Option<Message> = None;
    while let Some(request) = Message::read(client, &mut rest)? {
        let token = request.field("x-dummy-token").or(request.token_in_query());
        let token = token.and_then(|token| Id::read(token.as_bytes()));
        let fault = token.map_or(Fault::None, |id| fault(id.number));
        if let Fault::HoldRequest(time) = fault {
            hold(time, held);
        }
        let mut reply = match (fault, &last) {
            (Fault::Lose, _) => return Ok(()),
            (Fault::Answer(status), _) => Message::of_status(status),
            (Fault::Cache, Some(last)) => last.clone(),
            (Fault::Replace(status), _) => {
                upstream.exchange(&request)?;
                Message::of_status(status)
            }
            (Fault::Cross, Some(last)) => {
                upstream.exchange(&request)?;
                last.clone()
            }
            (Fault::Repeat, _) => {
                upstream.exchange(&request)?;
                upstream.exchange(&request)?
            }
            (Fault::RepeatAt(server, times), _) => {
                for _ in 0..times {
                    Upstream::connect(server)?.exchange(&request)?;
                }
                upstream.exchange(&request)?
            }
            (Fault::Double, _) => {
                let mut beside = Upstream::connect(server)?;
                beside.stream.write_all(&request.bytes())?;
                upstream.exchange(&request)?
            }
            (Fault::FlipUpload(offset), _) => {
                let mut body = request.body.clone();
                body[offset] ^= 1;
                upstream.exchange(&request.with_body(body))?
            }
            (Fault::SwapUpload(size), _) => {
                let mut body = request.body.clone();
                body[..2 * size].rotate_left(size);
                upstream.exchange(&request.with_body(body))?
            }
            (Fault::ShortenUpload(length), _) => {
                let body = request.body[..length].to_vec();
                upstream.exchange(&request.with_body(body))?
            }
            (Fault::CutUpload(length), _) => {
                let bytes = request.bytes();
                let end = bytes.len() - request.body.len() + length;
                upstream.stream.write_all(&bytes[..end])?;
                upstream.stream.shutdown(Shutdown::Write)?;
                // The server says so, and that goes nowhere.
                while upstream.stream.read(&mut [0; 4096])? > 0 {}
                return Ok(());
            }
            (Fault::TakeToken, _) => upstream.exchange(&request.without("x-dummy-token"))?,
            (Fault::Request(rewrite), _) => {
                let mut request = request;
                rewrite.apply(&mut request.first, &mut request.fields);
                upstream.exchange(&request)?
            }
            (Fault::TakeTokens, _) => upstream.exchange(&request.without("x-dummy-token").without_query())?,
            (Fault::TakeBoth, _) => {
                upstream.exchange(&request.without("x-dummy-token"))?.without("x-dummy-seen")
            }
            (Fault::TakeSeen, _) => upstream.exchange(&request)?.without("x-dummy-seen"),
            (Fault::Renumber(number), _) => {
                let text = token.map(|id| Id { number, ..id }.text());
                let id = text.map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
                upstream.exchange(&request.with("x-dummy-token", id))?
            }
            _ => upstream.exchange(&request)?,
        };
        last = Some(reply.clone());
        match fault {
            Fault::HoldReply(time) => hold(time, held),
            Fault::Flip(offset) => reply.body[offset] ^= 1,
            Fault::Reply(rewrite) => rewrite.apply(&mut reply.first, &mut reply.fields),
            Fault::Swap(size) => reply.body[..2 * size].rotate_left(size),
            Fault::Shorten(length) => {
                reply.body.truncate(length);
                reply = reply.with("content-length", length.to_string());
            }
            Fault::CutReply(length) => {
                let bytes = reply.bytes();
                let end = bytes.len() - reply.body.len() + length;
                return client.write_all(&bytes[..end]);
            }
            _ => {}
        }
        client.write_all(&reply.bytes())?;
    }
    Ok(())
}
