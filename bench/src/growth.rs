//! Whether loadgen's memory depends on how much it sends: one run, another one fifty times as long, and the most memory
//! that each had. It has no peers, and fails where the long run needs more than a little beyond the short one.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    client::{Client as _, loadgen::LOADGEN},
    interrupt,
    load::{Body, Protocol},
    machine::Machine,
    memory,
    process::Process,
    server::{Running, Server},
    tools::{Tool, Tools},
};

/// The only row.
const ROW: &str = "h2c-growth";
/// Requests of the short run.
pub const SHORT: u64 = 1_000_000;
/// The same in a run that only shows that it works.
pub const SMOKE: u64 = 10_000;
/// How many times as many the long run has.
const TIMES: u64 = 50;
/// What the long run may need: this many times what the short one does, and some bytes.
const FACTOR: f64 = 1.25;
const ALLOWANCE: f64 = 8e6;

/// How often its memory is looked at, and for its end.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long a run may take: 50,000 requests per second are enough.
const WITHIN: Duration = Duration::from_secs(1000);
/// How long to wait for an ended program's output.
const END_WITHIN: Duration = Duration::from_secs(10);

/// What both runs share.
#[derive(Debug)]
pub struct Growth<'a> {
    /// The programs.
    pub tools: &'a Tools,
    /// The machine.
    pub machine: &'a Machine,
    /// Where the processes' output goes.
    pub dir: &'a Path,
    /// Requests of the short run.
    pub short: u64,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
struct Took {
    requests: u64,
    seconds: f64,
    /// Bytes.
    peak: u64,
}

/// Checks the names given to `--only`.
///
/// # Errors
/// A name is not that of the row.
pub fn check(only: &[String]) -> Result<()> {
    match only.iter().find(|name| *name != ROW) {
        Some(unknown) => bail!("growth has no row {unknown}: {ROW} is accepted"),
        None => Ok(()),
    }
}

impl Growth<'_> {
    /// Makes both runs: their table, and whether the memory stayed within the limit.
    ///
    /// # Errors
    /// A program does not start, a request fails, or the user interrupted.
    pub fn row(&self) -> Result<(String, bool)> {
        let (short, long) = (self.run(self.short)?, self.run(self.short * TIMES)?);
        Ok(table(short, long))
    }

    fn run(&self, requests: u64) -> Result<Took> {
        let server = Running::start(
            Server::DummyServer,
            Protocol::H2c,
            self.tools,
            self.machine.server_cpu,
            self.dir,
        )?;
        let mut command = self.tools.command(Tool::Loadgen)?;
        command.args(["--workers=1", "-c", "10", "-m", "100", "-o", "json", "--no-progress"]);
        command.args(["-n", &requests.to_string()]);
        command.arg(format!("h2c://127.0.0.1:{}{}", server.port(), Body::K1.path()));
        let start = Instant::now();
        let process = Process::start(command, self.machine.client_cpu, self.dir, Tool::Loadgen.name())?;
        let mut peak = 0;
        while !process.has_ended_within(LOOK_EVERY)? {
            interrupt::check()?;
            ensure!(start.elapsed() < WITHIN, "{requests} requests took longer than {WITHIN:?}");
            // It may have ended since.
            peak = memory::peak(process.id()).unwrap_or(peak);
        }
        let seconds = start.elapsed().as_secs_f64();
        let outcome =
            LOADGEN.read(&process.finish(END_WITHIN)?).context("loadgen's report is not understood")?;
        let sent = outcome.sent.unwrap_or_default();
        ensure!(outcome.errors == 0, "{} of {sent} requests failed", outcome.errors);
        ensure!(sent == requests, "{sent} requests were sent instead of {requests}");
        ensure!(peak > 0, "loadgen ended before its memory was read");
        Ok(Took { requests, seconds, peak })
    }
}

fn limit(short: u64) -> f64 {
    short as f64 * FACTOR + ALLOWANCE
}

fn table(short: Took, long: Took) -> (String, bool) {
    let limit = limit(short.peak);
    let met = long.peak as f64 <= limit;
    let mut text = format!(
        "## {ROW}: h2c, 10 connections of 100 streams on dummy-server: the most resident memory of loadgen\n\n\
         | requests | seconds | MB | limit | met |\n| --: | --: | --: | --: | --- |\n"
    );
    let mb = |bytes: f64| format!("{:.1}", bytes / 1e6);
    let word = if met { "yes" } else { "no" };
    for (took, limit, met) in [(short, "-".to_owned(), "-"), (long, mb(limit), word)] {
        let Took { requests, seconds, peak } = took;
        text.push_str(&format!("| {requests} | {seconds:.1} | {} | {limit} | {met} |\n", mb(peak as f64)));
    }
    (text, met)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_may_need_a_quarter_and_8_mb_more() {
        let took = |requests, peak| Took { requests, seconds: 1.5, peak };
        let (text, met) = table(took(1000, 40_000_000), took(50_000, 58_000_000));
        assert!(met && text.contains("| 50000 | 1.5 | 58.0 | 58.0 | yes |"), "{text}");
        let (text, met) = table(took(1000, 40_000_000), took(50_000, 58_000_001));
        assert!(!met && text.ends_with("| 58.0 | 58.0 | no |\n"), "{text}");
    }

    #[test]
    fn another_row_is_refused() {
        assert!(check(&[ROW.to_owned()]).is_ok());
        let error = check(&["h1".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "growth has no row h1: h2c-growth is accepted");
    }
}
