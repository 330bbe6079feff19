//! What happened within each interval, and other parts of the run.

use serde::Serialize;

use super::times::micros;
use crate::{recorder, summary::Summary};

#[derive(Serialize)]
pub(super) struct JsonInterval {
    start_seconds: f64,
    offered: u64,
    unsuccessful: u64,
    completed: u64,
    errors: u64,
    response_p50_us: Option<f64>,
    response_p99_us: Option<f64>,
    response_max_us: Option<f64>,
}

pub(super) fn intervals(summary: &Summary) -> Vec<JsonInterval> {
    let width = summary.records.intervals.width() as f64 / 1e9;
    let interval = |(index, interval): (usize, &recorder::Interval)| {
        let response = Some(&interval.response).filter(|response| !response.is_empty());
        JsonInterval {
            start_seconds: index as f64 * width,
            offered: interval.offered,
            unsuccessful: interval.unsuccessful,
            completed: interval.completed,
            errors: interval.errors,
            response_p50_us: response.map(|response| micros(response.value_at_quantile(0.5))),
            response_p99_us: response.map(|response| micros(response.value_at_quantile(0.99))),
            response_max_us: response.map(|response| micros(response.max())),
        }
    };
    summary.records.intervals.iter().enumerate().map(interval).collect()
}

/// A part of the run.
#[derive(Serialize)]
pub(super) struct JsonSpan {
    start_seconds: f64,
    seconds: f64,
}

impl From<recorder::Span> for JsonSpan {
    fn from(span: recorder::Span) -> Self {
        Self { start_seconds: span.start as f64 / 1e9, seconds: span.length as f64 / 1e9 }
    }
}
