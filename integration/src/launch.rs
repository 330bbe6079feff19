//! A program that is given the ports that it listens on.
//!
//! The ports are picked by the system, and kept until the program listens on them: else another program could get one
//! in between, and where both set `SO_REUSEPORT`, each would have half of the connections.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::{PATIENCE, process::Process};

/// How often a program is started again when it does not come up.
const ATTEMPTS: usize = 5;

/// How long to leave a starting program alone between two attempts to connect.
const KNOCK: Duration = Duration::from_millis(10);

/// A running program with its ports; killed when dropped.
#[derive(Debug)]
pub struct Launched<const PORTS: usize> {
    /// Where it listens.
    pub addresses: [SocketAddr; PORTS],
    process: Process,
    /// Holds the configuration and whatever the program writes.
    directory: TempDir,
}

impl<const PORTS: usize> Launched<PORTS> {
    /// Starts a program and waits until each of its ports accepts. `prepare` writes its configuration into the
    /// directory and gives the command line.
    ///
    /// # Panics
    /// When it does not come to that; the message has what it said.
    #[must_use]
    pub fn start(name: &str, prepare: impl Fn([SocketAddr; PORTS], &Path) -> Command) -> Self {
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            match Self::attempt(&prepare) {
                Ok(launched) => return launched,
                Err(output) => said = output,
            }
        }
        panic!("{name} does not start:\n{said}")
    }

    /// Where it keeps what it writes.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    fn attempt(prepare: impl Fn([SocketAddr; PORTS], &Path) -> Command) -> Result<Self, String> {
        let directory = TempDir::with_prefix("dummy-peer-").expect("a temporary directory");
        let kept = [(); PORTS].map(|()| Port::keep().expect("loopback has a free port"));
        let addresses = kept.each_ref().map(|port| port.address);
        let mut process = Process::start(&mut prepare(addresses, directory.path()));
        let deadline = Instant::now() + PATIENCE;
        for address in addresses {
            while TcpStream::connect(address).is_err() {
                if process.has_ended() || Instant::now() > deadline {
                    return Err(process.finish(PATIENCE).to_string());
                }
                // There is nothing to wait on for a port of another process to open but its end.
                process.wait_for_end(KNOCK);
            }
        }
        Ok(Self { addresses, process, directory })
    }
}

/// A port that the system gives to no other process, but which a program that asks for it can bind: its socket does not
/// listen, and has `SO_REUSEADDR` and `SO_REUSEPORT`.
#[derive(Debug)]
pub struct Port {
    /// Where it is.
    pub address: SocketAddr,
    _kept: Socket,
}

impl Port {
    /// One on loopback.
    ///
    /// # Errors
    /// There is no free one.
    pub fn keep() -> io::Result<Self> {
        Self::keep_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// That of a program which has `SO_REUSEPORT`, too: no other process is given it when that program has ended.
    ///
    /// # Errors
    /// It is another's.
    pub fn keep_at(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { address, _kept: socket })
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_kept_port_is_reserved_for_the_program() {
        let port = Port::keep().unwrap();
        let address = port.address;
        // std sets SO_REUSEADDR, as programs that listen do.
        let program = TcpListener::bind(port.address).unwrap();
        assert!(TcpStream::connect(port.address).is_ok());
        drop(program);
        // The system looks for a free port like one that shares nothing.
        let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let refused = other.bind(&port.address.into()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        drop(port);
        other.bind(&address.into()).expect("it is given back");
    }

    #[test]
    fn the_port_of_a_program_is_kept_when_that_has_ended() {
        let program = Port::keep().unwrap();
        let kept = Port::keep_at(program.address).unwrap();
        drop(program);
        assert!(TcpStream::connect(kept.address).is_err(), "nobody listens there");
        let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        assert_eq!(other.bind(&kept.address.into()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
