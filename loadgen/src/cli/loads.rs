//! Several loads of a plan at the same time: run, watched and stopped together, and reported one by one.

use std::io::{self, Write};

use anyhow::Context as _;

use super::{
    abort,
    adapters::Page,
    command::{note_ledgers, observed_every, with_words},
    conclude::{Ended, View, conclude},
    exit::{self, Exit},
    formats::ReportFiles,
    interrupt,
    output::Output,
    print,
    progress::{Progress, note},
    wait::{self, Waited},
};
use crate::{
    plan::{OtherEnd, Plan, PlanError, together_within_files},
    run::{RunningTogether, Together},
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
    let runs = Together::new(plans.clone()).context("no loads")?;
    let runs = match observed_every(output) {
        Some(every) => runs.observe(every),
        None => runs,
    };
    let interrupts = interrupt::watch(runs.handle()).context("can't watch for Ctrl+C")?;
    let mut files = ReportFiles::create(&output.reports)?;
    if let Some(patience) = output.wait_for_target
        && wait::for_targets(&plans, patience, &runs.handle(), output.progress)? == Waited::Interrupted
    {
        return Ok(Exit::Interrupted);
    }
    let each = runs.handles().collect();
    let progress = output.progress.then(|| Progress::of_all(plans.iter().map(Plan::load)));
    let running = match runs.start() {
        Err(_) if interrupts.is_interrupted() => return Ok(Exit::Interrupted),
        started => started?,
    };
    for (index, line) in running.notes() {
        let name = plans.get(index).and_then(|plan| plan.load().name.as_deref()).unwrap_or_default();
        note(&format!("the load '{name}': {line}"));
    }
    note_ledgers(running.ledgers_at());
    let watching = progress.map(|progress| progress.watch(running.handle()));
    let aborting = match output.abort_on.as_slice() {
        [] => None,
        thresholds => Some(abort::watch(thresholds.to_vec(), each).context("can't start a thread")?),
    };
    let summaries = joined(running, output);
    if let Some(watching) = watching {
        watching.end();
    }
    let aborted = aborting.and_then(abort::Watching::end);
    let summaries = summaries?;
    if let Some(crossed) = &aborted {
        let name = plans.get(crossed.run).and_then(|plan| plan.load().name.as_deref()).unwrap_or_default();
        note(&format!("stopped early: {} was crossed by the load '{name}' (--abort-on)", crossed.threshold));
    }
    let is_aborted = aborted.is_some();
    let ended: Vec<_> = summaries
        .iter()
        .zip(&thresholds)
        .map(|(summary, thresholds)| Ended {
            summary,
            is_aborted,
            has_lost: output.zero_loss && exit::has_lost(summary),
            thresholds,
        })
        .collect();
    let view = View { detail: output.detail, normalization: output.normalization };
    conclude(&ended, &output.thresholds, &output.fail_on, view, |reports| {
        files.write(reports, || Page::Usual.write(reports, output, out))
    })
}

fn joined(running: RunningTogether, output: &Output) -> anyhow::Result<Vec<Summary>> {
    let summaries = running.join()?;
    Ok(summaries.into_iter().map(|summary| with_words(summary, output)).collect())
}

/// The plans with connections that this process can open beside each other.
fn within_files(plans: Vec<Plan>, other_end: OtherEnd) -> Result<Vec<Plan>, PlanError> {
    let Ok(limit) = runtime::files::raise_limit() else { return Ok(plans) };
    let fitted = together_within_files(plans, limit.now, other_end)?;
    let plan = |(plan, is_limited): (Plan, bool)| {
        if is_limited {
            note(&format!(
                "the load '{}' opens at most {} connections, not max_in_flight: loadgen may open {} files (ulimit -n)",
                plan.load().name.as_deref().unwrap_or_default(),
                plan.load().max_connections,
                limit.now
            ));
        }
        plan
    };
    Ok(fitted.into_iter().map(plan).collect())
}
