//! How figures of new runs differ from those of old ones, as far as rounds of both can show.
//!
//! The change is the median of the ratios of each new round to each old one (the Hodges-Lehmann estimate, of logarithms), with
//! the 95% interval of the Mann-Whitney test: it holds for any distribution of rounds, and needs four on each side. Where
//! loadgen's own delay is part of a figure, the interval is as much wider.

use super::Time;
use crate::summary::Summary;

/// What an interval has to leave to chance at either end, at most.
const TAIL: f64 = 0.025;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ChangedFigure {
    /// The share of requests that succeeded.
    Succeeded,
    /// Replies per second.
    Rate,
    /// A percentile of response time.
    Response(f64),
}

/// All that is compared, by name.
pub const FIGURES: [(&str, ChangedFigure); 6] = [
    ("succeeded", ChangedFigure::Succeeded),
    ("rate", ChangedFigure::Rate),
    ("p50", ChangedFigure::Response(0.5)),
    ("p90", ChangedFigure::Response(0.9)),
    ("p99", ChangedFigure::Response(0.99)),
    ("p99.9", ChangedFigure::Response(0.999)),
];

impl ChangedFigure {
    /// Whether more is worse.
    fn is_worse_above(self) -> bool {
        matches!(self, Self::Response(_))
    }

    /// What it is, without and with loadgen's own delay; none if too few requests stand behind it, or they did not succeed.
    #[must_use]
    pub fn of(self, summary: &Summary) -> Option<(f64, f64)> {
        let certain = |value: f64| Some((value, value));
        match self {
            Self::Succeeded => certain(summary.success_ratio()),
            Self::Rate => certain(summary.achieved_rate()),
            Self::Response(quantile) => {
                let percentile = summary.percentile(quantile)?;
                match percentile.time {
                    _ if percentile.is_n_too_small => None,
                    Time::AtLeast(_) => None,
                    Time::Band { response, undelayed } => Some((undelayed as f64, response as f64)),
                }
            }
        }
    }
}

/// What is concluded of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// It is worse, by more than is allowed where that was said.
    Worse,
    /// It is better; or, where it was said how much worse it may be, not worse by more.
    Better,
    /// Nothing that the rounds can show.
    Same,
    /// What is allowed lies within the interval, or there is none.
    CannotTell,
}

/// The change of one figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub figure: ChangedFigure,
    /// The median of the old rounds, and of the new ones.
    pub medians: Option<(f64, f64)>,
    /// The change as a share: -0.1 is a tenth less.
    pub estimate: Option<f64>,
    /// Where it lies by 95%.
    pub interval: Option<(f64, f64)>,
    /// What is concluded.
    pub conclusion: Conclusion,
}

/// The change of each figure; one that is worse by more than the share `allowed` is a regression.
#[must_use]
pub fn changes(old: &[Summary], new: &[Summary], allowed: Option<f64>) -> Vec<Change> {
    FIGURES.iter().map(|&(name, figure)| change(name, figure, old, new, allowed)).collect()
}

fn change(
    name: &'static str,
    figure: ChangedFigure,
    old: &[Summary],
    new: &[Summary],
    allowed: Option<f64>,
) -> Change {
    let values = |rounds: &[Summary]| rounds.iter().map(|round| figure.of(round)).collect::<Option<Vec<_>>>();
    let unknown = Change {
        name,
        figure,
        medians: None,
        estimate: None,
        interval: None,
        conclusion: Conclusion::CannotTell,
    };
    let (Some(old), Some(new)) = (values(old), values(new)) else { return unknown };
    if old.is_empty() || new.is_empty() {
        return unknown;
    }
    let responses = |values: &[(f64, f64)]| median(values.iter().map(|(_, response)| *response).collect());
    let medians = Some((responses(&old), responses(&new)));
    let ratios = |of: fn(f64, f64, f64, f64) -> f64| {
        let ratio = |old: &(f64, f64), new: &(f64, f64)| {
            // Nothing on either side is not a change.
            if old == new && old.0 == old.1 { 1.0 } else { of(old.0, old.1, new.0, new.1) }
        };
        let pairs = old.iter().flat_map(|old| new.iter().map(move |new| ratio(old, new)));
        let mut ratios: Vec<_> = pairs.collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    };
    let least = ratios(|_, old, new, _| new / old);
    let most = ratios(|old, _, _, new| new / old);
    let all = ratios(|_, old, _, new| new / old);
    let estimate = median(all) - 1.0;
    let interval = outside(old.len(), new.len()).map(|k| (least[k] - 1.0, most[most.len() - 1 - k] - 1.0));
    let conclusion = interval
        .map_or(Conclusion::CannotTell, |interval| conclude(figure.is_worse_above(), interval, allowed));
    Change { name, figure, medians, estimate: Some(estimate).filter(|e| e.is_finite()), interval, conclusion }
}

