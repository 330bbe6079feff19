//! Percentiles of response time over all offered requests, each as a band: as it was, and as it would have been without
//! loadgen's own delay.
//!
//! A request that did not succeed never got the response that it was sent for: it is slower than any that did. So fast
//! refusals and fast errors improve nothing.

use hdrhistogram::Histogram;

use crate::{
    clock::{Nanos, nanos},
    numbers::time,
    summary::Summary,
};

/// The percentiles that reports show: name and quantile.
pub const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];

/// A percentile with fewer requests above it says nothing.
const MIN_TAIL: u64 = 10;

/// A band that is narrower than this share of the time is not a reason to doubt it.
const WIDEST: f64 = 0.05;

/// Or one that is narrower than this number of buckets of the histogram.
const BUCKETS: u64 = 2;

/// A percentile of response time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentile {
    /// From 0 to 1.
    pub quantile: f64,
    /// What it is.
    pub time: Time,
    /// Whether fewer than ten requests are slower: then it is chance.
    pub is_n_too_small: bool,
}

/// A time, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// The request of this rank succeeded.
    Band {
        /// Response time in nanoseconds: due to last byte.
        response: Nanos,
        /// The same without what loadgen itself may have delayed, at most.
        undelayed: Nanos,
    },
    /// The request of this rank did not succeed: it took at least this many nanoseconds, if it had ever succeeded.
    AtLeast(Nanos),
}

/// Up to which percentile loadgen's own delay is not a reason to doubt the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidUpTo {
    /// All of [`QUANTILES`] that enough requests stand behind, whose requests succeeded.
    All,
    /// The one of this name: of the next one it is, or its request did not succeed.
    Percentile(&'static str),
    /// Not even the lowest.
    Nothing,
}

/// The time at a quantile of those in a histogram and of `failed` others that are slower than all of them: none if it is
/// one of these; and whether too few are slower than that. None at all without any request.
pub(super) fn at_rank(times: &Histogram<u64>, failed: u64, quantile: f64) -> Option<(Option<Nanos>, bool)> {
    let all = times.len() + failed;
    if all == 0 {
        return None;
    }
    let rank = rank(all, quantile);
    let time = (rank <= times.len()).then(|| value_of_rank(times, rank));
    Some((time, all - rank < MIN_TAIL))
}

/// With fewer requests than this, too few are slower than the quantile; infinite where none ever is.
pub(super) fn min_requests(quantile: f64) -> f64 {
    (MIN_TAIL as f64 / (1.0 - quantile) - 1e-6).ceil()
}

/// The rank of a quantile among `all`, from 1 on.
fn rank(all: u64, quantile: f64) -> u64 {
    contract::quantity::rounded((quantile * all as f64 - 1e-9).ceil()).clamp(1, all)
}

fn value_of_rank(times: &Histogram<u64>, rank: u64) -> Nanos {
    // Half a rank lower, against rounding: the histogram rounds up.
    times.value_at_quantile((rank as f64 - 0.5) / times.len().max(1) as f64)
}

impl Summary {
    /// The percentile of response time over all offered requests; none if there were none.
    #[must_use]
    pub fn percentile(&self, quantile: f64) -> Option<Percentile> {
        let times = &self.records.times;
        let failed = times.unsuccessful.len();
        let quantile = quantile.clamp(0.0, 1.0);
        let (response, is_n_too_small) = at_rank(&times.response, failed, quantile)?;
        let time = match (response, at_rank(&times.undelayed, failed, quantile)) {
            (Some(response), Some((Some(undelayed), _))) => {
                Time::Band { response, undelayed: undelayed.min(response) }
            }
            _ => {
                let rank = rank(times.response.len() + failed, quantile) - times.response.len();
                Time::AtLeast(value_of_rank(&times.unsuccessful, rank).max(times.response.max()))
            }
        };
        Some(Percentile { quantile, time, is_n_too_small })
    }

    /// Whether enough requests were due while loadgen was kept from running, or in as long behind that, that they reach down
    /// to a quantile.
    pub(super) fn is_held_up_at(&self, quantile: f64) -> bool {
        let (_, held_up) = self.records.held_up;
        held_up > 0 && 2.0 * held_up as f64 >= (1.0 - quantile) * nanos(self.window()) as f64
    }

    /// Up to which percentile the times are valid.
    #[must_use]
    pub fn valid_up_to(&self) -> ValidUpTo {
        let mut valid = ValidUpTo::Nothing;
        for (name, quantile) in QUANTILES {
            match self.percentile(quantile) {
                Some(percentile) if percentile.is_n_too_small => break,
                // The request at this rank did not succeed: there is only a lower bound.
                Some(Percentile { time: Time::AtLeast(_), .. }) => return valid,
                Some(percentile) if self.is_narrow(percentile.time) => valid = ValidUpTo::Percentile(name),
                _ => return valid,
            }
        }
        if valid == ValidUpTo::Nothing { valid } else { ValidUpTo::All }
    }

