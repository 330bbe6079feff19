//! How values of options are read, and those that have names.

use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use contract::quantity::{self, LONGEST_TIME};
use transport::proxy_protocol::HeaderVersion;

use crate::{
    outcome::ExpectedStatus,
    plan::{OnOverload, Retry},
    summary::MAX_ROUNDS,
    verdict::Threshold,
};

/// The largest `--nf`.
const MAX_NF: u32 = 1_000_000;

/// `--tls-min-version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TlsVersion {
    /// RFC 5246.
    #[value(name = "1.2")]
    V1_2,
    /// RFC 8446.
    #[value(name = "1.3")]
    V1_3,
}

/// `--grpc-encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum GrpcEncoding {
    /// As they are.
    Identity,
    /// RFC 1952.
    Gzip,
}

/// `--repeat`.
pub(super) fn rounds(text: &str) -> Result<usize, String> {
    let rounds = whole::<usize>(text)?;
    if (1..=MAX_ROUNDS).contains(&rounds) { Ok(rounds) } else { Err(format!("not from 1 to {MAX_ROUNDS}")) }
}

/// `--label`.
pub(super) fn label(text: &str) -> Result<(String, String), &'static str> {
    let is_printable = text.len() <= 4096 && !text.contains(char::is_control);
    let label = text.split_once('=').filter(|(name, _)| is_printable && !name.is_empty());
    label.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or("no name=value")
}

/// `--expect-status`: those beside 2xx and OK.
pub(super) fn expect_status(text: &str) -> Result<ExpectedStatus, String> {
    ExpectedStatus::default().with(text)
}

/// `--abort-on`: a threshold that can be judged while a run goes on.
pub(super) fn abort_on(text: &str) -> Result<Threshold, String> {
    let threshold: Threshold = text.parse()?;
    if threshold.can_abort() { Ok(threshold) } else { Err("it is known at the end alone".to_owned()) }
}

/// `--on-overload`.
pub(super) fn on_overload() -> impl TypedValueParser<Value = OnOverload> {
    let values = [PossibleValue::new("queue"), PossibleValue::new("drop")];
    let read = |value: String| if value == "drop" { OnOverload::Drop } else { OnOverload::Queue };
    PossibleValuesParser::new(values).map(read)
}

/// `--proxy-protocol`.
pub(super) fn proxy_protocol() -> impl TypedValueParser<Value = HeaderVersion> {
    let values = ["v1", "v2"].map(PossibleValue::new);
    PossibleValuesParser::new(values)
        .map(|value| if value == "v1" { HeaderVersion::V1 } else { HeaderVersion::V2 })
}

/// `--retry`.
pub(super) fn retry() -> impl TypedValueParser<Value = Retry> {
    let values = ["none", "safe", "idempotent"].map(PossibleValue::new);
    PossibleValuesParser::new(values).map(|value| match value.as_str() {
        "none" => Retry::None,
        "idempotent" => Retry::Idempotent,
        _ => Retry::Safe,
    })
}

// What these refuse is worded by `plan::accepted`.

pub(super) fn rate(text: &str) -> Result<f64, &'static str> {
    quantity::decimal_within(text, &(0.0..=f64::MAX)).ok_or("a number")
}

pub(super) fn whole<N: TryFrom<u64>>(text: &str) -> Result<N, &'static str> {
    quantity::count(text).and_then(|number| N::try_from(number).ok()).ok_or("a whole number")
}

/// `--around`: above 0, up to an hour.
pub(super) fn around(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(3600);
    let time = quantity::duration_or_seconds(text, LONGEST).filter(|time| !time.is_zero());
    time.ok_or_else(|| {
        format!("invalid value '{}'; accepted: a time above 0, up to 1h; example: 5s", text.escape_debug())
    })
}

/// Reads `2x`, `0.5x` or `2`.
pub(super) fn speed(text: &str) -> Result<f64, &'static str> {
    quantity::decimal_within(text.strip_suffix('x').unwrap_or(text), &(0.0..=f64::MAX)).ok_or("a multiple")
}

/// Reads `512`, `64K`, `1M`.
pub(super) fn size(text: &str) -> Result<u64, &'static str> {
    quantity::size(text).ok_or("a size")
}

/// `--nf`: 0, or how many times the shortest time.
pub(super) fn normalization(text: &str) -> Result<u32, &'static str> {
    whole::<u32>(text).ok().filter(|factor| *factor == 0 || (2..=MAX_NF).contains(factor)).ok_or("a factor")
}

/// The same as [`time`], above 0: refused here, it is shown as it was typed.
pub(super) fn positive_time(text: &str) -> Result<Duration, &'static str> {
    time(text).and_then(|time| if time.is_zero() { Err("a time above 0") } else { Ok(time) })
}

/// Reads `500ms`, `1m30s`, `1.5s`, or a number of seconds.
pub(super) fn time(text: &str) -> Result<Duration, &'static str> {
    quantity::duration_or_seconds(text, LONGEST_TIME).ok_or("a time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_type_them() {
        for (text, millis) in
            [("500ms", 500), ("10s", 10_000), ("1m30s", 90_000), ("2", 2_000), ("0.25", 250)]
        {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "-1s", "ten", "5 parsecs", "NaN"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
