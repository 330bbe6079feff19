//! The end of a run, its rounds, or several loads: held against thresholds, reported, and turned into an exit code.

use std::num::NonZeroU32;

use super::exit::{self, Exit, FailOn};
use crate::{
    report::{Detail, Report},
    summary::Summary,
    verdict::{Judged, Threshold},
};

/// One round or load that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndedRun<'a> {
    /// What came of it.
    pub(super) summary: &'a Summary,
    /// Whether something has happened to a request of which nothing was to happen to any.
    pub(super) has_lost: bool,
    /// What it alone is held against.
    pub(super) thresholds: &'a [Threshold],
}

/// How a report for people looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// How much it shows.
    pub(super) detail: Detail,
    /// What its histogram spans.
    pub(super) normalization: Option<NonZeroU32>,
}

/// Judges each round, has their reports written, and gives the exit code of the worst one.
pub(super) fn conclude(
    rounds: &[EndedRun<'_>],
    thresholds: &[Threshold],
    fail_on: &[FailOn],
    View { detail, normalization }: View,
    write: impl FnOnce(&[Report<'_>]) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let judge = |round: &EndedRun<'_>| {
        thresholds.iter().chain(round.thresholds).map(|bound| bound.judge(round.summary)).collect()
    };
    let judged: Vec<Vec<Judged>> = rounds.iter().map(judge).collect();
    let both = rounds.iter().zip(&judged);
    let reports: Vec<_> = both
        .clone()
        .map(|(round, judged)| Report { summary: round.summary, judged, detail, normalization })
        .collect();
    write(&reports)?;
    let exits = both.map(|(round, judged)| {
        let exit = exit::of_run(round.summary, judged, fail_on);
        if round.has_lost { exit.min(Exit::Crossed) } else { exit }
    });
    Ok(exits.min().unwrap_or(Exit::Done))
}
