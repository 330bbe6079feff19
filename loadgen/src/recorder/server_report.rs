//! What dummy-server reports of its own part: its share of the service time, and how busy its workers were, of a sample of
//! replies.

use contract::timing::{Timing, WorkerLoad};
use serde::{Deserialize, Serialize};

use super::{LONGEST, plausible::LARGEST};
use crate::clock::Nanos;

/// Sums over the replies that report, each weighted by how many requests it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerReport {
    /// Replies whose times could be laid beside each other.
    times: WeightedTimes,
    /// Replies that report how busy their worker was.
    load: ServerLoad,
    /// Of them, those of requests that were due in the second half of the run, or all where that is not known.
    late_load: ServerLoad,
}

/// Sums of weights and of nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightedTimes {
    weight: u64,
    /// Written to the end.
    service: u64,
    /// Seen by the server to replied, or to the last byte.
    server: u64,
    /// Of those whose clocks agree.
    way_weight: u64,
    /// Written to seen.
    way: u64,
}

/// Sums of weights, thousandths of a CPU, and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerLoad {
    replies: u64,
    weight: u64,
    cpu_permille: u64,
    turn_lag: u64,
    longest_turn_lag: u64,
}

/// Means of what the server reports, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReportedTimes {
    /// Seen by the server to replied, or to the last byte where it reports that.
    pub server: f64,
    /// The rest of the service time of the same requests.
    pub outside: f64,
    /// Sent to seen, between two clocks; none where they contradict each other.
    pub way: Option<f64>,
}

/// How busy the workers of dummy-server were, on average over requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReportedLoad {
    /// Replies that reported it.
    pub replies: u64,
    /// The share of a CPU that a worker had, from 0 to 1.
    pub cpu: f64,
    /// How late its timer was, in nanoseconds.
    pub turn_lag: f64,
    /// The longest of them.
    pub longest_turn_lag: u64,
}

impl ServerReport {
    /// The times of a request that stands for `weight`: written and ended by the client's clock, laid on the server's.
    pub(super) fn times(&mut self, timing: Timing, written: Nanos, ended: Nanos, weight: u64) {
        let Timing { received_ns, replied_ns } = timing;
        let (service, server) = (ended.saturating_sub(written), replied_ns.saturating_sub(received_ns));
        // No server takes longer than its client waits.
        if server > service || service > LONGEST {
            return;
        }
        let times = &mut self.times;
        times.weight += weight;
        times.service = times.service.saturating_add(service.saturating_mul(weight));
        times.server = times.server.saturating_add(server.saturating_mul(weight));
        if written <= received_ns && replied_ns <= ended {
            times.way_weight += weight;
            times.way = times.way.saturating_add((received_ns - written).saturating_mul(weight));
        }
    }

    /// How busy the worker was that sent a reply which stands for `weight`; whether the request was a late one.
    pub(super) fn load(&mut self, load: WorkerLoad, is_late: bool, weight: u64) {
        self.load.add(load, weight);
        if is_late {
            self.late_load.add(load, weight);
        }
    }

    /// Adds what was reported to another worker.
    pub(super) fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (&mut self.times, &other.times);
        for (mine, theirs) in [
            (&mut mine.weight, theirs.weight),
            (&mut mine.service, theirs.service),
            (&mut mine.server, theirs.server),
            (&mut mine.way_weight, theirs.way_weight),
            (&mut mine.way, theirs.way),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        self.load.merge(&other.load);
        self.late_load.merge(&other.late_load);
    }

    /// Nothing was reported.
    pub(super) fn is_empty(&self) -> bool {
        self.times.weight == 0 && self.load.weight == 0
    }

    /// Where the service time went; none if nothing was reported.
    #[must_use]
    pub fn mean_times(&self) -> Option<ReportedTimes> {
        let WeightedTimes { weight, service, server, way_weight, way } = self.times;
        let mean = |sum: u64| sum as f64 / weight.max(1) as f64;
        (weight > 0).then(|| ReportedTimes {
            server: mean(server),
            outside: mean(service.saturating_sub(server)),
            // A clock that is off is off for most.
            way: (2 * way_weight > weight).then(|| way as f64 / way_weight.max(1) as f64),
        })
    }

    /// How busy the workers were over the whole run; none if nothing was reported.
    #[must_use]
    pub fn mean_load(&self) -> Option<ReportedLoad> {
        self.load.mean()
    }

    /// The same of the second half, where that is known.
    #[must_use]
    pub fn late_load(&self) -> Option<ReportedLoad> {
        self.late_load.mean()
    }

