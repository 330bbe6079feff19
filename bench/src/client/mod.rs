//! The clients: how each is started for a load, and what it did.
//!
//! Every client runs on one core; what it prints is read by one parser per client.

mod output;

use std::{fs, io, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
pub use output::Outcome;

use crate::{
    calls, cpu, handshakes,
    process::Process,
    rows::{Load, Protocol, Targets, mixed},
    sleeper, sockets,
    tools::{Tool, Tools},
};

/// How much longer than its load a client may take.
const GRACE: Duration = Duration::from_secs(60);

/// Name of the file of mixed paths.
const PATHS: &str = "mixed-paths.txt";

/// Writes the file that clients read the paths of a mixed load from to `dir`.
///
/// # Errors
/// The file cannot be written.
pub fn write_paths(dir: &Path) -> io::Result<()> {
    fs::write(dir.join(PATHS), mixed().map(|path| path + "\n").collect::<String>())
}

/// A kind of client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Client {
    /// Ours.
    Loadgen,
    /// Ours before a change.
    LoadgenBefore,
    /// Ours, sending no id with its requests.
    LoadgenWithoutId,
    /// wrk.
    Wrk,
    /// h2load.
    H2load,
    /// h2load, with a field that asks for a behaviour.
    H2loadAsking,
    /// oha.
    Oha,
    /// hey.
    Hey,
    /// The bare clock of this program, which sends nothing.
    Sleeper,
    /// The gRPC client of this program; see [`crate::calls`].
    Calls,
    /// The WebSocket client of this program; see [`crate::sockets`].
    Sockets,
    /// The TLS client of this program; see [`crate::handshakes`].
    Handshakes,
    /// The connections of this program that lie idle after one request each; see [`crate::idle`].
    Idle,
}

/// What a client did, what that cost, and its own words.
#[derive(Clone, Debug)]
pub struct Run {
    /// What it did.
    pub outcome: Outcome,
    /// Its CPU time, from start to end.
    pub cpu: Duration,
    /// What it printed.
    pub printed: String,
}

impl Client {
    /// The program it takes, if it is not this one.
    #[must_use]
    pub const fn tool(self) -> Option<Tool> {
        match self {
            Self::Loadgen | Self::LoadgenWithoutId => Some(Tool::Loadgen),
            Self::LoadgenBefore => Some(Tool::LoadgenBefore),
            Self::Wrk => Some(Tool::Wrk),
            Self::H2load | Self::H2loadAsking => Some(Tool::H2load),
            Self::Oha => Some(Tool::Oha),
            Self::Hey => Some(Tool::Hey),
            Self::Calls | Self::Sockets | Self::Handshakes | Self::Sleeper | Self::Idle => None,
        }
    }

    /// Its arguments for a load on a port of this machine; `{dir}` stands for the folder of [`write_paths`].
    #[must_use]
    pub fn arguments(self, load: &Load, port: u16) -> Vec<String> {
        let base = format!("http://127.0.0.1:{port}");
        let url = format!("{base}{}", load.body.path());
        let connections = load.connections.to_string();
        let streams = load.streams.to_string();
        let mut list: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| list.extend(words.iter().map(|&word| word.to_owned()));
        match self {
            Self::Loadgen | Self::LoadgenBefore | Self::LoadgenWithoutId => {
                add(&["--workers", "1", "-c", &connections, "-o", "json", "--no-progress"]);
                match load.rate {
                    Some(rate) => {
                        let total = load.total().unwrap_or_default();
                        add(&["--rate", &rate.to_string(), "--total", &total.to_string()]);
                    }
                    None => add(&["-d", &format!("{}ms", (load.seconds * 1000.0).round())]),
                }
                if self == Self::LoadgenWithoutId {
                    add(&["--request-id-header="]);
                }
                match load.protocol {
                    Protocol::Http1 | Protocol::WebSocket | Protocol::Tls => add(&[&url]),
                    Protocol::H2c => add(&["-m", &streams, &url.replacen("http", "h2c", 1)]),
                }
            }
            Self::Wrk => add(&["-t1", &format!("-c{connections}"), &whole("-d", load, "s"), &url]),
            Self::H2load | Self::H2loadAsking => {
                add(&["-t1", &format!("-c{connections}"), &format!("-m{streams}"), &whole("-D", load, "")]);
                if load.protocol == Protocol::Http1 {
                    add(&["--h1"]);
                }
                if self == Self::H2loadAsking {
                    add(&["-H", "x-dummy-header: x-asked: 1"]);
                }
                match load.targets {
                    Targets::Same | Targets::Call(_) | Targets::Messages | Targets::Handshakes(_) => {
                        add(&[&url])
                    }
                    // Without the base it would ask as the first path says, which names no host.
                    Targets::Mixed => add(&["-i", &format!("{{dir}}/{PATHS}"), "-B", &base]),
                }
            }
            Self::Oha => {
                add(&["-z", &format!("{}ms", (load.seconds * 1000.0).round()), "-c", &connections]);
                add(&["--no-tui", "--output-format", "json"]);
                if load.protocol == Protocol::H2c {
                    add(&["--http2", "-p", &streams]);
                }
                add(&[&url]);
            }
            Self::Hey => {
                add(&["-cpus", "1", "-z", &format!("{}ms", (load.seconds * 1000.0).round())]);
                add(&["-c", &connections, &url]);
            }
            Self::Calls | Self::Sockets | Self::Handshakes | Self::Sleeper | Self::Idle => {}
        }
        list
    }

