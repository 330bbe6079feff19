//! The rounds: every contender is measured once a round, and the order turns round each time (A B, B A), so
//! that a drift of the machine does not fall on one of them.

use std::{io::Write, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::{
    client::Client,
    cpu::Ticks,
    interrupt,
    machine::Machine,
    probe,
    record::Record,
    rows::{Contender, Load, Metric, Row},
    server::{Running, Server},
    tools::{Tool, Tools},
};

/// Seconds of load before the first round, so that caches and clocks are warm.
const WARM_UP: f64 = 1.0;

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Counted from 1.
    pub round: u32,
    /// Place in the round, counted from 1.
    pub position: usize,
    /// Requests with a whole reply.
    pub requests: u64,
    /// How long they took.
    pub seconds: f64,
    /// Size of one body.
    pub body_bytes: usize,
    /// CPU time of the server.
    pub server_cpu_seconds: f64,
    /// CPU time of the client, its start and end included.
    pub client_cpu_seconds: f64,
    /// 99th percentile of due to picked up, where the client paces.
    pub release_lag_p99_us: Option<f64>,
    /// Share of both CPUs' time that the hypervisor took.
    pub stolen: f64,
}

impl Sample {
    /// The value that a row compares.
    #[must_use]
    pub fn value(&self, metric: Metric) -> f64 {
        let requests = self.requests as f64;
        match metric {
            Metric::ServerPerRequest => self.server_cpu_seconds * 1e6 / requests,
            Metric::ServerPerGb => self.server_cpu_seconds * 1e9 / (requests * self.body_bytes as f64),
            Metric::ClientPerRequest => self.client_cpu_seconds * 1e6 / requests,
            Metric::LagP99 => self.release_lag_p99_us.unwrap_or(f64::NAN),
            Metric::Rate => requests / self.seconds,
        }
    }
}

/// What became of a contender.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Measured in every round.
    Measured(Vec<Sample>),
    /// The program that is not installed.
    Missing(&'static str),
    /// Why it could not be measured.
    Failed(String),
}

impl Standing {
    /// The values that `metric` compares, round by round; empty if it was not measured.
    #[must_use]
    pub fn values(&self, metric: Metric) -> Vec<f64> {
        match self {
            Self::Measured(samples) => samples.iter().map(|sample| sample.value(metric)).collect(),
            Self::Missing(_) | Self::Failed(_) => Vec::new(),
        }
    }
}

/// What every measurement of a run shares.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The programs.
    pub tools: &'a Tools,
    /// The machine.
    pub machine: &'a Machine,
    /// Where servers find their files.
    pub dir: &'a Path,
    /// How many rounds.
    pub rounds: u32,
    /// Whether to run a little before the first round.
    pub warm_up: bool,
    /// Where raw output goes.
    pub record: Option<&'a Record>,
}

