//! The rounds: every contender is measured once a round, and the order turns round each time (A B, B A), so
//! that a drift of the machine does not fall on one of them.

mod disturbance;

use std::{io::Write, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use disturbance::Disturbance;
pub use disturbance::DisturbanceLimits;

use crate::{
    arrivals::ArrivalError,
    client::Place,
    cpu::Ticks,
    interrupt,
    load::Load,
    machine::Machine,
    record::Record,
    rows::{Contender, Row},
    sample::{Sample, Standing},
    server::{Running, Server},
    tools::{Tool, Tools},
};

/// Seconds of load before the first round, so that caches and clocks are warm.
const WARM_UP: f64 = 1.0;

/// At most this many times the rounds that are wanted are measured, where the machine disturbs them.
const MOST_ROUNDS: u32 = 3;

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
    /// What a round suffers from at most before it is measured again.
    pub limits: DisturbanceLimits,
    /// Whether to run a little before the first round.
    pub warm_up: bool,
    /// Where raw output goes.
    pub record: Option<&'a Record>,
}

impl Bench<'_> {
    /// Measures a row: what happened to each contender, in the row's order.
    ///
    /// # Errors
    /// The user interrupted, or the record cannot be written. A contender that fails is not an error.
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
        let mut rounds = Vec::new();
        for round in 1..=self.rounds * MOST_ROUNDS {
            let quiet = rounds.iter().filter(|round: &&Disturbance| round.is_within(self.limits)).count();
            if quiet >= self.rounds as usize {
                break;
            }
            let mut disturbance = Disturbance::default();
            for (position, index) in order(round, row.contenders.len()).enumerate() {
                let one = &row.contenders[index];
                let Standing::Measured(samples) = &mut standings[index] else { continue };
                say(format_args!(
                    "{}: round {round} ({quiet} of {} done): {}",
                    row.id, self.rounds, one.name
                ));
                match self.once(row, one, &servers, (round, position + 1)) {
                    Ok(sample) => {
                        let round_trips = sample.round_trip_ns.as_ref().map_or(&[][..], |both| both);
                        disturbance.add(sample.stolen, round_trips);
                        samples.push(sample);
                    }
                    Err(error) => {
                        interrupt::check()?;
                        standings[index] = Standing::Failed(format!("{error:#}"));
                    }
                }
            }
            rounds.push(disturbance);
        }
        let kept = disturbance::least(&rounds, self.limits, self.rounds as usize);
        for standing in &mut standings {
            if let Standing::Measured(samples) = standing {
                samples.retain(|sample| kept.contains(&sample.round));
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
        if one.client.leaves_connections() {
            // What it took of its memory before would not be taken anew: each measurement has its own server.
            return Ok(());
        }
        if !servers.iter().any(|(server, _)| *server == one.server) {
            servers.push((one.server, self.start(one.server, load)?));
        }
        let place = self.place(find(servers, one.server)?);
        one.client.prepare(load, &place)?;
        if self.warm_up && one.client.sends() {
            one.client.run(&Load { seconds: WARM_UP, ..*load }, &place)?;
        }
        Ok(())
    }

    fn start(&self, server: Server, load: &Load) -> Result<Running> {
        Running::start(server, load.protocol, self.tools, self.machine.server_cpu, self.dir)
    }

    fn place(&self, server: &Running) -> Place<'_> {
        Place { port: server.port(), cpu: self.machine.client_cpu, tools: self.tools, dir: self.dir }
    }

    /// Measures a contender once: on the server that runs, or on a fresh one whose memory is compared.
    fn once(
        &self,
        row: &Row,
        one: &Contender,
        servers: &[(Server, Running)],
        (round, position): (u32, usize),
    ) -> Result<Sample> {
        let fresh =
            if one.client.leaves_connections() { Some(self.start(one.server, &row.load)?) } else { None };
        let server = fresh.as_ref().map_or_else(|| find(servers, one.server), Ok)?;
        let place = self.place(server);
        if fresh.is_some() {
            one.client.prepare(&row.load, &place)?;
        }
        let cpus = [self.machine.server_cpu, self.machine.client_cpu];
        let trip_before = self.round_trip()?;
        let memory = fresh.as_ref().map(Running::resident).transpose()?;
        // Those of the warm-up, or of a check.
        let _ = server.take_arrivals();
        let (cpu, ticks, start) = (server.cpu()?, Ticks::now(&cpus)?, Instant::now());
        let mut run = one.client.run(&row.load, &place)?;
        let wall = start.elapsed().as_secs_f64();
        let server_cpu = server.cpu().context("the server has ended")?.saturating_sub(cpu);
        let mut server_memory_growth = None;
        if let (Some(before), Some(held)) = (memory, run.held.take()) {
            held.rest(row.load.time())?;
            let after = server.resident().context("the server has ended")?;
            run = held.end()?;
            run.printed = format!("VmRSS before {before}, after {after}\n{}", run.printed);
            server_memory_growth = Some(after.saturating_sub(before));
        }
        let arrivals = server.take_arrivals();
        let stolen = Ticks::now(&cpus)?.stolen_since(ticks);
        let round_trip_ns = trip_before.zip(self.round_trip()?).map(<[f64; 2]>::from);
        if let Some(record) = self.record {
            record.raw(row, one, server.port(), (round, position), &run.printed)?;
        }
        let outcome = run.outcome;
        ensure!(outcome.errors == 0, "{} of {} requests failed", outcome.errors, outcome.requests);
        ensure!(outcome.requests > 0, "no request had a reply");
        if let (Some(total), Some(sent)) = (row.load.total(), outcome.sent) {
            ensure!(sent == total, "{sent} requests were sent instead of {total}");
        }
        let arrival_error = match (arrivals, row.load.rate, row.load.total()) {
            (Some(instants), Some(rate), Some(total)) => Some(ArrivalError::of(&instants, rate, total)?),
            _ => None,
        };
        Ok(Sample {
            round,
            position,
            requests: outcome.requests,
            seconds: outcome.seconds.unwrap_or(wall),
            body_bytes: one.client.content(&row.load),
            server_cpu_seconds: server_cpu.as_secs_f64(),
            client_cpu_seconds: run.cpu.as_secs_f64(),
            release_lag_p99_us: outcome.lag_p99_us,
            arrival_error,
            server_memory_growth,
            stolen,
            round_trip_ns,
        })
    }

    /// Nanoseconds that a cache line takes between both sides and back; `None` where they share a CPU.
    fn round_trip(&self) -> Result<Option<f64>> {
        let (server, client) = (self.machine.server_cpu, self.machine.client_cpu);
        let nanos = runtime::round_trip::between(server, client, runtime::round_trip::BATCHES);
        nanos.with_context(|| format!("CPU {server} or {client} cannot be used"))
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
mod tests {
    use super::*;
    use crate::{
        client::{
            Client,
            idle::Idle,
            loadgen::LOADGEN,
            oha::Oha,
            wrk::{self, Wrk},
        },
        load::{Body, Protocol},
        rows::Metric,
        tools::tests::program,
    };

    #[test]
    fn the_order_is_reversed_every_round() {
        let all: Vec<Vec<usize>> = (1..=4).map(|round| order(round, 3).collect()).collect();
        assert_eq!(all, [vec![0, 1, 2], vec![2, 1, 0], vec![0, 1, 2], vec![2, 1, 0]]);
    }

    #[test]
    fn disturbed_rounds_are_repeated_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let wrk = program(folder.path(), "wrk", &format!("echo wrk >> {}\n{WRK}", log.display()));
        let tools = Tools::at([(wrk::PROGRAM, wrk)]);
        // Even nothing is too much.
        let limits = [
            DisturbanceLimits { stolen: -1.0, ..DisturbanceLimits::NONE },
            DisturbanceLimits { round_trip: -1.0, ..DisturbanceLimits::NONE },
            DisturbanceLimits { stolen: -1.0, round_trip: -1.0 },
        ];
        for limits in limits {
            let standings = measure_with(&row(None), &tools, 2, limits);
            let Standing::Measured(samples) = &standings[0] else { panic!("{:?}", standings[0]) };
            assert_eq!(samples.len(), 2, "{limits:?}");
            let measured = std::fs::read_to_string(&log).unwrap().lines().count();
            assert_eq!(measured, 2 * MOST_ROUNDS as usize, "{limits:?}");
            std::fs::remove_file(&log).unwrap();
        }
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
        let one = |name, client: &'static dyn Client| Contender {
            name,
            server: Server::Responder,
            client,
            target: None,
        };
        Row {
            id: "test",
            title: "",
            metric: Metric::Rate,
            load,
            limit: None,
            contenders: vec![one("first", &Wrk), one("second", &LOADGEN), one("third", &Oha)],
        }
    }

    fn measure(row: &Row, tools: &Tools, rounds: u32) -> Vec<Standing> {
        measure_with(row, tools, rounds, DisturbanceLimits::NONE)
    }

    fn measure_with(row: &Row, tools: &Tools, rounds: u32, limits: DisturbanceLimits) -> Vec<Standing> {
        let args = clap::Parser::parse_from(["bench", "client"]);
        let machine = Machine::here(&args).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let bench = Bench { tools, machine: &machine, dir, rounds, limits, warm_up: false, record: None };
        bench.row(row).unwrap()
    }

    const WRK: &str = "echo '  40 requests in 2.00s, 1MB read'";
    const REPORT: &str = r#"echo '{"requests":{"sent":9,"completed":9,"succeeded":9,"dropped":0,"not_sent":0},
        "release_lag_us":{"p99":5.0}}'"#;

    #[test]
    fn contenders_alternate_and_a_missing_tool_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let logged = |name: &str, script: &str| {
            let script = format!("echo {name} >> {}\n{script}", log.display());
            program(folder.path(), name, &script)
        };
        let tools =
            Tools::at([(wrk::PROGRAM, logged("wrk", WRK)), (Tool::Loadgen, logged("loadgen", REPORT))]);

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
    fn a_client_with_errors_fails_without_affecting_others() {
        let folder = tempfile::tempdir().unwrap();
        let errors = format!("{WRK}; echo '  Non-2xx or 3xx responses: 7'");
        let tools = Tools::at([
            (wrk::PROGRAM, program(folder.path(), "wrk", &errors)),
            (Tool::Loadgen, program(folder.path(), "loadgen", REPORT)),
        ]);
        let standings = measure(&row(None), &tools, 2);
        let Standing::Failed(why) = &standings[0] else { panic!("{:?}", standings[0]) };
        assert_eq!(why, "7 of 40 requests failed");
        assert_eq!(standings[1].values(Metric::LagP99), [5.0, 5.0]);
    }

    #[test]
    fn a_paced_client_that_sends_one_too_few_fails() {
        let folder = tempfile::tempdir().unwrap();
        let loadgen = program(folder.path(), "loadgen", REPORT);
        let standings = measure(&row(Some(10)), &Tools::at([(Tool::Loadgen, loadgen)]), 1);
        let Standing::Failed(why) = &standings[1] else { panic!("{:?}", standings[1]) };
        assert_eq!(why, "9 requests were sent instead of 10");
    }

    #[test]
    fn the_cpu_time_of_the_client_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        // Counting is work for the shell itself.
        let busy = format!("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; {WRK}");
        let tools = Tools::at([(wrk::PROGRAM, program(folder.path(), "wrk", &busy))]);
        let standings = measure(&row(None), &tools, 1);
        let Standing::Measured(samples) = &standings[0] else { panic!("{:?}", standings[0]) };
        assert!(samples[0].client_cpu_seconds > 0.005, "{samples:?}");
    }

    #[test]
    fn idle_connections_are_not_measured_where_the_server_shares_our_memory() {
        let mut idle = row(None);
        idle.contenders.truncate(1);
        idle.contenders[0].client = &Idle;
        let folder = tempfile::tempdir().unwrap();
        let tools = Tools::at([(Tool::Loadgen, program(folder.path(), "loadgen", ""))]);
        let standings = measure(&idle, &tools, 1);
        let Standing::Failed(why) = &standings[0] else { panic!("{:?}", standings[0]) };
        assert_eq!(why, "the responder has no separate memory");
    }
}
