//! A bare responder: the same 1 KiB reply to whatever is a request, in HTTP/1.1 and h2c on one port.
//!
//! It is the server under the client rows. It decodes nothing and allocates nothing per request, so that a
//! client meets its own limit first. It is not a server for anything else.

mod connection;
mod h2c;
mod http1;
mod noted;

use std::{
    io::{self, ErrorKind},
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
use connection::{Connection, Work};
use noted::Noted;
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    fd::OwnedFd,
};

use crate::cpu;

/// Maximum number of open connections; further ones are closed immediately.
const MAX_CONNECTIONS: usize = 4096;

/// How often the thread looks whether it should end.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Most events taken in one turn.
const MAX_EVENTS: usize = 256;

/// A responder on its own thread, stopped when dropped.
#[derive(Debug)]
pub struct Responder {
    port: u16,
    stop: Arc<AtomicBool>,
    /// The system's id of the thread.
    task: i32,
    thread: Option<JoinHandle<()>>,
    noted: Option<Noted>,
}

impl Responder {
    /// Starts a responder on `cpu` that answers with `body`.
    ///
    /// # Errors
    /// No port can be bound, or no thread started.
    pub fn start(cpu: usize, body: &[u8]) -> Result<Self> {
        Self::with(cpu, body, None)
    }

    /// The same, which notes when each request of HTTP/1.1 arrives.
    ///
    /// # Errors
    /// No port can be bound, or no thread started.
    pub fn start_noting(cpu: usize, body: &[u8]) -> Result<Self> {
        Self::with(cpu, body, Some(Noted::default()))
    }

    fn with(cpu: usize, body: &[u8], noted: Option<Noted>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let mut engine = Engine::new(listener, body, noted.clone())?;
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
        Ok(Self { port, stop, task, thread: Some(thread), noted })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The instants of arrivals since this was last asked, in nanoseconds of an arbitrary start; none if it notes none.
    #[must_use]
    pub fn take_arrivals(&self) -> Option<Vec<u64>> {
        self.noted.as_ref().map(Noted::take)
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
    work: Work,
    noted: Option<Noted>,
}

const LISTENER: u64 = u64::MAX;

impl Engine {
    fn new(listener: TcpListener, body: &[u8], noted: Option<Noted>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        let (connections, free, work) = (Vec::new(), Vec::new(), Work::new(body));
        Ok(Self { epoll, listener, connections, free, work, noted })
    }

    fn turn(&mut self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&LOOK_EVERY)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        // What has arrived since the last wake-up has arrived by now.
        let woken = self.noted.as_ref().map(|_| noted::now());
        let before = self.work.http1_requests;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => self.accept(),
                index => self.serve(index as usize),
            }
        }
        if let (Some(noted), Some(woken)) = (&self.noted, woken) {
            noted.add(woken, self.work.http1_requests - before);
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
            let connection = Some(Connection::new(stream));
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
        let open = match connection.turn(&mut self.work) {
            Ok(open) => open,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        if !open {
            self.connections[index] = None;
            self.free.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_slow_reader_gets_every_reply_whole() {
        let body = [b'x'; 1024];
        let responder = Responder::start(runtime::affinity::allowed()[0], &body).unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, responder.port())).unwrap();
        // Their replies are more than both sockets' buffers hold, and none is read before all are asked for.
        const REQUESTS: usize = 20_000;
        stream.write_all(&b"\r\n\r\n".repeat(REQUESTS)).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut replies = Vec::new();
        stream.read_to_end(&mut replies).unwrap();
        assert_eq!(replies.len(), REQUESTS * http1::reply(&body).len());
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
    fn each_request_is_noted_once_and_in_order() {
        let responder = Responder::start_noting(runtime::affinity::allowed()[0], b"hello").unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, responder.port())).unwrap();
        let reply = http1::reply(b"hello").len();
        let before = noted::now();
        for _ in 0..3 {
            stream.write_all(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n").unwrap();
            stream.read_exact(&mut vec![0; 2 * reply]).unwrap();
        }
        // What is answered in a turn is noted at its end: another answer comes after that.
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream.read_exact(&mut vec![0; reply]).unwrap();
        let instants = responder.take_arrivals().unwrap();
        assert!((6..=7).contains(&instants.len()), "{instants:?}");
        assert!(instants.is_sorted() && instants[0] >= before, "{before} {instants:?}");
        assert!(responder.take_arrivals().unwrap().len() <= 1);
        assert_eq!(Responder::start(runtime::affinity::allowed()[0], b"").unwrap().take_arrivals(), None);
    }

    #[test]
    fn a_dropped_responder_refuses_connections() {
        let responder = Responder::start(runtime::affinity::allowed()[0], b"").unwrap();
        let port = responder.port();
        drop(responder);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