impl Bench<'_> {
    /// Measures a row: what became of each contender, in the row's order.
    ///
    /// # Errors
    /// The user interrupted, or the record cannot be written. A contender that fails is no error.
    pub fn row(&self, row: &Row) -> Result<Vec<Standing>> {
        if let Some(record) = self.record {
            record.begin(row)?;
        }
        let mut servers: Vec<(Server, Running)> = Vec::new();
        let mut standings = Vec::new();
        for one in &row.contenders {
            let standing = match self.missing(one) {
                Some(tool) => Standing::Missing(tool.name()),
                None => match self.prepare(one, &row.load, &mut servers) {
                    Ok(()) => Standing::Measured(Vec::new()),
                    Err(error) => Standing::Failed(format!("{error:#}")),
                },
            };
            interrupt::check()?;
            standings.push(standing);
        }
        for round in 1..=self.rounds {
            for (position, index) in order(round, row.contenders.len()).enumerate() {
                let one = &row.contenders[index];
                let Standing::Measured(samples) = &mut standings[index] else { continue };
                say(format_args!("{}: round {round} of {}: {}", row.id, self.rounds, one.name));
                match self.once(row, one, &servers, (round, position + 1)) {
                    Ok(sample) => samples.push(sample),
                    Err(error) => {
                        interrupt::check()?;
                        standings[index] = Standing::Failed(format!("{error:#}"));
                    }
                }
            }
        }
        Ok(standings)
    }

    fn missing(&self, one: &Contender) -> Option<Tool> {
        [one.server.tool(), one.client.tool()]
            .into_iter()
            .flatten()
            .find(|&tool| self.tools.path(tool).is_none())
    }

    /// Starts a contender's server if it does not run yet, checks a reply, and warms both up.
    fn prepare(&self, one: &Contender, load: &Load, servers: &mut Vec<(Server, Running)>) -> Result<()> {
        if !servers.iter().any(|(server, _)| *server == one.server) {
            let cpu = self.machine.server_cpu;
            let running = Running::start(one.server, load.protocol, self.tools, cpu, self.dir)?;
            probe::check(running.port(), load.protocol, load.body.path(), load.body.size())?;
            servers.push((one.server, running));
        }
        if self.warm_up && one.client != Client::Sleeper {
            let short = Load { seconds: WARM_UP, ..*load };
            let port = find(servers, one.server)?.port();
            one.client.run(&short, port, self.tools, self.machine.client_cpu, self.dir)?;
        }
        Ok(())
    }

    fn once(
        &self,
        row: &Row,
        one: &Contender,
        servers: &[(Server, Running)],
        (round, position): (u32, usize),
    ) -> Result<Sample> {
        let server = find(servers, one.server)?;
        let cpus = [self.machine.server_cpu, self.machine.client_cpu];
        let (cpu, ticks, start) = (server.cpu()?, Ticks::now(&cpus)?, Instant::now());
        let run = one.client.run(&row.load, server.port(), self.tools, self.machine.client_cpu, self.dir)?;
        let wall = start.elapsed().as_secs_f64();
        let server_cpu = server.cpu().context("the server has ended")?.saturating_sub(cpu);
        let stolen = Ticks::now(&cpus)?.stolen_since(ticks);
        if let Some(record) = self.record {
            record.raw(row, one, server.port(), (round, position), &run.printed)?;
        }
        let outcome = run.outcome;
        ensure!(outcome.errors == 0, "{} of {} requests failed", outcome.errors, outcome.requests);
        ensure!(outcome.requests > 0, "no request had a reply");
        if let (Some(total), Some(sent)) = (row.load.total(), outcome.sent) {
            ensure!(sent == total, "{sent} requests were sent instead of {total}");
        }
        Ok(Sample {
            round,
            position,
            requests: outcome.requests,
            seconds: outcome.seconds.unwrap_or(wall),
            body_bytes: row.load.body.size(),
            server_cpu_seconds: server_cpu.as_secs_f64(),
            client_cpu_seconds: run.cpu.as_secs_f64(),
            release_lag_p99_us: outcome.lag_p99_us,
            stolen,
        })
    }
}

fn find(servers: &[(Server, Running)], wanted: Server) -> Result<&Running> {
    let found = servers.iter().find(|(server, _)| *server == wanted);
    found.map(|(_, running)| running).context("the server does not run")
}

/// The order of a round: forth in odd ones, back in even ones.
fn order(round: u32, contenders: usize) -> impl Iterator<Item = usize> {
    let back = round.is_multiple_of(2);
    (0..contenders).map(move |index| if back { contenders - 1 - index } else { index })
}

