//! One exchange as it is remembered, and a ring of the last ones.

use std::collections::VecDeque;

use contract::{
    id::Id,
    ledger::{End, Entry, Repeat, State},
};

/// How many exchanges a worker remembers.
const REMEMBERED: usize = 64 << 10;

/// What is known of one sighting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) id: Id,
    pub(super) sighting: u8,
    /// What kind of repeat it is, if it is one.
    pub(super) repeat: Option<Repeat>,
    /// Its place in [`METHODS`].
    method: u8,
    pub(super) status: u16,
    pub(super) received_ns: u64,
    pub(super) replied_ns: u64,
    pub(super) ended_ns: u64,
    pub(super) sent: u64,
    pub(super) end: End,
}

const METHODS: [&str; 11] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE", "MESSAGE", "other"];

impl Past {
    #[inline]
    pub(super) fn new(id: Id, method: &[u8], received_ns: u64) -> Self {
        let method = if method == METHODS[0].as_bytes() { 0 } else { place_of(method) };
        Self { id, sighting: 1, method, received_ns, ..Self::default() }
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
            method: METHODS[usize::from(self.method)].to_owned(),
            status: self.status,
            received_ns: self.received_ns,
            replied_ns: self.replied_ns,
            ended_ns: self.ended_ns,
            sent: self.sent,
            end: self.end,
        }
    }
}

/// The place of a method in [`METHODS`].
fn place_of(method: &[u8]) -> u8 {
    let place = METHODS.iter().position(|known| known.as_bytes() == method);
    place.unwrap_or(METHODS.len() - 1) as u8
}

/// One that ended as nearly all do: seen once and for the first time, and answered whole in the moment in which the reply began. Two
/// of them lie in a cache line.
#[derive(Clone, Copy, Debug)]
struct Usual {
    number: u64,
    received_ns: u64,
    run: u32,
    /// How much later it ended, in nanoseconds.
    took: u32,
    sent: u32,
    status: u16,
    load: u8,
    method: u8,
}

/// The `method` of one that has ended in another way: its `number` is its place among the others.
const OTHERWISE: u8 = u8::MAX;

impl Usual {
    /// One that says nothing yet.
    const NONE: Self =
        Self { number: 0, received_ns: 0, run: 0, took: 0, sent: 0, status: 0, load: 0, method: OTHERWISE };

    /// Becomes this one; false where it has ended in another way.
    #[inline]
    fn becomes(&mut self, past: &Past) -> bool {
        let took = past.replied_ns.wrapping_sub(past.received_ns);
        let is_first = (past.id.attempt, past.sighting, past.repeat) == (0, 1, None);
        let is_short = took <= u32::MAX.into() && past.sent <= u32::MAX.into();
        let is_usual = is_first && is_short && past.end == End::Whole && past.ended_ns == past.replied_ns;
        if is_usual {
            self.number = past.id.number;
            self.received_ns = past.received_ns;
            self.run = past.id.run;
            (self.took, self.sent) = (took as u32, past.sent as u32);
            (self.status, self.load, self.method) = (past.status, past.id.load, past.method);
        }
        is_usual
    }

    fn past(&self) -> Past {
        let Self { number, received_ns, run, took, sent, status, load, method } = *self;
        let ended_ns = received_ns.wrapping_add(took.into());
        Past {
            id: Id { run, load, number, attempt: 0 },
            sighting: 1,
            repeat: None,
            method,
            status,
            received_ns,
            replied_ns: ended_ns,
            ended_ns,
            sent: sent.into(),
            end: End::Whole,
        }
    }
}

/// The exchanges that ended last. It takes no memory before the first one.
#[derive(Debug, Default)]
pub(super) struct Ring {
    past: Vec<Usual>,
    /// Where the next one goes: behind the last one, or in place of the oldest once all places are taken.
    next: usize,
    /// Those of the last ones that did not end as nearly all do.
    others: VecDeque<Past>,
    /// How many of these are forgotten.
    forgotten: u64,
}

impl Ring {
    #[inline]
    pub(super) fn push(&mut self, past: &Past) {
        let place = self.next;
        self.next = (place + 1) % REMEMBERED;
        if place == self.past.len() {
            self.past.push(Usual::NONE);
        }
        if !self.past[place].becomes(past) {
            self.push_other(place, past);
        }
    }

    #[cold]
    fn push_other(&mut self, place: usize, past: &Past) {
        // As many as there are places: none is forgotten before its place is taken.
        if self.others.len() == REMEMBERED {
            self.others.pop_front();
            self.forgotten += 1;
        }
        self.others.push_back(*past);
        let number = self.forgotten + self.others.len() as u64 - 1;
        self.past[place] = Usual { number, ..Usual::NONE };
    }

    /// The exchanges that `wanted` says, the newest first.
    pub(super) fn find(&self, mut wanted: impl FnMut(&Id) -> bool) -> impl Iterator<Item = Past> {
        let (newer, older) = self.past.split_at(self.next);
        let whole = |usual: &Usual| match usual.method {
            OTHERWISE => {
                self.others.get(usize::try_from(usual.number.checked_sub(self.forgotten)?).ok()?).copied()
            }
            _ => Some(usual.past()),
        };
        let all = newer.iter().rev().chain(older.iter().rev()).filter_map(whole);
        all.filter(move |past| wanted(&past.id))
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
            ring.push(&past(number));
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

    #[test]
    fn each_is_remembered_as_it_was_however_it_ended() {
        let usual = Past {
            status: 200,
            replied_ns: 9,
            ended_ns: 9,
            sent: 1024,
            end: End::Whole,
            ..Past::new(Id { run: 1, load: 2, number: 3, attempt: 0 }, b"POST", 5)
        };
        let all = [
            usual,
            Past { id: Id { attempt: 1, ..usual.id }, ..usual },
            Past { sighting: 2, ..usual },
            Past { repeat: Some(Repeat::AfterFailure), ..usual },
            Past { ended_ns: 10, ..usual },
            Past { replied_ns: 4, ended_ns: 4, ..usual },
            Past { replied_ns: 0, ended_ns: 0, ..usual },
            Past { replied_ns: u64::MAX, ended_ns: u64::MAX, ..usual },
            Past { sent: 1 << 32, ..usual },
            Past { end: End::CutByPeer, ..usual },
            Past { status: 0, ..usual },
        ];
        let mut ring = Ring::default();
        for turn in 0..2 {
            for past in all {
                ring.push(&past);
                assert_eq!(ring.find(|_| true).next(), Some(past));
            }
            let found: Vec<Past> = ring.find(|_| true).take(all.len()).collect();
            assert_eq!(found, all.into_iter().rev().collect::<Vec<_>>());
            if turn == 0 {
                assert_eq!(ring.others.len(), all.len() - 2);
                (0..=2 * REMEMBERED).for_each(|_| ring.push(&all[1]));
                assert_eq!(ring.find(|_| true).count(), REMEMBERED);
                assert_eq!(ring.others.len(), REMEMBERED);
            }
        }
    }
}
