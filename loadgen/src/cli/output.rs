//! What is done around a run: what is waited for, what is shown, and where.

use std::{io::IsTerminal as _, time::Duration};

use super::{
    args::Args,
    exit::{self, FailOn},
    formats::{self, Format, ReportFile},
};
use crate::{
    report::{Detail, text::Style},
    verdict::Threshold,
};

/// What is done around a run.
#[derive(Clone, Debug)]
pub(super) struct Output {
    /// How long the target is waited for before the run.
    pub(super) wait_for_target: Option<Duration>,
    /// What is printed at the end.
    pub(super) format: Format,
    /// Where reports are also written.
    pub(super) reports: Vec<ReportFile>,
    /// Whether progress is shown.
    pub(super) progress: bool,
    /// What makes the exit code 3.
    pub(super) fail_on: Vec<FailOn>,
    /// What the run is held against at its end.
    pub(super) thresholds: Vec<Threshold>,
    /// What ends the run early; judged at its end as well.
    pub(super) abort_on: Vec<Threshold>,
    /// What the user says of the run.
    pub(super) labels: Vec<(String, String)>,
    /// How much of it people see.
    pub(super) detail: Detail,
    /// How text looks.
    pub(super) style: Style,
    /// How many rounds are run.
    pub(super) rounds: usize,
    /// Whether one exchange is printed instead of a run.
    pub(super) once: bool,
}

impl From<&Args> for Output {
    fn from(args: &Args) -> Self {
        let errors: &[FailOn] = if args.fail_on_error { &exit::ERRORS } else { &[] };
        Self {
            wait_for_target: Some(args.wait_for_target).filter(|wait| !wait.is_zero()),
            format: formats::printed(args.output, &args.reports),
            reports: args.reports.clone(),
            progress: !args.no_progress,
            fail_on: args.fail_on.iter().copied().chain(errors.iter().copied()).collect(),
            thresholds: args.thresholds.iter().chain(&args.abort_on).cloned().collect(),
            abort_on: args.abort_on.clone(),
            labels: args.labels.clone(),
            detail: args.detail.into(),
            style: style(),
            rounds: args.repeat,
            once: args.once,
        }
    }
}

/// Coloured where standard output is a terminal, and nobody has asked for no colour (no-color.org).
pub(super) fn style() -> Style {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if !is_refused && std::io::stdout().is_terminal() { Style::Coloured } else { Style::Plain }
}
