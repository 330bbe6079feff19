//! What has to hold at a rate for the target to hold that rate, and what came of one step of a search for the highest.

use std::{fmt, str::FromStr};

use super::{Judged, Judgement, Limit, Percentile, RunOutcome, Threshold};
use crate::{numbers::seconds, search::Evidence, summary::Summary};

/// The maximum number of bounds of a service level objective.
const MAX_BOUNDS: usize = 16;

/// A service level objective: [thresholds](Threshold) that have to hold together, as `p(99)<20ms && error_rate<0.1%`.
///
/// Each is an upper bound on something that grows with the load.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo(Vec<Threshold>);

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bounds = text.split("&&").map(str::parse).collect::<Result<Vec<Threshold>, _>>()?;
        if bounds.len() > MAX_BOUNDS {
            return Err(format!("more than {MAX_BOUNDS} bounds"));
        }
        if let Some(bound) = bounds.iter().find(|bound| !bound.is_upper_bound()) {
            return Err(format!("'{bound}' is not an upper bound on what grows with the load"));
        }
        match bounds.iter().find(|bound| bound.min_requests().is_infinite()) {
            Some(bound) => {
                Err(format!("'{bound}' is never judged: no number of requests is enough for its percentile"))
            }
            None => Ok(Self(bounds)),
        }
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, bound) in self.0.iter().enumerate() {
            write!(f, "{}{bound}", if index == 0 { "" } else { " && " })?;
        }
        Ok(())
    }
}

/// What came of one step of a search: a run at a rate, held against a [`Slo`].
#[derive(Clone, Debug)]
pub struct Step {
    /// The rate that was asked for, in requests per second.
    pub rate: f64,
    /// Replies completed per second.
    pub achieved: f64,
    /// Requests that became due.
    pub offered: u64,
    /// Those that did not succeed.
    pub failed: u64,
    /// The median response time; none if no request succeeded.
    pub p50: Option<Percentile>,
    /// The 99th percentile of response time.
    pub p99: Option<Percentile>,
    /// The bounds and what was found.
    pub judged: Vec<Judged>,
    /// What came of the requests.
    pub outcome: RunOutcome,
    /// What kept the run from more.
    pub limit: Limit,
    /// The verdict's sentence on that; none if nothing did.
    pub limit_sentence: Option<String>,
    /// What follows for the search.
    pub evidence: Evidence,
    /// Why it was not held, or what of loadgen stood in the way; empty if it was held.
    pub why: String,
}

impl Slo {
    /// With fewer requests than this, some bound is not judged.
    #[must_use]
    pub fn min_requests(&self) -> f64 {
        self.0.iter().map(Threshold::min_requests).fold(1.0, f64::max)
    }

