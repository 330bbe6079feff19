//! Rounds of a run, or of several loads at the same time, one after the other: as many as there are to be, unless one can't run
//! or is interrupted.

use super::{exit::Exit, interrupt::Interrupts, output::Output, progress::note};
use crate::control::Handle;

/// What is run in each round.
pub(super) trait RepeatableRun: Sized {
    /// What came of it.
    type Ended;

    /// What stops it.
    fn handle(&self) -> Handle;

    /// Runs it to the end.
    fn carry_out(self, output: &Output) -> anyhow::Result<Self::Ended>;

    /// Whether it was interrupted.
    fn was_interrupted(ended: &Self::Ended) -> bool;
}

/// The rounds that have ended.
pub(super) struct EndedRounds<E> {
    /// What came of each.
    pub(super) ended: Vec<E>,
    /// How they have ended, beside what came of each.
    pub(super) cut_short: Exit,
}

/// Carries out the rounds, of which the first is ready. None: it was interrupted before anything came of it.
///
/// # Errors
/// The first round can't run; of those after it, what came before is not lost.
pub(super) fn carry_out<R: RepeatableRun>(
    first: R,
    again: impl Fn() -> anyhow::Result<R>,
    interrupts: &Interrupts,
    output: &Output,
) -> anyhow::Result<Option<EndedRounds<R::Ended>>> {
    let mut rounds = EndedRounds { ended: Vec::new(), cut_short: Exit::Done };
    let mut first = Some(first);
    for number in 1..=output.rounds {
        let round = first.take().map_or_else(&again, Ok)?;
        if !interrupts.follow(round.handle()) && number > 1 {
            rounds.cut_short = Exit::Interrupted;
            break;
        }
        if output.rounds > 1 && output.progress {
            note(&format!("round {number} of {}", output.rounds));
        }
        match round.carry_out(output) {
            Ok(ended) => rounds.ended.push(ended),
            Err(_) if rounds.ended.is_empty() && interrupts.is_interrupted() => return Ok(None),
            Err(error) if rounds.ended.is_empty() => return Err(error),
            // Those before it are not lost.
            Err(_) if interrupts.is_interrupted() => {
                rounds.cut_short = Exit::Interrupted;
                break;
            }
            Err(error) => {
                note(&format!("round {number} could not run: {error:#}"));
                rounds.cut_short = Exit::Failed;
                break;
            }
        }
        if rounds.ended.last().is_some_and(R::was_interrupted) {
            break;
        }
    }
    Ok(Some(rounds))
}
