//! Writes what came of a run, for people or for programs. Each form is `write(&Report, &mut dyn Write)`.

pub mod json;
pub mod text;

use crate::{summary::Summary, verdict::Judged};

/// What is reported of.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The run.
    pub summary: &'a Summary,
    /// The thresholds that it was held against.
    pub judged: &'a [Judged],
}

impl<'a> From<&'a Summary> for Report<'a> {
    /// Without thresholds.
    fn from(summary: &'a Summary) -> Self {
        Self { summary, judged: &[] }
    }
}