    /// Whether a run with this number of `completed` requests can have recorded it.
    pub(super) fn is_plausible(&self, completed: u64) -> bool {
        let WeightedTimes { weight, way_weight, service, server, .. } = self.times;
        weight <= LARGEST
            && way_weight <= weight
            && server <= service
            && self.load.is_plausible(completed)
            && self.late_load.is_plausible(completed)
            && self.late_load.replies <= self.load.replies
    }
}

impl ServerLoad {
    fn add(&mut self, load: WorkerLoad, weight: u64) {
        let turn_lag = load.turn_lag_ns.min(LONGEST);
        self.replies += 1;
        self.weight += weight;
        self.cpu_permille += u64::from(load.cpu_permille) * weight;
        self.turn_lag = self.turn_lag.saturating_add(turn_lag.saturating_mul(weight));
        self.longest_turn_lag = self.longest_turn_lag.max(turn_lag);
    }

    fn merge(&mut self, other: &Self) {
        self.replies += other.replies;
        self.weight += other.weight;
        self.cpu_permille += other.cpu_permille;
        self.turn_lag = self.turn_lag.saturating_add(other.turn_lag);
        self.longest_turn_lag = self.longest_turn_lag.max(other.longest_turn_lag);
    }

    fn mean(&self) -> Option<ReportedLoad> {
        let mean = |sum: u64| sum as f64 / self.weight.max(1) as f64;
        (self.weight > 0).then(|| ReportedLoad {
            replies: self.replies,
            cpu: mean(self.cpu_permille) / 1000.0,
            turn_lag: mean(self.turn_lag),
            longest_turn_lag: self.longest_turn_lag,
        })
    }

    fn is_plausible(&self, completed: u64) -> bool {
        let Self { replies, weight, cpu_permille, turn_lag, longest_turn_lag } = *self;
        replies <= completed
            && weight <= LARGEST >> 10
            && replies <= weight
            && cpu_permille <= weight * 1000
            && longest_turn_lag <= turn_lag.min(LONGEST)
            && turn_lag <= longest_turn_lag.saturating_mul(weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing { received_ns: 1200, replied_ns: 1500 };

    #[test]
    fn means_are_of_the_same_requests_by_their_weight() {
        let mut report = ServerReport::default();
        report.times(TIMING, 1000, 2000, 1);
        report.times(Timing { received_ns: 1200, replied_ns: 1600 }, 1000, 2000, 3);
        let times = report.mean_times().unwrap();
        assert!((times.server - 375.0).abs() < 1e-6 && (times.outside - 625.0).abs() < 1e-6, "{times:?}");
        assert!(times.way.is_some_and(|way| (way - 200.0).abs() < 1e-6), "{times:?}");
    }

    #[test]
    fn clocks_that_contradict_each_other_report_no_way_and_a_server_slower_than_its_client_nothing() {
        let mut report = ServerReport::default();
        report.times(TIMING, 5000, 6000, 1);
        let times = report.mean_times().unwrap();
        assert!((times.server - 300.0).abs() < 1e-6 && times.way.is_none(), "{times:?}");
        let mut report = ServerReport::default();
        report.times(TIMING, 1000, 1100, 1);
        assert!(report.mean_times().is_none() && report.is_empty());
    }

    #[test]
    fn loads_are_weighted_bounded_and_kept_apart_by_when_they_were_due() {
        let mut report = ServerReport::default();
        report.load(WorkerLoad { turn_lag_ns: 0, cpu_permille: 0 }, false, 1);
        report.load(WorkerLoad { turn_lag_ns: u64::MAX, cpu_permille: 1000 }, true, 3);
        let (all, late) = (report.mean_load().unwrap(), report.late_load().unwrap());
        assert!((all.cpu - 0.75).abs() < 1e-9 && (late.cpu - 1.0).abs() < 1e-9);
        assert_eq!((all.replies, late.replies, late.longest_turn_lag), (2, 1, LONGEST));
        assert!(report.is_plausible(2) && !report.is_plausible(1));
        let mut twice = report;
        twice.merge(&report);
        assert_eq!(twice.mean_load().unwrap().replies, 4);
        for broken in [
            ServerLoad { turn_lag: u64::MAX, longest_turn_lag: 1, replies: 1, weight: 1, cpu_permille: 0 },
            ServerLoad { turn_lag: 0, longest_turn_lag: 1, replies: 1, weight: 1, cpu_permille: 0 },
            ServerLoad { turn_lag: 0, longest_turn_lag: 0, replies: 1, weight: 1, cpu_permille: 1001 },
        ] {
            assert!(!ServerReport { load: broken, ..ServerReport::default() }.is_plausible(1), "{broken:?}");
        }
    }
}
