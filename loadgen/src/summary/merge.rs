//! Several summaries as one: shards of a run that went on at the same time, from several machines or processes.

use super::Summary;

/// Why summaries can't be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} differs: '{one}' and '{other}'")]
pub struct Differs {
    /// The setting.
    pub what: &'static str,
    /// What it is in the first one.
    pub one: String,
    /// What it is in the other one.
    pub other: String,
}

impl Summary {
    /// Adds a shard that ran at the same time: counts, times and bytes are those of both. The run took as long as the
    /// longer one, so that rates add up; so do the planned rate and total, connections, workers and what may be in
    /// flight. It was interrupted if either was.
    ///
    /// # Errors
    /// Target, method, protocol, expected statuses, or whether the loop was open differ; nothing is changed then.
    pub fn merge(&mut self, other: &Self) -> Result<(), Differs> {
        let (run, theirs) = (&mut self.run, &other.run);
        let expected = |status: &Option<String>| status.clone().unwrap_or_else(|| "2xx".to_owned());
        let load = |is_open: bool| if is_open { "open loop" } else { "closed loop" }.to_owned();
        for (what, one, other) in [
            ("target", run.target.clone(), theirs.target.clone()),
            ("method", run.method.clone(), theirs.method.clone()),
            ("protocol", run.protocol.clone(), theirs.protocol.clone()),
            ("expected status", expected(&run.expected_status), expected(&theirs.expected_status)),
            ("load", load(run.is_open_loop()), load(theirs.is_open_loop())),
        ] {
            if one != other {
                return Err(Differs { what, one, other });
            }
        }
        run.rate_per_second = run.rate_per_second.zip(theirs.rate_per_second).map(|(one, other)| one + other);
        run.total = run.total.zip(theirs.total).map(|(one, other)| one.saturating_add(other));
        run.window = run.window.max(theirs.window);
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
        self.records.merge(&other.records);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.arrivals_lasted = self.arrivals_lasted.max(other.arrivals_lasted);
        self.busiest_worker = self.busiest_worker.max(other.busiest_worker);
        self.run_delay = self.run_delay.into_iter().chain(other.run_delay).reduce(f64::max);
        self.interrupted |= other.interrupted;
        Ok(())
    }

    /// Whether it could be read again: its counts are not beyond those of any run.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        self.records.is_plausible() && self.run.is_plausible()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{Planted, run};

    #[test]
    fn shards_that_ran_at_the_same_time_are_one_run_with_the_sum_of_their_rates() {
        let one = run("-r 100 -d 2s a:1", |_, _| Planted::default());
        let other = run("-r 50 -d 4s a:1", |_, _| Planted::default());
        let mut merged = one.clone();
        merged.merge(&other).unwrap();
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
    fn what_differs_is_named_and_nothing_is_merged() {
        let one = run("-r 100 -d 1s a:1", |_, _| Planted::default());
        for (line, what) in [
            ("-r 100 -d 1s b:1", "target"),
            ("-r 100 -d 1s -X PUT a:1", "method"),
            ("-r 100 -d 1s --expect-status 404 a:1", "expected status"),
        ] {
            let mut merged = one.clone();
            let differs = merged.merge(&run(line, |_, _| Planted::default())).unwrap_err();
            assert_eq!((differs.what, merged.records.counts), (what, one.records.counts), "{line}");
        }
        let mut closed = one.clone();
        closed.run.rate_per_second = None;
        assert_eq!(closed.merge(&one).unwrap_err().what, "load");
    }
}
