//! What a command did to requests, as JSON.

use serde::Serialize;

use crate::{recorder::PhaseFigures, summary::Summary};

/// What it did.
#[derive(Serialize)]
pub(super) struct JsonDuring<'a> {
    command: &'a str,
    code: Option<i32>,
    from_seconds: f64,
    to_seconds: f64,
    outlasted_load_seconds: f64,
    recovered: bool,
    first_unsuccessful_seconds: Option<f64>,
    last_unsuccessful_seconds: Option<f64>,
    recovery_seconds: f64,
    longest_stall_seconds: Option<f64>,
    before: JsonPhase,
    during: JsonPhase,
    after: JsonPhase,
}

/// Requests that were due in a part of the run.
#[derive(Serialize)]
struct JsonPhase {
    succeeded: u64,
    unsuccessful: u64,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    longest_us: Option<f64>,
}

impl<'a> JsonDuring<'a> {
    /// None where no command ran.
    pub(super) fn of(summary: &'a Summary) -> Option<Self> {
        let (happened, phases) = (summary.happened.as_deref()?, summary.records.phases.as_deref()?);
        let [before, during, after] = phases.figures.each_ref().map(JsonPhase::of);
        let seconds = |time: u64| time as f64 / 1e9;
        let to = happened.to.as_secs_f64();
        let last = phases.unsuccessful.map(|(_, last)| seconds(last));
        Some(Self {
            command: &happened.command,
            code: happened.code,
            from_seconds: happened.from.as_secs_f64(),
            to_seconds: to,
            outlasted_load_seconds: summary.outlasted_by().unwrap_or_default().as_secs_f64(),
            // What was due after it and never sent has not succeeded.
            recovered: happened.recovered && !(phases.is_silent() && summary.not_sent() > 0),
            first_unsuccessful_seconds: phases.unsuccessful.map(|(first, _)| seconds(first)),
            last_unsuccessful_seconds: last,
            recovery_seconds: last.map_or(0.0, |last| (last - to).max(0.0)),
            longest_stall_seconds: summary.notable_stall().map(|stall| seconds(stall.length)),
            before,
            during,
            after,
        })
    }
}

impl JsonPhase {
    fn of(figures: &PhaseFigures) -> Self {
        let at = |quantile| {
            let response = &figures.response;
            (!response.is_empty()).then(|| response.value_at_quantile(quantile) as f64 / 1e3)
        };
        Self {
            succeeded: figures.succeeded,
            unsuccessful: figures.unsuccessful,
            p50_us: at(0.5),
            p99_us: at(0.99),
            longest_us: at(1.0),
        }
    }
}