fn conclude(is_worse_above: bool, (low, high): (f64, f64), allowed: Option<f64>) -> Conclusion {
    // How much worse it is, at least and at most.
    let (least, most) = if is_worse_above { (low, high) } else { (-high, -low) };
    match allowed {
        Some(allowed) if least > allowed => Conclusion::Worse,
        Some(allowed) if most <= allowed && most < 0.0 => Conclusion::Better,
        Some(allowed) if most <= allowed => Conclusion::Same,
        Some(_) => Conclusion::CannotTell,
        None if least > 0.0 => Conclusion::Worse,
        None if most < 0.0 => Conclusion::Better,
        None => Conclusion::Same,
    }
}

/// The one in the middle, or the mean of the two that are; there is at least one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// How many of the sorted pairs of `n` and `m` values lie below the interval, and as many above; none if there are too few
/// for any interval.
fn outside(n: usize, m: usize) -> Option<usize> {
    let ways = ways(n, m);
    let all: f64 = ways.iter().sum();
    let mut below = 0.0;
    let mut k = 0_usize;
    for ways in ways {
        below += ways;
        if below / all > TAIL {
            break;
        }
        k += 1;
    }
    // With k - 1 at most in so few cases, the k-th from either end is within.
    k.checked_sub(1)
}

/// In how many of all orders of `n` and `m` values each number of pairs is the wrong way round.
fn ways(n: usize, m: usize) -> Vec<f64> {
    // Of the values so far, by how many there are of the second kind.
    let mut row = vec![vec![1.0]; m + 1];
    for first in 1..=n {
        let mut next: Vec<Vec<f64>> = Vec::with_capacity(m + 1);
        next.push(vec![1.0]);
        for second in 1..=m {
            // The last value is of the first kind, above all of the second; or of the second.
            let mut ways = vec![0.0; first * second + 1];
            row[second].iter().enumerate().for_each(|(pairs, count)| ways[pairs + second] += count);
            next[second - 1].iter().enumerate().for_each(|(pairs, count)| ways[pairs] += count);
            next.push(ways);
        }
        row = next;
    }
    row.swap_remove(m)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{MICRO, Planted, run};

    #[test]
    fn the_distribution_is_that_of_mann_and_whitney() {
        assert_eq!(ways(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
        assert_eq!(ways(3, 4).iter().sum::<f64>(), 35.0);
        // Critical values of the two-sided test at 5%, from its tables.
        for (n, m, critical) in [(4, 4, 0), (5, 5, 2), (6, 6, 5), (8, 8, 13), (3, 5, 0), (10, 10, 23)] {
            assert_eq!(outside(n, m), Some(critical), "{n} and {m}");
        }
        assert_eq!((outside(3, 3), outside(1, 10), outside(1, 1)), (None, None, None));
        assert!(outside(100, 100).is_some_and(|k| (4100..4300).contains(&k)));
    }

    fn rounds(services: &[u64]) -> Vec<Summary> {
        let round = |service: &u64| {
            let service = *service;
            run("-r 100 -d 20s a:1", move |_, _| Planted { service: service * MICRO, ..Planted::default() })
        };
        services.iter().map(round).collect()
    }

    fn p50(old: &[u64], new: &[u64], allowed: Option<f64>) -> (Option<(f64, f64)>, Conclusion) {
        let changes = changes(&rounds(old), &rounds(new), allowed);
        let found = changes.iter().find(|change| change.name == "p50").unwrap();
        assert!(changes.iter().take(2).all(|change| change.interval.is_none_or(|i| i == (0.0, 0.0))));
        (found.interval, found.conclusion)
    }

    #[test]
    fn rounds_show_a_change_that_is_larger_than_their_spread() {
        let old = [1000, 1010, 990, 1005, 995, 1000];
        let (interval, conclusion) = p50(&old, &[1200, 1210, 1190, 1205, 1195, 1200], None);
        let (low, high) = interval.unwrap();
        assert!(low > 0.15 && high < 0.25 && conclusion == Conclusion::Worse, "{low} to {high}");
        assert_eq!(p50(&old, &old.map(|time| time * 8 / 10), None).1, Conclusion::Better);
        assert_eq!(p50(&old, &old, None).1, Conclusion::Same);
        assert_eq!(p50(&old, &old.map(|time| time * 12 / 10), Some(0.05)).1, Conclusion::Worse);
        assert_eq!(p50(&old, &old, Some(0.05)).1, Conclusion::Same);
        let noisy = [800, 1500, 900, 1300, 1000, 1100];
        assert_eq!(p50(&old, &noisy, Some(0.05)).1, Conclusion::CannotTell, "5% lies within");
        assert_eq!(p50(&old[..1], &[5000], Some(0.05)), (None, Conclusion::CannotTell), "one each");
    }
}