    /// Holds a run at a constant rate against it. The target holds the rate if all bounds hold, the rate was achieved, and
    /// no queue grew.
    #[must_use]
    pub fn judge(&self, rate: f64, summary: &Summary) -> Step {
        let judged: Vec<_> = self.0.iter().map(|bound| bound.judge(summary)).collect();
        let (outcome, limit) = (summary.outcome(), summary.limit());
        let is_any = |judgement| judged.iter().any(|judged| judged.judgement == judgement);
        let is_crossed = outcome == RunOutcome::Failed || is_any(Judgement::Failed);
        let is_short = limit != Limit::None || !summary.is_rate_held();
        // Times are judged without what loadgen itself delayed, and no delay makes errors of replies.
        let is_crossed_by = |is_time| {
            let failed = |judged: &&Judged| judged.judgement == Judgement::Failed;
            judged.iter().filter(failed).any(|judged| judged.is_time == is_time)
        };
        let has_errors =
            (outcome == RunOutcome::Failed || is_crossed_by(false)) && !are_failures_late(summary);
        let is_excused = summary.was_suspended() && !is_crossed_by(true) && (is_crossed || is_short);
        let is_late = (limit == Limit::Loadgen || is_excused) && !has_errors;
        let evidence = match () {
            () if is_late => {
                let held = !is_crossed && !is_any(Judgement::NotJudged) && summary.is_rate_held();
                Evidence::Limited { held }
            }
            () if is_crossed || is_short => Evidence::NotHeld,
            () if is_any(Judgement::NotJudged) => Evidence::Limited { held: false },
            () => Evidence::Held,
        };
        let found = |wanted| {
            let those = judged.iter().filter(move |judged: &&Judged| judged.judgement == wanted);
            those.map(found).collect::<Vec<_>>().join(" and ")
        };
        let why = match evidence {
            Evidence::Held => String::new(),
            Evidence::Limited { .. } if is_late => summary.limit_sentence(),
            Evidence::Limited { .. } => {
                let why = match summary.records.held_up {
                    (0, _) => String::new(),
                    (longest, _) => {
                        format!(", as loadgen itself was kept from running for {}", seconds(longest))
                    }
                };
                format!("{}, which can't be judged{why}", found(Judgement::NotJudged))
            }
            Evidence::NotHeld if outcome == RunOutcome::Failed => {
                super::success::sentence(summary).trim_start_matches("failed: ").to_owned()
            }
            Evidence::NotHeld if is_crossed => found(Judgement::Failed),
            Evidence::NotHeld => summary.limit_sentence(),
        };
        let counts = &summary.records.counts;
        // Without a success it is how soon requests failed.
        let time_at = |quantile| summary.percentile(quantile).filter(|_| counts.succeeded > 0);
        Step {
            rate,
            achieved: summary.achieved_rate(),
            offered: counts.offered,
            failed: summary.failed(),
            p50: time_at(0.5),
            p99: time_at(0.99),
            judged,
            outcome,
            limit,
            limit_sentence: (limit != Limit::None).then(|| summary.limit_sentence()),
            evidence,
            why,
        }
    }
}

/// Whether most of the requests that did not succeed were late: loadgen may have made them so.
fn are_failures_late(summary: &Summary) -> bool {
    let counts = &summary.records.counts;
    let late = counts.timed_out + counts.unanswered + counts.not_sent + counts.dropped;
    2 * late > counts.unsuccessful()
}

