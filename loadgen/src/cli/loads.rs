//! Several loads of a plan at the same time: run, watched and stopped together, and reported one by one.

use std::io::{self, Write};

use anyhow::Context as _;

use super::{
    abort,
    adapters::Page,
    command::{note_key_log, note_ledgers, observed_every, with_words},
    conclude::{EndedRun, View, conclude},
    exit::{self, Exit},
    formats::ReportFiles,
    interrupt,
    output::Output,
    print,
    progress::{Progress, note},
    rounds::{self, EndedRounds, RepeatableRun},
    wait::{self, Waited},
};
use crate::{
    control::Handle,
    plan::{OtherEnd, Plan, PlanError, load::DEFAULT_MAX_IN_FLIGHT, together_within_files},
    run::Together,
    summary::Summary,
    verdict::Threshold,
};

/// One of several loads of a plan.
#[derive(Clone, Debug)]
pub(super) struct LoadPlan {
    pub(super) plan: Plan,
    /// What it alone is held against.
    pub(super) thresholds: Vec<Threshold>,
}

/// Prints them all, and sends nothing; `whole`: not only that they are valid.
pub(super) fn print(loads: &[LoadPlan], whole: bool, out: &mut dyn Write) -> io::Result<()> {
    for (index, LoadPlan { plan, thresholds }) in (0..).zip(loads) {
        if !whole {
            print::checked(plan, out)?;
            continue;
        }
        if index > 0 {
            writeln!(out)?;
        }
        print::name(plan, out)?;
        for threshold in thresholds {
            writeln!(out, "Threshold      {threshold}")?;
        }
        print::plan(plan, index, out)?;
    }
    Ok(())
}

/// Runs them to the end, and writes what came of each.
pub(super) fn run(
    loads: Vec<LoadPlan>,
    output: &Output,
    other_end: OtherEnd,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let (plans, thresholds): (Vec<_>, Vec<_>) =
        loads.into_iter().map(|LoadPlan { plan, thresholds }| (plan, thresholds)).unzip();
    let plans = within_files(plans, other_end)?;
    let first = OneRound::new(&plans, &thresholds, output)?;
    let interrupts = interrupt::watch(first.runs.handle()).context("can't watch for Ctrl+C")?;
    let mut files = ReportFiles::create(&output.reports)?;
    if let Some(patience) = output.wait_for_target
        && wait::for_targets(&plans, patience, &first.runs.handle(), output.progress)? == Waited::Interrupted
    {
        return Ok(Exit::Interrupted);
    }
    let rounds =
        rounds::carry_out(first, || OneRound::new(&plans, &thresholds, output), &interrupts, output)?;
    let Some(EndedRounds { ended: rounds, cut_short }) = rounds else { return Ok(Exit::Interrupted) };
    let ended: Vec<_> = rounds
        .iter()
        .flat_map(|LoadsResult { summaries }| {
            summaries.iter().zip(&thresholds).map(|(summary, thresholds)| EndedRun {
                summary,
                has_lost: output.zero_loss && exit::has_lost(summary),
                thresholds,
            })
        })
        .collect();
    let view = View { detail: output.detail, normalization: output.normalization };
    let exit = conclude(&ended, &output.thresholds, &output.fail_on, view, |reports| {
        files.write(reports, || Page::Usual.write(reports, output, out))
    })?;
    Ok(exit.min(cut_short))
}

/// All loads once.
struct OneRound<'p> {
    runs: Together,
    plans: &'p [Plan],
    /// What each load alone is held against.
    thresholds: &'p [Vec<Threshold>],
}

/// What came of all loads.
struct LoadsResult {
    summaries: Vec<Summary>,
}

impl<'p> OneRound<'p> {
    fn new(plans: &'p [Plan], thresholds: &'p [Vec<Threshold>], output: &Output) -> anyhow::Result<Self> {
        let runs = Together::new(plans.to_vec()).context("no loads")?;
        let runs = match observed_every(output) {
            Some(every) => runs.observe(every),
            None => runs,
        };
        Ok(Self { runs, plans, thresholds })
    }

    fn name(&self, index: usize) -> &'p str {
        self.plans.get(index).and_then(|plan| plan.load().name.as_deref()).unwrap_or_default()
    }
}

impl RepeatableRun for OneRound<'_> {
    type Ended = LoadsResult;

    fn handle(&self) -> Handle {
        self.runs.handle()
    }

    fn carry_out(self, output: &Output) -> anyhow::Result<LoadsResult> {
        let each = self.runs.handles().collect();
        let progress = output.progress.then(|| Progress::of_all(self.plans.iter().map(Plan::load)));
        let names: Vec<_> = (0..self.plans.len()).map(|index| self.name(index)).collect();
        let running = self.runs.start()?;
        for (index, line) in running.notes() {
            note(&format!("the load '{}': {line}", names[index]));
        }
        note_ledgers(running.ledgers_at());
        let watching = progress.map(|progress| progress.watch(running.handle()));
        let aborting = match output.abort_on.as_slice() {
            [] => None,
            thresholds => Some(abort::watch(thresholds.to_vec(), each).context("can't start a thread")?),
        };
        let summaries = running.join();
        if let Some(watching) = watching {
            watching.end();
        }
        let aborted = aborting.and_then(abort::AbortWatch::end);
        let with_words = |(summary, own): (Summary, &Vec<Threshold>)| with_words(summary, output, own);
        let mut summaries: Vec<_> = summaries?.into_iter().zip(self.thresholds).map(with_words).collect();
        if let Some(crossed) = &aborted {
            let by = format!("{} was crossed by the load '{}'", crossed.threshold, names[crossed.run]);
            note(&format!("stopped early: {by} (--abort-on)"));
            for (index, summary) in summaries.iter_mut().enumerate() {
                // Others had ended.
                if summary.interrupted || index == crossed.run {
                    summary.aborted_by = Some(by.clone());
                }
            }
        }
        Ok(LoadsResult { summaries })
    }

    fn was_interrupted(ended: &LoadsResult) -> bool {
        ended.summaries.iter().any(|summary| summary.interrupted)
    }
}

/// A load that leaves `max_in_flight` at its default gets no note about fewer connections if it may open at least this many.
const ENOUGH: usize = 1000;

/// The plans with connections that this process can open beside each other.
fn within_files(plans: Vec<Plan>, other_end: OtherEnd) -> Result<Vec<Plan>, PlanError> {
    plans.iter().for_each(note_key_log);
    let Ok(limit) = runtime::files::raise_limit() else { return Ok(plans) };
    let fitted = together_within_files(plans, limit.now, other_end)?;
    let plan = |(plan, is_limited): (Plan, bool)| {
        let is_default = plan.load().max_in_flight.get() == DEFAULT_MAX_IN_FLIGHT;
        if is_limited && !(is_default && plan.load().max_connections.get() >= ENOUGH) {
            note(&format!(
                "the load '{}' opens at most {} connections: loadgen may open {} files (ulimit -n)",
                plan.load().name.as_deref().unwrap_or_default(),
                plan.load().max_connections,
                limit.now
            ));
        }
        plan
    };
    Ok(fitted.into_iter().map(plan).collect())
}
