//! How much is sent, how fast, for how long, and within which limits.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use super::{
    Lifetime, PlanError, Protocol, Target, accepted,
    load_options::{
        LoadOptions, coalesce, count, longer_than_zero, name, rate, read_stages, start, timeout, total,
    },
    stages::ReadStages,
};
use crate::{
    clock::{Nanos, nanos},
    schedule::{Arrivals, ConnectionStage, ConnectionStages, Constant, Poisson, Replay, Stage, Stages},
};

/// How long a run lasts when neither a total nor a duration is given.
pub const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// The lowest rate that is accepted, in requests per second.
pub const MIN_RATE: f64 = 0.001;

/// The highest rate that is accepted, in requests per second.
pub const MAX_RATE: f64 = 100_000_000.0;

/// The highest total that is accepted.
pub const MAX_TOTAL: u64 = 1_000_000_000_000_000;

/// The maximum number of connections, and of requests in flight, that is accepted.
pub const MAX_IN_FLIGHT: usize = 1_000_000;

/// The maximum number of streams on a connection that is accepted.
pub const MAX_STREAMS: usize = 100_000;

/// Requests in flight, connections to begin with, and streams on each, unless other numbers are given.
pub const DEFAULT_MAX_IN_FLIGHT: usize = 10_000;
/// See [`DEFAULT_MAX_IN_FLIGHT`].
pub const DEFAULT_CONNECTIONS: usize = 10;
/// See [`DEFAULT_MAX_IN_FLIGHT`].
pub const DEFAULT_STREAMS: usize = 10;

/// How long a request may take, unless another time is given.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may take to open, unless another time is given.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that requests may wait for others to be sent with.
pub const LONGEST_COALESCE: Duration = Duration::from_millis(100);

/// What happens to a request that is due when no more may be in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOverload {
    /// It waits, and the wait counts in its response time.
    #[default]
    Queue,
    /// It is dropped, and counted as such.
    Drop,
}

/// How requests come to be due.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// By a schedule, whatever happens to them.
    Open {
        /// When they are due.
        arrivals: Arrivals,
        /// Of one that is due beyond the limit.
        on_overload: OnOverload,
        /// One that could not be sent for longer than this is dropped.
        max_lag: Option<Duration>,
        /// Up to this much later than it was due, it is sent together with those that are due meanwhile.
        coalesce: Option<Duration>,
    },
    /// Whenever a slot is free.
    Closed {
        /// How many connections there are, if that changes.
        stages: Option<ConnectionStages>,
    },
}

/// How much is sent, and within which limits.
#[derive(Clone, Debug)]
pub struct Load {
    /// What it is called among several loads of a plan.
    pub name: Option<String>,
    /// How long after the others it begins.
    pub start: Duration,
    /// How requests come to be due.
    pub shape: Shape,
    /// Requests per second on average, in an open loop.
    pub mean_rate: Option<f64>,
    /// The stages, as they are written.
    pub stages: Option<String>,
    /// The log that is replayed, as it is shown to people.
    pub replay: Option<String>,
    /// What random times follow from, if that was said.
    pub seed: Option<u64>,
    /// Requests that are due within this time at first are counted apart: what follows is of those behind it.
    pub warmup: Duration,
    /// Exactly this many requests.
    pub total: Option<u64>,
    /// No request is due after this.
    pub duration: Option<Duration>,
    /// Connections to begin with; with stages of connections, the most of them.
    pub connections: NonZeroUsize,
    /// Connections at most.
    pub max_connections: NonZeroUsize,
    /// The same if HTTP/1.1 is spoken.
    pub(super) http1_connections: NonZeroUsize,
    /// Requests at the same time on a connection.
    pub streams: NonZeroUsize,
    /// The same if HTTP/2 is spoken.
    http2_streams: NonZeroUsize,
    /// The same if HTTP/1.1 is spoken.
    pub(super) http1_streams: NonZeroUsize,
    /// Requests in flight in the whole run.
    pub max_in_flight: NonZeroUsize,
    /// How long a request may take once it is sent.
    pub timeout: Duration,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
}

