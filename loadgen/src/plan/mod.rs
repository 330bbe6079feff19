//! Everything decided before the first byte. A [`Plan`] is valid by construction.
//!
//! [`target`] says where to, [`request`] what, [`load`] how much. Nothing here opens a socket.

pub mod files;
pub mod load;
pub mod request;
pub mod target;

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

pub use files::OtherEnd;
pub use load::{Load, Shape};
pub use request::Request;
pub use target::{Protocol, Target};

use crate::args::{Args, Format};

/// The most threads that are accepted.
pub const MAX_WORKERS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// A run, decided.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the requests go.
    pub target: Target,
    /// What is sent.
    pub request: Request,
    /// How much, how fast and for how long.
    pub load: Load,
    /// How long the target is waited for before the run.
    pub wait_for_target: Option<Duration>,
    /// Threads.
    pub workers: NonZeroUsize,
    /// Whether each thread is pinned to a CPU.
    pub pin_cpus: bool,
    /// Whether what is exchanged is kept, to be shown.
    pub captures: bool,
}

/// What is shown of a run, and where.
#[derive(Clone, Debug)]
pub struct Output {
    /// What is printed at the end.
    pub format: Format,
    /// Where the JSON report is also written.
    pub report: Option<PathBuf>,
    /// Whether progress is shown.
    pub progress: bool,
    /// Whether errors make the exit code 3.
    pub fail_on_error: bool,
    /// Whether one exchange is printed instead of a run.
    pub once: bool,
}

/// A mistake in what was typed: one line that says what is accepted.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(pub(crate) String);

impl TryFrom<&Args> for Plan {
    type Error = PlanError;

    fn try_from(args: &Args) -> Result<Self, PlanError> {
        let Some(address) = args.target.as_ref().or(args.url.as_ref()) else {
            return Err(PlanError(
                "no target: write host:port, h2c://host:port or http://host:port".to_owned(),
            ));
        };
        let target = Target::parse(address, args.http2)?;
        let request = Request::new(&target, args)?;
        let load = Load::new(&target, args)?;
        // Each worker has a connection and a request of its own.
        let most = load.connections.min(load.max_in_flight).min(MAX_WORKERS);
        let workers = match args.workers {
            Some(workers) => NonZeroUsize::new(workers).filter(|workers| *workers <= most).ok_or_else(|| {
                PlanError(format!(
                    "invalid value '{workers}' for --workers: write a whole number from 1 to {most}, no more than \
                     connections, requests in flight and {MAX_WORKERS}, like 1"
                ))
            })?,
            None => runtime::cpus::available().min(most),
        };
        let wait_for_target = Some(args.wait_for_target).filter(|wait| !wait.is_zero());
        Ok(Self { target, request, load, wait_for_target, workers, pin_cpus: args.pin_cpus, captures: false })
    }
}

impl Plan {
    /// The same, for one request on one connection, of which all is kept.
    #[must_use]
    pub fn for_one_exchange(mut self) -> Self {
        self.workers = NonZeroUsize::MIN;
        self.captures = true;
        self.load = self.load.for_one_exchange();
        self
    }
}

impl From<&Args> for Output {
    fn from(args: &Args) -> Self {
        Self {
            format: args.output,
            report: args.report.clone(),
            progress: !args.no_progress,
            fail_on_error: args.fail_on_error,
            once: args.once,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn plan(line: &str) -> Result<Plan, String> {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        Plan::try_from(&Args::try_parse_from(words).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn workers_never_outnumber_connections() {
        assert_eq!(plan("-c 1 localhost:80").unwrap().workers.get(), 1);
        assert_eq!(plan("--max-in-flight 1 localhost:80").unwrap().workers.get(), 1);
        assert_eq!(plan("-c 3 --workers 3 localhost:80").unwrap().workers.get(), 3);
        assert!(plan("-c 3 --workers 4 localhost:80").unwrap_err().contains("1 to 3"));
        assert!(plan("--workers 0 localhost:80").unwrap_err().contains("1 to 10"));
    }

    #[test]
    fn a_target_must_be_given() {
        assert!(plan("--rate 10").unwrap_err().contains("host:port"));
        assert!(plan("-u http://localhost").is_ok());
    }
}
