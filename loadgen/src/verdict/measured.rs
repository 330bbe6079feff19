//! What a round of a comparison was, from its summary.

use super::{Percentile, Time};
use crate::{
    compare::{
        Round, RoundTime,
        rules::{Conditions, ServerConditions},
    },
    summary::Summary,
};

impl Summary {
    /// What a comparison takes of it, with microseconds of a CPU for each request.
    #[must_use]
    pub fn round(&self, cpu: Option<f64>) -> Round {
        // Failures in a hurry would make the mean look good.
        let mean = self.mean_times().filter(|_| self.failed() * 100 <= self.records.counts.offered);
        Round { p50: self.times_at(0.5), p99: self.times_at(0.99), mean, cpu }
    }

    /// What decides whether it counts, beside the share of the CPUs that went to other machines.
    #[must_use]
    pub fn conditions(&self, steal: Option<f64>) -> Conditions {
        let (held_up, _) = self.records.held_up;
        let server = self.records.server_report.mean_load();
        let server = server.map(|load| ServerConditions { busy: load.cpu, lag: load.turn_lag });
        Conditions { steal, held_up, p50: self.times_at(0.5), busy: self.busiest_worker, server }
    }

    fn times_at(&self, quantile: f64) -> Option<RoundTime> {
        match self.percentile(quantile)? {
            Percentile { is_n_too_small: true, .. } => None,
            Percentile { time: Time::AtLeast(_), .. } => None,
            Percentile { time: Time::Band { response, undelayed }, .. } => {
                Some(RoundTime { response: response as f64, undelayed: undelayed as f64 })
            }
        }
    }

    /// Over all offered requests: of those that failed, as long as it took them to.
    fn mean_times(&self) -> Option<RoundTime> {
        let times = &self.records.times;
        let (succeeded, failed) = (times.response.len() as f64, times.unsuccessful.len() as f64);
        let failures = if failed > 0.0 { times.unsuccessful.mean() * failed } else { 0.0 };
        let mean = |mean: f64| (mean * succeeded + failures) / (succeeded + failed);
        (succeeded > 0.0).then(|| RoundTime {
            response: mean(times.response.mean()),
            undelayed: mean(times.undelayed.mean()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compare::rules::Reason,
        planted::{MILLI, Planted, PlantedEnd, run},
    };

    fn is_near(found: f64, expected: f64) -> bool {
        (found / expected - 1.0).abs() < 0.002
    }

    #[test]
    fn a_round_has_its_quantiles_and_its_mean_with_and_without_loadgens_own_delay() {
        let plant = |n: u64, _| {
            let service = if n.is_multiple_of(50) { 9 * MILLI } else { 2 * MILLI };
            Planted { service, lag: MILLI, ..Planted::default() }
        };
        let round = run("-r 500 -d 4s a:1", plant).round(Some(7.5));
        let (p50, p99, mean) = (round.p50.unwrap(), round.p99.unwrap(), round.mean.unwrap());
        assert!(is_near(p50.response, 3e6) && is_near(p50.undelayed, 2e6), "{p50:?}");
        assert!(is_near(p99.response, 10e6) && is_near(p99.undelayed, 9e6), "{p99:?}");
        assert!(is_near(mean.response, 3.14e6) && is_near(mean.undelayed, 2.14e6), "{mean:?}");
        assert_eq!(round.cpu, Some(7.5));
    }

    #[test]
    fn failures_are_in_no_percentile_and_in_the_mean_where_they_are_rare() {
        let every = |part: u64| {
            move |n: u64, _| match n % part {
                0 => Planted { end: PlantedEnd::Status(503), service: 11 * MILLI, ..Planted::default() },
                _ => Planted::default(),
            }
        };
        let round = run("-r 500 -d 4s a:1", every(10)).round(None);
        assert!(round.p50.is_some() && (round.p99, round.mean) == (None, None), "{round:?}");
        let round = run("-r 500 -d 4s a:1", every(100)).round(None);
        assert!(round.mean.is_some_and(|mean| is_near(mean.response, 1.1e6)), "{round:?}");
        let short = run("-r 100 -d 4s a:1", |_, _| Planted::default()).round(None);
        assert!(short.p50.is_some() && short.p99.is_none(), "four requests are slower: {short:?}");
        let none = |_, _| Planted { end: PlantedEnd::TimedOut, ..Planted::default() };
        assert_eq!(run("-r 100 -d 4s a:1", none).round(None), Round::default());
    }

    #[test]
    fn a_round_in_which_loadgen_did_not_run_does_not_count() {
        let mut summary = run("-r 500 -d 4s a:1", |_, _| Planted::default());
        assert_eq!(summary.conditions(None).fault(), None);
        summary.records.held_up = (101 * MILLI, 150 * MILLI);
        assert_eq!(summary.conditions(None).fault(), Some(Reason::HeldUp));
        let late = run("-r 500 -d 4s a:1", |_, _| Planted { lag: 2 * MILLI, ..Planted::default() });
        assert_eq!(late.conditions(None).fault(), Some(Reason::OwnDelay));
    }
}
