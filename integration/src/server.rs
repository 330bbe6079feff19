//! dummy-server inside the test's process.

use std::net::SocketAddr;

use dummy_server::{Address, Certificates, Config, Ended, Running, Shutdown};
use tempfile::TempDir;

use crate::{
    client::link::{self, speaks_tls, trusting},
    metrics::Metrics,
};

/// A server; stopped when dropped.
#[derive(Debug)]
pub struct Server {
    running: Option<Running>,
    /// Where HTTP is served; in a test over TLS, the TLS port.
    pub http: SocketAddr,
    /// Where gRPC is served; in a test over TLS, the TLS port.
    pub grpc: SocketAddr,
    /// The TLS port, if the test needs one.
    pub tls: Option<SocketAddr>,
    /// Where readiness and metrics are.
    pub admin: SocketAddr,
}

impl Server {
    /// Starts a server with every port, on one worker.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with flags of the test's own.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn with(flags: &[&str]) -> Self {
        let own =
            ["--addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--pprof-addr="];
        // A flag that a test gives replaces the harness's.
        let given = |flag: &&&str| {
            let name = flag.split('=').next();
            !flags.iter().any(|f| f.split('=').next() == name)
        };
        let over_tls = link::is_over_tls().then(OverTls::new);
        let tls_flags = over_tls.as_ref().map(OverTls::flags).unwrap_or_default();
        let args: Vec<&str> = own
            .iter()
            .copied()
            .filter(|flag| given(&flag))
            .chain(tls_flags.iter().map(String::as_str))
            .chain(flags.iter().copied())
            .collect();
        let config = Config::from_args(&args).unwrap_or_else(|error| panic!("{flags:?}: {error}"));
        let running = dummy_server::run(config, Shutdown::new()).expect("the server starts");
        let addresses = running.addresses().clone();
        let tcp = |address: &Address| match address {
            Address::Tcp(address) => *address,
            other => panic!("the harness wants TCP, not {other}"),
        };
        let tls = addresses.tls.as_ref().map(tcp);
        let instead = over_tls.map(|over_tls| over_tls.port(tls.expect("TLS is served")));
        Self {
            running: Some(running),
            http: instead.unwrap_or_else(|| tcp(&addresses.http)),
            grpc: instead.unwrap_or_else(|| tcp(addresses.grpc.as_ref().expect("gRPC is served"))),
            tls,
            admin: addresses.admin.expect("the admin port is served"),
        }
    }

    /// Begins the drain.
    pub fn drain(&self) {
        if let Some(running) = &self.running {
            running.shutdown().begin();
        }
    }

    /// Waits for the end of the drain.
    ///
    /// # Panics
    /// When a thread of the server has panicked.
    #[must_use]
    pub fn join(mut self) -> Ended {
        self.running.take().expect("it is joined once").join()
    }

    /// Its certificate.
    ///
    /// # Panics
    /// When it has none, or has ended.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        self.running.as_ref().and_then(Running::certificates).expect("TLS is served")
    }

    /// What it has counted so far.
    pub async fn metrics(&self) -> Metrics {
        Metrics::read(self.admin).await
    }
}

/// What makes a server of a test over TLS.
#[derive(Debug)]
pub(crate) struct OverTls {
    directory: TempDir,
}

impl OverTls {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::with_prefix("dummy-tls-").expect("a temporary directory") }
    }

    /// The flags of the server.
    pub(crate) fn flags(&self) -> Vec<String> {
        let authority = self.directory.path().join("ca.pem");
        vec!["--tls-addr=127.0.0.1:0".to_owned(), format!("--tls-self-signed={}", authority.display())]
    }

    /// The port that clients from now on connect to with TLS.
    pub(crate) fn port(&self, address: SocketAddr) -> SocketAddr {
        let authority = std::fs::read(self.directory.path().join("ca.pem"));
        speaks_tls(address, trusting(&authority.expect("the server has written its CA")));
        address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown().begin();
            running.shutdown().abort();
            let _ = running.join();
        }
    }
}
