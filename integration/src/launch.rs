//! A program that is told which ports to listen on.
//!
//! The ports are picked by the system, given back and bound by the program: when another process was faster, the
//! start is tried again with new ones.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{PATIENCE, process::Process};

/// How often a program is started again because another process took one of its ports.
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
        let addresses = free_ports();
        let mut process = Process::start(&mut prepare(addresses, directory.path()));
        let deadline = Instant::now() + PATIENCE;
        for address in addresses {
            while TcpStream::connect(address).is_err() {
                if process.has_ended() || Instant::now() > deadline {
                    return Err(process.finish(PATIENCE).to_string());
                }
                // There is nothing to wait on for a port of another process to open.
                thread::sleep(KNOCK);
            }
        }
        Ok(Self { addresses, process, directory })
    }
}

/// Ports that were free a moment ago.
fn free_ports<const PORTS: usize>() -> [SocketAddr; PORTS] {
    let listeners = [(); PORTS].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound port"))
}
