//! Runs that never happened: summaries of requests whose times are planted, for tests of what is computed from them.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use clap::Parser as _;
use contract::{
    id::Ids,
    timing::{Timing, WorkerLoad},
};

use crate::{
    cli::Args,
    clock::{Nanos, nanos},
    outcome::{Arrival, Failure, InFlight, Outcome, Reported},
    plan::Plan,
    recorder::{Origin, Recorder, RunSettings},
    schedule::Due,
    summary::Summary,
};

pub(crate) const MICRO: Nanos = 1000;
pub(crate) const MILLI: Nanos = 1_000_000;
pub(crate) const SECOND: Nanos = 1_000_000_000;

/// A moment of the wall clock at which planted runs begin.
pub(crate) const EPOCH: Nanos = 1_790_000_000 * SECOND;

/// How many runs were planted: each has its own number.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// What happens to one request.
#[derive(Clone, Debug)]
pub(crate) struct Planted {
    /// Due to picked up.
    pub(crate) lag: Nanos,
    /// Picked up to written.
    pub(crate) wait: Nanos,
    /// Written to the end.
    pub(crate) service: Nanos,
    /// How long the reply may have lain unread.
    pub(crate) read_lag: Nanos,
    /// After how much of the service time the server saw it, and replied.
    pub(crate) server: Option<(Nanos, Nanos)>,
    /// How busy its worker was, if it reports that too.
    pub(crate) load: Option<WorkerLoad>,
    pub(crate) end: PlantedEnd,
}

#[derive(Clone, Debug)]
pub(crate) enum PlantedEnd {
    Status(u16),
    Failed(Failure),
    TimedOut,
    Dropped,
    NotSent,
}

impl Default for Planted {
    fn default() -> Self {
        Self {
            lag: 0,
            wait: 0,
            service: MILLI,
            read_lag: 0,
            server: None,
            load: None,
            end: PlantedEnd::Status(200),
        }
    }
}

/// A run with these options, in which request `n`, due at `at`, had what `plant(n, at)` says.
pub(crate) fn run(line: &str, plant: impl Fn(u64, Nanos) -> Planted) -> Summary {
    let words = std::iter::once("loadgen").chain(line.split_whitespace());
    let plan = Plan::try_from(&Args::try_parse_from(words).unwrap()).unwrap();
    let (arrivals, window) = (plan.load().arrivals().unwrap().clone(), plan.load().window().unwrap());
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let mut records = Recorder::of(&plan, Ids { run, load: 0 });
    let mix = plan.mix(1);
    let warmup = nanos(plan.load().warmup);
    records.start(warmup, Some(nanos(window)), EPOCH);
    let mut end = warmup + nanos(window);
    for Due { number, at: due } in arrivals {
        let planted = plant(number, due);
        let request = mix.choice(number).request;
        let picked = due + planted.lag;
        records.picked_up(due, picked, 1);
        let written = picked + planted.wait;
        let at = written + planted.service;
        let has_written = !matches!(planted.end, PlantedEnd::NotSent);
        let arrival =
            Arrival { request, written: has_written.then_some(written), ..Arrival::new(number, due, picked) };
        let mut in_flight = InFlight::new(arrival, picked);
        in_flight.reply.report(planted.server.map(|(seen, replied)| {
            let (received_ns, replied_ns) = (EPOCH + written + seen, EPOCH + written + replied);
            Reported { timing: Timing { received_ns, replied_ns }, load: planted.load }
        }));
        let outcome = match &planted.end {
            PlantedEnd::Dropped => {
                records.dropped(request, due, picked, false);
                continue;
            }
            PlantedEnd::Status(status) => {
                in_flight.reply.status = *status;
                Outcome::Replied
            }
            PlantedEnd::Failed(failure) => Outcome::Failed(failure),
            PlantedEnd::TimedOut => Outcome::TimedOut,
            PlantedEnd::NotSent => Outcome::Abandoned,
        };
        records.ended(in_flight.ended(at, outcome), at - planted.read_lag);
        end = end.max(at);
    }
    assert!(records.counts.add_up());
    Summary {
        happened: None,
        verification: None,
        origin: Origin::default(),
        run: RunSettings::of(&plan, &["127.0.0.1:1".parse().unwrap(), "[::1]:1".parse().unwrap()]),
        records,
        elapsed: Duration::from_nanos(end - warmup),
        arrivals_lasted: window,
        busiest_worker: 0.5,
        run_delay: None,
        interrupted: false,
        aborted_by: None,
    }
}
