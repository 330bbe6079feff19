//! `compare`: a look at each contender, their knees where they are wanted, blocks of rounds, and what they show.

use std::io::Write;

use anyhow::Context as _;
use command_line::Refusal;

use super::{
    args::Args,
    command::within_files,
    compare_args::{Compare, Contender},
    compare_knee as knee,
    compare_look::{self as look, Look},
    compare_rounds::{BlockRunner, BlocksEnd},
    exit::Exit,
    formats::{Format, shown},
    interrupt,
    output::Output,
    progress::note,
    wait::{self, Waited},
};
use crate::{
    compare::{Blocks, CURVE, Knee, alike, rate_for_all},
    plan::{OtherEnd, Plan, PlanError},
    report::compare::{Comparison, MeasuredContender, Point},
    run::Run,
    verdict::Judgement,
};

/// Compares, and writes what was found.
pub(super) fn carry_out(args: &Args, wanted: &Compare, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let mut contenders = wanted.contenders(args, seed, knee::LOW)?;
    let blocks = wanted.blocks(contenders.len())?;
    wanted.check_max_knee(knee::LOW)?;
    let output = Output::from(args);
    if output.format == Format::Csv {
        let example = "loadgen compare --output=json direct=localhost:8080 nginx=localhost:8081";
        let wrong = "--output=csv with compare";
        return Err(PlanError(Refusal::new(wrong, "text, json or markdown", example)).into());
    }
    for contender in &mut contenders {
        contender.plan = within_files(contender.plan.clone(), OtherEnd::Elsewhere)?;
    }
    let steps = wanted.contenders(
        &Args { duration: Some(knee::STEP), rate: None, ..args.clone() },
        seed,
        knee::LOW,
    )?;
    let first = Run::new(contenders[0].plan.clone());
    let interrupts = interrupt::watch(first.handle()).context("can't watch for Ctrl+C")?;
    if let Some(patience) = output.wait_for_target {
        let plans: Vec<Plan> = contenders.iter().map(|contender| contender.plan.clone()).collect();
        if wait::for_targets(&plans, patience, &first.handle(), output.progress)? == Waited::Interrupted {
            return Ok(Exit::Interrupted);
        }
    }
    let mut found = Comparison::new(seed, blocks, contenders.iter().map(Contender::side).collect());
    found.bounds.clone_from(&wanted.bounds);
    let rounds = BlockRunner { output: &output, interrupts: &interrupts };
    let comparing = Comparing { wanted, rate: args.rate, rounds, contenders: &contenders, steps: &steps };
    let exit = match comparing.carry_out(&mut found) {
        Ok(BlocksEnd::Whole) => whole(&found),
        Ok(BlocksEnd::Interrupted) => Exit::Interrupted,
        Err(error) if found.blocks.is_empty() => return Err(error),
        // What was measured before is not lost.
        Err(error) => {
            note(&format!("ended: {error:#}"));
            Exit::Failed
        }
    };
    let kept = found.blocks.iter().filter(|block| block.discarded.is_none()).count();
    found.is_cut_short = matches!(exit, Exit::Interrupted | Exit::Failed) && kept < found.blocks_wanted;
    if exit == Exit::Interrupted && found.blocks.is_empty() {
        return Ok(exit);
    }
    shown(match output.format {
        Format::Json => found.json(out),
        Format::Markdown => found.markdown(out),
        _ => found.text(out),
    })?;
    Ok(exit)
}

/// How one that has come to its end ends the program.
fn whole(found: &Comparison) -> Exit {
    let judged = found.judged();
    let is_any = |judgement| judged.iter().any(|bound| bound.judgement == judgement);
    if is_any(Judgement::Failed) {
        Exit::Crossed
    } else if is_any(Judgement::NotJudged) || !found.is_judged() {
        Exit::NotJudged
    } else {
        Exit::Done
    }
}

/// A comparison that goes on.
struct Comparing<'a> {
    wanted: &'a Compare,
    /// The rate that was asked for.
    rate: Option<f64>,
    rounds: BlockRunner<'a>,
    /// Who is compared.
    contenders: &'a [Contender],
    /// The same, with plans for steps of a search.
    steps: &'a [Contender],
}

