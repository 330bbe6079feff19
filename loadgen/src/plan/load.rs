//! How much is sent, how fast, for how long, and within which limits.

use std::{num::NonZeroUsize, time::Duration};

use command_line::Accepted;
use contract::quantity::LONGEST_TIME;

use super::{
    Lifetime, PlanError, Protocol, Target,
    accepted::{self, refused},
};
use crate::schedule::{Arrivals, Constant};

/// How long a run lasts when neither a total nor a duration is given.
pub const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// The lowest rate that is accepted, in requests per second.
pub const MIN_RATE: f64 = 0.001;

/// The highest rate that is accepted, in requests per second.
pub const MAX_RATE: f64 = 100_000_000.0;

/// The highest total that is accepted.
pub const MAX_TOTAL: u64 = 1_000_000_000_000_000;

/// The most connections, and the most in flight, that are accepted.
pub const MAX_IN_FLIGHT: usize = 1_000_000;

/// The most streams on a connection that are accepted.
pub const MAX_STREAMS: usize = 100_000;

/// Requests at once, connections to begin with, and streams on each, unless other numbers are given.
pub const DEFAULT_MAX_IN_FLIGHT: usize = 10_000;
/// See [`DEFAULT_MAX_IN_FLIGHT`].
pub const DEFAULT_CONNECTIONS: usize = 10;
/// See [`DEFAULT_MAX_IN_FLIGHT`].
pub const DEFAULT_STREAMS: usize = 10;

/// How long a request may take, unless another time is given.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may take to open, unless another time is given.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What becomes of a request that is due when no more may be in flight.
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
    /// By a schedule, whatever becomes of them.
    Open {
        /// When they are due.
        arrivals: Arrivals,
        /// Of one that is due beyond the limit.
        on_overload: OnOverload,
    },
    /// Whenever a slot is free.
    Closed,
}

/// How much is sent, and within which limits.
#[derive(Clone, Debug)]
pub struct Load {
    /// How requests come to be due.
    pub shape: Shape,
    /// Exactly this many requests.
    pub total: Option<u64>,
    /// No request is due after this.
    pub duration: Option<Duration>,
    /// Connections to begin with.
    pub connections: NonZeroUsize,
    /// Connections at most.
    pub max_connections: NonZeroUsize,
    /// The same if HTTP/1.1 is spoken.
    pub(super) http1_connections: NonZeroUsize,
    /// Requests at once on a connection.
    pub streams: NonZeroUsize,
    /// Requests at once in the whole run.
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
            Shape::Closed => None,
        }
    }

    /// How long requests are to become due, if they do so by a schedule.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        self.arrivals()?.window()
    }

    pub(super) fn new(target: &Target, wanted: &Wanted, lifetime: &Lifetime) -> Result<Self, PlanError> {
        let connections = count(&accepted::CONNECTIONS, wanted.connections, MAX_IN_FLIGHT)?;
        let max_in_flight = count(&accepted::MAX_IN_FLIGHT, wanted.max_in_flight, MAX_IN_FLIGHT)?;
        let streams = count(&accepted::STREAMS, wanted.streams, MAX_STREAMS)?;
        // A connection never has more requests at once than in all.
        let streams = match lifetime.requests.and_then(|most| NonZeroUsize::try_from(most).ok()) {
            Some(most) => streams.min(most),
            None => streams,
        };
        let grows = wanted.rate.is_some() && !wanted.fixed_connections;
        let total = wanted.total.map(total).transpose()?;
        let duration = match (total, wanted.duration) {
            (None, None) => Some(DEFAULT_DURATION),
            (_, given) => given.map(|time| longer_than_zero(&accepted::DURATION, time)).transpose()?,
        };
        let shape = match wanted.rate.map(rate).transpose()? {
            None => Shape::Closed,
            Some(rate) => Shape::Open {
                arrivals: Arrivals::Constant(Constant::new(rate, total, duration)),
                on_overload: wanted.on_overload,
            },
        };
        let mut load = Self {
            shape,
            total,
            duration,
            connections,
            max_connections: connections,
            http1_connections: if grows { max_in_flight.max(connections) } else { connections },
            streams,
            max_in_flight,
            timeout: longer_than_zero(&accepted::TIMEOUT, wanted.timeout)?,
            connect_timeout: longer_than_zero(&accepted::CONNECT_TIMEOUT, wanted.connect_timeout)?,
        };
        load.speak(target.protocol);
        Ok(load)
    }

    /// This is spoken: HTTP/1.1 has a request at once on a connection, and may open more connections.
    pub(super) fn speak(&mut self, protocol: Protocol) {
        if protocol == Protocol::Http1 {
            (self.max_connections, self.streams) = (self.http1_connections, NonZeroUsize::MIN);
        }
    }

    pub(super) fn for_one_exchange(self) -> Self {
        Self {
            shape: Shape::Closed,
            total: Some(1),
            duration: None,
            connections: NonZeroUsize::MIN,
            max_connections: NonZeroUsize::MIN,
            http1_connections: NonZeroUsize::MIN,
            streams: NonZeroUsize::MIN,
            ..self
        }
    }
}