    fn is_narrow(&self, time: Time) -> bool {
        match time {
            Time::AtLeast(_) => true,
            Time::Band { response, undelayed } => {
                let buckets = BUCKETS * self.records.times.response.equivalent_range(response);
                let widest = (response as f64 * WIDEST).max(buckets as f64);
                (response - undelayed) as f64 <= widest
            }
        }
    }

    /// A sentence on up to which percentile the times are valid, and what is to be made of those above it; none where
    /// there are no times.
    #[must_use]
    pub fn validity(&self) -> Option<String> {
        if self.records.times.response.is_empty() {
            return None;
        }
        let late = self.lateness();
        let enough = self.percentile(QUANTILES[0].1).is_some_and(|median| !median.is_n_too_small);
        Some(match self.valid_up_to() {
            ValidUpTo::All => match self.last_with_enough() {
                Some(name) => {
                    format!("times are valid up to {name}; too few requests are slower to tell more")
                }
                None => "times are valid at all percentiles".to_owned(),
            },
            ValidUpTo::Percentile(name) if self.wide().is_empty() => {
                format!("times are valid up to {name}; above it, requests did not succeed")
            }
            ValidUpTo::Percentile(name) => format!("times are valid up to {name}; above it, {late}"),
            ValidUpTo::Nothing if enough && self.wide().is_empty() => {
                format!("no percentile is a time: requests did not succeed from {} on", QUANTILES[0].0)
            }
            ValidUpTo::Nothing if enough => {
                format!("loadgen's own delay may be in {}: {late}", self.wide().join(", "))
            }
            ValidUpTo::Nothing => "too few requests for percentiles".to_owned(),
        })
    }

    /// The last percentile that enough requests are above, unless that is the last of all.
    fn last_with_enough(&self) -> Option<&'static str> {
        let has_enough = |quantile: f64| self.percentile(quantile).is_some_and(|found| !found.is_n_too_small);
        let enough = QUANTILES.iter().take_while(|(_, quantile)| has_enough(*quantile));
        enough
            .last()
            .map(|(name, _)| *name)
            .filter(|last| QUANTILES.last().is_none_or(|(name, _)| name != last))
    }

    /// The percentiles whose band is wide.
    fn wide(&self) -> Vec<&'static str> {
        let is_wide = |quantile: f64| {
            self.percentile(quantile)
                .is_some_and(|found| !found.is_n_too_small && !self.is_narrow(found.time))
        };
        QUANTILES.iter().filter(|(_, quantile)| is_wide(*quantile)).map(|(name, _)| *name).collect()
    }

    /// How much loadgen's own delay changes percentiles, and where it comes from.
    fn lateness(&self) -> String {
        // Of those that the sentence is about.
        let widest = QUANTILES.iter().filter_map(|(_, quantile)| match self.percentile(*quantile)? {
            found if found.is_n_too_small || self.is_narrow(found.time) => None,
            Percentile { time: Time::Band { response, undelayed }, .. } => Some(response - undelayed),
            Percentile { time: Time::AtLeast(_), .. } => None,
        });
        let widest = widest.max().unwrap_or(0);
        let late = time(widest as f64);
        let busy = self.busiest_worker * 100.0;
        let (longest, _) = self.records.held_up;
        let coalesce = nanos(self.run.coalesce.unwrap_or_default());
        let why = match self.run_delay {
            // About as much as was asked for. Where hardly any requests were sent together, it is less.
            _ if coalesce > 0 && (coalesce / 2..=coalesce + coalesce / 4).contains(&widest) => {
                format!("--coalesce has it send up to {} late", time(coalesce as f64))
            }
            Some(share) if longest > 100_000_000 && share < 0.05 => {
                format!("it was stopped or suspended for {}", time(longest as f64))
            }
            Some(share) if share > 0.01 => {
                format!("other programs had the CPU, for {:.0}% of the run", share * 100.0)
            }
            _ if self.busiest_worker > 0.7 => format!("a worker was busy {busy:.0}% of the time"),
            _ => format!("it sends and reads that late, busy {busy:.0}% of the time"),
        };
        format!("its own delay widens them by up to {late}: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{Planted, PlantedEnd, run};

    #[test]
    fn times_are_valid_up_to_the_last_percentile_that_succeeded() {
        for (failed_of_10, valid, said) in [
            (0, ValidUpTo::All, "times are valid up to p99; too few requests are slower to tell more"),
            (
                2,
                ValidUpTo::Percentile("p75"),
                "times are valid up to p75; above it, requests did not succeed",
            ),
            (
                4,
                ValidUpTo::Percentile("p50"),
                "times are valid up to p50; above it, requests did not succeed",
            ),
            (6, ValidUpTo::Nothing, "no percentile is a time: requests did not succeed from p50 on"),
        ] {
            let summary = run("-r 100 -d 20s a:1", |n, _| Planted {
                end: PlantedEnd::Status(if n % 10 < failed_of_10 { 503 } else { 200 }),
                ..Planted::default()
            });
            assert_eq!((summary.valid_up_to(), summary.validity().as_deref()), (valid, Some(said)));
        }
    }
}