/// Tells how far the run is.
fn say(line: std::fmt::Arguments<'_>) {
    // Nobody reads it if standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        rows::{Body, Protocol},
        tools::tests::program,
    };

    /// A sample of one second.
    pub(crate) fn sample(requests: u64, server: f64, client: f64) -> Sample {
        Sample {
            round: 1,
            position: 1,
            requests,
            seconds: 1.0,
            body_bytes: 1024,
            server_cpu_seconds: server,
            client_cpu_seconds: client,
            release_lag_p99_us: None,
            stolen: 0.01,
        }
    }

    #[test]
    fn the_order_turns_round_every_round() {
        let all: Vec<Vec<usize>> = (1..=4).map(|round| order(round, 3).collect()).collect();
        assert_eq!(all, [vec![0, 1, 2], vec![2, 1, 0], vec![0, 1, 2], vec![2, 1, 0]]);
    }

    #[test]
    fn values_are_per_request_per_gigabyte_and_per_second() {
        let sample = Sample { seconds: 2.0, ..sample(1_000_000, 1.5, 3.0) };
        let close = |metric, expected: f64| (sample.value(metric) - expected).abs() < 1e-9;
        assert!(close(Metric::ServerPerRequest, 1.5));
        assert!(close(Metric::ClientPerRequest, 3.0));
        assert!(close(Metric::ServerPerGb, 1.5 / 1.024));
        assert!(close(Metric::Rate, 500_000.0));
        assert!(sample.value(Metric::LagP99).is_nan());
    }

    /// A row of wrk and h2load on the bare responder.
    fn row(rate: Option<u32>) -> Row {
        let load = Load {
            protocol: Protocol::Http1,
            body: Body::K1,
            connections: 1,
            streams: 1,
            rate,
            seconds: 1.0,
        };
        let one = |name, client| Contender { name, server: Server::Responder, client, at_most: None };
        Row {
            id: "test",
            title: "",
            metric: Metric::Rate,
            load,
            limit: None,
            contenders: vec![
                one("first", Client::Wrk),
                one("second", Client::Loadgen),
                one("third", Client::Oha),
            ],
        }
    }

    fn measure(row: &Row, tools: &Tools, rounds: u32) -> Vec<Standing> {
        let args = clap::Parser::parse_from(["bench", "client"]);
        let machine = Machine::here(&args).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench { tools, machine: &machine, dir: dir.path(), rounds, warm_up: false, record: None };
        bench.row(row).unwrap()
    }

    const WRK: &str = "echo '  40 requests in 2.00s, 1MB read'";
    const LOADGEN: &str = r#"echo '{"requests":{"sent":9,"completed":9,"succeeded":9,"dropped":0,"not_sent":0},
        "release_lag_us":{"p99":5.0}}'"#;

    #[test]
    fn contenders_take_turns_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let logged = |name: &str, script: &str| {
            let script = format!("echo {name} >> {}\n{script}", log.display());
            program(folder.path(), name, &script)
        };
        let tools = Tools::at([(Tool::Wrk, logged("wrk", WRK)), (Tool::Loadgen, logged("loadgen", LOADGEN))]);

        let standings = measure(&row(None), &tools, 3);

        let order = std::fs::read_to_string(&log).unwrap();
        assert_eq!(
            order.split_whitespace().collect::<Vec<_>>(),
            ["wrk", "loadgen", "loadgen", "wrk", "wrk", "loadgen"]
        );
        assert_eq!(standings[0].values(Metric::Rate), [20.0, 20.0, 20.0]);
        let Standing::Measured(samples) = &standings[1] else { panic!("{:?}", standings[1]) };
        let places: Vec<_> =
            samples.iter().map(|sample| (sample.round, sample.position, sample.requests)).collect();
        // The missing one keeps its place in the order.
        assert_eq!(places, [(1, 2, 9), (2, 2, 9), (3, 2, 9)]);
        assert!(matches!(standings[2], Standing::Missing("oha")));
    }

    #[test]
    fn a_client_that_counts_errors_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        let errors = format!("{WRK}; echo '  Non-2xx or 3xx responses: 7'");
        let tools = Tools::at([
            (Tool::Wrk, program(folder.path(), "wrk", &errors)),
            (Tool::Loadgen, program(folder.path(), "loadgen", LOADGEN)),
        ]);
        let standings = measure(&row(None), &tools, 2);
        let Standing::Failed(why) = &standings[0] else { panic!("{:?}", standings[0]) };
        assert_eq!(why, "7 of 40 requests failed");
        assert_eq!(standings[1].values(Metric::LagP99), [5.0, 5.0]);
    }

    #[test]
    fn a_paced_client_that_sends_one_too_few_fails() {
        let folder = tempfile::tempdir().unwrap();
        let loadgen = program(folder.path(), "loadgen", LOADGEN);
        let standings = measure(&row(Some(10)), &Tools::at([(Tool::Loadgen, loadgen)]), 1);
        let Standing::Failed(why) = &standings[1] else { panic!("{:?}", standings[1]) };
        assert_eq!(why, "9 requests were sent instead of 10");
    }

    #[test]
    fn a_client_is_charged_for_the_work_it_does() {
        let folder = tempfile::tempdir().unwrap();
        // Counting is work for the shell itself.
        let busy = format!("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; {WRK}");
        let tools = Tools::at([(Tool::Wrk, program(folder.path(), "wrk", &busy))]);
        let standings = measure(&row(None), &tools, 1);
        let Standing::Measured(samples) = &standings[0] else { panic!("{:?}", standings[0]) };
        assert!(samples[0].client_cpu_seconds > 0.005, "{samples:?}");
    }
}
