//! What is wanted of a load, and the checks of it: each by itself, and all together.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use command_line::{Accepted, Refusal};
use contract::quantity::LONGEST_TIME;

use super::{
    MAX_NAME, PlanError,
    accepted::{self, refused, refused_because},
    load::{
        DEFAULT_CONNECT_TIMEOUT, DEFAULT_MAX_IN_FLIGHT, DEFAULT_STREAMS, DEFAULT_TIMEOUT, LONGEST_COALESCE,
        MAX_RATE, MAX_TOTAL, MIN_RATE, OnOverload,
    },
    stages::{self, ReadStages},
};
use crate::clock::Nanos;

/// With a shorter `--timeout`, whether a response came in time would be chance.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);

/// What is wanted, before it is checked.
#[derive(Clone, Debug)]
pub(super) struct LoadOptions {
    pub(super) name: Option<String>,
    pub(super) start: Option<Duration>,
    pub(super) rate: Option<f64>,
    pub(super) stages: Option<String>,
    /// When requests of a log are due, and how it is shown to people.
    pub(super) replay: Option<(Arc<[Nanos]>, String)>,
    pub(super) poisson: bool,
    pub(super) seed: Option<u64>,
    pub(super) warmup: Option<Duration>,
    pub(super) max_lag: Option<Duration>,
    pub(super) coalesce: Option<Duration>,
    pub(super) on_overload: OnOverload,
    pub(super) total: Option<u64>,
    pub(super) duration: Option<Duration>,
    pub(super) max_in_flight: usize,
    pub(super) connections: Option<usize>,
    pub(super) fixed_connections: bool,
    pub(super) streams: usize,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            name: None,
            start: None,
            rate: None,
            stages: None,
            replay: None,
            poisson: false,
            seed: None,
            warmup: None,
            max_lag: None,
            coalesce: None,
            on_overload: OnOverload::default(),
            total: None,
            duration: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            connections: None,
            fixed_connections: false,
            streams: DEFAULT_STREAMS,
            timeout: DEFAULT_TIMEOUT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        }
    }
}

impl LoadOptions {
    /// What excludes, or needs, something else.
    pub(super) fn check_together(&self, stages: Option<&ReadStages>) -> Result<(), PlanError> {
        let is_open =
            self.rate.is_some() || self.replay.is_some() || matches!(stages, Some(ReadStages::Rates(_)));
        for (is_wrong, wrong, accepted, example) in [
            (
                self.stages.is_some() && self.rate.is_some(),
                "--stages and --rate exclude each other",
                "one of them",
                "loadgen --stages=10s@100,30s@100..1000 localhost:8080",
            ),
            (
                self.replay.is_some()
                    && (self.rate.is_some()
                        || self.stages.is_some()
                        || self.poisson
                        || self.warmup.is_some()),
                "--replay with --rate, --stages, --poisson or --warmup",
                "--replay alone, whose times are those of the log, with --speed",
                "loadgen --replay=access.log --speed=2x http://localhost:8080",
            ),
            (
                self.stages.is_some() && self.duration.is_some(),
                "--stages and --duration exclude each other",
                "--stages alone, which last as long as they say",
                "loadgen --stages=10s@100,30s@100..1000 localhost:8080",
            ),
            (
                self.connections.is_some() && matches!(stages, Some(ReadStages::Connections(_))),
                "--stages of connections and --connections exclude each other",
                "one of them",
                "loadgen --stages=10s@10c,30s@10c..100c localhost:8080",
            ),
            (
                self.poisson && !is_open,
                "--poisson without a rate",
                "--poisson with --rate, or with --stages of a rate",
                "loadgen --rate=1000 --poisson localhost:8080",
            ),
            (
                self.max_lag.is_some() && !is_open,
                "--max-lag without a rate",
                "--max-lag with --rate, or with --stages of a rate: in a closed loop no request is late",
                "loadgen --rate=1000 --max-lag=100ms localhost:8080",
            ),
            (
                self.coalesce.is_some() && !is_open,
                "--coalesce without a rate",
                "--coalesce with --rate, or with --stages of a rate: in a closed loop requests wait for responses alone",
                "loadgen --rate=10000 --coalesce=1ms localhost:8080",
            ),
            (
                self.coalesce.zip(self.max_lag).is_some_and(|(coalesce, max_lag)| coalesce > max_lag / 2),
                "--coalesce longer than half of --max-lag",
                "half of the time of --max-lag, or less: what is sent together would be dropped because it is late",
                "loadgen --rate=10000 --coalesce=1ms --max-lag=100ms localhost:8080",
            ),
        ] {
            if is_wrong {
                return Err(PlanError(Refusal::new(wrong, accepted, example)));
            }
        }
        Ok(())
    }
}

