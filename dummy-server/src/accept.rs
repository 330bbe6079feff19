//! Accepts connections and gives each to the least loaded worker.
//!
//! The kernel spreads connections over the workers' sockets by a hash, which leaves a core idle when there
//! are few and long-lived ones. So a worker that holds more than another hands a new one over. The counts
//! are shared between threads, but touched only when a connection comes or goes.

#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd};
use std::{
    io,
    rc::Rc,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use tokio::sync::mpsc;
use transport::{Listener, Stream, stream};

use crate::{connection::Port, drain::Phase, worker::Worker};

/// How many connections may wait to be taken over by a worker.
const INBOX: usize = 1024;
/// How long accepting rests after an error such as EMFILE; doubled each time up to the longest.
const SHORTEST_BACK_OFF: Duration = Duration::from_millis(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);
/// Files below the open-file limit that connections of clients leave free, or a quarter of a low limit: they are for the
/// admin port, for what its metrics read, and for a certificate that is reloaded.
const RESERVED_FILES: u64 = 32;

/// A connection on its way to a worker.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) socket: Socket,
    pub(crate) port: Port,
}

/// A connected socket that belongs to no runtime.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(std::net::TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl Socket {
    /// The number of its file.
    #[cfg(unix)]
    fn file(&self) -> u64 {
        match self {
            Self::Tcp(socket) => number(socket),
            Self::Unix(socket) => number(socket),
        }
    }

    /// Registers it with the runtime of the calling thread.
    pub(crate) fn register(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(socket) => {
                let socket = tokio::net::TcpStream::from_std(socket)?;
                stream::tune(&socket)?;
                Ok(transport::Socket::Tcp(socket).into())
            }
            #[cfg(unix)]
            Self::Unix(socket) => {
                Ok(transport::Socket::Unix(tokio::net::UnixStream::from_std(socket)?).into())
            }
        }
    }
}

/// The workers as acceptors see them.
#[derive(Debug)]
pub(crate) struct Fleet {
    seats: Vec<Place>,
    /// All open connections.
    open: AtomicU64,
    /// Accept loops that have not ended.
    pub(crate) accepting: AtomicUsize,
    /// The number of the first file that is not for connections.
    #[cfg_attr(not(unix), expect(dead_code, reason = "files have no such limit"))]
    first_reserved_file: u64,
}

/// What acceptors know of one worker.
#[derive(Debug)]
struct Place {
    open: AtomicUsize,
    inbox: mpsc::Sender<Arrived>,
}

impl Fleet {
    /// Without workers as yet.
    pub(crate) fn new(accept_loops: usize) -> Self {
        Self {
            seats: Vec::new(),
            open: AtomicU64::new(0),
            accepting: AtomicUsize::new(accept_loops),
            first_reserved_file: first_reserved_file(runtime::files::limit(), accept_loops as u64),
        }
    }

    /// Adds a worker, and returns the inbox of the connections that others hand over to it.
    pub(crate) fn add_worker(&mut self) -> mpsc::Receiver<Arrived> {
        let (inbox, receiver) = mpsc::channel(INBOX);
        self.seats.push(Place { open: AtomicUsize::new(0), inbox });
        receiver
    }

    /// Whether a connection has taken a file from the reserve: the lowest one that was free.
    #[cfg(unix)]
    fn is_in_reserve(&self, socket: &Socket) -> bool {
        socket.file() >= self.first_reserved_file
    }

    /// Whether the next file would be outside the reserve.
    #[cfg(unix)]
    fn has_free_file(&self, any: impl AsFd) -> bool {
        let next = rustix::io::fcntl_dupfd_cloexec(any, 0);
        next.is_ok_and(|file| number(&file) < self.first_reserved_file)
    }

    #[cfg(not(unix))]
    fn is_in_reserve(&self, _socket: &Socket) -> bool {
        false
    }

    /// All open connections.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a place at the least loaded worker, at `own` if none has fewer.
    fn sit(&self, own: usize) -> usize {
        let load = |seat: usize| self.seats[seat].open.load(Ordering::Relaxed);
        let least = (0..self.seats.len()).min_by_key(|&seat| load(seat)).unwrap_or(own);
        let seat = if load(least) < load(own) { least } else { own };
        self.take(seat);
        seat
    }