impl Load {
    /// When requests are due, in an open loop.
    #[must_use]
    pub fn arrivals(&self) -> Option<&Arrivals> {
        match &self.shape {
            Shape::Open { arrivals, .. } => Some(arrivals),
            Shape::Closed { .. } => None,
        }
    }

    /// How long requests are to become due behind the warm-up, if they do so by a schedule.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        Some(self.arrivals()?.window()?.saturating_sub(self.warmup))
    }

    /// How long requests are to become due behind the warm-up, if that is known beforehand.
    #[must_use]
    pub fn planned(&self) -> Option<Duration> {
        match &self.shape {
            // At random times, a total may be reached before the duration is over.
            Shape::Open { arrivals: Arrivals::Poisson(_), .. } => self.window(),
            _ => self.window().or(self.duration),
        }
    }

    /// How many requests will have been due behind the warm-up, if that is known.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        match &self.shape {
            Shape::Open {
                arrivals: arrivals @ (Arrivals::Constant(_) | Arrivals::Stages(_) | Arrivals::Replay(_)),
                ..
            } => Some(arrivals.count()?.saturating_sub(arrivals.expected_by(nanos(self.warmup)))),
            _ if self.duration.is_some() => None,
            _ => self.total,
        }
    }

    /// Whether requests are due at random times.
    #[must_use]
    pub fn is_random(&self) -> bool {
        matches!(self.arrivals(), Some(Arrivals::Poisson(_)))
    }

    pub(super) fn new(
        target: &Target,
        wanted: &LoadOptions,
        lifetime: &Lifetime,
        pipeline: NonZeroUsize,
    ) -> Result<Self, PlanError> {
        let max_in_flight = count(&accepted::MAX_IN_FLIGHT, wanted.max_in_flight, MAX_IN_FLIGHT)?;
        let streams = count(&accepted::STREAMS, wanted.streams, MAX_STREAMS)?;
        // A connection never has more requests in flight than the whole run.
        let most = lifetime.requests.and_then(|most| NonZeroUsize::try_from(most).ok());
        let [streams, http1_streams] =
            [streams, pipeline].map(|streams| most.map_or(streams, |most| streams.min(most)));
        let time =
            |option, time: Option<Duration>| time.map(|time| longer_than_zero(option, time)).transpose();
        let (warmup, max_lag) =
            (time(&accepted::WARMUP, wanted.warmup)?, time(&accepted::MAX_LAG, wanted.max_lag)?);
        let coalesce = wanted.coalesce.map(coalesce).transpose()?;
        let total = wanted.total.map(total).transpose()?;
        let stages = wanted.stages.as_deref().map(|text| read_stages(text, warmup)).transpose()?;
        wanted.check_together(stages.as_ref())?;
        let duration = match (total, wanted.duration, &stages) {
            (_, _, Some(stages)) => Some(stages.length()),
            (None, None, None) if wanted.replay.is_none() => Some(DEFAULT_DURATION),
            (_, given, None) => time(&accepted::DURATION, given)?,
        };
        let warmup = warmup.unwrap_or_default();
        let timing = Timing { total, duration, warmup, poisson: wanted.poisson };
        let open = |(arrivals, mean_rate): (Arrivals, f64)| {
            (Shape::Open { arrivals, on_overload: wanted.on_overload, max_lag, coalesce }, Some(mean_rate))
        };
        let replayed = wanted.replay.as_ref().map(|(due, _)| timing.of_log(Arc::clone(due)));
        let (shape, mean_rate) = match (wanted.rate.map(rate).transpose()?, &stages) {
            (Some(rate), _) => open(timing.at_rate(rate)),
            (None, Some(ReadStages::Rates(stages))) => open(timing.by_stages(stages)),
            (None, Some(ReadStages::Connections(stages))) => {
                (Shape::Closed { stages: Some(with_warmup(stages, warmup)) }, None)
            }
            (None, None) => match replayed {
                Some(replayed) => open(replayed),
                None => (Shape::Closed { stages: None }, None),
            },
        };
        let connections = match &shape {
            Shape::Closed { stages: Some(stages) } => stages.most(),
            _ => wanted.connections.unwrap_or(DEFAULT_CONNECTIONS),
        };
        let connections = count(&accepted::CONNECTIONS, connections, MAX_IN_FLIGHT)?;
        let grows = mean_rate.is_some() && !wanted.fixed_connections;
        let mut load = Self {
            name: wanted.name.as_deref().map(name).transpose()?,
            start: wanted.start.map(start).transpose()?.unwrap_or_default(),
            shape,
            mean_rate,
            stages: stages.as_ref().map(ReadStages::canonical),
            replay: wanted.replay.as_ref().map(|(_, said)| said.clone()),
            seed: wanted.seed,
            warmup,
            total,
            duration,
            connections,
            max_connections: connections,
            http1_connections: if grows { max_in_flight.max(connections) } else { connections },
            streams,
            http2_streams: streams,
            http1_streams,
            max_in_flight,
            timeout: timeout(wanted.timeout)?,
            connect_timeout: longer_than_zero(&accepted::CONNECT_TIMEOUT, wanted.connect_timeout)?,
        };
        if let Some(seed) = wanted.seed {
            load.draw(seed);
        }
        if target.websocket {
            // What is due for a connection waits for it.
            load.http1_connections = load.connections;
        }
        load.speak(target.protocol);
        Ok(load)
    }

    /// Requests are due at this rate, as long as they were to be, and evenly unless they were due at random times.
    pub(super) fn set_rate(&mut self, rate: f64) {
        let (is_random, duration) = (self.is_random(), self.duration);
        let timing = Timing { total: self.total, duration, warmup: self.warmup, poisson: is_random };
        if let Shape::Open { arrivals, .. } = &mut self.shape {
            *arrivals = timing.at_rate(rate).0;
            self.mean_rate = Some(rate);
        }
        if let Some(seed) = self.seed {
            self.draw(seed);
        }
    }

    /// Draws follow from this seed, unless they follow from another that was given.
    pub(super) fn draw(&mut self, seed: u64) {
        if let Shape::Open { arrivals: Arrivals::Poisson(poisson), .. } = &mut self.shape {
            let seed = *self.seed.get_or_insert(seed);
            *poisson = poisson.clone().seeded(seed);
        }
    }

    /// This is spoken: HTTP/1.1 has one request at a time on a connection, unless it pipelines, and may open more connections.
    pub(super) fn speak(&mut self, protocol: Protocol) {
        (self.max_connections, self.streams) = self.within(protocol);
    }

    /// The maximum number of connections to a server that speaks this, and of requests at the same time on each.
    pub(crate) fn within(&self, protocol: Protocol) -> (NonZeroUsize, NonZeroUsize) {
        match protocol {
            Protocol::Http1 => (self.http1_connections, self.http1_streams),
            Protocol::Http2 => (self.connections, self.http2_streams),
        }
    }

    pub(super) fn for_one_exchange(self) -> Self {
        Self {
            name: None,
            start: Duration::ZERO,
            shape: Shape::Closed { stages: None },
            mean_rate: None,
            stages: None,
            replay: None,
            seed: None,
            warmup: Duration::ZERO,
            total: Some(1),
            duration: None,
            connections: NonZeroUsize::MIN,
            max_connections: NonZeroUsize::MIN,
            http1_connections: NonZeroUsize::MIN,
            streams: NonZeroUsize::MIN,
            http2_streams: NonZeroUsize::MIN,
            http1_streams: NonZeroUsize::MIN,
            ..self
        }
    }
}

