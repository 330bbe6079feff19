//! Several summaries as one: shards of a run that went on at the same time, from several machines or processes.

use std::{collections::BTreeSet, time::Duration};

use super::{SHORTEST_SHARE, Summary};
use crate::{
    clock::{Nanos, nanos},
    numbers::seconds,
};

/// Runs between which more time lies did not go on at the same time, whatever their hosts' clocks differ.
const MAX_APART: Nanos = 1_000_000_000;

/// Why summaries can't be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotMerge {
    /// They are not shards of one run.
    #[error("{what} differs: '{one}' and '{other}'")]
    Differs {
        /// The setting.
        what: &'static str,
        /// What it is in the first one.
        one: String,
        /// What it is in the other one.
        other: String,
    },
    /// They are shards of several loads, and those of one can't be merged.
    #[error("the load '{name}': {why}")]
    OfLoad {
        /// What the load is called.
        name: String,
        /// Why.
        why: Box<Self>,
    },
    /// A run is in both.
    #[error("the run {0:08x} is in more than one of them, and would be counted twice")]
    Twice(u32),
    /// They did not go on at the same time.
    #[error("one began {} after the other had ended: shards of a run go on at the same time", seconds(*.0))]
    Apart(Nanos),
}

impl Summary {
    /// Adds a shard that ran at the same time: counts, times and bytes are those of both. What is recorded by time is aligned by the
    /// clock on the wall: the run took from the first one's start to the last one's end, so that rates add
    /// up; so do the planned rate and total, connections, workers and what may be in flight. It was interrupted if either was.
    ///
    /// # Errors
    /// Name and start of the load, target, method, protocol, expected statuses, or whether the loop was open differ, a run is in both, or they did
    /// not go on at the same time; nothing is changed then.
    pub fn merge(&mut self, other: &Self) -> Result<(), CannotMerge> {
        self.check(other)?;
        let (run, theirs) = (&mut self.run, &other.run);
        let starts = [self.origin.started_ms, other.origin.started_ms].map(|ms| ms.saturating_mul(1_000_000));
        let start = starts[0].min(starts[1]);
        let [mine, later] = starts.map(|at| at - start);
        let apart = mine.saturating_sub(nanos(other.elapsed)).max(later.saturating_sub(nanos(self.elapsed)));
        if apart > MAX_APART {
            return Err(CannotMerge::Apart(apart));
        }
        let until = |one: Duration, other: Duration| {
            one.saturating_add(Duration::from_nanos(mine))
                .max(other.saturating_add(Duration::from_nanos(later)))
        };
        run.rate_per_second = run.rate_per_second.zip(theirs.rate_per_second).map(|(one, other)| one + other);
        run.stages = match (run.stages.take(), &theirs.stages) {
            (Some(mine), Some(theirs)) => Some(both_stages(mine, theirs)),
            (mine, theirs) => mine.or_else(|| theirs.clone()),
        };
        run.replay = run.replay.take().or_else(|| theirs.replay.clone());
        run.seed = run.seed.filter(|seed| theirs.seed == Some(*seed));
        run.warmup = run.warmup.max(theirs.warmup);
        run.max_lag = run.max_lag.max(theirs.max_lag);
        run.coalesce = run.coalesce.max(theirs.coalesce);
        run.total = run.total.zip(theirs.total).map(|(one, other)| one.saturating_add(other));
        run.window = run.window.zip(theirs.window).map(|(one, other)| until(one, other));
        run.duration = run.duration.max(theirs.duration);
        run.timeout = run.timeout.max(theirs.timeout);
        run.streams = run.streams.max(theirs.streams);
        run.connections = run.connections.saturating_add(theirs.connections);
        run.max_connections = run.max_connections.saturating_add(theirs.max_connections);
        run.workers = run.workers.saturating_add(theirs.workers);
        run.max_in_flight = run.max_in_flight.saturating_add(theirs.max_in_flight);
        for address in &theirs.addresses {
            if run.has_room_for(address) {
                run.addresses.push(address.clone());
            }
        }
        self.records.delay(mine);
        let mut theirs = other.records.clone();
        theirs.delay(later);
        // What is not known of either is not known of both, unless the other one has reached something.
        let reached = match (self.records.reached, theirs.reached) {
            (Some(_), Some(_)) => None,
            (one, other) => Some(one.or(other).filter(|reached| reached.is_any())),
        };
        self.records.merge(&theirs);
        self.records.reached = reached.unwrap_or(self.records.reached);
        let elapsed = until(self.elapsed, other.elapsed);
        (self.busiest_worker, self.run_delay) = busier(self, other, elapsed);
        self.elapsed = elapsed;
        self.arrivals_lasted = until(self.arrivals_lasted, other.arrivals_lasted);
        self.origin.merge(&other.origin);
        self.origin.merged.extend(other.runs());
        self.interrupted |= other.interrupted;
        if self.aborted_by.is_none() {
            self.aborted_by.clone_from(&other.aborted_by);
        }
        // What was proven, or what a command did, is of the requests of one run, and is not said of those of both.
        (self.verification, self.happened, self.records.phases) = (None, None, None);
        Ok(())
    }

