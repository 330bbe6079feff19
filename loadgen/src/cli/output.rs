//! What is done around a run: what is waited for, what is shown, and where.

use std::{io::IsTerminal as _, num::NonZeroU32, time::Duration};

use super::{
    adapters::Keeping,
    args::Args,
    during::During,
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
    /// What its histogram spans.
    pub(super) normalization: Option<NonZeroU32>,
    /// How text looks.
    pub(super) style: Style,
    /// What is run meanwhile.
    pub(super) during: Option<During>,
    /// Whether nothing may happen to any request.
    pub(super) zero_loss: bool,
    /// How many rounds are run.
    pub(super) rounds: usize,
    /// Whether one exchange is printed instead of a run.
    pub(super) once: bool,
    /// Whether its body is shown as it was before it was compressed.
    pub(super) decodes: bool,
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
            normalization: NonZeroU32::new(args.nf),
            style: style(),
            during: args.during.clone().map(|command| During { command, around: args.around }),
            zero_loss: args.zero_loss,
            rounds: args.repeat,
            once: args.once,
            decodes: args.compressed,
        }
    }
}

impl Output {
    /// Of a run by another command line.
    pub(super) fn of(format: Format, kept: &Keeping, normalization: Option<NonZeroU32>) -> Self {
        Self {
            wait_for_target: None,
            format: formats::printed(format, &kept.reports),
            reports: kept.reports.clone(),
            progress: !kept.no_progress,
            fail_on: Vec::new(),
            thresholds: Vec::new(),
            abort_on: Vec::new(),
            labels: Vec::new(),
            detail: Detail::Short,
            normalization,
            style: style(),
            during: None,
            zero_loss: false,
            rounds: 1,
            once: false,
            decodes: false,
        }
    }
}

/// Coloured where standard output is a terminal, unless the user has asked for no colour (no-color.org).
pub(super) fn style() -> Style {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if !is_refused && std::io::stdout().is_terminal() { Style::Coloured } else { Style::Plain }
}
