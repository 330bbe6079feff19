//! A bare HTTP/1.1 responder: the same 1 KiB reply to whatever ends with an empty line.
//!
//! It is the server under the client rows. It parses nothing and allocates nothing per request, so that a
//! client meets its own limit first. It is no server for anything else.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    fd::OwnedFd,
};

use crate::cpu;

/// Most connections at a time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 4096;

/// Largest request that is read in one go, and so the most pipelined bytes answered by one write.
const READ_SIZE: usize = 16 * 1024;

/// How often the thread looks whether it should end.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Most events taken in one turn.
const MAX_EVENTS: usize = 256;

const END: &[u8; 4] = b"\r\n\r\n";

/// A responder on a thread of its own, stopped when dropped.
#[derive(Debug)]
pub struct Responder {
    port: u16,
    stop: Arc<AtomicBool>,
    /// The system's id of the thread.
    task: i32,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Starts a responder on `cpu` that answers with `body`.
    ///
    /// # Errors
    /// No port can be bound, or no thread started.
    pub fn start(cpu: usize, body: &[u8]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let mut reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        reply.extend_from_slice(body);
        let stop = Arc::new(AtomicBool::new(false));
        let mut engine = Engine::new(listener, reply)?;
        let seen = Arc::clone(&stop);
        let (tell, told) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("responder".to_owned()).spawn(move || {
            let pinned =
                runtime::affinity::pin(cpu).map(|()| rustix::thread::gettid().as_raw_nonzero().get());
            let serve = pinned.is_ok();
            // The other end waits for this one message.
            let _ = tell.send(pinned);
            let mut events = Vec::with_capacity(MAX_EVENTS);
            while serve && !seen.load(Ordering::Relaxed) && engine.turn(&mut events).is_ok() {}
        })?;
        let task = told.recv()?.with_context(|| format!("CPU {cpu} cannot be used"))?;
        Ok(Self { port, stop, task, thread: Some(thread) })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// CPU time of the thread.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn cpu(&self) -> io::Result<Duration> {
        cpu::of_thread(self.task)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

struct Engine {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    reply: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// How many bytes of the empty line the last read ended with.
    matched: usize,
}

const LISTENER: u64 = u64::MAX;

impl Engine {
    fn new(listener: TcpListener, reply: Vec<u8>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; READ_SIZE],
            reply,
        })
    }

    fn turn(&mut self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&LOOK_EVERY)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => self.accept(),
                index => self.serve(index as usize),
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let index = self.free.pop().unwrap_or(self.connections.len());
            if index >= MAX_CONNECTIONS
                || stream.set_nonblocking(true).is_err()
                || stream.set_nodelay(true).is_err()
                || self.watch(&stream, index).is_err()
            {
                if index < self.connections.len() {
                    self.free.push(index);
                }
                continue;
            }
            let connection = Some(Connection { stream, matched: 0 });
            match self.connections.get_mut(index) {
                Some(slot) => *slot = connection,
                None => self.connections.push(connection),
            }
        }
    }

    fn watch(&self, stream: &TcpStream, index: usize) -> io::Result<()> {
        let data = epoll::EventData::new_u64(index as u64);
        Ok(epoll::add(&self.epoll, stream, data, epoll::EventFlags::IN)?)
    }

    fn serve(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        let open = match connection.stream.read(&mut self.buffer) {
            Ok(0) => false,
            Ok(read) => {
                let due = count_ends(&self.buffer[..read], &mut connection.matched);
                // Clients wait for their replies, so these fit the socket's buffer; one that does not read
                // is closed.
                (0..due).all(|_| connection.stream.write_all(&self.reply).is_ok())
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        if !open {
            self.connections[index] = None;
            self.free.push(index);
        }
    }
}

/// Counts the empty lines in `bytes`; `matched` carries a part of one over to the next bytes.
fn count_ends(bytes: &[u8], matched: &mut usize) -> usize {
    let mut ends = 0;
    // Nearly always one whole request.
    if *matched == 0 && bytes.ends_with(END) && !bytes[..bytes.len() - 4].contains(&b'\r') {
        return 1;
    }
    for &byte in bytes {
        *matched = match byte {
            b if b == END[*matched] => *matched + 1,
            b'\r' => 1,
            _ => 0,
        };
        if *matched == END.len() {
            ends += 1;
            *matched = 0;
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_are_counted_across_pieces_of_any_size() {
        let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\r\n\r\n";
        for size in 1..=text.len() {
            let mut matched = 0;
            let ends: usize = text.chunks(size).map(|piece| count_ends(piece, &mut matched)).sum();
            assert_eq!((ends, matched), (2, 0), "pieces of {size}");
        }
    }

    #[test]
    fn two_pipelined_requests_get_two_replies() {
        let cpu = runtime::affinity::allowed()[0];
        let responder = Responder::start(cpu, b"hello").unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, responder.port())).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut replies = String::new();
        stream.read_to_string(&mut replies).unwrap();
        assert_eq!(replies.matches("HTTP/1.1 200 OK\r\n").count(), 2);
        assert_eq!(replies.matches("\r\n\r\nhello").count(), 2);
    }

    #[test]
    fn a_dropped_responder_refuses_connections() {
        let responder = Responder::start(runtime::affinity::allowed()[0], b"").unwrap();
        let port = responder.port();
        drop(responder);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
