//! The server in this process that is loaded when no address is given: the only place that knows dummy-server.

use std::ffi::OsString;

use anyhow::Context as _;
use clap::Parser as _;

use crate::args::Args;

/// What is done with it, unless other options say otherwise.
const DEFAULTS: [&str; 5] = ["loadgen", "--rate", "5000", "--duration", "3s"];

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

    /// What is to be done with it: 5,000 requests a second for 3 s over h2c, unless `typed` says otherwise.
    #[must_use]
    pub fn args(&self, typed: &Args) -> Args {
        let target = self.0.addresses().http.to_string();
        let words = DEFAULTS.iter().map(OsString::from).chain([OsString::from(&target)]);
        let defaults = Args::try_parse_from(words).ok();
        let bare = typed.rate.is_none() && typed.total.is_none() && typed.duration.is_none();
        let (rate, duration) =
            defaults.filter(|_| bare).map_or((typed.rate, typed.duration), |d| (d.rate, d.duration));
        Args { target: Some(target), rate, duration, ..typed.clone() }
    }

    /// Stops it.
    pub fn stop(self) {
        self.0.shutdown().begin();
        // It has nothing left to do, and how it ends says nothing about the run.
        let _ = self.0.join();
    }
}
