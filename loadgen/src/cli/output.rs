//! What is done around a run: what is waited for, what is shown, and where.

use std::{path::PathBuf, time::Duration};

use super::args::{Args, Format};

/// What is done around a run.
#[derive(Clone, Debug)]
pub(super) struct Output {
    /// How long the target is waited for before the run.
    pub(super) wait_for_target: Option<Duration>,
    /// What is printed at the end.
    pub(super) format: Format,
    /// Where the JSON report is also written.
    pub(super) report: Option<PathBuf>,
    /// Whether progress is shown.
    pub(super) progress: bool,
    /// Whether errors make the exit code 3.
    pub(super) fail_on_error: bool,
    /// Whether one exchange is printed instead of a run.
    pub(super) once: bool,
}

impl From<&Args> for Output {
    fn from(args: &Args) -> Self {
        Self {
            wait_for_target: Some(args.wait_for_target).filter(|wait| !wait.is_zero()),
            format: args.output,
            report: args.report.clone(),
            progress: !args.no_progress,
            fail_on_error: args.fail_on_error,
            once: args.once,
        }
    }
}
