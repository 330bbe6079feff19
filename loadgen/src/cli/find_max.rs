//! `find-max`: step after step, each its own run, until the search has ended.

use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;
use command_line::Refusal;

use super::{
    args::Args,
    command::{carry_out_round, prepared, within_files},
    exit::Exit,
    find_max_args::FindMaxArgs,
    formats::{Format, shown},
    interrupt::{self, Interrupts},
    output::Output,
    progress::note,
    wait::{self, Waited},
};
use crate::{
    plan::{OtherEnd, Plan, PlanError},
    report::find_max,
    run::Run,
    search::{NextStep, Search, SearchEnd},
    verdict::{RunOutcome, Step},
};

/// Searches, and writes what was found.
pub(super) fn carry_out(args: &Args, wanted: &FindMaxArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let bounds = wanted.bounds(args)?;
    let plan = wanted.plan(args)?;
    let output = Output::from(args);
    if !matches!(output.format, Format::Text | Format::Json) {
        let wrong = "--output other than text or json with find-max";
        let example = "loadgen find-max --output=json localhost:8080";
        return Err(PlanError(Refusal::new(wrong, "text or json", example)).into());
    }
    let plan = within_files(plan, OtherEnd::Elsewhere)?;
    let first = Run::new(plan.clone());
    let interrupts = interrupt::watch(first.handle()).context("can't watch for Ctrl+C")?;
    if let Some(patience) = output.wait_for_target
        && wait::for_target(&plan, patience, &first.handle(), output.progress)? == Waited::Interrupted
    {
        return Ok(Exit::Interrupted);
    }
    // Where lines stay, one for each step will do.
    let of_runs = Output { progress: output.progress && io::stderr().is_terminal(), ..output.clone() };
    let search = Search::new(bounds);
    let mut steps = Steps { plan, wanted, output, of_runs, interrupts, search, all: Vec::new() };
    let ended = steps.take()?;
    let found = find_max::SearchReport {
        slo: &wanted.slo,
        steps: &steps.all,
        held: steps.search.held(),
        broken: steps.search.broken(),
        end: ended.ok(),
    };
    shown(match steps.output.format {
        Format::Json => found.json(out),
        _ => found.text(out),
    })?;
    Ok(ended.map_or_else(|exit| exit, |end| exit_of(end, steps.all.last())))
}

/// The steps of a search.
struct Steps<'a> {
    /// Of the first one.
    plan: Plan,
    wanted: &'a FindMaxArgs,
    output: Output,
    /// The same for the run of a step.
    of_runs: Output,
    interrupts: Interrupts,
    search: Search,
    /// Those that were taken.
    all: Vec<Step>,
}

impl Steps<'_> {
    /// Takes one after the other. How the search has ended, or the exit code of one that was cut short.
    fn take(&mut self) -> anyhow::Result<Result<SearchEnd, Exit>> {
        loop {
            let rate = match self.search.next() {
                NextStep::Step(rate) => rate,
                NextStep::End(end) => return Ok(Ok(end)),
            };
            let run = prepared(&self.plan.at_rate(rate), &self.of_runs);
            if !self.interrupts.follow(run.handle()) || self.is_interrupted_cooling_down(&run) {
                return Ok(Err(Exit::Interrupted));
            }
            let summary = match carry_out_round(run, &self.of_runs) {
                Ok(round) => round.summary,
                Err(_) if self.interrupts.is_interrupted() => return Ok(Err(Exit::Interrupted)),
                Err(error) if self.all.is_empty() => return Err(error),
                // Those before it are not lost.
                Err(error) => {
                    note(&format!("the step at {rate} requests/s could not run: {error:#}"));
                    return Ok(Err(Exit::Failed));
                }
            };
            if summary.interrupted {
                return Ok(Err(Exit::Interrupted));
            }
            let step = self.wanted.slo.judge(rate, &summary);
            self.search.record(step.evidence);
            if self.output.progress {
                let again = if self.search.is_repeating() { "; once more, to be sure" } else { "" };
                note(&format!("{}{again}", find_max::line(&step)));
            }
            self.all.push(step);
        }
    }

    fn is_interrupted_cooling_down(&self, next: &Run) -> bool {
        !self.all.is_empty() && wait::is_interrupted_within(self.wanted.cool_down, &next.handle())
    }
}

/// How a search ends the program, whose last step this was.
fn exit_of(end: SearchEnd, last: Option<&Step>) -> Exit {
    match end {
        SearchEnd::Found { .. } | SearchEnd::MaxHeld { .. } | SearchEnd::Limited { held: Some(_), .. } => {
            Exit::Done
        }
        SearchEnd::NotHeld { .. } if last.is_some_and(|step| step.outcome == RunOutcome::Failed) => {
            Exit::Failed
        }
        SearchEnd::NotHeld { .. } => Exit::Crossed,
        SearchEnd::Limited { held: None, .. } => Exit::NotJudged,
    }
}