/// When requests are due and when they end, but for their rate.
#[derive(Clone, Copy, Debug)]
struct Timing {
    total: Option<u64>,
    duration: Option<Duration>,
    warmup: Duration,
    poisson: bool,
}

impl Timing {
    /// Arrivals at a constant rate, and that.
    fn at_rate(self, rate: f64) -> (Arrivals, f64) {
        let window = self.duration.map(|duration| duration.saturating_add(self.warmup));
        let arrivals = if self.poisson {
            Arrivals::Poisson(match window {
                Some(length) => {
                    Poisson::new(&[Stage { length, from: rate, to: rate }], self.total, self.warmup)
                }
                None => Poisson::endless(rate, self.total, self.warmup),
            })
        } else {
            let before = Arrivals::Constant(Constant::new(rate, None, None)).expected_by(nanos(self.warmup));
            let total = self.total.map(|total| total.saturating_add(before));
            Arrivals::Constant(Constant::new(rate, total, window))
        };
        (arrivals, rate)
    }

    /// Arrivals as a log has them, and their mean rate.
    fn of_log(self, due: Arc<[Nanos]>) -> (Arrivals, f64) {
        let replay = Arrivals::Replay(Replay::new(due, self.total, self.duration));
        let window = replay.window().unwrap_or_default().as_secs_f64();
        let mean_rate = replay.expected_by(Nanos::MAX) as f64 / window.max(1e-9);
        (replay, mean_rate)
    }

