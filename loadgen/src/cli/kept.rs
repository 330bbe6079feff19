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
    conclude::{EndedRun, View, conclude},
    exit::Exit,
    formats::{self, DetailWord, Format, ReportFile, ReportFiles, shown},
    output,
    values::normalization,
};
use crate::{
    plan::PlanError,
    report::{
        Report,
        diff::{Diff, DiffOfLoads},
    },
    summary::{CannotMerge, KeptReport, Loads, RoundsOfLoads, Summary},
    verdict::{Threshold, change::Conclusion},
};

/// What is done instead of a run.
#[derive(Clone, Debug, Subcommand)]
pub enum Kept {
    /// Print the report of a JSON report that was kept
    ///
    /// The exit code is that of the run: 130 if it was interrupted, 99 if a threshold is crossed: those of the run, or those
    /// that are given with --threshold instead. No environment variables are read.
    Report(ReportArgs),
    /// Merge JSON reports of runs that went on at the same time
    ///
    /// Shards of one run, from several machines or processes, with the same target, method, protocol and expected statuses:
    /// counts, times and rates add up, laid over each other by the clock on the wall. Those of a plan with several loads are
    /// merged load by load. The exit code is 0 if they could be merged.
    Merge(Merged),
    /// Compare new rounds with old ones
    ///
    /// Two JSON reports of runs with --repeat, 4 rounds or more each: the change of each figure with its 95% interval, of a plan
    /// with several loads for each load. With
    /// --fail-on-regression the exit code is 99 if a figure is worse by more, and 4 if the rounds can't tell.
    Diff(Compared),
}

/// `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
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

    /// Exit with 99 unless this holds, like 'p(99)<200ms'; in place of the run's
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

    /// Also write the report to a file: .json, .md, .csv or .txt
    #[arg(long = "report", value_name = "FILE")]
    reports: Vec<ReportFile>,
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

