//! The stages of a load, from text:
//!
//! ```text
//! stages = stage *("," stage)           at most 1000, together at most 8760h
//! stage  = time "@" level [".." level]  10s@100 is constant, 30s@100..1000 a ramp
//! level  = rate                         requests per second: 0, or 0.001 to 100000000 (open loop)
//!        | number "c"                   connections, 0 to 1000000 (closed loop)
//! ```
//!
//! All levels are of one kind.

use std::{fmt::Write as _, time::Duration};

use contract::quantity::{self, LONGEST_TIME};

use super::load::{MAX_IN_FLIGHT, MAX_RATE, MIN_RATE};
use crate::schedule::{ConnectionStage, Stage};

/// The maximum number of stages that are accepted.
pub const MAX_STAGES: usize = 1000;

/// Stages that were read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ReadStages {
    /// Of a rate.
    Rates(Vec<Stage>),
    /// Of connections.
    Connections(Vec<ConnectionStage>),
}

/// A stage as it was read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Read {
    Rate(Stage),
    Connections(ConnectionStage),
}

/// Reads stages.
///
/// # Errors
/// What is wrong with which stage.
pub(super) fn read(text: &str) -> Result<ReadStages, String> {
    let count = text.split(',').count();
    if count > MAX_STAGES {
        return Err(format!("{count} stages are more than {MAX_STAGES}"));
    }
    let (mut rates, mut connections) = (Vec::new(), Vec::new());
    let mut length = Duration::ZERO;
    for stage in text.split(',').map(str::trim) {
        length = length.saturating_add(match one(stage)? {
            Read::Rate(stage) => {
                rates.push(stage);
                stage.length
            }
            Read::Connections(stage) => {
                connections.push(stage);
                stage.length
            }
        });
    }
    if length > LONGEST_TIME {
        return Err("together they are longer than 8760h".to_owned());
    }
    match (rates.is_empty(), connections.is_empty()) {
        (false, false) => Err("some are rates and some are connections".to_owned()),
        (false, true) if rates.iter().all(|stage| stage.from <= 0.0 && stage.to <= 0.0) => {
            Err("the rate is 0 all the time".to_owned())
        }
        (false, true) => Ok(ReadStages::Rates(rates)),
        (true, _) if connections.iter().all(|stage| stage.from == 0 && stage.to == 0) => {
            Err("there are 0 connections all the time".to_owned())
        }
        (true, _) => Ok(ReadStages::Connections(connections)),
    }
}

fn one(text: &str) -> Result<Read, String> {
    let wrong = |what: &str| format!("{what} in '{}'", text.chars().take(40).collect::<String>());
    let (time, levels) = text.split_once('@').ok_or_else(|| wrong("no '@'"))?;
    let length = quantity::duration_or_seconds(time, LONGEST_TIME)
        .filter(|length| !length.is_zero())
        .ok_or_else(|| wrong("no time above 0 and up to 8760h before '@'"))?;
    let (from, to) = levels.split_once("..").unwrap_or((levels, levels));
    match (from.strip_suffix('c'), to.strip_suffix('c')) {
        (Some(from), Some(to)) => {
            let count = |text| quantity::count(text).and_then(|count| usize::try_from(count).ok());
            let level = |text| count(text).filter(|count| *count <= MAX_IN_FLIGHT);
            match (level(from), level(to)) {
                (Some(from), Some(to)) => Ok(Read::Connections(ConnectionStage { length, from, to })),
                _ => Err(wrong("no number of connections from 0 to 1000000")),
            }
        }
        (None, None) => {
            let level = |text| quantity::decimal_within(text, &(0.0..=MAX_RATE));
            let level = |text| level(text).filter(|rate| *rate <= 0.0 || *rate >= MIN_RATE);
            match (level(from), level(to)) {
                (Some(from), Some(to)) => Ok(Read::Rate(Stage { length, from, to })),
                _ => Err(wrong("no rate of 0 or from 0.001 to 100000000")),
            }
        }
        _ => Err(wrong("a rate and connections")),
    }
}

impl ReadStages {
    /// As text that is read as the same.
    pub(super) fn canonical(&self) -> String {
        let mut text = String::new();
        let mut add = |length: Duration, from: String, to: &str| {
            let comma = if text.is_empty() { "" } else { "," };
            let ramp = if from == to { String::new() } else { format!("..{to}") };
            // Writing to a string does not fail.
            let _ = write!(text, "{comma}{}@{from}{ramp}", quantity::canonical(length));
        };
        match self {
            Self::Rates(stages) => {
                stages
                    .iter()
                    .for_each(|stage| add(stage.length, stage.from.to_string(), &stage.to.to_string()));
            }
            Self::Connections(stages) => stages
                .iter()
                .for_each(|stage| add(stage.length, format!("{}c", stage.from), &format!("{}c", stage.to))),
        }
        text
    }

    /// How long all of them are.
    pub(super) fn length(&self) -> Duration {
        match self {
            Self::Rates(stages) => stages.iter().map(|stage| stage.length).sum(),
            Self::Connections(stages) => stages.iter().map(|stage| stage.length).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_and_shown_as_they_are_typed() {
        for text in [
            "10s@100,30s@100..1000,60s@1000",
            "1500ms@0,1s@0.5..0",
            "10s@10c,30s@10c..100c,5s@0c",
            "1ns@100000000",
            "31536000s@0.001",
            "1s@1000000c",
        ] {
            let stages = read(text).unwrap();
            assert_eq!(stages.canonical(), text);
            assert_eq!(read(&stages.canonical()), Ok(stages));
        }
        let stages = read(" 1m30s@1e3 , 2@5 ").unwrap();
        assert_eq!(stages.canonical(), "90s@1000,2s@5");
        assert_eq!(stages.length(), Duration::from_secs(92));
        let most = vec!["1s@1"; MAX_STAGES].join(",");
        assert!(read(&most).is_ok());
        assert!(read(&format!("{most},1s@1")).unwrap_err().contains("1001 stages are more than 1000"));
    }

    #[test]
    fn what_is_wrong_is_said_of_the_stage_in_which_it_is() {
        for (text, said) in [
            ("", "no '@' in ''"),
            ("10s@1,", "no '@' in ''"),
            ("10s", "no '@' in '10s'"),
            ("10s@1,@5", "no time above 0 and up to 8760h before '@' in '@5'"),
            ("0s@5", "no time above 0"),
            ("-1s@5", "no time above 0"),
            ("8760h@5,1ns@5", "together they are longer than 8760h"),
            ("9000h@5", "no time above 0 and up to 8760h"),
            ("1s@", "no rate of 0 or from 0.001"),
            ("1s@-5", "no rate"),
            ("1s@0.0001", "no rate"),
            ("1s@100000000.1", "no rate"),
            ("1s@NaN", "no rate"),
            ("1s@inf..1", "no rate"),
            ("1s@1..2..3", "no rate"),
            ("1s@1...", "no rate"),
            ("1s@5c..10", "a rate and connections in '1s@5c..10'"),
            ("1s@5,1s@5c", "some are rates and some are connections"),
            ("1s@1.5c", "no number of connections from 0 to 1000000"),
            ("1s@1000001c", "no number of connections"),
            ("1s@c", "no number of connections"),
            ("1s@0,5s@0", "the rate is 0 all the time"),
            ("1s@0c", "0 connections all the time"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
