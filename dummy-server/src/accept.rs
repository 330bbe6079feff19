//! Accepts connections and gives each to the least loaded worker.
//!
//! The kernel spreads connections over the workers' sockets by a hash, which leaves a core idle when there
//! are few and long-lived ones. So a worker that holds more than another hands a new one over. The counts
//! are shared between threads, but touched only when a connection comes or goes.

use std::{io, rc::Rc, sync::atomic::Ordering, time::Duration};

use transport::Listener;

use crate::{
    drain::Phase,
    fleet::{Arrived, Fleet, Socket},
    settings::Port,
    worker::Worker,
};

/// How long accepting rests after an error such as EMFILE; doubled each time up to the longest.
const SHORTEST_BACK_OFF: Duration = Duration::from_millis(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);

/// Accepts until the drain closes listeners, and then until the queue is empty.
pub(crate) async fn run(listener: Listener, port: Port, worker: Rc<Worker>) {
    if let Err(error) = accept_all(listener, port, &worker).await {
        tracing::error!(%error, "accepting has ended");
    }
    worker.server.fleet.accepting.fetch_sub(1, Ordering::Release);
}

async fn accept_all(listener: Listener, port: Port, worker: &Rc<Worker>) -> io::Result<()> {
    let listener = Registered::new(listener)?;
    let mut back_off = SHORTEST_BACK_OFF;
    let mut in_reserve = false;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept_outside_reserve(in_reserve, &worker.server.fleet) => accepted,
            () = worker.server.shutdown.reached(Phase::Closing) => break,
        };
        match accepted {
            Ok(socket) => {
                back_off = SHORTEST_BACK_OFF;
                in_reserve = worker.server.fleet.is_in_reserve(&socket);
                place(socket, port, worker);
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                worker.stats.accept_errors.add(1);
                tracing::warn!(%error, pause_ms = back_off.as_millis(), "can't accept, trying again");
                tokio::select! {
                    () = tokio::time::sleep(back_off) => {}
                    () = worker.server.shutdown.reached(Phase::Closing) => break,
                }
                back_off = (back_off * 2).min(LONGEST_BACK_OFF);
            }
        }
    }
    // What the kernel has accepted for us is served; only then is the socket closed.
    let listener = listener.into_std()?;
    while worker.server.shutdown.phase() < Phase::Aborted {
        match accept_now(&listener, in_reserve, &worker.server.fleet) {
            Ok(socket) => {
                in_reserve = worker.server.fleet.is_in_reserve(&socket);
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
    if worker.server.fleet.open() >= worker.server.config.limits.max_connections {
        worker.stats.connections_refused.add(1);
        return;
    }
    let arrived = Arrived { socket, port };
    let seat = worker.server.fleet.sit(worker.index);
    if seat == worker.index {
        worker.admit(arrived);
        return;
    }
    match worker.server.fleet.hand_over(seat, arrived) {
        Ok(()) => worker.stats.connections_handed_over.add(1),
        Err(arrived) => {
            worker.server.fleet.leave(seat);
            worker.server.fleet.take(worker.index);
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
