//! What is shown of a run, and where.

use std::path::PathBuf;

use super::args::{Args, Format};

/// What is shown of a run, and where.
#[derive(Clone, Debug)]
pub struct Output {
    /// What is printed at the end.
    pub format: Format,
    /// Where the JSON report is also written.
    pub report: Option<PathBuf>,
    /// Whether progress is shown.
    pub progress: bool,
    /// Whether errors make the exit code 3.
    pub fail_on_error: bool,
    /// Whether one exchange is printed instead of a run.
    pub once: bool,
}

impl From<&Args> for Output {
    fn from(args: &Args) -> Self {
        Self {
            format: args.output,
            report: args.report.clone(),
            progress: !args.no_progress,
            fail_on_error: args.fail_on_error,
            once: args.once,
        }
    }
}