    /// Whether it is another shard of the same load.
    pub(super) fn check(&self, other: &Self) -> Result<(), CannotMerge> {
        let (run, theirs) = (&self.run, &other.run);
        let expected = |status: &Option<String>| status.clone().unwrap_or_else(|| "2xx and OK".to_owned());
        let arrivals = |is_random: bool| if is_random { "at random times" } else { "even" }.to_owned();
        let load = |is_open: bool| if is_open { "open loop" } else { "closed loop" }.to_owned();
        let named = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
        let begins = |start: Option<Duration>| seconds(nanos(start.unwrap_or_default()));
        for (what, one, other) in [
            ("name of the load", named(&run.load_name), named(&theirs.load_name)),
            ("start of the load", begins(run.start), begins(theirs.start)),
            ("target", run.target.clone(), theirs.target.clone()),
            ("method", run.method.clone(), theirs.method.clone()),
            ("protocol", run.protocol.clone(), theirs.protocol.clone()),
            ("expected status", expected(&run.expected_status), expected(&theirs.expected_status)),
            ("load", load(run.is_open_loop()), load(theirs.is_open_loop())),
            ("arrivals", arrivals(run.poisson), arrivals(theirs.poisson)),
        ] {
            if one != other {
                return Err(CannotMerge::Differs { what, one, other });
            }
        }
        let mine: BTreeSet<u32> = self.runs().collect();
        if let Some(twice) = other.runs().find(|run| mine.contains(run)) {
            return Err(CannotMerge::Twice(twice));
        }
        Ok(())
    }

    /// The runs that are in it: its own, and those that were merged into it.
    fn runs(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.records.ids().run).chain(self.origin.merged.iter().copied())
    }

    /// Whether it could be read again: its counts are not beyond those of any run.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        let is_printable = |text: &String| !text.contains(char::is_control);
        self.records.is_plausible()
            && self.run.is_plausible()
            && self.origin.is_plausible()
            && self.aborted_by.as_ref().is_none_or(is_printable)
    }
}

/// The share of its time that the busiest worker of both was on a CPU, and waited for one. That it started is most of what a
/// shard of less than [`SHORTEST_SHARE`] did: it counts for as much of `elapsed`, the time of both, as it took.
fn busier(one: &Summary, other: &Summary, elapsed: Duration) -> (f64, Option<f64>) {
    let weight = |shard: &Summary| match shard.elapsed < SHORTEST_SHARE {
        true => shard.elapsed.as_secs_f64() / elapsed.as_secs_f64().max(f64::MIN_POSITIVE),
        false => 1.0,
    };
    let both = [one, other].map(|shard| (shard, weight(shard)));
    let busiest = both.map(|(shard, weight)| shard.busiest_worker * weight);
    let delays = both.into_iter().filter_map(|(shard, weight)| Some(shard.run_delay? * weight));
    (busiest[0].max(busiest[1]), delays.reduce(f64::max))
}