pub(super) fn read_stages(text: &str, warmup: Option<Duration>) -> Result<ReadStages, PlanError> {
    let refused = |why: &str| {
        let shown: String = text.chars().take(60).collect();
        let more = if shown.len() < text.len() { "..." } else { "" };
        refused_because(&accepted::STAGES, format!("{shown}{more}"), why)
    };
    let stages = stages::read(text).map_err(|why| refused(&why))?;
    let begins_at_zero = match &stages {
        ReadStages::Rates(stages) => stages.first().is_some_and(|first| first.from <= 0.0),
        ReadStages::Connections(stages) => stages.first().is_some_and(|first| first.from == 0),
    };
    if warmup.is_some() && begins_at_zero {
        return Err(refused("with --warmup, which is at the level of the beginning, that can't be 0"));
    }
    Ok(stages)
}

pub(super) fn name(text: &str) -> Result<String, PlanError> {
    if text.trim().is_empty() || text.len() > MAX_NAME || text.contains(char::is_control) {
        let shown: String = text.chars().take(60).collect();
        let more = if shown.len() < text.len() { "..." } else { "" };
        return Err(refused(&accepted::LOAD_NAME, format!("{shown}{more}")));
    }
    Ok(text.to_owned())
}

pub(super) fn start(time: Duration) -> Result<Duration, PlanError> {
    if time <= LONGEST_TIME {
        return Ok(time);
    }
    Err(refused(&accepted::START, contract::quantity::canonical(time)))
}

pub(super) fn rate(value: f64) -> Result<f64, PlanError> {
    if (MIN_RATE..=MAX_RATE).contains(&value) {
        return Ok(value);
    }
    Err(refused(&accepted::RATE, value))
}

pub(super) fn count(option: &Accepted, value: usize, max: usize) -> Result<NonZeroUsize, PlanError> {
    NonZeroUsize::new(value).filter(|value| value.get() <= max).ok_or_else(|| refused(option, value))
}

pub(super) fn total(value: u64) -> Result<u64, PlanError> {
    if (1..=MAX_TOTAL).contains(&value) {
        return Ok(value);
    }
    Err(refused(&accepted::TOTAL, value))
}

pub(super) fn longer_than_zero(option: &Accepted, value: Duration) -> Result<Duration, PlanError> {
    if !value.is_zero() && value <= LONGEST_TIME {
        return Ok(value);
    }
    Err(refused(option, contract::quantity::canonical(value)))
}

/// Checks `--timeout`: what takes too long is looked for every millisecond.
pub(super) fn timeout(time: Duration) -> Result<Duration, PlanError> {
    if time < SHORTEST_TIMEOUT {
        return Err(refused(&accepted::TIMEOUT, contract::quantity::canonical(time)));
    }
    longer_than_zero(&accepted::TIMEOUT, time)
}

/// Checks `--coalesce`.
pub(super) fn coalesce(time: Duration) -> Result<Duration, PlanError> {
    if time > LONGEST_COALESCE {
        return Err(refused(&accepted::COALESCE, contract::quantity::canonical(time)));
    }
    longer_than_zero(&accepted::COALESCE, time)
}