/// `5%` or `0.05`, as a share. Without a percent sign, 1 and more might be meant as a percentage.
pub(super) fn share_within(text: &str, least: f64, most: f64) -> Result<f64, &'static str> {
    let share = match text.strip_suffix('%') {
        Some(percent) => quantity::decimal_within(percent, &(0.0..=1000.0)).map(|percent| percent / 100.0),
        None => quantity::decimal_within(text, &(0.0..=1.0)).filter(|share| *share < 1.0),
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

impl ReportArgs {
    fn carry_out(&self, out: &mut dyn Write) -> anyhow::Result<Exit> {
        let Some(file) = &self.file else {
            return Err(refused("no file", "a JSON report of loadgen", "loadgen report run.json"));
        };
        let kept = read(file, "loadgen report run.json")?;
        let summaries = match &kept {
            KeptReport::Rounds(rounds) => vec![rounds.as_slice()],
            KeptReport::Loads(loads) => vec![loads.as_slice()],
            KeptReport::RoundsOfLoads(rounds) => rounds.as_slice().iter().map(Loads::as_slice).collect(),
        };
        let summaries: Vec<&Summary> = summaries.into_iter().flatten().collect();
        let own: Vec<_> =
            summaries.iter().map(|summary| self.kept_thresholds(summary)).collect::<Result<_, _>>()?;
        let ended = |(summary, thresholds)| EndedRun { summary, has_lost: false, thresholds };
        let ended: Vec<_> = summaries.iter().copied().zip(own.iter().map(Vec::as_slice)).map(ended).collect();
        let view = View { detail: self.detail.into(), normalization: NonZeroU32::new(self.nf) };
        conclude(&ended, &self.thresholds, &[], view, |reports| {
            let format = formats::printed(self.output, &self.reports);
            let print = || formats::write(reports, format, output::style(), out);
            ReportFiles::create(&self.reports)?.write(reports, print)
        })
    }
}

impl ReportArgs {
    /// What the run was held against, unless it is to be held against something else.
    fn kept_thresholds(&self, summary: &Summary) -> anyhow::Result<Vec<Threshold>> {
        if !self.thresholds.is_empty() {
            return Ok(Vec::new());
        }
        let parse = |text: &String| {
            text.parse().ok().with_context(|| format!("invalid threshold '{text}' in the report"))
        };
        summary.origin.thresholds.iter().map(parse).collect()
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
        let exit = match (read(old, EXAMPLE)?, read(new, EXAMPLE)?) {
            (KeptReport::Rounds(old), KeptReport::Rounds(new)) => {
                let diff = Diff::new(old.as_slice(), new.as_slice(), self.fail_on_regression);
                shown(match self.format()? {
                    ComparisonOutputs::Text => diff.text(out),
                    ComparisonOutputs::Json => diff.json(out),
                    ComparisonOutputs::Markdown => diff.markdown(out),
                })?;
                self.exit(&[&diff])
            }
            (first, second) => {
                let rounds = (of_loads(first, old, EXAMPLE)?, of_loads(second, new, EXAMPLE)?);
                let diff = self.of_loads(&rounds.0, &rounds.1, [old, new])?;
                shown(match self.format()? {
                    ComparisonOutputs::Text => diff.text(out),
                    ComparisonOutputs::Json => diff.json(out),
                    ComparisonOutputs::Markdown => diff.markdown(out),
                })?;
                self.exit(&diff.0.iter().map(|(_, diff)| diff).collect::<Vec<_>>())
            }
        };
        Ok(exit)
    }

    fn format(&self) -> anyhow::Result<ComparisonOutputs> {
        Ok(match self.output {
            Format::Text => ComparisonOutputs::Text,
            Format::Json => ComparisonOutputs::Json,
            Format::Markdown => ComparisonOutputs::Markdown,
            Format::Csv => {
                let accepted = "text, json or markdown";
                let example = "loadgen diff -o json old.json new.json";
                return Err(refused("'csv' for --output of diff", accepted, example));
            }
        })
    }

    /// Each load with the one of its name.
    fn of_loads(
        &self,
        old: &RoundsOfLoads,
        new: &RoundsOfLoads,
        [old_file, new_file]: [&Path; 2],
    ) -> anyhow::Result<DiffOfLoads> {
        let news: Vec<_> = new.by_load().collect();
        let mut diffs = Vec::new();
        for (name, rounds) in old.by_load() {
            let found = news.iter().find(|(other, _)| *other == name);
            diffs.extend(
                found.map(|(_, new)| (name.to_owned(), Diff::new(&rounds, new, self.fail_on_regression))),
            );
        }
        let [olds, news] = [old, new].map(|all| all.by_load().map(|(name, _)| name).collect::<Vec<_>>());
        if diffs.len() == olds.len() && olds.len() == news.len() {
            return Ok(DiffOfLoads(diffs));
        }
        let [old_file, new_file] = [old_file, new_file].map(Path::display);
        let wrong =
            format!("{old_file} has the loads {}, and {new_file} {}", olds.join(", "), news.join(", "));
        let accepted = "two reports of plans whose loads have the same names";
        Err(refused(&wrong, accepted, "loadgen diff old.json new.json"))
    }

    fn exit(&self, diffs: &[&Diff]) -> Exit {
        if self.fail_on_regression.is_none() {
            return Exit::Done;
        }
        let changes = diffs.iter().flat_map(|diff| &diff.changes);
        let is_any = |conclusion| changes.clone().any(|change| change.conclusion == conclusion);
        match () {
            () if is_any(Conclusion::Worse) => Exit::Crossed,
            () if is_any(Conclusion::CannotTell) => Exit::NotJudged,
            () => Exit::Done,
        }
    }
}

/// The formats of a comparison.
enum ComparisonOutputs {
    Text,
    Json,
    Markdown,
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
        let mut merged = read_shard(first)?;
        for file in others {
            if let Err(differs) = merged.add(&read_shard(file)?) {
                let wrong = format!("can't merge {} and {}", first.display(), file.display());
                return Err(PlanError(Refusal::new(wrong, ACCEPTED, EXAMPLE).because(differs)).into());
            }
            let is_plausible = merged.summaries().iter().all(Summary::is_plausible);
            anyhow::ensure!(is_plausible, "can't merge {}: more than any run counts", file.display());
        }
        let reports: Vec<_> = merged.summaries().iter().map(Report::from).collect();
        let format = formats::printed(self.output, &self.reports);
        let print = || formats::write(&reports, format, output::style(), out);
        ReportFiles::create(&self.reports)?.write(&reports, print)?;
        Ok(Exit::Done)
    }
}

