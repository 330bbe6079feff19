//! dummy-server inside the test's process.

use std::net::SocketAddr;

use dummy_server::{Address, Config, Ended, Running, Shutdown};

use crate::metrics::Metrics;

/// A server; stopped when dropped.
#[derive(Debug)]
pub struct Server {
    running: Option<Running>,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where gRPC is served.
    pub grpc: SocketAddr,
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
        let own = [
            "--addr=127.0.0.1:0",
            "--grpc-addr=127.0.0.1:0",
            "--admin-addr=127.0.0.1:0",
            "--pprof-addr=",
            "--mem-interval=0",
        ];
        // A flag that a test gives replaces the harness's.
        let given = |flag: &&&str| {
            let name = flag.split('=').next();
            !flags.iter().any(|f| f.split('=').next() == name)
        };
        let args: Vec<&str> = own.iter().filter(given).chain(flags).copied().collect();
        let config = Config::from_args(&args).unwrap_or_else(|error| panic!("{flags:?}: {error}"));
        let running = dummy_server::run(config, Shutdown::new()).expect("the server starts");
        let addresses = running.addresses().clone();
        let tcp = |address: &Address| match address {
            Address::Tcp(address) => *address,
            other => panic!("the harness wants TCP, not {other}"),
        };
        Self {
            running: Some(running),
            http: tcp(&addresses.http),
            grpc: tcp(addresses.grpc.as_ref().expect("gRPC is served")),
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

    /// What it has counted so far.
    pub async fn metrics(&self) -> Metrics {
        Metrics::read(self.admin).await
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
