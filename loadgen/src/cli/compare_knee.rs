//! The knee of a contender: the highest rate at which its 99th percentile is below ten times what it is at a low rate, and no queue
//! grows.

use std::time::Duration;

use super::{compare_args::Contender, compare_rounds::BlockRunner, progress::note};
use crate::{
    compare::{Knee, rules::MAX_BUSY},
    numbers::decimal,
    report::find_max,
    search::{Bounds, Evidence, NextStep, Search, SearchEnd},
    verdict::{Slo, Time},
};

/// The low rate, in requests per second.
pub(super) const LOW: f64 = 500.0;

/// How long a step sends requests, after its warm-up: at the low rate, more than the thousand that a 99th percentile needs, whatever
/// chance does to their number.
pub(super) const STEP: Duration = Duration::from_millis(2500);

/// How much longer than at the low rate the 99th percentile may take.
const GROWTH: f64 = 10.0;

/// How closely it is known.
const PRECISION: f64 = 0.1;

/// Searches it, with the plan of a step; none if the user does not want to go on.
///
/// # Errors
/// It has none: not even the low rate is held, or a step could not run.
pub(super) fn of(rounds: &BlockRunner<'_>, contender: &Contender, max: f64) -> anyhow::Result<Option<Knee>> {
    let name = &contender.name;
    let Some((first, _, _)) = rounds.round(contender, LOW)? else { return Ok(None) };
    let p99 = first.percentile(0.99).map(|percentile| match percentile.time {
        Time::Band { response, .. } => response as f64,
        Time::AtLeast(at_least) => at_least as f64,
    });
    let Some(slo) = p99.and_then(bounds_of) else {
        anyhow::bail!("{name} has no 99th percentile at {LOW} requests/s")
    };
    let Some(bounds) = Bounds::new(LOW, max, PRECISION) else {
        anyhow::bail!("{max} is below {LOW} requests/s")
    };
    let mut search = Search::new(bounds);
    loop {
        let rate = match search.next() {
            NextStep::Step(rate) => rate,
            NextStep::End(end) => return end_of(name, end).map(Some),
        };
        let Some((summary, conditions, _)) = rounds.round_that_may_fail(contender, rate)? else {
            return Ok(None);
        };
        let step = slo.judge(rate, &summary);
        // Either end of ours may be the next limit, and not the contender.
        let busiest = conditions.server.map_or(0.0, |server| server.busy).max(conditions.busy);
        let is_busy = busiest > MAX_BUSY && step.evidence == Evidence::Held;
        search.record(if is_busy { Evidence::Limited { held: true } } else { step.evidence });
        if rounds.output.progress {
            note(&format!("knee of {name}: {}", find_max::line(&step)));
        }
    }
}

/// What has to hold below the knee.
fn bounds_of(p99: f64) -> Option<Slo> {
    format!("p(99)<{}us && error_rate<0.1%", (p99 * GROWTH / 1e3).ceil().max(1.0)).parse().ok()
}

fn end_of(name: &str, end: SearchEnd) -> anyhow::Result<Knee> {
    let knee = |rate, is_lower_bound| Ok(Knee { rate, is_lower_bound });
    match end {
        SearchEnd::Found { held, .. } => knee(held, false),
        SearchEnd::MaxHeld { held } | SearchEnd::Limited { held: Some(held), .. } => knee(held, true),
        SearchEnd::NotHeld { broken } => {
            anyhow::bail!("{name} does not hold {} requests/s: give a lower --rate", decimal(broken))
        }
        SearchEnd::Limited { held: None, at } => {
            anyhow::bail!("loadgen is the limit at {} requests/s to {name}: give a lower --rate", decimal(at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{MILLI, Planted, run};

    #[test]
    fn the_knee_is_where_the_99th_percentile_is_ten_times_that_of_a_low_rate() {
        let slo = bounds_of(2e6).unwrap();
        let at = |service| {
            slo.judge(500.0, &run("-r 500 -d 4s a:1", move |_, _| Planted { service, ..Planted::default() }))
        };
        assert_eq!((at(19 * MILLI).evidence, at(21 * MILLI).evidence), (Evidence::Held, Evidence::NotHeld));
        assert!(bounds_of(0.0).is_some() && bounds_of(3.6e12).is_some());
    }

    #[test]
    fn a_contender_without_a_knee_is_reported_with_what_helps() {
        let knee = |rate, is_lower_bound| Some(Knee { rate, is_lower_bound });
        let end = |end| end_of("nginx", end).ok();
        assert_eq!(end(SearchEnd::Found { held: 900.0, broken: 950.0 }), knee(900.0, false));
        assert_eq!(end(SearchEnd::MaxHeld { held: 1000.0 }), knee(1000.0, true));
        assert_eq!(end(SearchEnd::Limited { held: Some(800.0), at: 1600.0 }), knee(800.0, true));
        for end in [SearchEnd::NotHeld { broken: 500.0 }, SearchEnd::Limited { held: None, at: 500.0 }] {
            let said = end_of("nginx", end).unwrap_err().to_string();
            assert!(said.contains("nginx") && said.ends_with(": give a lower --rate"), "{said}");
        }
    }
}
