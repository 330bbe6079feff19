//! Where the time of verified requests went: the way there, the server, the way back.
//!
//! *The way there* is from the last byte of a request's own head given to the kernel until the server has seen that head; *the
//! server* from there until it hands over the head of its reply; *the way back* from there until the last byte of the reply was
//! read, its body included. They are parts of the same service time: a reply whose instants do not lie in it, in order, is
//! counted and is in no part. Where both ends share no clock, only the server's own time is known, and the rest.

use hdrhistogram::Histogram;

use super::{LONGEST, times};
use crate::{
    clock::Nanos,
    outcome::{Ended, Outcome, TokenEcho},
};

/// Parts of the service times of complete replies with their own token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Split {
    /// The clock that both ends may share, when the run's shows zero.
    epoch: Nanos,
    /// Of those whose server shares it.
    pub(crate) there: PartTimes,
    pub(crate) back: PartTimes,
    /// Both ways together, of the others.
    pub(crate) outside: PartTimes,
    /// Of all.
    pub(crate) server: PartTimes,
    /// Replies without instants: they came from a request that was redirected, or from a server that reports none.
    pub(crate) untold: u64,
    /// Replies with instants that can't be.
    pub(crate) impossible: u64,
}

/// The times of one part, counted as a [`Histogram`] counts them, with fewer places and less work for each: three are counted for
/// each reply. It takes no memory before the first one.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartTimes {
    /// By [`place`].
    counts: Vec<u64>,
    count: u64,
    /// All of them together.
    pub(crate) sum: u128,
}

/// Times below twice this have a place each; of longer ones, as many leading bits count as these have, so that they are known to within
/// 0.2%. With more of them, the places that are in use at the same time would not fit into the fastest cache.
const PLACES: u64 = 256;

/// Where a time is counted.
#[inline]
fn place(time: Nanos) -> usize {
    let shift = (2 * PLACES - 1).leading_zeros() - (time | (2 * PLACES - 1)).leading_zeros();
    (u64::from(shift) * PLACES + (time >> shift)) as usize
}

/// The middle of the times that are counted there.
fn middle(place: usize) -> Nanos {
    let place = place as u64;
    let shift = (place / PLACES).saturating_sub(1);
    ((place - shift * PLACES) << shift) + ((1 << shift) >> 1)
}

impl PartTimes {
    #[inline]
    fn record(&mut self, time: Nanos) {
        self.sum += u128::from(time);
        self.count += 1;
        match self.counts.get_mut(place(time)) {
            Some(count) => *count += 1,
            None => self.record_first(time),
        }
    }

    #[cold]
    fn record_first(&mut self, time: Nanos) {
        debug_assert!(time <= LONGEST, "{time}: no longer than the service time");
        self.counts.resize(place(LONGEST) + 1, 0);
        self.counts[place(time.min(LONGEST))] += 1;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The same as a histogram; `None` if nothing was recorded.
    pub(crate) fn histogram(&self) -> Option<Histogram<u64>> {
        let mut histogram = (self.count > 0).then(times::histogram)?;
        for (place, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            histogram.saturating_record_n(middle(place).min(LONGEST), *count);
        }
        Some(histogram)
    }

    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.count += other.count;
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, count)| *own += count);
    }
}

impl Split {
    /// The clock that all processes of this host share shows this when the run's shows zero.
    pub(super) fn shares(&mut self, epoch: Nanos) {
        self.epoch = epoch;
    }

    /// A request has ended that is not of the warm-up.
    #[inline]
    pub(super) fn ended(&mut self, ended: &Ended<'_>) {
        let (arrival, reply) = (&ended.in_flight.arrival, &ended.in_flight.reply);
        let (Outcome::Replied, TokenEcho::Own { .. }) = (ended.outcome, reply.token) else { return };
        let (Some(written), Some(server), 0) = (arrival.written, reply.server_times.server(), arrival.chain)
        else {
            self.untold += 1;
            return;
        };
        self.took(ended.at.checked_sub(written), server, reply.server_times.way(written, self.epoch));
    }

    /// The server took so much of the service time, after the way there if that is known.
    #[inline]
    fn took(&mut self, service: Option<Nanos>, server: Nanos, there: Option<Nanos>) {
        let outside = service.filter(|service| *service <= LONGEST).and_then(|all| all.checked_sub(server));
        let Some(outside) = outside else {
            self.impossible += 1;
            return;
        };
        match there.map(|there| (there, outside.checked_sub(there))) {
            // Written, seen, replied and read to the end, in this order.
            Some((there, Some(back))) => {
                self.there.record(there);
                self.back.record(back);
            }
            Some((_, None)) => {
                self.impossible += 1;
                return;
            }
            None => self.outside.record(outside),
        }
        self.server.record(server);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.there, &other.there),
            (&mut self.back, &other.back),
            (&mut self.server, &other.server),
            (&mut self.outside, &other.outside),
        ] {
            mine.merge(theirs);
        }
        self.untold += other.untold;
        self.impossible += other.impossible;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_as_a_histogram_counts_them() {
        let (mut times, mut expected) = (PartTimes::default(), times::histogram());
        assert!(times.histogram().is_none());
        let powers = (0..LONGEST.ilog2()).map(|bits| 1 << bits);
        for time in
            powers.flat_map(|power: u64| [power - 1, power, power + 1, power * 5 / 4]).chain([LONGEST])
        {
            times.record(time);
            expected.record(time).unwrap();
        }
        let mut twice = times.clone();
        twice.merge(&times);
        let found = times.histogram().unwrap();
        assert_eq!((times.count(), found.len()), (expected.len(), expected.len()));
        assert_eq!(twice.histogram().unwrap().len(), 2 * expected.len());
        for thousandth in 0..=1000 {
            let quantile = f64::from(thousandth) / 1000.0;
            let expected = expected.value_at_quantile(quantile);
            let is_near = |found: u64| found.abs_diff(expected) <= expected / PLACES;
            assert!(is_near(found.value_at_quantile(quantile)), "{quantile}");
            assert!(is_near(twice.histogram().unwrap().value_at_quantile(quantile)), "{quantile}");
        }
        assert!(found.max().abs_diff(expected.max()) <= LONGEST / PLACES);
    }

    #[test]
    fn the_parts_of_each_request_add_up_to_all_of_it_and_what_cannot_be_is_counted() {
        let mut split = Split::default();
        split.took(Some(1000), 300, Some(200));
        split.took(Some(1000), 1000, Some(0));
        split.took(Some(500), 500, None);
        // A server that takes longer than its client waits, one that has seen what was not written, and an end before the begin.
        split.took(Some(1000), 1001, None);
        split.took(Some(1000), 300, Some(701));
        split.took(None, 0, Some(0));
        split.took(Some(LONGEST + 1), 0, Some(0));
        assert_eq!((split.impossible, split.there.count(), split.server.count()), (4, 2, 3));
        let mut twice = split.clone();
        twice.merge(&split);
        assert_eq!(
            (twice.there.sum, twice.back.sum, twice.server.sum, twice.outside.sum),
            (400, 1000, 3600, 0)
        );
        assert_eq!((twice.impossible, twice.back.count(), twice.outside.count()), (8, 4, 2));
    }
}
