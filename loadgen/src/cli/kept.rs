//! `report`, `merge` and `diff`: what is done with JSON reports that were kept.

use std::{
    io::Write,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use command_line::Refusal;
use contract::quantity;

use super::{
    args::normalization,
    conclude::{Ended, View, conclude},
    exit::Exit,
    formats::{self, DetailWord, Format, ReportFile, ReportFiles, shown},
    output,
};
use crate::{
    plan::PlanError,
    report::diff::Diff,
    summary::{KeptReport, Rounds, Summary},
    verdict::{Threshold, change::Conclusion},
};

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
    /// counts, times and rates add up, laid over each other by the clock on the wall. The exit code is 0 if they could be merged.
    Merge(Merged),
    /// Compare new rounds with old ones
    ///
    /// Two JSON reports of runs with --repeat, 4 rounds or more each: the change of each figure with its 95% interval. With
    /// --fail-on-regression the exit code is 99 if a figure is worse by more, and 4 if the rounds can't tell.
    Diff(Compared),
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

    /// How much text and Markdown show: short or long
    #[arg(long, value_enum, value_name = "DETAIL", default_value_t = DetailWord::Short, hide_possible_values = true)]
    detail: DetailWord,

    /// Limit the histogram to N times the shortest time
    #[arg(long, value_name = "N", default_value = "0", value_parser = normalization, hide_default_value = true)]
    nf: u32,

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

/// `diff`.
#[derive(Clone, Debug, Args)]
pub struct Compared {
    /// Two JSON reports: old and new
    files: Vec<PathBuf>,

    /// Exit with 99 if a figure is worse by more than this, like 5%
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    fail_on_regression: Option<f64>,

    /// Format: text, json or markdown
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text, hide_possible_values = true)]
    output: Format,
}

/// `--fail-on-regression`.
fn share(text: &str) -> Result<f64, &'static str> {
    share_within(text, 0.0, 10.0)
}

/// `5%` or `0.05`, as a share.
pub(super) fn share_within(text: &str, least: f64, most: f64) -> Result<f64, &'static str> {
    let share = match text.strip_suffix('%') {
        Some(percent) => quantity::decimal_within(percent, &(0.0..=1000.0)).map(|percent| percent / 100.0),
        None => quantity::decimal_within(text, &(0.0..=10.0)),
    };
    share.filter(|share| (least..=most).contains(share)).ok_or("no share")
}

impl Kept {
    /// Does it, and writes to `out`.
    pub(super) fn carry_out(&self, out: &mut dyn Write) -> anyhow::Result<Exit> {
        match self {
            Self::Report(shown) => shown.carry_out(out),
            Self::Merge(merged) => merged.carry_out(out),
            Self::Diff(compared) => compared.carry_out(out),
        }
    }
}

impl Shown {
    fn carry_out(&self, out: &mut dyn Write) -> anyhow::Result<Exit> {
        let Some(file) = &self.file else {
            return Err(refused("no file", "a JSON report of loadgen", "loadgen report run.json"));
        };
        let kept = read(file)?;
        let summaries = match &kept {
            KeptReport::Rounds(rounds) => rounds.as_slice(),
            KeptReport::Loads(loads) => loads.as_slice(),
        };
        let ended = |summary| Ended { summary, is_aborted: false, has_lost: false, thresholds: &[] };
        let ended: Vec<_> = summaries.iter().map(ended).collect();
        let view = View { detail: self.detail.into(), normalization: NonZeroU32::new(self.nf) };
        conclude(&ended, &self.thresholds, &[], view, |reports| {
            let format = formats::printed(self.output, &self.reports);
            let print = || formats::write(reports, format, output::style(), out);
            ReportFiles::create(&self.reports)?.write(reports, print)
        })
    }
}

impl Compared {
    fn carry_out(&self, out: &mut dyn Write) -> anyhow::Result<Exit> {
        const ACCEPTED: &str = "two JSON reports of loadgen, the old one first";
        const EXAMPLE: &str = "loadgen diff old.json new.json --fail-on-regression=5%";
        let [old, new] = self.files.as_slice() else {
            let wrong = match self.files.len() {
                0 => "no files".to_owned(),
                1 => "only one file".to_owned(),
                several => format!("{several} files"),
            };
            return Err(refused(&wrong, ACCEPTED, EXAMPLE));
        };
        let (old, new) = (read_rounds(old, EXAMPLE)?, read_rounds(new, EXAMPLE)?);
        let diff = Diff::new(old.as_slice(), new.as_slice(), self.fail_on_regression);
        shown(match self.output {
            Format::Text => diff.text(out),
            Format::Json => diff.json(out),
            Format::Markdown => diff.markdown(out),
            Format::Csv => {
                let accepted = "text, json or markdown";
                return Err(refused(
                    "'csv' for --output of diff",
                    accepted,
                    "loadgen diff -o json old.json new.json",
                ));
            }
        })?;
        if self.fail_on_regression.is_none() {
            return Ok(Exit::Done);
        }
        let is_any = |conclusion| diff.changes.iter().any(|change| change.conclusion == conclusion);
        Ok(match () {
            () if is_any(Conclusion::Worse) => Exit::Crossed,
            () if is_any(Conclusion::CannotTell) => Exit::NotJudged,
            () => Exit::Done,
        })
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
        let mut merged = read_one(first)?;
        for file in others {
            if let Err(differs) = merged.merge(&read_one(file)?) {
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
        shown(formats::write(&[(&merged).into()], self.output, output::style(), out))?;
        Ok(Exit::Done)
    }
}

fn refused(wrong: &str, accepted: &str, example: &str) -> anyhow::Error {
    PlanError(Refusal::new(wrong, accepted, example)).into()
}

/// The report of one run.
fn read_one(path: &Path) -> anyhow::Result<Summary> {
    const EXAMPLE: &str = "loadgen merge a.json b.json";
    let rounds = read_rounds(path, EXAMPLE)?;
    let several = format!("{} has {} rounds", path.display(), rounds.as_slice().len());
    rounds.into_one().ok_or_else(|| refused(&several, "reports of runs without --repeat", EXAMPLE))
}

/// The report of one run, or of its rounds.
fn read_rounds(path: &Path, example: &str) -> anyhow::Result<Rounds> {
    match read(path)? {
        KeptReport::Rounds(rounds) => Ok(rounds),
        KeptReport::Loads(loads) => {
            let wrong = format!("{} has {} loads", path.display(), loads.as_slice().len());
            let accepted = "reports of runs with one load; loadgen report shows one of several";
            Err(refused(&wrong, accepted, example))
        }
    }
}

fn read(path: &Path) -> anyhow::Result<KeptReport> {
    let cannot = || format!("can't read the report {}", path.display());
    let mut file = runtime::files::open(path).with_context(cannot)?;
    KeptReport::read(&mut file).with_context(cannot)
}
