//! The clients: how each is started for a load, what it did, and how what it measures is checked before.
//!
//! A kind of client is a file with a [`Client`] in it, which the rows name. All run on one core: those that are
//! separate programs as a process, whose output is read; those of this program on a pinned thread.

pub mod fortio;
pub mod ghz;
pub mod h2load;
pub mod hey;
pub mod idle;
pub mod k6;
pub mod loadgen;
mod mixed;
pub mod oha;
pub mod sleeper;
pub mod tungstenite;
pub mod vegeta;
pub mod wrk;

use std::{fmt::Debug, path::Path, thread, time::Duration};

use anyhow::{Context, Result, anyhow};

use crate::{
    cpu,
    load::{Load, Protocol},
    probe,
    process::Process,
    tools::{Tool, Tools},
};

/// How much longer than its load a client may take.
const GRACE: Duration = Duration::from_secs(60);
/// Bytes in a message of the WebSocket rows under load.
const MESSAGE: usize = 64;

/// A kind of client.
///
/// One that is a program says which, with which arguments, and how its output is read. One of this program says how
/// it runs.
pub trait Client: Debug + Sync {
    /// The program it takes, if it is not this one.
    fn tool(&self) -> Option<Tool> {
        None
    }

    /// The program's arguments for a load on a port of this machine; `{dir}` stands for the folder of its files.
    fn arguments(&self, _load: &Load, _port: u16) -> Vec<String> {
        Vec::new()
    }

    /// What the program's output says. Without the expected numbers there is none: a client that changes its
    /// words is noticed and never counted as zero.
    fn read(&self, _printed: &str) -> Option<Outcome> {
        None
    }

    /// Runs a load and waits for its end.
    ///
    /// # Errors
    /// The client is not installed, fails, or prints what is not understood; or the user interrupted.
    fn run(&self, load: &Load, at: &Place<'_>) -> Result<Run> {
        let tool = self.tool().context("this client has neither a program nor a run of its own")?;
        let folder = at.dir.to_str().context("the temporary folder's name is not UTF-8")?;
        let mut command = at.tools.command(tool)?;
        command.args(self.arguments(load, at.port).iter().map(|word| word.replace("{dir}", folder)));
        let before = cpu::of_ended_children()?;
        let printed = Process::start(command, at.cpu, at.dir, tool.name())?.finish(load.time() + GRACE)?;
        let cpu = cpu::of_ended_children()?.saturating_sub(before);
        let outcome = self.read(&printed);
        let outcome = outcome.with_context(|| format!("the output of {} is not understood", tool.name()))?;
        Ok(Run { outcome, cpu, printed, held: None })
    }

    /// Checks that a server answers what this client asks for, and writes the files that it reads.
    ///
    /// # Errors
    /// What differs, or that there was no reply.
    fn prepare(&self, load: &Load, at: &Place<'_>) -> Result<()> {
        check_reply(load, at)
    }

    /// Bytes of content in a reply, or for a call in its request.
    fn content(&self, load: &Load) -> usize {
        load.body.size()
    }

    /// Whether it sends requests; if not, there is nothing to warm up.
    fn sends(&self) -> bool {
        true
    }

    /// Whether it leaves connections open, for which the server's memory is compared: each measurement has a server of
    /// its own then.
    fn leaves_connections(&self) -> bool {
        false
    }

    /// The same with our client from before a change, if it is ours.
    fn before(&self) -> Option<&'static dyn Client> {
        None
    }
}

/// Where a client runs, and against what.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The server's port on 127.0.0.1.
    pub port: u16,
    /// The client's CPU.
    pub cpu: usize,
    /// The programs.
    pub tools: &'a Tools,
    /// Where the run's files are.
    pub dir: &'a Path,
}

/// What a client did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Requests with a whole reply, whatever its status.
    pub requests: u64,
    /// Requests without a whole reply, and replies with another status than 2xx.
    pub errors: u64,
    /// How long the client measured by its own word.
    pub seconds: Option<f64>,
    /// Requests sent, where the client counts them apart.
    pub sent: Option<u64>,
    /// 99th percentile of due to picked up, microseconds, where the client paces.
    pub lag_p99_us: Option<f64>,
}