/// What is wanted, before it is checked.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) rate: Option<f64>,
    pub(super) on_overload: OnOverload,
    pub(super) total: Option<u64>,
    pub(super) duration: Option<Duration>,
    pub(super) max_in_flight: usize,
    pub(super) connections: usize,
    pub(super) fixed_connections: bool,
    pub(super) streams: usize,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            rate: None,
            on_overload: OnOverload::default(),
            total: None,
            duration: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            connections: DEFAULT_CONNECTIONS,
            fixed_connections: false,
            streams: DEFAULT_STREAMS,
            timeout: DEFAULT_TIMEOUT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        }
    }
}

fn rate(value: f64) -> Result<f64, PlanError> {
    if (MIN_RATE..=MAX_RATE).contains(&value) {
        return Ok(value);
    }
    Err(refused(&accepted::RATE, value))
}

fn count(option: &Accepted, value: usize, max: usize) -> Result<NonZeroUsize, PlanError> {
    NonZeroUsize::new(value).filter(|value| value.get() <= max).ok_or_else(|| refused(option, value))
}

fn total(value: u64) -> Result<u64, PlanError> {
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

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::{cli::Args, plan::Plan};

    fn load(line: &str) -> Result<Load, String> {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        let plan = Plan::try_from(&Args::try_parse_from(words).unwrap());
        plan.map(|plan| plan.load).map_err(|error| error.to_string())
    }

    #[test]
    fn without_an_end_a_run_lasts_ten_seconds() {
        assert_eq!(load("a:1").unwrap().duration, Some(DEFAULT_DURATION));
        assert_eq!(load("-t 5 a:1").unwrap().duration, None);
        let both = load("-n 5 -d 2m a:1").unwrap();
        assert_eq!((both.total, both.duration), (Some(5), Some(Duration::from_secs(120))));
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
            ("timeout", ["1ns", "31536000"], ["0s", "8760h1ns"], "(above 0, up to 8760h)"),
            ("connect-timeout", ["1ns", "8760h"], ["0", "8761h"], "(above 0, up to 8760h)"),
        ] {
            let command = Args::command();
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(option)).unwrap();
            let help = arg.get_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(documented), "--{option}: {help}");
            for value in accepted {
                let read = load(&format!("--{option}={value} a:1"));
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
    fn numbers_out_of_range_are_refused_with_the_range() {
        for (line, said) in [
            ("-r 0 a:1", "from 0.001 to 100000000"),
            ("-r 1e300 a:1", "from 0.001 to 100000000"),
            ("-r 1e-12 -t 3 a:1", "from 0.001 to 100000000"),
            ("-t 0 a:1", "from 1 to 1000000000000000;"),
            ("-c 0 a:1", "from 1 to 1000000;"),
            ("-m 0 a:1", "from 1 to 100000;"),
            ("-d 0 a:1", "a time above 0"),
            ("--timeout 0s a:1", "a time above 0"),
        ] {
            assert!(load(line).unwrap_err().contains(said), "{line}");
        }
    }
}