/// The stages of both, which were gone through at the same time, as far as they can be kept.
fn both_stages(mine: String, theirs: &str) -> String {
    const LONGEST: usize = 32 << 10;
    if mine.len() + theirs.len() > LONGEST { mine } else { format!("{mine} + {theirs}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{Planted, run};

    #[test]
    fn shards_that_ran_at_the_same_time_are_one_run_with_the_sum_of_their_rates() {
        let one = run("-r 100 -d 2s a:1", |_, _| Planted::default());
        let other = run("-r 50 -d 4s a:1", |_, _| Planted::default());
        let mut merged = Summary { verification: Some(Box::default()), ..one.clone() };
        merged.merge(&other).unwrap();
        assert_eq!(merged.verification, None, "nothing was proven of both");
        assert_eq!(merged.records.counts.succeeded, 400);
        assert_eq!(merged.run.rate_per_second, Some(150.0));
        assert_eq!(merged.elapsed, other.elapsed);
        assert_eq!(merged.run.connections, one.run.connections + other.run.connections);
        assert_eq!(merged.run.addresses, one.run.addresses);
        let mut text = Vec::new();
        merged.write(&mut text).unwrap();
        assert_eq!(Summary::read(&mut text.as_slice()).unwrap().run, merged.run);
    }

    #[test]
    fn a_shard_that_hardly_ran_does_not_make_the_worker_of_both_a_busy_one() {
        let instant = Duration::from_micros(400);
        let busy = |elapsed, later_ms: u64| {
            let shard = run("-r 100 -d 1s a:1", |_, _| Planted::default());
            let mut origin = shard.origin.clone();
            origin.started_ms += later_ms;
            Summary { busiest_worker: 1.0, run_delay: Some(0.5), elapsed, origin, ..shard }
        };
        let mut merged = busy(instant, 0);
        merged.merge(&busy(instant, 800)).unwrap();
        assert_eq!(merged.elapsed, Duration::from_micros(800_400));
        assert!(merged.busiest_worker < 0.001 && merged.run_delay.unwrap() < 0.001, "{merged:?}");
        let mut merged = busy(instant, 0);
        merged.merge(&busy(Duration::from_secs(1), 0)).unwrap();
        assert_eq!((merged.busiest_worker, merged.run_delay), (1.0, Some(0.5)));
    }

    #[test]
    fn a_run_is_merged_only_once() {
        let shards = [(); 3].map(|()| run("-r 100 -d 1s a:1", |_, _| Planted::default()));
        let of = |shard: &Summary| CannotMerge::Twice(shard.records.ids().run);
        let [one, other, last] = &shards;
        assert_eq!(one.clone().merge(one), Err(of(one)));
        let mut merged = one.clone();
        merged.merge(other).unwrap();
        let mut text = Vec::new();
        merged.write(&mut text).unwrap();
        let read = Summary::read(&mut text.as_slice()).unwrap();
        for shard in [one, other] {
            let mut again = read.clone();
            assert_eq!(again.merge(shard), Err(of(shard)));
            assert_eq!(again.records.counts, read.records.counts);
            let mut turned = shard.clone();
            assert_eq!(turned.merge(&read), Err(of(shard)));
        }
        let mut all = read.clone();
        all.merge(last).unwrap();
        assert_eq!(all.records.counts.succeeded, 300);
        assert_eq!(all.origin.merged, [other, last].map(|shard| shard.records.ids().run));
    }

    #[test]
    fn shards_by_stages_keep_both_and_add_up_their_warm_ups() {
        let one = run("--stages 1s@100,1s@50 --warmup 500ms a:1", |_, _| Planted::default());
        let other = run("--stages 2s@10 --warmup 1s a:1", |_, _| Planted::default());
        assert_eq!((one.records.counts.offered, one.records.warmup.unwrap().offered), (150, 50));
        let mut merged = one.clone();
        merged.merge(&other).unwrap();
        assert_eq!(merged.run.stages.as_deref(), Some("1s@100,1s@50 + 2s@10"));
        assert_eq!((merged.run.rate_per_second, merged.run.seed), (Some(85.0), None));
        assert_eq!(merged.records.counts.succeeded, 170);
        assert_eq!(merged.records.warmup.map(|counts| counts.succeeded), Some(60));
        let mut text = Vec::new();
        merged.write(&mut text).unwrap();
        let read = Summary::read(&mut text.as_slice()).unwrap();
        assert_eq!((&read.run, read.records.warmup), (&merged.run, merged.records.warmup));
        let random = run("-r 100 -d 2s --poisson a:1", |_, _| Planted::default());
        let even = run("-r 100 -d 2s a:1", |_, _| Planted::default());
        let error = random.clone().merge(&even).unwrap_err().to_string();
        assert_eq!(error, "arrivals differs: 'at random times' and 'even'");
    }

    #[test]
    fn shards_are_laid_over_each_other_by_the_clock_on_the_wall() {
        let made = |started_ms: u64| {
            let mut summary = run("-r 100 -d 4s a:1", |_, _| Planted::default());
            summary.origin.started_ms = started_ms;
            summary
        };
        for (one, other) in [(10_000, 11_900), (11_900, 10_000)] {
            let mut merged = made(one);
            merged.merge(&made(other)).unwrap();
            let offered: Vec<_> = merged.records.intervals.iter().map(|part| part.offered).collect();
            assert_eq!(offered, [100, 100, 200, 200, 100, 100], "to the nearest second");
            assert_eq!(merged.origin.started_ms, 10_000);
            assert_eq!(merged.window(), Duration::from_millis(5900));
            assert!((merged.offered_rate() - 800.0 / 5.9).abs() < 0.1, "{}", merged.offered_rate());
        }
        let apart = made(10_000).merge(&made(16_000)).unwrap_err();
        assert!(matches!(apart, CannotMerge::Apart(_)), "{apart}");
        assert!(made(0).merge(&made(u64::MAX)).is_err());
    }

    #[test]
    fn what_differs_is_named_and_nothing_is_merged() {
        let one = run("-r 100 -d 1s a:1", |_, _| Planted::default());
        for (line, what) in [
            ("-r 100 -d 1s b:1", "target"),
            ("-r 100 -d 1s -X PUT a:1", "method"),
            ("-r 100 -d 1s --expect-status 404 a:1", "expected status"),
        ] {
            let mut merged = one.clone();
            let differs = merged.merge(&run(line, |_, _| Planted::default())).unwrap_err();
            assert!(differs.to_string().starts_with(what), "{differs}");
            assert_eq!(merged.records.counts, one.records.counts, "{line}");
        }
        let mut closed = one.clone();
        closed.run.rate_per_second = None;
        assert!(closed.merge(&one).unwrap_err().to_string().starts_with("load "));
    }
}
