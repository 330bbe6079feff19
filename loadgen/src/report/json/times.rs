//! Times, in microseconds, and their histograms.

use std::{collections::BTreeMap, io};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Serializer as _, V2Serializer},
};
use serde::Serialize;

use crate::{
    recorder,
    summary::{MeanParts, Summary},
    verdict::Time,
};

/// Percentiles over all offered requests.
#[derive(Serialize)]
pub(super) struct Offered {
    p50: JsonPercentile,
    p75: JsonPercentile,
    p90: JsonPercentile,
    p95: JsonPercentile,
    p99: JsonPercentile,
    p99_9: JsonPercentile,
}

#[derive(Serialize)]
struct JsonPercentile {
    /// As it was, or how long the request of this rank took at least.
    response: f64,
    /// Without what loadgen itself may have delayed; none if the request of this rank did not succeed.
    without_own_delay: Option<f64>,
    /// Whether the request of this rank did not succeed.
    at_least: bool,
    n_too_small: bool,
}

impl Offered {
    pub(super) fn of(summary: &Summary) -> Option<Self> {
        let at = |quantile: f64| {
            let found = summary.percentile(quantile)?;
            let (response, without_own_delay) = match found.time {
                Time::Band { response, undelayed } => (response, Some(micros(undelayed))),
                Time::AtLeast(at_least) => (at_least, None),
            };
            Some(JsonPercentile {
                response: micros(response),
                without_own_delay,
                at_least: without_own_delay.is_none(),
                n_too_small: found.is_n_too_small,
            })
        };
        Some(Self {
            p50: at(0.5)?,
            p75: at(0.75)?,
            p90: at(0.9)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
            p99_9: at(0.999)?,
        })
    }
}

#[derive(Serialize)]
pub(super) struct JsonTimes {
    min: f64,
    mean: f64,
    p50: f64,
    p75: f64,
    p90: f64,
    p95: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl JsonTimes {
    pub(super) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        Some(Self {
            min: micros(histogram.min()),
            mean: (histogram.mean()).round() / 1e3,
            p50: at(0.5),
            p75: at(0.75),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            max: micros(histogram.max()),
        })
    }
}

pub(super) fn by_class(summary: &Summary) -> BTreeMap<String, JsonTimes> {
    (1..=5)
        .filter_map(|class| Some((format!("{class}xx"), JsonTimes::of(summary.times_of_class(class))?)))
        .collect()
}

/// Where the time went, on average.
#[derive(Serialize)]
pub(super) struct MeanTime {
    lag: f64,
    wait: f64,
    service: f64,
}

impl From<MeanParts> for MeanTime {
    fn from(parts: MeanParts) -> Self {
        Self { lag: parts.lag / 1e3, wait: parts.wait / 1e3, service: parts.service / 1e3 }
    }
}

/// HDR V2, base64; values are nanoseconds.
#[derive(Serialize)]
pub(super) struct Histograms {
    response_time_ns: String,
    response_time_without_own_delay_ns: String,
    unsuccessful_ns: String,
    service_time_ns: String,
    wait_time_ns: String,
    release_lag_ns: String,
}

impl Histograms {
    pub(super) fn of(times: &recorder::Times) -> io::Result<Self> {
        Ok(Self {
            response_time_ns: encoded(&times.response)?,
            response_time_without_own_delay_ns: encoded(&times.undelayed)?,
            unsuccessful_ns: encoded(&times.unsuccessful)?,
            service_time_ns: encoded(&times.service)?,
            wait_time_ns: encoded(&times.wait)?,
            release_lag_ns: encoded(&times.lag)?,
        })
    }
}

pub(super) fn encoded(histogram: &Histogram<u64>) -> io::Result<String> {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(histogram, &mut bytes).map_err(io::Error::other)?;
    Ok(STANDARD.encode(bytes))
}

pub(super) fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}
