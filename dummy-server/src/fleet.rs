//! The workers as acceptors see them: how many connections each has, and the queue that leads to it. Nothing here accepts.

#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd};
use std::{
    io,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tokio::sync::mpsc;
use transport::{Stream, stream};

use crate::settings::Port;

/// How many connections may wait to be taken over by a worker.
const INBOX: usize = 1024;
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
    /// Of this number of workers, with the inbox of each, for the connections that others hand over to it. `in_process`: the
    /// accept loops of all fleets of the process.
    pub(crate) fn new(
        workers: usize,
        accept_loops: usize,
        in_process: usize,
    ) -> (Self, Vec<mpsc::Receiver<Arrived>>) {
        let (inboxes, receivers): (Vec<_>, _) = (0..workers).map(|_| mpsc::channel(INBOX)).unzip();
        let seats = inboxes.into_iter().map(|inbox| Place { open: AtomicUsize::new(0), inbox });
        let fleet = Self {
            seats: seats.collect(),
            open: AtomicU64::new(0),
            accepting: AtomicUsize::new(accept_loops),
            first_reserved_file: first_reserved_file(runtime::files::limit(), in_process as u64),
        };
        (fleet, receivers)
    }

    /// Whether a connection has taken a file from the reserve: the lowest one that was free.
    #[cfg(unix)]
    pub(crate) fn is_in_reserve(&self, socket: &Socket) -> bool {
        socket.file() >= self.first_reserved_file
    }

    /// Whether the next file would be outside the reserve.
    #[cfg(unix)]
    pub(crate) fn has_free_file(&self, any: impl AsFd) -> bool {
        let next = rustix::io::fcntl_dupfd_cloexec(any, 0);
        next.is_ok_and(|file| number(&file) < self.first_reserved_file)
    }

    #[cfg(not(unix))]
    pub(crate) fn is_in_reserve(&self, _socket: &Socket) -> bool {
        false
    }

    /// All open connections.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a place at the least loaded worker, at `own` if none has fewer.
    pub(crate) fn sit(&self, own: usize) -> usize {
        let load = |seat: usize| self.seats[seat].open.load(Ordering::Relaxed);
        let least = (0..self.seats.len()).min_by_key(|&seat| load(seat)).unwrap_or(own);
        let seat = if load(least) < load(own) { least } else { own };
        self.take(seat);
        seat
    }

    pub(crate) fn take(&self, seat: usize) {
        self.seats[seat].open.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives a connection to another worker, or back if that one's inbox is full or closed.
    pub(crate) fn hand_over(&self, seat: usize, arrived: Arrived) -> Result<(), Arrived> {
        self.seats[seat].inbox.try_send(arrived).map_err(mpsc::error::TrySendError::into_inner)
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