/// What can be merged.
enum Shard {
    /// One run.
    One(Box<Summary>),
    /// Several loads at the same time.
    Loads(Loads),
}

impl Shard {
    /// # Errors
    /// Why it can't be added.
    fn add(&mut self, other: &Self) -> Result<(), String> {
        let told = |why: CannotMerge| why.to_string();
        match (self, other) {
            (Self::One(mine), Self::One(theirs)) => mine.merge(theirs).map_err(told),
            (Self::Loads(mine), Self::Loads(theirs)) => mine.merge(theirs).map_err(told),
            _ => Err("one is of several loads, the other of a run with one".to_owned()),
        }
    }

    fn summaries(&self) -> &[Summary] {
        match self {
            Self::One(summary) => std::slice::from_ref(summary),
            Self::Loads(loads) => loads.as_slice(),
        }
    }
}

fn refused(wrong: &str, accepted: &str, example: &str) -> anyhow::Error {
    PlanError(Refusal::new(wrong, accepted, example)).into()
}

/// The report of one run, or of several loads.
fn read_shard(path: &Path) -> anyhow::Result<Shard> {
    let rounds = match read(path, "loadgen merge a.json b.json")? {
        KeptReport::Loads(loads) => return Ok(Shard::Loads(loads)),
        KeptReport::RoundsOfLoads(rounds) => rounds.as_slice().len(),
        KeptReport::Rounds(rounds) => match rounds.as_slice().len() {
            1 => return Ok(Shard::One(Box::new(rounds.into_one().context("no rounds")?))),
            several => several,
        },
    };
    let several = format!("{} has {rounds} rounds", path.display());
    Err(refused(&several, "reports of runs without --repeat", "loadgen merge a.json b.json"))
}

/// Rounds of several loads; what was run without --repeat is one round.
fn of_loads(kept: KeptReport, path: &Path, example: &str) -> anyhow::Result<RoundsOfLoads> {
    match kept {
        KeptReport::RoundsOfLoads(rounds) => Ok(rounds),
        KeptReport::Loads(loads) => Ok(loads.into()),
        KeptReport::Rounds(_) => {
            let wrong = format!("{} is of one load, and the other report of several", path.display());
            Err(refused(&wrong, "two reports of one load each, or two of the same loads", example))
        }
    }
}

/// The example is a command that reads one.
fn read(path: &Path, example: &str) -> anyhow::Result<KeptReport> {
    let cannot = |why: String| {
        let wrong = format!("can't read the report {}", path.display());
        Refusal::new(wrong, "a JSON report of this loadgen, as of --report=run.json", example).because(why)
    };
    let mut file = runtime::files::open(path).map_err(|error| cannot(error.to_string()))?;
    Ok(KeptReport::read(&mut file).map_err(|error| cannot(error.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_one_and_more_needs_a_percent_sign() {
        for (text, expected) in [
            ("5%", Ok(0.05)),
            ("0.05", Ok(0.05)),
            ("0", Ok(0.0)),
            ("0.999", Ok(0.999)),
            ("500%", Ok(5.0)),
            ("1000%", Ok(10.0)),
            ("1", Err("no share")),
            ("5", Err("no share")),
            ("10", Err("no share")),
            ("1000.1%", Err("no share")),
            ("-1%", Err("no share")),
        ] {
            assert_eq!(share(text), expected, "{text}");
        }
    }
}
