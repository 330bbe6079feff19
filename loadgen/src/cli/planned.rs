//! From [`Args`] to what is to be run: a [`Plan`], or several loads of a plan's file.

use command_line::Refusal;

use super::{args::Args, loads::LoadPlan};
use crate::{
    plan::{
        Plan, PlanError, accepted, check_expected_together,
        file::{LoadInFile, PlanFile, WrittenThreshold},
        known_keys::LOAD,
    },
    summary::MAX_ROUNDS,
    verdict::Threshold,
};

/// What is to be run.
#[derive(Clone, Debug)]
pub(super) enum Planned {
    /// One load.
    One(Box<Plan>),
    /// Several at the same time.
    Several(Vec<LoadPlan>),
}

impl Args {
    /// What is to be run.
    ///
    /// # Errors
    /// A mistake in what was typed, or in a plan.
    pub(super) fn planned(&self) -> Result<Planned, PlanError> {
        self.built().map_err(|PlanError(refusal)| {
            let refusal = refusal.naming(&self.variables);
            PlanError(match self.letter {
                Some(letter) => refusal.because(letter),
                None => refusal,
            })
        })
    }

    fn built(&self) -> Result<Planned, PlanError> {
        self.check_labels()?;
        let one = |builder| Ok(Planned::One(Box::new(self.with_options(builder, 0)?)));
        let Some(file) = &self.plan else { return one(Plan::builder(self.checked_target()?)) };
        let file = PlanFile::read(file)?;
        let is_said = self.target.is_some() || self.url.is_some();
        let target = is_said.then(|| self.checked_target()).transpose()?;
        if !file.has_loads() {
            return one(file.builder(target)?);
        }
        self.check_loads()?;
        let load = |(index, LoadInFile { builder, thresholds }): (u64, LoadInFile)| {
            let plan = self.with_options(builder, index)?;
            let thresholds = thresholds.iter().map(threshold).collect::<Result<_, _>>()?;
            Ok(LoadPlan { plan, thresholds })
        };
        let loads = (0..).zip(file.several(target)?).map(load).collect::<Result<Vec<_>, _>>()?;
        self.check_rounds(loads.len())?;
        if let Some(expected) = &self.expect_status {
            check_expected_together(expected, loads.iter().map(|load| &load.plan))?;
        }
        Ok(Planned::Several(loads))
    }

    /// Each load of each round has records of its own, of which there are as many as of rounds of one load.
    fn check_rounds(&self, loads: usize) -> Result<(), PlanError> {
        let most = MAX_ROUNDS / loads.max(1);
        if self.repeat <= most {
            return Ok(());
        }
        let accepted = format!("at most {most} rounds of {loads} loads: together {MAX_ROUNDS} records");
        Err(PlanError(Refusal::of_value("repeat", self.repeat, accepted, most.to_string())))
    }

    /// What several loads of a plan don't go with: what is typed of one load can't be meant for each.
    fn check_loads(&self) -> Result<(), PlanError> {
        let of_load = LOAD.iter().find(|key| self.given.contains(**key)).map(|key| {
            (self.shown(key), "it in each load of the plan, or a plan with load in place of loads".to_owned())
        });
        let refused = of_load.or_else(|| {
            let accepted = |what: &str| format!("{what}, or a plan with load in place of loads");
            match () {
                () if self.find_max.is_some() => Some(("find-max".to_owned(), accepted("it with one load"))),
                () if self.during.is_some() => Some(("--during".to_owned(), accepted("it with one load"))),
                () if self.once => Some(("--once".to_owned(), accepted("a run of all loads without it"))),
                () => None,
            }
        });
        match refused {
            None => Ok(()),
            Some((shown, accepted)) => {
                let wrong = format!("{shown} with several loads in the plan");
                Err(PlanError(Refusal::new(wrong, accepted, "load: {rate: 100, duration: 10s}")))
            }
        }
    }
}

impl TryFrom<&Args> for Plan {
    type Error = PlanError;

    fn try_from(args: &Args) -> Result<Self, PlanError> {
        match args.planned()? {
            Planned::One(plan) => Ok(*plan),
            Planned::Several(_) => {
                let wrong = "several loads in the plan where one can be run";
                let accepted = "a plan with load in place of loads";
                Err(PlanError(Refusal::new(wrong, accepted, "load: {rate: 100, duration: 10s}")))
            }
        }
    }
}

/// A bound of a load in a plan.
fn threshold(bound: &WrittenThreshold) -> Result<Threshold, PlanError> {
    bound.text.parse().map_err(|_| {
        let wrong = format!("invalid value '{}' for thresholds", bound.text);
        PlanError(Refusal::new(wrong, accepted::THRESHOLD, "thresholds: ['p(99)<200ms']").at(&bound.place))
    })
}
