//! A real proxy between the two programs.
//!
//! A proxy's configuration is generated for the servers behind it. Its ports are picked by the system, given
//! back and bound by the proxy: when another process was faster, the start is tried again with new ones.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{PATIENCE, process::Process};

/// How often a proxy is started again because another process took one of its ports.
const ATTEMPTS: usize = 5;

/// How long to leave a starting proxy alone between two attempts to connect.
const KNOCK: Duration = Duration::from_millis(10);

/// The servers behind a proxy.
#[derive(Clone, Copy, Debug)]
pub struct Behind {
    /// HTTP of both versions.
    pub http: SocketAddr,
    /// gRPC.
    pub grpc: SocketAddr,
}

/// Where a proxy listens.
#[derive(Clone, Copy, Debug)]
pub struct Fronts {
    /// HTTP/1.1 and WebSocket.
    pub http1: SocketAddr,
    /// HTTP/2 by prior knowledge.
    pub h2c: SocketAddr,
    /// gRPC.
    pub grpc: SocketAddr,
}

/// What is particular to a kind of proxy.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The name of the executable.
    pub tool: &'static str,
    /// The configuration.
    pub configuration: fn(Behind, Fronts, directory: &Path) -> String,
    /// The command line, given the configuration's file.
    pub command: fn(program: &Path, directory: &Path, configuration: &Path) -> Command,
}

/// A running proxy; killed when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub fronts: Fronts,
    process: Process,
    /// Holds the configuration and whatever the proxy writes.
    directory: TempDir,
}

impl Proxy {
    /// Starts a proxy and waits until each of its ports accepts.
    ///
    /// # Panics
    /// When it does not come to that; the message has what it said.
    #[must_use]
    pub fn start(kind: Kind, program: &Path, behind: Behind) -> Self {
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            match Self::attempt(kind, program, behind) {
                Ok(proxy) => return proxy,
                Err(output) => said = output,
            }
        }
        panic!("{} does not start:\n{said}", kind.tool)
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

    fn attempt(kind: Kind, program: &Path, behind: Behind) -> Result<Self, String> {
        let directory = TempDir::with_prefix("dummy-proxy-").expect("a temporary directory");
        let fronts = free_ports();
        // Envoy tells the format by this name; the others take any.
        let file = directory.path().join("proxy.yaml");
        fs::write(&file, (kind.configuration)(behind, fronts, directory.path())).expect("a file is written");
        let mut process = Process::start(&mut (kind.command)(program, directory.path(), &file));
        let deadline = Instant::now() + PATIENCE;
        for front in [fronts.http1, fronts.h2c, fronts.grpc] {
            while TcpStream::connect(front).is_err() {
                if process.has_ended() || Instant::now() > deadline {
                    return Err(process.finish(PATIENCE).to_string());
                }
                thread::sleep(KNOCK);
            }
        }
        Ok(Self { fronts, process, directory })
    }
}

/// Three ports that were free a moment ago.
fn free_ports() -> Fronts {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"));
    let [http1, h2c, grpc] = listeners.map(|listener| listener.local_addr().expect("a bound port"));
    Fronts { http1, h2c, grpc }
}