    /// Runs the load on `cpu` against `port`, waits for its end, and reads the result; `dir` holds the files
    /// of [`write_paths`].
    ///
    /// # Errors
    /// The client is not installed, fails, or prints what is not understood; or it is [`Client::Idle`], which
    /// ends only with its connections.
    pub fn run(self, load: &Load, port: u16, tools: &Tools, cpu: usize, dir: &Path) -> Result<Run> {
        ensure!(self != Self::Idle, "idle connections are held, not run");
        let Some(tool) = self.tool() else {
            return match self {
                Self::Calls => call(load, port, cpu),
                Self::Sockets => Ok(called(sockets::run(load, port, cpu)?)),
                Self::Handshakes => shake(load, port, cpu, dir),
                _ => sleep(load, cpu),
            };
        };
        let folder = dir.to_str().context("the temporary folder's name is not UTF-8")?;
        let mut command = tools.command(tool)?;
        command.args(self.arguments(load, port).iter().map(|word| word.replace("{dir}", folder)));
        let before = cpu::of_ended_children()?;
        let process = Process::start(command, cpu, dir, tool.name())?;
        let printed = process.finish(load.time() + GRACE)?;
        let spent = cpu::of_ended_children()?.saturating_sub(before);
        let outcome = match self {
            Self::Loadgen | Self::LoadgenBefore | Self::LoadgenWithoutId => output::loadgen(&printed),
            Self::Wrk => output::wrk(&printed),
            Self::H2load | Self::H2loadAsking => output::h2load(&printed),
            Self::Oha => output::oha(&printed),
            Self::Hey | Self::Calls | Self::Sockets | Self::Handshakes | Self::Sleeper | Self::Idle => {
                output::hey(&printed)
            }
        };
        let outcome = outcome.with_context(|| format!("the output of {} is not understood", tool.name()))?;
        Ok(Run { outcome, cpu: spent, printed })
    }
}

/// An option in whole seconds, at least one: some clients know no fractions.
fn whole(option: &str, load: &Load, unit: &str) -> String {
    format!("{option}{}{unit}", load.seconds.ceil().max(1.0))
}

fn call(load: &Load, port: u16, cpu: usize) -> Result<Run> {
    let Targets::Call(call) = load.targets else { bail!("there is no method to call") };
    Ok(called(calls::run(load, call, port, cpu)?))
}

fn shake(load: &Load, port: u16, cpu: usize, dir: &Path) -> Result<Run> {
    let Targets::Handshakes(handshake) = load.targets else { bail!("there is no kind of handshake") };
    Ok(called(handshakes::run(load, handshake, port, cpu, dir)?))
}

fn called(calls: calls::Calls) -> Run {
    let outcome = Outcome {
        requests: calls.done,
        errors: calls.failed,
        seconds: Some(calls.took.as_secs_f64()),
        sent: None,
        lag_p99_us: None,
    };
    Run { outcome, cpu: calls.cpu, printed: format!("{calls:?}\n") }
}

fn sleep(load: &Load, cpu: usize) -> Result<Run> {
    let rate = load.rate.context("the bare clock needs a rate")?;
    let wakes = sleeper::run(cpu, rate, load.total().unwrap_or_default())?;
    let outcome = Outcome {
        requests: wakes.count,
        errors: 0,
        seconds: None,
        sent: Some(wakes.count),
        lag_p99_us: Some(wakes.lag_p99_us),
    };
    Ok(Run { outcome, cpu: wakes.cpu, printed: format!("{wakes:?}\n") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::Mode, rows};

    fn load(mode: Mode, row: &str) -> Load {
        rows::of(mode, 0.5, true, &[row.to_owned()]).unwrap()[0].load
    }

    #[test]
    fn loadgen_gets_a_rate_and_a_total_when_paced_and_a_duration_when_not() {
        let paced = Client::Loadgen.arguments(&load(Mode::Client, "paced"), 7).join(" ");
        assert!(paced.ends_with("--rate 10000 --total 5000 http://127.0.0.1:7/bin/1K"), "{paced}");
        let closed = Client::Loadgen.arguments(&load(Mode::Client, "h2c-closed"), 7).join(" ");
        assert!(closed.ends_with("-c 10 -o json --no-progress -d 500ms -m 100 h2c://127.0.0.1:7/bin/1K"));
    }

    #[test]
    fn loadgen_sends_no_id_where_that_is_compared() {
        let load = load(Mode::Server, "h2c-id");
        let ids = [Client::Loadgen, Client::LoadgenWithoutId]
            .map(|client| client.arguments(&load, 7).contains(&"--request-id-header=".to_owned()));
        assert_eq!(ids, [false, true]);
    }

    #[test]
    fn h2load_reads_mixed_paths_from_a_file() {
        let words = Client::H2load.arguments(&load(Mode::Server, "h2c-mixed"), 7).join(" ");
        assert_eq!(words, "-t1 -c10 -m100 -D1 -i {dir}/mixed-paths.txt -B http://127.0.0.1:7");
        let dir = tempfile::tempdir().unwrap();
        write_paths(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join(PATHS)).unwrap();
        assert_eq!(text.lines().count(), 10_000);
        assert!(text.starts_with("/bin/1K?id="), "{}", &text[..100]);
    }

    #[test]
    fn clients_that_know_no_fractions_get_a_whole_second() {
        assert!(Client::Wrk.arguments(&load(Mode::Server, "h1-1k"), 7).contains(&"-d1s".to_owned()));
        assert!(Client::H2load.arguments(&load(Mode::Server, "h2c-1k"), 7).contains(&"-D1".to_owned()));
    }
}