impl Outcome {
    const fn closed(requests: u64, errors: u64, seconds: f64) -> Self {
        Self { requests, errors, seconds: Some(seconds), sent: None, lag_p99_us: None }
    }
}

/// What a client did, what that cost, and its own words.
#[derive(Debug)]
pub struct Run {
    /// What it did.
    pub outcome: Outcome,
    /// Its CPU time, from start to end.
    pub cpu: Duration,
    /// What it printed.
    pub printed: String,
    /// The connections that lie idle now.
    pub held: Option<idle::Held>,
}

/// Checks what a server replies to what a load asks for, byte for byte.
fn check_reply(load: &Load, at: &Place<'_>) -> Result<()> {
    match load.protocol {
        Protocol::Http1 | Protocol::H2c => {
            probe::check(at.port, load.protocol, load.body.path(), load.body.size())
        }
        Protocol::WebSocket | Protocol::Tls | Protocol::TlsH2 => loadgen::check(load, at),
    }
}

/// Runs a client of this program on a thread pinned to `cpu`; its CPU time is the thread's.
fn run_on(cpu: usize, client: impl FnOnce() -> Result<Outcome> + Send) -> Result<Run> {
    let (outcome, cpu) = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            runtime::affinity::pin(cpu).with_context(|| format!("CPU {cpu} cannot be used"))?;
            Ok::<_, anyhow::Error>((client()?, cpu::of_this_thread()))
        });
        thread.join().map_err(|_| anyhow!("the client's thread panicked"))?
    })?;
    Ok(Run { outcome, cpu, printed: format!("{outcome:?}, {cpu:?} of CPU time\n"), held: None })
}

/// An option in whole seconds, at least one: some clients know no fractions.
fn whole(option: &str, load: &Load, unit: &str) -> String {
    format!("{option}{}{unit}", load.seconds.ceil().max(1.0))
}

/// The time of a load with its unit.
fn milliseconds(load: &Load) -> String {
    format!("{}ms", (load.seconds * 1000.0).round())
}

fn url(load: &Load, port: u16) -> String {
    let (scheme, path) = match load.protocol {
        Protocol::Http1 | Protocol::H2c => ("http", load.body.path()),
        Protocol::WebSocket => ("ws", "/ws"),
        Protocol::Tls | Protocol::TlsH2 => ("https", load.body.path()),
    };
    format!("{scheme}://127.0.0.1:{port}{path}")
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// "1.00s", "12.5ms", "1.02m": what wrk and h2load write.
fn span(text: &str) -> Option<f64> {
    let text = text.trim();
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    Some(number.parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::{
        fortio::Fortio, ghz::Ghz, h2load::H2LOAD, hey::Hey, k6::K6, loadgen::LOADGEN, oha::Oha,
        tungstenite::Tungstenite, vegeta::Vegeta, wrk::Wrk, *,
    };
    use crate::{args::Mode, rows};

    /// The load of a row.
    pub(super) fn load(mode: Mode, row: &str) -> Load {
        rows::of(mode, 0.5, true, &[row.to_owned()]).unwrap()[0].load
    }

    #[test]
    fn output_that_cannot_be_parsed_has_no_outcome() {
        let clients: [&dyn Client; 10] =
            [&Wrk, &H2LOAD, &Hey, &Oha, &Ghz, &LOADGEN, &Tungstenite, &Vegeta, &Fortio, &K6];
        for text in ["", "{}", "usage: try --help\n", "requests: many\n"] {
            for client in clients {
                assert_eq!(client.read(text), None, "{client:?}: {text:?}");
            }
        }
    }

    #[test]
    fn durations_are_rounded_up_for_clients_without_fractions() {
        assert!(Wrk.arguments(&load(Mode::Server, "h1-1k"), 7).contains(&"-d1s".to_owned()));
        assert!(H2LOAD.arguments(&load(Mode::Server, "h2c-1k"), 7).contains(&"-D1".to_owned()));
    }
}
