//! Rounds of contenders, block after block.

use std::{io::IsTerminal as _, time::Duration};

use anyhow::Context as _;

use super::{
    command::{carry_out_round, prepared},
    compare_args::Contender,
    compare_cpu::Stolen,
    interrupt::Interrupts,
    output::Output,
    progress::note,
    wait,
};
use crate::{
    compare::{
        Blocks,
        rules::{Conditions, RoundTrips},
    },
    numbers::decimal,
    report::compare::Block,
    summary::Summary,
    verdict::{Limit, RunOutcome},
};

/// The pause between two rounds, for what the last one has left behind.
const PAUSE: Duration = Duration::from_millis(100);

/// What is run, and how.
pub(super) struct BlockRunner<'a> {
    pub(super) output: &'a Output,
    pub(super) interrupts: &'a Interrupts,
}

/// What came of a round: what decides whether it counts, and microseconds of a CPU for each request.
pub(super) type Measured = (Summary, Conditions, Option<f64>);

/// How a run of blocks has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlocksEnd {
    /// There are enough blocks, or too many were discarded.
    Whole,
    /// The user does not want to go on.
    Interrupted,
}

impl BlockRunner<'_> {
    /// Measures blocks of contenders at these rates until there are enough; `about` is said of each in progress.
    ///
    /// # Errors
    /// A round could not run, or fewer than half of its requests succeeded.
    pub(super) fn blocks(
        &self,
        contenders: &[Contender],
        rates: &[f64],
        blocks: &mut Blocks,
        measured: &mut Vec<Block>,
        about: &str,
    ) -> anyhow::Result<BlocksEnd> {
        while let Some(order) = blocks.next_order() {
            let number = blocks.kept() + 1;
            let mut block = Block::new(order);
            for &index in &block.order.clone() {
                // The same times for all of a block, and other ones in the next.
                let seed = contenders[index].plan.seed().unwrap_or(0).wrapping_add(measured.len() as u64);
                let plan = contenders[index].plan.clone().seeded(seed);
                let contender = Contender { plan, ..contenders[index].clone() };
                let before = round_trip();
                let Some((summary, conditions, cpu)) = self.round(&contender, rates[index])? else {
                    return Ok(BlocksEnd::Interrupted);
                };
                block.add(index, &summary, cpu);
                let trips = before.into_iter().chain(round_trip()).reduce(RoundTrips::and);
                block.note(index, &conditions, trips);
            }
            blocks.record(block.discarded.is_none());
            if self.output.progress {
                let what = match block.discarded {
                    None => format!("block {number} of {}", blocks.wanted()),
                    Some(reason) => format!("a block was discarded: {reason}"),
                };
                note(&format!("{about}{what}"));
            }
            measured.push(block);
        }
        Ok(BlocksEnd::Whole)
    }

    /// Runs one contender at a rate; none if it was interrupted.
    ///
    /// # Errors
    /// It could not run, or fewer than half of its requests succeeded.
    pub(super) fn round(&self, contender: &Contender, rate: f64) -> anyhow::Result<Option<Measured>> {
        let measured = self.round_that_may_fail(contender, rate)?;
        if let Some((summary, ..)) =
            measured.as_ref().filter(|(summary, ..)| summary.outcome() == RunOutcome::Failed)
        {
            let [why, limit] = summary.verdict();
            let (name, target) = (&contender.name, contender.plan.target());
            let counts = &summary.records.counts;
            let rate = decimal(rate);
            // What was never sent says nothing of the contender, unless it is what held it up.
            let is_unsent = 2 * (counts.not_sent + counts.dropped) > summary.failed();
            match summary.limit() {
                Limit::Loadgen => anyhow::bail!(
                    "{rate} requests/s to {name} ({target}) are more than loadgen sends here: {why}; {limit}; give a lower --rate"
                ),
                _ if is_unsent => anyhow::bail!(
                    "{rate} requests/s to {name} ({target}) were more than loadgen or the contender can keep up with: {why}; {limit}; give a lower --rate"
                ),
                _ => {}
            }
            anyhow::bail!("{name} ({target}) can't be compared at {rate} requests/s: {why}");
        }
        Ok(measured)
    }

    /// The same, whatever comes of its requests.
    ///
    /// # Errors
    /// It could not run.
    pub(super) fn round_that_may_fail(
        &self,
        contender: &Contender,
        rate: f64,
    ) -> anyhow::Result<Option<Measured>> {
        let Contender { name, plan, cpu } = contender;
        // What is written for each run is for lines that do not stay.
        let of_runs = Output {
            progress: self.output.progress && std::io::stderr().is_terminal(),
            ..self.output.clone()
        };
        let run = prepared(&plan.at_rate(rate), &of_runs);
        if !self.interrupts.follow(run.handle()) || wait::is_interrupted_within(PAUSE, &run.handle()) {
            return Ok(None);
        }
        let used = || {
            let used = cpu.as_ref().map(|cpu| cpu.used()).transpose();
            used.with_context(|| format!("can't read the CPU time of {name}"))
        };
        let (before, stolen) = (used()?, Stolen::now());
        let summary = match carry_out_round(run, &of_runs) {
            Err(_) if self.interrupts.is_interrupted() => return Ok(None),
            round => round?.summary,
        };
        let after = used()?;
        if summary.interrupted {
            return Ok(None);
        }
        // Those of the warm-up also cost.
        let warmup = summary.records.warmup.unwrap_or_default();
        let replies = (summary.records.counts.completed() + warmup.completed()) as f64;
        let cpu = before.zip(after).map(|(before, after)| (after - before).max(0.0) / replies.max(1.0));
        let steal = stolen.zip(Stolen::now()).map(|(before, after)| after.since(before));
        let conditions = summary.conditions(steal);
        Ok(Some((summary, conditions, cpu)))
    }
}

/// How long a cache line takes now from one CPU to another and back; none where there is one CPU, or it can't be known.
fn round_trip() -> Option<RoundTrips> {
    /// This number of batches takes a millisecond or a few.
    const BATCHES: u64 = 10;
    let [one, other, ..] = runtime::affinity::allowed()[..] else { return None };
    let nanos = runtime::round_trip::between(one, other, BATCHES).ok()??;
    Some(RoundTrips { nearest: nanos, farthest: nanos })
}
