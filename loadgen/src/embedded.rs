//! The server in this process that is loaded without any argument, or with `--embedded`: the only place that knows dummy-server.

use anyhow::Context as _;

/// A dummy-server in this process.
#[derive(Debug)]
pub struct Embedded(dummy_server::Running);

impl Embedded {
    /// Starts one on a free port of loopback.
    ///
    /// # Errors
    /// It can't start.
    pub fn start() -> anyhow::Result<Self> {
        let running = dummy_server::run(dummy_server::Config::embedded(), dummy_server::Shutdown::new());
        Ok(Self(running.context("can't start the embedded server")?))
    }

    /// Where it listens, for h2c and HTTP/1.1.
    #[must_use]
    pub fn address(&self) -> String {
        self.0.addresses().http.to_string()
    }

    /// Stops it.
    pub fn stop(self) {
        self.0.shutdown().begin();
        // It has nothing left to do, and how it ends says nothing about the run.
        let _ = self.0.join();
    }
}
