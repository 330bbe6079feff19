//! Whether the split of time of `loadgen --verify` shows what a proxy holds back: a proxy that holds each request, or each
//! reply, for three milliseconds, and measures for how long it did. It has no peers, and fails where a median is off by too much.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use integration::planted::{Fault, Planted};

use crate::{
    interrupt,
    load::Protocol,
    machine::Machine,
    process::Process,
    ratio::Spread,
    server::{Running, Server},
    tools::{Tool, Tools},
};

/// The only row.
const ROW: &str = "held-on-one-way";
/// For how long each is held.
const HELD: Duration = Duration::from_millis(3);
/// By how much a median may be off, in milliseconds.
const LIMIT: f64 = 0.2;
/// Requests of a run, one after the other.
const REQUESTS: u64 = 1000;
/// The same in a run that only shows that it works.
const SMOKE: u64 = 50;
/// How long a run may take.
const WITHIN: Duration = Duration::from_secs(100);

/// What all runs share.
#[derive(Debug)]
pub struct Split<'a> {
    /// The programs.
    pub tools: &'a Tools,
    /// The machine.
    pub machine: &'a Machine,
    /// Where the processes' output goes.
    pub dir: &'a Path,
    /// How often each is measured.
    pub rounds: u32,
    /// Whether it only shows that it works.
    pub smoke: bool,
}

/// The medians of one run, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Medians {
    there: f64,
    back: f64,
    /// By the proxy's own clock; zero where it held nothing.
    held: f64,
}

/// What one round found: nothing held, then requests, then replies.
#[derive(Clone, Copy, Debug)]
struct Round {
    plain: Medians,
    requests: Medians,
    replies: Medians,
}

/// Checks the names given to `--only`.
///
/// # Errors
/// A name is not that of the row.
pub fn check(only: &[String]) -> Result<()> {
    match only.iter().find(|name| *name != ROW) {
        Some(unknown) => bail!("split has no row {unknown}: {ROW} is accepted"),
        None => Ok(()),
    }
}

impl Split<'_> {
    /// Makes all runs: their table, and whether the medians are as near as they have to be. A run that only shows that it works
    /// is not judged.
    ///
    /// # Errors
    /// A program does not start, a request fails, or the user interrupted.
    pub fn row(&self) -> Result<(String, bool)> {
        let cpu = self.machine.server_cpu;
        let running = Running::start(Server::DummyServer, Protocol::Http1, self.tools, cpu, self.dir)?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, running.port()));
        let mut rounds = Vec::new();
        for _ in 0..self.rounds {
            let (plain, requests) =
                (self.run(server, Fault::None)?, self.run(server, Fault::HoldRequest(HELD))?);
            rounds.push(Round { plain, requests, replies: self.run(server, Fault::HoldReply(HELD))? });
        }
        let (table, met) = table(&rounds);
        Ok((table, met || self.smoke))
    }

    fn run(&self, server: SocketAddr, fault: Fault) -> Result<Medians> {
        interrupt::check()?;
        let planted = Planted::start(server, move |_| fault);
        let requests = if self.smoke { SMOKE } else { REQUESTS };
        let mut command = self.tools.command(Tool::Loadgen)?;
        command.args(["--no-progress", "-o", "json", "--zero-loss", "-c", "1", "-n", &requests.to_string()]);
        command.arg(format!("--ledger={server}")).arg(format!("http://{}/bin/1K", planted.address));
        let process = Process::start(command, self.machine.client_cpu, self.dir, Tool::Loadgen.name())?;
        let output = process.finish(WITHIN)?;
        let report: serde_json::Value =
            serde_json::from_str(&output).context("loadgen's report is not understood")?;
        let median = |way: &str| {
            let found = &report["verify"]["time"]["ways"][way];
            ensure!(found["count"] == requests, "of {requests} requests {} have a {way}", found["count"]);
            found["p50"].as_f64().map(|micros| micros / 1e3).context("loadgen's report has no median")
        };
        let mut held = planted.held();
        held.sort_unstable();
        let held = held.get(held.len() / 2).copied().unwrap_or_default();
        Ok(Medians { there: median("there_us")?, back: median("back_us")?, held: held.as_secs_f64() * 1e3 })
    }
}

/// One line of the table: what was held, for how long by the proxy, and what each way shows beside a run in which nothing was.
struct Line {
    what: &'static str,
    held: fn(&Round) -> f64,
    /// What the way on which it was held shows more, and what the other one does.
    shown: fn(&Round) -> f64,
    beside: fn(&Round) -> f64,
}

const LINES: [Line; 2] = [
    Line {
        what: "requests",
        held: |round| round.requests.held,
        shown: |round| round.requests.there - round.plain.there,
        beside: |round| round.requests.back - round.plain.back,
    },
    Line {
        what: "replies",
        held: |round| round.replies.held,
        shown: |round| round.replies.back - round.plain.back,
        beside: |round| round.replies.there - round.plain.there,
    },
];

fn table(rounds: &[Round]) -> (String, bool) {
    let mut text = format!(
        "## {ROW}: HTTP/1.1, /bin/1K, one connection through a proxy that holds requests or replies: what the split of time shows\n\n\
         | held | by the proxy, ms | that way takes longer by, ms | off by, ms | the other way, ms | limit, ms | met |\n\
         | --- | --: | --: | --: | --: | --: | --- |\n"
    );
    let mut is_met = true;
    for Line { what, held, shown, beside } in LINES {
        let of = |value: &dyn Fn(&Round) -> f64| Spread::of(&rounds.iter().map(value).collect::<Vec<_>>());
        let off = of(&|round| shown(round) - held(round));
        let near = |spread: Option<Spread>| spread.is_some_and(|spread| spread.median.abs() <= LIMIT);
        let met = near(off) && near(of(&beside));
        is_met &= met;
        let figures = [of(&held), of(&shown), off, of(&beside)].map(|spread| match spread {
            Some(Spread { min, median, max }) => format!("{median:.3} ({min:.3}..{max:.3})"),
            None => "-".to_owned(),
        });
        let word = if met { "yes" } else { "no" };
        let _ = writeln!(text, "| {what} | {} | {LIMIT} | {word} |", figures.join(" | "));
    }
    (text, is_met)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_judged_by_what_it_takes_more_than_when_nothing_is_held() {
        let plain = Medians { there: 0.125, back: 0.0625, held: 0.0 };
        let requests = Medians { there: 3.25, back: 0.0625, held: 3.0 };
        let replies = Medians { there: 0.125, back: 3.5625, held: 3.25 };
        let (text, met) = table(&[Round { plain, requests, replies }]);
        let line = "| requests | 3.000 (3.000..3.000) | 3.125 (3.125..3.125) | 0.125 (0.125..0.125) | 0.000 (0.000..0.000) | 0.2 | yes |";
        assert!(!met && text.contains(line), "{text}");
        assert!(text.ends_with("| 0.250 (0.250..0.250) | 0.000 (0.000..0.000) | 0.2 | no |\n"), "{text}");
        // What is shown on the other way is as wrong.
        let replies = Medians { there: 0.5, back: 3.375, held: 3.25 };
        assert!(!table(&[Round { plain, requests, replies }]).1);
        let replies = Medians { there: 0.125, back: 3.375, held: 3.25 };
        assert!(table(&[Round { plain, requests, replies }]).1);
    }

    #[test]
    fn another_row_is_refused() {
        assert!(check(&[ROW.to_owned()]).is_ok());
        let error = check(&["h1".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "split has no row h1: held-on-one-way is accepted");
    }
}
