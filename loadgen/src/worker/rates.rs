//! How many bytes a slow client reads and writes, by time. Nothing here reads or writes, or waits: it says how much may be
//! read or written now, and when there is more.

use crate::{clock::Nanos, plan::Client};

/// Bytes are released in parts of this time, or one by one if that takes longer. All connections have theirs at the same
/// times, so that a worker wakes once for them.
const PART: Nanos = 10_000_000;

const SECOND: u128 = 1_000_000_000;

/// How fast a connection reads and writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    receiving: Option<ByteRate>,
    sending: Option<ByteRate>,
}

impl Rates {
    /// Those of a plan's connections, if they have any.
    pub(super) fn of(client: &Client) -> Option<Self> {
        let rates = Self {
            receiving: client.recv_rate.map(ByteRate::new),
            sending: client.send_rate.map(ByteRate::new),
        };
        (rates.receiving.is_some() || rates.sending.is_some()).then_some(rates)
    }

    /// Nothing waits, until it is asked for.
    pub(super) fn begin(&mut self) {
        for rate in [&mut self.receiving, &mut self.sending].into_iter().flatten() {
            rate.due = None;
        }
    }

    /// How many bytes may be read now, at most `most`.
    pub(super) fn receivable(&mut self, now: Nanos, most: usize) -> usize {
        self.receiving.as_mut().map_or(most, |rate| rate.allowed(now, most))
    }

    /// This number of bytes was read.
    pub(super) fn received(&mut self, now: Nanos, count: usize) {
        if let Some(rate) = &mut self.receiving {
            rate.take(now, count);
        }
    }

    /// How many bytes may be written now, at most `most`.
    pub(super) fn sendable(&mut self, now: Nanos, most: usize) -> usize {
        self.sending.as_mut().map_or(most, |rate| rate.allowed(now, most))
    }

    /// This number of bytes was written.
    pub(super) fn sent(&mut self, now: Nanos, count: usize) {
        if let Some(rate) = &mut self.sending {
            rate.take(now, count);
        }
    }

    /// When more may be read or written that was asked for, if that is not now.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        [&self.receiving, &self.sending].into_iter().flatten().filter_map(|rate| rate.due).min()
    }
}

/// Bytes by time.
#[derive(Clone, Debug)]
struct ByteRate {
    per_second: u64,
    /// By then, all bytes so far are due.
    until: Nanos,
    /// When there are more, if there were none.
    due: Option<Nanos>,
}

impl ByteRate {
    fn new(per_second: u64) -> Self {
        Self { per_second: per_second.max(1), until: 0, due: None }
    }

    /// The time that a number of bytes takes, rounded up.
    fn time_of(&self, bytes: usize) -> Nanos {
        let time = (bytes as u128 * SECOND).div_ceil(u128::from(self.per_second));
        Nanos::try_from(time).unwrap_or(Nanos::MAX)
    }

    /// The time of what is released together.
    fn part(&self) -> Nanos {
        self.time_of(1).max(PART)
    }

    /// What was not used for longer is lost: a part, and what it waited for the time at which all are released.
    fn kept(&self) -> Nanos {
        self.part().saturating_add(PART)
    }

    fn allowed(&mut self, now: Nanos, most: usize) -> usize {
        let time = now.saturating_sub(self.until).min(self.kept());
        let bytes = u128::from(time) * u128::from(self.per_second) / SECOND;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(most);
        if bytes == 0 && most > 0 {
            let at = self.until.saturating_add(self.part());
            self.due = Some(at.div_ceil(PART).saturating_mul(PART));
        }
        bytes
    }

    fn take(&mut self, now: Nanos, count: usize) {
        let since = self.until.max(now.saturating_sub(self.kept()));
        self.until = since.saturating_add(self.time_of(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes are released, when a reader that always wants more asks whenever there are some.
    fn released(per_second: u64, time: Nanos) -> (u64, u64) {
        let mut rates = Rates { receiving: None, sending: Some(ByteRate::new(per_second)) };
        let (mut now, mut sent, mut turns) = (5 * PART, 0, 0);
        let end = now + time;
        while now < end {
            turns += 1;
            rates.begin();
            loop {
                let count = rates.sendable(now, 1 << 30);
                if count == 0 {
                    break;
                }
                rates.sent(now, count);
                sent += count as u64;
            }
            now = rates.next_due().unwrap();
        }
        (sent, turns)
    }

    #[test]
    fn bytes_are_released_by_time_in_parts_of_ten_milliseconds() {
        for (per_second, expected, turns) in [
            (1, 10, 10),
            (99, 990, 990),
            (100, 1000, 1000),
            (64 << 10, 10 * (64 << 10), 1000),
            (1 << 40, 10_u64 << 40, 1000),
        ] {
            let (sent, took) = released(per_second, 10 * 1_000_000_000);
            let off = expected as f64 - sent as f64;
            // Two parts more at the beginning.
            assert!(off.abs() <= (expected as f64 * 0.0021).max(2.0), "{per_second}: {sent} of {expected}");
            assert!(took <= turns + 1, "{per_second}: {took} turns");
        }
    }

    #[test]
    fn what_was_not_used_is_lost_but_for_two_parts() {
        let mut rate = ByteRate::new(1000);
        assert_eq!(rate.allowed(3600 * 1_000_000_000, 5000), 20);
        rate.take(3600 * 1_000_000_000, 20);
        assert_eq!(
            (rate.allowed(3600 * 1_000_000_000, 5000), rate.due),
            (0, Some(3600 * 1_000_000_000 + PART))
        );
        assert_eq!((rate.allowed(0, 0), ByteRate::new(1).allowed(u64::MAX, 7)), (0, 1));
    }

    #[test]
    fn nothing_is_due_that_nobody_asked_for() {
        let mut rates = Rates { receiving: Some(ByteRate::new(10)), sending: None };
        let now = 100 * PART;
        assert_eq!((rates.receivable(now, 100), rates.sendable(now, 100)), (1, 100));
        rates.received(now, 1);
        assert_eq!((rates.next_due(), rates.receivable(now, 100)), (None, 0));
        assert_eq!(rates.next_due(), Some(now + 9 * PART));
        rates.begin();
        assert_eq!(rates.next_due(), None);
    }
}