    fn take(&self, seat: usize) {
        self.seats[seat].open.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives a place back.
    pub(crate) fn leave(&self, seat: usize) {
        self.seats[seat].open.fetch_sub(1, Ordering::Relaxed);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Each accept loop takes one file of the reserve before it knows that no others are left.
fn first_reserved_file(limit: u64, accept_loops: u64) -> u64 {
    limit - (RESERVED_FILES + accept_loops).min(limit / 4)
}

#[cfg(unix)]
fn number(file: &impl AsRawFd) -> u64 {
    file.as_raw_fd().unsigned_abs().into()
}

/// Accepts until the drain closes listeners, and then until the queue is empty.
pub(crate) async fn run(listener: Listener, port: Port, worker: Rc<Worker>) {
    if let Err(error) = accept_all(listener, port, &worker).await {
        tracing::error!(%error, "accepting has ended");
    }
    worker.fleet.accepting.fetch_sub(1, Ordering::Release);
}

async fn accept_all(listener: Listener, port: Port, worker: &Rc<Worker>) -> io::Result<()> {
    let listener = Registered::new(listener)?;
    let mut back_off = SHORTEST_BACK_OFF;
    let mut in_reserve = false;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept_outside_reserve(in_reserve, &worker.fleet) => accepted,
            () = worker.shutdown.reached(Phase::Closing) => break,
        };
        match accepted {
            Ok(socket) => {
                back_off = SHORTEST_BACK_OFF;
                in_reserve = worker.fleet.is_in_reserve(&socket);
                place(socket, port, worker);
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                worker.stats.accept_errors.add(1);
                tracing::warn!(%error, pause_ms = back_off.as_millis(), "can't accept, trying again");
                tokio::select! {
                    () = tokio::time::sleep(back_off) => {}
                    () = worker.shutdown.reached(Phase::Closing) => break,
                }
                back_off = (back_off * 2).min(LONGEST_BACK_OFF);
            }
        }
    }
    // What the kernel has accepted for us is served; only then is the socket closed.
    let listener = listener.into_std()?;
    while worker.shutdown.phase() < Phase::Aborted {
        match accept_now(&listener, in_reserve, &worker.fleet) {
            Ok(socket) => {
                in_reserve = worker.fleet.is_in_reserve(&socket);
                place(socket, port, worker);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if concerns_one_connection(&error) => {}
            // Connections that end in the drain give files back.
            Err(_) => tokio::time::sleep(SHORTEST_BACK_OFF).await,
        }
    }
    Ok(())
}

/// Errors that say something of one connection and nothing of the listener (accept(2)).
pub(crate) fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn place(socket: Socket, port: Port, worker: &Rc<Worker>) {
    if worker.fleet.open() >= worker.config.limits.max_connections {
        worker.stats.connections_refused.add(1);
        return;
    }
    let arrived = Arrived { socket, port };
    let seat = worker.fleet.sit(worker.index);
    if seat == worker.index {
        worker.admit(arrived);
        return;
    }
    match worker.fleet.seats[seat].inbox.try_send(arrived) {
        Ok(()) => worker.stats.connections_handed_over.add(1),
        Err(mpsc::error::TrySendError::Full(arrived) | mpsc::error::TrySendError::Closed(arrived)) => {
            worker.fleet.leave(seat);
            worker.fleet.take(worker.index);
            worker.admit(arrived);
        }
    }
}

/// A listener that belongs to this thread's runtime.
enum Registered {
    Tcp(tokio::net::TcpListener),
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
}

impl Registered {
    fn new(listener: Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Self::Tcp),
            #[cfg(unix)]
            Listener::Unix(listener) => tokio::net::UnixListener::from_std(listener).map(Self::Unix),
        }
    }

    /// The next connection. After one that has taken a file from the reserve, the others wait in the queue of the kernel
    /// until files are free again: meanwhile the process counts as out of files.
    async fn accept_outside_reserve(&self, in_reserve: bool, fleet: &Fleet) -> io::Result<Socket> {
        match self {
            #[cfg(unix)]
            Self::Tcp(listener) if in_reserve && !fleet.has_free_file(listener) => Err(out_of_files()),
            #[cfg(unix)]
            Self::Unix(listener) if in_reserve && !fleet.has_free_file(listener) => Err(out_of_files()),
            Self::Tcp(listener) => Ok(Socket::Tcp(listener.accept().await?.0.into_std()?)),
            #[cfg(unix)]
            Self::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0.into_std()?)),
        }
    }

    fn into_std(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(Listener::Tcp),
            #[cfg(unix)]
            Self::Unix(listener) => listener.into_std().map(Listener::Unix),
        }
    }
}

#[cfg(unix)]
fn out_of_files() -> io::Error {
    rustix::io::Errno::MFILE.into()
}

/// The same without waiting.
fn accept_now(listener: &Listener, in_reserve: bool, fleet: &Fleet) -> io::Result<Socket> {
    match listener {
        #[cfg(unix)]
        Listener::Tcp(listener) if in_reserve && !fleet.has_free_file(listener) => Err(out_of_files()),
        #[cfg(unix)]
        Listener::Unix(listener) if in_reserve && !fleet.has_free_file(listener) => Err(out_of_files()),
        Listener::Tcp(listener) => {
            let socket = listener.accept()?.0;
            socket.set_nonblocking(true)?;
            Ok(Socket::Tcp(socket))
        }
        #[cfg(unix)]
        Listener::Unix(listener) => {
            let socket = listener.accept()?.0;
            socket.set_nonblocking(true)?;
            Ok(Socket::Unix(socket))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_files_are_reserved_and_of_a_low_limit_a_quarter() {
        for (limit, accept_loops, first) in
            [(u64::MAX, 4, u64::MAX - 36), (1024, 4, 988), (1024, 400, 768), (64, 4, 48), (3, 1, 3)]
        {
            assert_eq!(first_reserved_file(limit, accept_loops), first);
        }
    }
}