impl Comparing<'_> {
    /// Carries it out, and puts into `found` what was measured.
    fn carry_out(&self, found: &mut Comparison) -> anyhow::Result<BlocksEnd> {
        if self.look(found)? == BlocksEnd::Interrupted {
            return Ok(BlocksEnd::Interrupted);
        }
        if (self.rate.is_none() || self.wanted.curve) && self.search(found)? == BlocksEnd::Interrupted {
            return Ok(BlocksEnd::Interrupted);
        }
        let knees: Vec<Knee> = found.sides.iter().filter_map(|side| side.knee).collect();
        let load = self.contenders[0].plan.load();
        found.rate = self.rate.or_else(|| rate_for_all(&knees)).or(load.mean_rate).unwrap_or(knee::LOW);
        (found.duration, found.warmup) = (load.duration.unwrap_or_default(), load.warmup);
        let rates = vec![found.rate; self.contenders.len()];
        let mut blocks = Blocks::new(self.contenders.len(), found.blocks_wanted, found.seed);
        if self.rounds.blocks(self.contenders, &rates, &mut blocks, &mut found.blocks, "")?
            == BlocksEnd::Interrupted
        {
            return Ok(BlocksEnd::Interrupted);
        }
        if let Some(fault) = found.unlike_while_measured() {
            found.faults.push(fault.clone());
            anyhow::ensure!(
                self.wanted.force,
                "the contenders did not do the same: {fault} (--force compares them all the same)"
            );
        }
        if self.wanted.curve { self.curve(found, &knees) } else { Ok(BlocksEnd::Whole) }
    }

    /// Looks at each, and refuses those that do not do the same.
    fn look(&self, found: &mut Comparison) -> anyhow::Result<BlocksEnd> {
        let mut facts = Vec::new();
        for contender in self.contenders {
            if self.rounds.output.progress {
                note(&format!("looking at {} ({})", contender.name, contender.plan.target()));
            }
            match look::at(contender, self.rounds.interrupts)? {
                Look::Facts(of_one) => facts.push(of_one),
                Look::Interrupted => return Ok(BlocksEnd::Interrupted),
            }
        }
        (found.faults, found.unknown) = (alike::faults(&facts), alike::unknown(&facts));
        if !found.faults.is_empty() && !self.wanted.force {
            let faults = found.faults.join("; ");
            anyhow::bail!("the contenders do not do the same: {faults} (--force compares them all the same)");
        }
        Ok(BlocksEnd::Whole)
    }

    /// Searches the knee of each.
    fn search(&self, found: &mut Comparison) -> anyhow::Result<BlocksEnd> {
        for (index, step) in self.steps.iter().enumerate() {
            match knee::of(&self.rounds, step, self.wanted.max_knee)? {
                Some(knee) => found.sides[index].knee = Some(knee),
                None => return Ok(BlocksEnd::Interrupted),
            }
        }
        Ok(BlocksEnd::Whole)
    }

    /// Measures each at parts of its own knee.
    fn curve(&self, found: &mut Comparison, knees: &[Knee]) -> anyhow::Result<BlocksEnd> {
        for (part, nth) in CURVE.into_iter().zip(1..) {
            let rates: Vec<f64> = knees.iter().map(|knee| knee.rate * part).collect();
            let seed = found.seed.wrapping_add(nth);
            let mut blocks = Blocks::new(self.contenders.len(), found.blocks_wanted, seed);
            let about = format!("at {:.0}% of each knee: ", part * 100.0);
            let mut measured = Vec::new();
            let ended = self.rounds.blocks(self.contenders, &rates, &mut blocks, &mut measured, &about);
            found.curve.push(Point { part, rates, blocks: measured });
            if ended? == BlocksEnd::Interrupted {
                return Ok(BlocksEnd::Interrupted);
            }
        }
        Ok(BlocksEnd::Whole)
    }
}

impl Contender {
    fn side(&self) -> MeasuredContender {
        MeasuredContender::new(&self.name, &self.plan.target().to_string())
    }
}
