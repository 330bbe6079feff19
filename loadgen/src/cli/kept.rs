//! `report` and `merge`: what is done with JSON reports that were kept.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use command_line::Refusal;

use super::{
    exit::{self, Exit},
    formats::{self, Format, ReportFile, ReportFiles, shown},
    output,
};
use crate::{plan::PlanError, report::Report, summary::Summary, verdict::Threshold};

/// What is done instead of a run.
#[derive(Clone, Debug, Subcommand)]
pub enum Kept {
    /// Print the report of a JSON report that was kept
    ///
    /// The exit code is that of the run: 130 if it was interrupted, 99 if a --threshold is crossed. No environment
    /// variables are read.
    Report(Shown),
    /// Merge JSON reports of runs that went on at the same time
    ///
    /// Shards of one run, from several machines or processes, with the same target, method, protocol and expected statuses:
    /// counts, times and rates add up, and the run took as long as the longest. The exit code is 0 if they could be merged.
    Merge(Merged),
}

/// `report`.
#[derive(Clone, Debug, Args)]
pub struct Shown {
    /// JSON report, as of --report=run.json
    file: Option<PathBuf>,

    /// Format of the report
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,

    /// Also write the report to a file: .json, .md, .csv or .txt
    #[arg(long = "report", value_name = "FILE")]
    reports: Vec<ReportFile>,

    /// Exit with 99 unless this holds, like 'p(99)<200ms'
    #[arg(long = "threshold", value_name = "BOUND")]
    thresholds: Vec<Threshold>,
}

/// `merge`.
#[derive(Clone, Debug, Args)]
pub struct Merged {
    /// JSON reports, two or more
    files: Vec<PathBuf>,

    /// Format of the report
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Json)]
    output: Format,
}

impl Kept {
    /// Does it, and writes to `out`.
    pub(super) fn carry_out(&self, out: &mut dyn Write) -> anyhow::Result<Exit> {
        match self {
            Self::Report(shown) => shown.carry_out(out),
            Self::Merge(merged) => merged.carry_out(out),
        }
    }
}

impl Shown {
    fn carry_out(&self, out: &mut dyn Write) -> anyhow::Result<Exit> {
        let Some(file) = &self.file else {
            return Err(refused("no file", "a JSON report of loadgen", "loadgen report run.json"));
        };
        let summary = read(file)?;
        let judged: Vec<_> = self.thresholds.iter().map(|threshold| threshold.judge(&summary)).collect();
        let report = Report { summary: &summary, judged: &judged };
        ReportFiles::create(&self.reports)?.write(report)?;
        let format = formats::printed(self.output, &self.reports);
        shown(formats::write(report, format, output::style(), out))?;
        Ok(exit::of_run(&summary, &judged, &[], false))
    }
}

impl Merged {
    fn carry_out(&self, out: &mut dyn Write) -> anyhow::Result<Exit> {
        const ACCEPTED: &str = "two or more JSON reports of loadgen with the same target, method, protocol and expected \
                                statuses";
        const EXAMPLE: &str = "loadgen merge a.json b.json";
        let [first, others @ ..] = self.files.as_slice() else {
            return Err(refused("no files", ACCEPTED, EXAMPLE));
        };
        if others.is_empty() {
            return Err(refused("only one file", ACCEPTED, EXAMPLE));
        }
        let mut merged = read(first)?;
        for file in others {
            if let Err(differs) = merged.merge(&read(file)?) {
                let wrong = format!("can't merge {} and {}", first.display(), file.display());
                return Err(
                    PlanError(Refusal::new(wrong, ACCEPTED, EXAMPLE).because(differs.to_string())).into()
                );
            }
            anyhow::ensure!(
                merged.is_plausible(),
                "can't merge {}: more than any run counts",
                file.display()
            );
        }
        shown(formats::write((&merged).into(), self.output, output::style(), out))?;
        Ok(Exit::Done)
    }
}

fn refused(wrong: &str, accepted: &str, example: &str) -> anyhow::Error {
    PlanError(Refusal::new(wrong, accepted, example)).into()
}

fn read(path: &Path) -> anyhow::Result<Summary> {
    let cannot = || format!("can't read the report {}", path.display());
    let mut file = File::open(path).with_context(cannot)?;
    Summary::read(&mut file).with_context(cannot)
}
