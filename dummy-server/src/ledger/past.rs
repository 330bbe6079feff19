//! One exchange as it is remembered, and a ring of the last ones.

use contract::{
    id::Id,
    ledger::{End, Entry, Repeat, State},
};

/// How many exchanges a worker remembers.
const REMEMBERED: usize = 64 << 10;

/// What is known of one sighting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    pub(super) id: Id,
    pub(super) sighting: u8,
    /// What kind of repeat it is, if it is one.
    pub(super) repeat: Option<Repeat>,
    /// What it is noted in.
    pub(super) book: u64,
    method: &'static str,
    pub(super) status: u16,
    pub(super) received_ns: u64,
    pub(super) replied_ns: u64,
    pub(super) ended_ns: u64,
    pub(super) sent: u64,
    pub(super) end: End,
}

const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE", "MESSAGE"];

impl Past {
    pub(super) fn new(id: Id, method: &[u8], received_ns: u64) -> Self {
        let method = METHODS.into_iter().find(|known| known.as_bytes() == method).unwrap_or("other");
        let end = End::Open;
        Self {
            id,
            sighting: 1,
            repeat: None,
            book: 0,
            method,
            status: 0,
            received_ns,
            replied_ns: 0,
            ended_ns: 0,
            sent: 0,
            end,
        }
    }

    /// What its end means for its number.
    pub(super) fn state(&self) -> State {
        self.end.state(self.status)
    }

    pub(super) fn entry(&self, instance: &str) -> Entry {
        Entry {
            number: self.id.number,
            attempt: self.id.attempt,
            sighting: self.sighting,
            instance: instance.to_owned(),
            method: self.method.to_owned(),
            status: self.status,
            received_ns: self.received_ns,
            replied_ns: self.replied_ns,
            ended_ns: self.ended_ns,
            sent: self.sent,
            end: self.end,
        }
    }
}

/// The exchanges that ended last. It takes no memory before the first one.
#[derive(Debug, Default)]
pub(super) struct Ring {
    past: Vec<Past>,
    /// Where the oldest is, once all places are taken.
    next: usize,
}

impl Ring {
    #[inline]
    pub(super) fn push(&mut self, past: Past) {
        if self.past.len() < REMEMBERED {
            self.past.push(past);
        } else {
            self.past[self.next] = past;
            self.next = (self.next + 1) % REMEMBERED;
        }
    }

    /// The exchanges that `wanted` says, the newest first.
    pub(super) fn find(&self, mut wanted: impl FnMut(&Id) -> bool) -> impl Iterator<Item = &Past> {
        let (newer, older) = self.past.split_at(self.next);
        newer.iter().rev().chain(older.iter().rev()).filter(move |past| wanted(&past.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered_newest_first() {
        let mut ring = Ring::default();
        let past = |number| Past::new(Id { run: 1, load: 0, number, attempt: 0 }, b"GET", number);
        for number in 0..REMEMBERED as u64 + 10 {
            ring.push(past(number));
        }
        let all: Vec<u64> = ring.find(|_| true).map(|past| past.id.number).collect();
        let expected: Vec<u64> = (10..REMEMBERED as u64 + 10).rev().collect();
        assert_eq!(all, expected);
        assert_eq!(ring.find(|id| id.number == 9).count(), 0);
        assert_eq!(past(1).entry("one").method, "GET");
        assert_eq!(
            Past::new(Id { run: 1, load: 0, number: 1, attempt: 0 }, b"BREW", 0).entry("").method,
            "other"
        );
    }
}
