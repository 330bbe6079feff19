//! A proxy that does to chosen messages on WebSockets what real ones should not: over HTTP/1.1, a connection to the server for each
//! of a client's, two threads for each.
//!
//! It chooses by the number in a message's token, so that a test knows what has to be found.

use std::{
    io::{self, Read as _, Write as _},
    mem,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use contract::ledger::message_id;

/// What is done to a message, or to its echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFault {
    /// Passed on as it is, and so is its echo.
    None,
    /// Not passed on.
    Lose,
    /// Its echo is not passed on.
    LoseEcho,
    /// Passed on twice.
    Double,
    /// Its echo is passed on twice.
    DoubleEcho,
    /// One bit of the byte at this offset is another.
    Flip(usize),
    /// The same of its echo.
    FlipEcho(usize),
    /// Its echo ends here.
    ShortenEcho(usize),
    /// Its echo goes to another client.
    Cross,
    /// Passed on behind the next one of its connection.
    Swap,
    /// Its echo is passed on behind the next one.
    SwapEcho,
}

type Choose = dyn Fn(u64) -> MessageFault + Send + Sync;

/// Clients, each to be written to by the threads of all.
type Clients = Mutex<Vec<Arc<Mutex<TcpStream>>>>;

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct PlantedMessages {
    /// Where it listens.
    pub address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl PlantedMessages {
    /// In front of a server; `fault` says what is done to the message of a number. What has no token is passed on.
    ///
    /// # Panics
    /// When it can't listen.
    #[must_use]
    pub fn start(server: SocketAddr, fault: impl Fn(u64) -> MessageFault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let over = Arc::new(AtomicBool::new(false));
        let (fault, clients): (Arc<Choose>, Arc<Clients>) = (Arc::new(fault), Arc::default());
        let is_over = Arc::clone(&over);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let (fault, clients) = (Arc::clone(&fault), Arc::clone(&clients));
                // Whatever breaks ends both connections.
                thread::spawn(move || drop(serve(client, server, &fault, &clients)));
            }
        });
        Self { address, over }
    }
}

impl Drop for PlantedMessages {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    mut client: TcpStream,
    server: SocketAddr,
    fault: &Arc<Choose>,
    clients: &Arc<Clients>,
) -> io::Result<()> {
    let mut upstream = TcpStream::connect(server)?;
    for stream in [&client, &upstream] {
        stream.set_nodelay(true)?;
    }
    let mut to_server = Vec::new();
    let head = read_head(&mut client, &mut to_server)?;
    upstream.write_all(&head)?;
    if !head.windows(10).any(|part| part.eq_ignore_ascii_case(b"websocket\r")) {
        // A question to the ledger.
        let (mut from, mut to) = (upstream.try_clone()?, client.try_clone()?);
        let there = thread::spawn(move || io::copy(&mut from, &mut to));
        io::copy(&mut client, &mut upstream)?;
        upstream.shutdown(Shutdown::Write)?;
        return there.join().expect("no panic").map(drop);
    }
    let mut to_client = Vec::new();
    let head = read_head(&mut upstream, &mut to_client)?;
    client.write_all(&head)?;
    let own = Arc::new(Mutex::new(client.try_clone()?));
    clients.lock().expect("no panic").push(Arc::clone(&own));
    let (mut from, clients, choose) = (upstream.try_clone()?, Arc::clone(clients), Arc::clone(fault));
    thread::spawn(move || {
        let _ = echoes(&mut from, &mut to_client, &own, &clients, &*choose);
        let _ = own.lock().expect("no panic").shutdown(Shutdown::Both);
    });
    let _ = messages(&mut client, &mut to_server, &mut upstream, &**fault);
    upstream.shutdown(Shutdown::Both)
}

/// From the client to the server.
fn messages(from: &mut TcpStream, rest: &mut Vec<u8>, to: &mut TcpStream, fault: &Choose) -> io::Result<()> {
    let mut held = Vec::new();
    while let Some(mut frame) = Frame::read(from, rest)? {
        let times = match frame.fault(fault) {
            MessageFault::Swap => {
                held = frame.bytes(true);
                continue;
            }
            MessageFault::Lose => 0,
            MessageFault::Double => 2,
            MessageFault::Flip(offset) => {
                frame.content[offset] ^= 1;
                1
            }
            _ => 1,
        };
        to.write_all(&[frame.bytes(true).repeat(times), mem::take(&mut held)].concat())?;
    }
    Ok(())
}

/// From the server to a client.
fn echoes(
    from: &mut TcpStream,
    rest: &mut Vec<u8>,
    own: &Arc<Mutex<TcpStream>>,
    clients: &Clients,
    fault: &Choose,
) -> io::Result<()> {
    let mut held = Vec::new();
    while let Some(mut frame) = Frame::read(from, rest)? {
        let (mut times, mut to) = (1, Arc::clone(own));
        match frame.fault(fault) {
            MessageFault::SwapEcho => {
                held = frame.bytes(false);
                continue;
            }
            MessageFault::LoseEcho => times = 0,
            MessageFault::DoubleEcho => times = 2,
            MessageFault::FlipEcho(offset) => frame.content[offset] ^= 1,
            MessageFault::ShortenEcho(length) => frame.content.truncate(length),
            MessageFault::Cross => {
                let clients = clients.lock().expect("no panic");
                let other = clients.iter().find(|client| !Arc::ptr_eq(client, own));
                to = Arc::clone(other.expect("several clients"));
            }
            _ => {}
        }
        let all = [frame.bytes(false).repeat(times), mem::take(&mut held)].concat();
        to.lock().expect("no panic").write_all(&all)?;
    }
    Ok(())
}

fn read_head(from: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        if let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok(rest.drain(..end + 4).collect());
        }
        if !more(from, rest)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// False at the end of the connection.
fn more(from: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 64 << 10];
    let count = from.read(&mut buffer)?;
    rest.extend_from_slice(&buffer[..count]);
    Ok(count > 0)
}

/// A frame, whose content is not masked.
struct Frame {
    first: u8,
    content: Vec<u8>,
}

impl Frame {
    /// None at the end of the connection.
    fn read(from: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<Option<Self>> {
        loop {
            if let Some((frame, length)) = Self::parse(rest) {
                rest.drain(..length);
                return Ok(Some(frame));
            }
            if !more(from, rest)? {
                return Ok(None);
            }
        }
    }

    /// The frame at the beginning, and how long it is.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (length, mut at) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
            short => (usize::from(short), 2),
        };
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            mask = bytes.get(at..at + 4)?.try_into().ok()?;
            at += 4;
        }
        let content = bytes.get(at..at + length)?;
        let content = content.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        Some((Self { first, content }, at + length))
    }

    fn fault(&self, choose: &Choose) -> MessageFault {
        message_id(&self.content).map_or(MessageFault::None, |id| choose(id.number))
    }

    /// With the mask of zeros, if it has one.
    fn bytes(&self, masked: bool) -> Vec<u8> {
        let flag = if masked { 0x80 } else { 0 };
        let length = self.content.len();
        let mut bytes = vec![self.first];
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ ..126), _) => bytes.push(flag | short),
            (_, Ok(middle)) => {
                bytes.push(flag | 126);
                bytes.extend_from_slice(&middle.to_be_bytes());
            }
            _ => {
                bytes.push(flag | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        if masked {
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes.extend_from_slice(&self.content);
        bytes
    }
}