/// The figure of a bound and what it was, such as `p(99) was 35.2 ms`.
fn found(judged: &Judged) -> String {
    let figure = judged.threshold.split('<').next().unwrap_or_default();
    format!("{} was {}", figure.trim_end(), judged.found)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::{
        outcome::Cause,
        planted::{MILLI, Planted, PlantedEnd, run},
        search::{Bounds, NextStep, Search, SearchEnd},
    };

    /// A target of this capacity: `servers` workers with a first-come-first-served queue in front of them, each with the
    /// same time for each request.
    fn served(line: &str, capacity: f64, servers: usize) -> Summary {
        let service = (servers as f64 / capacity * 1e9) as u64;
        let free = RefCell::new(vec![0; servers]);
        run(line, |_, due| {
            let mut free = free.borrow_mut();
            let next = free.iter_mut().min().unwrap();
            *next = due.max(*next) + service;
            Planted { service: *next - due, ..Planted::default() }
        })
    }

    fn search(slo: &str, bounds: Bounds, step: impl Fn(f64) -> Summary) -> (SearchEnd, Vec<Step>) {
        let slo: Slo = slo.parse().unwrap();
        let (mut search, mut steps) = (Search::new(bounds), Vec::new());
        loop {
            match search.next() {
                NextStep::End(end) => return (end, steps),
                NextStep::Step(rate) => {
                    let step = slo.judge(rate, &step(rate));
                    search.record(step.evidence);
                    steps.push(step);
                }
            }
        }
    }

    #[test]
    fn the_capacity_of_a_modelled_target_is_found_within_five_percent() {
        // From 0.7 to 7,000 requests per second; what a step has of them is bounded, for the sake of time.
        for (capacity, servers, seconds) in
            [(0.7, 1, 1800), (17.0, 2, 80), (230.0, 1, 6), (999.0, 16, 2), (7000.0, 3, 1)]
        {
            // A median or a 90th percentile of several service times, which a queue that grows crosses.
            let limit = 20.0 * servers as f64 / capacity;
            for (poisson, slo) in
                [("", format!("p(90)<{limit:.6}s")), (" --poisson --seed 7", "p(50)<1h".to_owned())]
            {
                let bounds = Bounds::new(capacity / 11.0, 1e6, 0.03).unwrap();
                let (end, steps) = search(&slo, bounds, |rate| {
                    served(&format!("-r {rate} -d {seconds}s{poisson} a:1"), capacity, servers)
                });
                let SearchEnd::Found { held, broken } = end else {
                    panic!("{capacity}{poisson}: {end:?} {steps:?}")
                };
                assert!((held / capacity - 1.0).abs() <= 0.05, "{capacity}{poisson}: {held} {steps:?}");
                assert!(held < broken && steps.len() as u32 <= bounds.max_steps());
            }
        }
    }

    fn judge(slo: &str, plant: impl Fn(u64, u64) -> Planted) -> Step {
        slo.parse::<Slo>().unwrap().judge(500.0, &run("-r 500 -d 4s a:1", plant))
    }

    #[test]
    fn a_step_is_held_if_all_bounds_hold_and_the_rate_was_achieved() {
        let slow = |service| move |_, _| Planted { service, ..Planted::default() };
        let step = judge("p(99)<20ms && error_rate<0.1%", slow(MILLI));
        assert_eq!((step.evidence, step.why.as_str(), step.offered), (Evidence::Held, "", 2000));
        let step = judge("error_rate<0.1% && p(99)<20ms && p(50)<=10ms", slow(30 * MILLI));
        assert_eq!(step.evidence, Evidence::NotHeld);
        assert!(
            step.why.starts_with("p(99) was 30.") && step.why.contains(" ms and p(50) was 30."),
            "{}",
            step.why
        );
        // One in a hundred fails.
        let fails = |n: u64, _| match n % 100 {
            7 => Planted { end: PlantedEnd::Status(503), ..Planted::default() },
            _ => Planted::default(),
        };
        let step = judge("error_rate<0.001", fails);
        assert_eq!((step.evidence, step.why.as_str()), (Evidence::NotHeld, "error_rate was 1.000%"));
        assert_eq!(judge("error_rate<2%", fails).evidence, Evidence::Held);
        // A queue that grows is a rate that is not held, whatever the bounds.
        let step = judge("p(99)<1h", |_, at| Planted { service: MILLI + at / 5, ..Planted::default() });
        assert_eq!((step.evidence, step.limit), (Evidence::NotHeld, Limit::Target));
        assert!(step.why.contains("the target was the limit"), "{}", step.why);
    }

    #[test]
    fn a_target_that_serves_nobody_holds_no_rate_and_its_failure_is_named() {
        let refused = crate::outcome::Failure::new(Cause::Refused, "connection refused");
        let step = judge("p(99)<1s", move |_, _| Planted {
            end: PlantedEnd::Failed(refused.clone()),
            ..Planted::default()
        });
        assert_eq!((step.evidence, step.outcome, step.failed), (Evidence::NotHeld, RunOutcome::Failed, 2000));
        assert!(step.why.starts_with("no request succeeded: connection refused by "), "{}", step.why);
    }

    #[test]
    fn what_loadgen_itself_delayed_says_nothing_of_the_target() {
        let late = |_, at| Planted { lag: at / 5, ..Planted::default() };
        let step = judge("p(99)<20ms", late);
        assert_eq!((step.evidence, step.limit), (Evidence::Limited { held: false }, Limit::Loadgen));
        assert!(step.why.starts_with("loadgen was the limit"), "{}", step.why);
        // It is busy, and all is well nonetheless.
        let busy = Summary { busiest_worker: 0.99, ..run("-r 500 -d 4s a:1", |_, _| Planted::default()) };
        let step = "p(99)<20ms".parse::<Slo>().unwrap().judge(500.0, &busy);
        assert_eq!(step.evidence, Evidence::Limited { held: true });
        // It is busy, and the target replies with errors: those are none of its making.
        let fails = |_, _| Planted { end: PlantedEnd::Status(503), ..Planted::default() };
        let busy = Summary { busiest_worker: 0.99, ..run("-r 500 -d 4s a:1", fails) };
        assert_eq!("error_rate<1%".parse::<Slo>().unwrap().judge(500.0, &busy).evidence, Evidence::NotHeld);
        let timed_out = |_, _| Planted { end: PlantedEnd::TimedOut, ..Planted::default() };
        let busy = Summary { busiest_worker: 0.99, ..run("-r 500 -d 4s a:1", timed_out) };
        let step = "error_rate<1%".parse::<Slo>().unwrap().judge(500.0, &busy);
        assert_eq!(step.evidence, Evidence::Limited { held: false });
        // The bound lies inside the band.
        let step = judge("p(50)<5ms", |_, _| Planted { lag: 8 * MILLI, ..Planted::default() });
        assert_eq!(step.evidence, Evidence::Limited { held: false });
        assert!(step.why.starts_with("p(50) was 1.00 ms to 9.0"), "{}", step.why);
        assert!(step.why.ends_with(", which can't be judged"), "{}", step.why);
        // It was kept from running, which is as long as the slowest requests took.
        let mut held_up =
            run("-r 500 -d 4s a:1", |_, _| Planted { service: 30 * MILLI, ..Planted::default() });
        held_up.records.held_up = (50 * MILLI, 80 * MILLI);
        let judge = |slo: &str, summary: &Summary| slo.parse::<Slo>().unwrap().judge(500.0, summary);
        let step = judge("p(99)<20ms", &held_up);
        assert_eq!(step.evidence, Evidence::Limited { held: false });
        assert!(
            step.why.ends_with("which can't be judged, as loadgen itself was kept from running for 50.0 ms"),
            "{}",
            step.why
        );
        // The median is another matter; and where all bounds hold, nothing was amiss.
        held_up.records.held_up = (200 * MILLI, 300 * MILLI);
        assert_eq!(judge("p(50)<20ms", &held_up).evidence, Evidence::NotHeld);
        assert_eq!(judge("p(50)<50ms", &held_up).evidence, Evidence::Held);
    }

    #[test]
    fn a_loadgen_that_is_the_limit_ends_the_search_with_the_highest_rate_that_was_held() {
        let bounds = Bounds::new(100.0, 1e6, 0.05).unwrap();
        let (end, steps) = search("p(90)<20ms", bounds, |rate| {
            run(&format!("-r {rate} -d 2s a:1"), |_, at| Planted {
                lag: if rate > 500.0 { at / 5 } else { 0 },
                ..Planted::default()
            })
        });
        assert_eq!(end, SearchEnd::Limited { held: Some(400.0), at: 800.0 });
        assert_eq!(steps.len(), 5, "100, 200, 400, and 800 twice");
    }

    #[test]
    fn an_slo_has_upper_bounds_on_what_grows_with_the_load() {
        let slo: Slo = " p(99) < 20ms&&error_rate<0.001 && unanswered<=0 ".parse().unwrap();
        assert_eq!(slo.to_string(), "p(99) < 20ms && error_rate<0.001 && unanswered<=0");
        for (text, needed) in
            [("error_rate<1%", 1.0), ("p(50)<1s && p(99.9)<2s", 10_000.0), ("p(99)<1s", 1000.0)]
        {
            assert!((text.parse::<Slo>().unwrap().min_requests() - needed).abs() < 1e-9, "{text}");
        }
        let many = vec!["p(50)<1s"; MAX_BOUNDS + 1].join("&&");
        for text in ["", "&&", "p(99)<1s &&", "p(99)<1s & p(50)<1s", "rate<5", "p(99)>1s", "p(100)<1s", &many]
        {
            assert!(text.parse::<Slo>().is_err(), "{text}");
        }
        assert_eq!(
            vec!["p(50)<1s"; MAX_BOUNDS].join("&&").parse::<Slo>().map(|slo| slo.0.len()),
            Ok(MAX_BOUNDS)
        );
    }
}