    /// Arrivals by stages, and their mean rate behind the warm-up.
    fn by_stages(self, stages: &[Stage]) -> (Arrivals, f64) {
        let mut all = Vec::with_capacity(stages.len() + 1);
        if let Some(first) = stages.first().filter(|_| !self.warmup.is_zero()) {
            all.push(Stage { length: self.warmup, from: first.from, to: first.from });
        }
        all.extend_from_slice(stages);
        let before = Arrivals::Stages(Stages::new(&all, None)).expected_by(nanos(self.warmup));
        let total = self.total.map(|total| total.saturating_add(before));
        let planned = Arrivals::Stages(Stages::new(&all, total));
        let window = planned.window().unwrap_or_default().saturating_sub(self.warmup).as_secs_f64();
        let mean_rate = planned.expected_by(Nanos::MAX).saturating_sub(before) as f64 / window.max(1e-9);
        let arrivals = match self.poisson {
            true => Arrivals::Poisson(Poisson::new(&all, self.total, self.warmup)),
            false => planned,
        };
        (arrivals, mean_rate)
    }
}

/// Stages of connections with as many as at first during the warm-up.
fn with_warmup(stages: &[ConnectionStage], warmup: Duration) -> ConnectionStages {
    let first = stages.first().filter(|_| !warmup.is_zero());
    let before = first.map(|first| ConnectionStage { length: warmup, from: first.from, to: first.from });
    let all: Vec<_> = before.into_iter().chain(stages.iter().copied()).collect();
    ConnectionStages::new(&all)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::{cli::Args, plan::Plan};

    fn load(line: &str) -> Result<Load, String> {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        let args = Args::read(words).map_err(|failure| failure.to_string())?;
        Plan::try_from(&args).map(|plan| plan.load).map_err(|error| error.to_string())
    }

    #[test]
    fn without_an_end_a_run_lasts_ten_seconds() {
        assert_eq!(load("a:1").unwrap().duration, Some(DEFAULT_DURATION));
        assert_eq!(load("-t 5 a:1").unwrap().duration, None);
        let both = load("-n 5 -d 2m a:1").unwrap();
        assert_eq!((both.total, both.duration), (Some(5), Some(Duration::from_secs(120))));
    }

    #[test]
    fn another_rate_changes_nothing_else() {
        for line in [
            "-r 10 -d 4s --warmup 1s",
            "-r 10 -d 4s --poisson --seed 3",
            "-r 10 -d 2s --max-lag 1s --coalesce 9ms",
        ] {
            let mut load = load(&format!("{line} a:1")).unwrap();
            load.set_rate(250.0);
            let expected = self::load(&format!("{} a:1", line.replace("-r 10", "-r 250"))).unwrap();
            assert_eq!((&load.shape, load.mean_rate), (&expected.shape, expected.mean_rate), "{line}");
        }
    }

    #[test]
    fn only_http1_with_a_rate_opens_connections_on_demand() {
        let most = |line| load(line).unwrap().max_connections.get();
        assert_eq!(most("-r 10 http://a"), 10_000);
        assert_eq!(most("-r 10 --max-in-flight 50 http://a"), 50);
        assert_eq!(most("-r 10 --fixed-connections http://a"), 10);
        assert_eq!(most("-r 10 a:1"), 10);
        assert_eq!(most("-c 7 http://a"), 7);
    }

    #[test]
    fn every_number_takes_its_documented_ends_and_nothing_beyond() {
        for (option, accepted, beside, documented) in [
            ("rate", ["0.001", "100000000"], ["0.0009", "100000000.1"], "(0.001 to 100000000)"),
            ("total", ["1", "1000000000000000"], ["0", "1000000000000001"], "(1 to 10^15)"),
            ("duration", ["1ns", "8760h"], ["0", "31536000.5"], "(above 0, up to 8760h)"),
            ("max-in-flight", ["1", "1000000"], ["0", "1000001"], "(1 to 1000000)"),
            ("connections", ["1", "1000000"], ["0", "1000001"], "(1 to 1000000)"),
            ("streams", ["1", "100000"], ["0", "100001"], "(1 to 100000)"),
            ("timeout", ["1ms", "31536000"], ["999us", "8760h1ns"], "(1ms to 8760h)"),
            ("connect-timeout", ["1ns", "8760h"], ["0", "8761h"], "(above 0, up to 8760h)"),
            ("warmup", ["1ns", "8760h"], ["0", "8761h"], "(above 0, up to 8760h)"),
            ("max-lag", ["1ns", "8760h"], ["0", "8761h"], "(above 0, up to 8760h)"),
            ("coalesce", ["1ns", "100ms"], ["0", "100001us"], "(above 0, up to 100ms)"),
            ("seed", ["0", "18446744073709551615"], ["1.5", "18446744073709551616"], "(0 to 2^64-1)"),
        ] {
            let command = Args::command();
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(option)).unwrap();
            let help = arg.get_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(documented), "--{option}: {help}");
            for value in accepted {
                let random = if option == "seed" { "--poisson -r 1" } else { "" };
                let open = if ["max-lag", "coalesce"].contains(&option) { "-r 1" } else { "" };
                let read = load(&format!("--{option}={value} {random}{open} a:1"));
                let read = read.unwrap_or_else(|error| panic!("--{option}={value}: {error}"));
                // What a run computes from it.
                assert!(read.window().is_none_or(|window| window <= Duration::from_nanos(u64::MAX / 4)));
            }
            let far =
                ["99999999999999999999", "9223372036854775807s", "-1", "NaN", "inf", "1e400", "0x10", "+1"];
            for value in beside.into_iter().chain(far) {
                let typed = format!("--{option}={value}");
                let said = match Args::read(["loadgen", &typed, "a:1"]) {
                    Err(error) => error.to_string(),
                    Ok(_) => load(&format!("--{option}={value} a:1")).unwrap_err(),
                };
                assert!(
                    said.starts_with("invalid value '")
                        && said.contains(&format!(" for --{option}; accepted: "))
                        && said.contains(&format!("; example: --{option}=")),
                    "--{option}={value}: {said}"
                );
            }
        }
    }

    #[test]
    fn stages_say_how_long_and_how_fast_and_with_how_many_connections() {
        let rates = load("--stages 10s@100,20s@100..300 a:1").unwrap();
        assert_eq!((rates.count(), rates.window()), (Some(5000), Some(Duration::from_secs(30))));
        assert_eq!(rates.duration, Some(Duration::from_secs(30)));
        assert!(rates.mean_rate.is_some_and(|rate| (rate - 5000.0 / 30.0).abs() < 1e-9), "{rates:?}");
        let total = load("--stages 10s@100,20s@100..300 -n 500 --warmup 1s a:1").unwrap();
        assert_eq!((total.count(), total.window()), (Some(500), Some(Duration::from_secs(5))));
        assert_eq!(total.arrivals().unwrap().count(), Some(600));
        let connections = load("--stages 10s@10c,20s@10c..30c http://a:1").unwrap();
        assert_eq!((connections.connections.get(), connections.max_connections.get()), (30, 30));
        assert_eq!((connections.mean_rate, connections.duration), (None, Some(Duration::from_secs(30))));
        assert_eq!(load("--stages 1s@1 http://a").unwrap().max_connections.get(), 10_000);
    }

    #[test]
    fn a_warm_up_lies_before_the_total_and_the_duration() {
        let load = |line: &str| load(&format!("{line} --warmup 2s a:1")).unwrap();
        let both = load("-r 100 -d 3s -n 50");
        assert_eq!((both.count(), both.window()), (Some(50), Some(Duration::from_millis(500))));
        let duration = load("-r 100 -d 3s");
        assert_eq!((duration.count(), duration.window()), (Some(300), Some(Duration::from_secs(3))));
        let random = load("-r 100 -d 3s --poisson");
        assert_eq!((random.count(), random.window()), (None, Some(Duration::from_secs(3))));
        assert_eq!((load("-r 100 -n 7 --poisson").count(), load("-c 5 -n 7").count()), (Some(7), Some(7)));
    }

    #[test]
    fn a_seed_that_was_given_stays() {
        let mut given = load("-r 1 --poisson --seed 5 a:1").unwrap();
        let mut open = load("-r 1 --poisson a:1").unwrap();
        assert_ne!(given.arrivals(), open.arrivals());
        given.draw(7);
        open.draw(5);
        assert_eq!((given.arrivals(), given.seed), (open.arrivals(), open.seed));
        let mut even = load("-r 1 a:1").unwrap();
        even.draw(5);
        assert_eq!(even.seed, None);
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for (line, said) in [
            ("--stages 1s@1 -r 5 a:1", "--stages and --rate exclude each other"),
            ("--stages 1s@1 -d 5s a:1", "--stages and --duration exclude each other"),
            ("--stages 1s@1c -c 5 a:1", "--stages of connections and --connections exclude each other"),
            ("--poisson a:1", "--poisson without a rate; accepted: --poisson with --rate"),
            ("--poisson --stages 1s@5c a:1", "--poisson without a rate"),
            ("--max-lag 1s a:1", "--max-lag without a rate"),
            ("--max-lag 1s --stages 1s@1c a:1", "--max-lag without a rate"),
            ("--coalesce 1ms a:1", "--coalesce without a rate"),
            ("--coalesce 1ms --stages 1s@1c a:1", "--coalesce without a rate"),
            ("-r 5 --coalesce 1ms --max-lag 1999us a:1", "--coalesce longer than half of --max-lag"),
            ("--warmup 1s --stages 1s@0..5 a:1", "invalid value '1s@0..5' for --stages: with --warmup"),
            ("--stages 1s@x a:1", "invalid value '1s@x' for --stages: no rate of 0 or from 0.001"),
        ] {
            let said_of = load(line).unwrap_err();
            assert!(said_of.contains(said) && said_of.contains("; example: "), "{line}: {said_of}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        for (line, said) in [
            ("-r 0 a:1", "from 0.001 to 100000000"),
            ("-r 1e300 a:1", "from 0.001 to 100000000"),
            ("-r 1e-12 -t 3 a:1", "from 0.001 to 100000000"),
            ("-t 0 a:1", "from 1 to 1000000000000000;"),
            ("-c 0 a:1", "from 1 to 1000000;"),
            ("-m 0 a:1", "from 1 to 100000;"),
            ("-d 0 a:1", "a time above 0"),
            ("--timeout 0s a:1", "a time from 1ms to 8760h"),
            ("--timeout 1ns a:1", "a time from 1ms to 8760h"),
        ] {
            assert!(load(line).unwrap_err().contains(said), "{line}");
        }
    }
}
