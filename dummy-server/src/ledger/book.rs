//! What a worker has seen of one load of a run.

use std::collections::{BTreeMap, BTreeSet};

use contract::{
    id::Id,
    ledger::{
        End, MAX_BROKEN, MAX_DIFFERING, MAX_ENTRIES, MAX_HEADS, OutOfOrder, Pages, Repeat, Sample, SeenAgain,
        State, Statement, Uploads, VERSION,
    },
};

use super::{
    past::{Past, Ring},
    uploads::Came,
};
use crate::cut::Cut;

/// How many numbers are remembered by themselves, for each of the reasons for which they are: as many as are reported.
const MAX_NOTED: usize = MAX_BROKEN;
/// How many entries are kept of failures, and of repeats.
const MAX_FAILURES: usize = 128;
const MAX_REPEATS: usize = 256;
/// How many entries of the sets beside the pages take a KiB at most.
const NOTED_PER_KIB: usize = 16;

/// What was seen more than once.
#[derive(Clone, Copy, Debug)]
struct Again {
    /// How often.
    seen: u32,
    /// How many of these sightings were not refused.
    counted: u8,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    /// Of its own among all that its worker has begun.
    pub(super) serial: u64,
    /// Its counts.
    counts: Statement,
    pages: Pages,
    resent: BTreeMap<(u64, u8), State>,
    /// Refused, and not seen since.
    refused: BTreeSet<(u64, u8)>,
    /// Those whose body broke off, and has not come whole since.
    broken: BTreeSet<(u64, u8)>,
    /// Requests with a body that differs from what was announced.
    differing: BTreeSet<u64>,
    /// Messages that came behind later ones.
    out_of_order: BTreeSet<u64>,
    /// Those that were seen again.
    again: BTreeMap<(u64, u8), Again>,
    /// The lowest number that was seen again, or refused, and is not among those for want of room.
    unnoted: Option<u64>,
    /// Connections that are counted already.
    connections: BTreeSet<u64>,
    pub(super) samples: Vec<Sample>,
    /// What those take, in bytes.
    sampled: usize,
    failures: Vec<Past>,
    repeats: Vec<Past>,
    /// How often the ring was searched for the first sighting of a repeat.
    searches: usize,
}

impl Book {
    pub(super) fn new((run, load): (u32, u8), serial: u64, forgotten: u64) -> Self {
        Self {
            serial,
            counts: Statement { version: VERSION, run, load, forgotten, ..Statement::default() },
            pages: Pages::of_at_most(0),
            ..Self::default()
        }
    }

    #[inline]
    pub(super) fn key(&self) -> (u32, u8) {
        (self.counts.run, self.counts.load)
    }

    pub(super) fn sightings(&self) -> u64 {
        self.counts.sightings.saturating_add(self.counts.forgotten)
    }

    /// What it holds, in KiB: its pages, and what is noted beside them.
    pub(super) fn size(&self) -> usize {
        (self.pages.bytes() >> 10) + self.noted().div_ceil(NOTED_PER_KIB) + self.sampled.div_ceil(1 << 10)
    }

    fn noted(&self) -> usize {
        let keys = [self.refused.len(), self.broken.len(), self.resent.len(), self.again.len()];
        let numbers = [self.differing.len(), self.out_of_order.len(), self.connections.len()];
        keys.iter().chain(&numbers).sum()
    }

    /// Keeps a head, if there are `room` KiB left.
    #[cold]
    pub(super) fn keep(&mut self, sample: Sample, room: usize) {
        let size = sample.size();
        if self.samples.len() < MAX_HEADS && size >> 10 < room {
            self.sampled += size;
            self.samples.push(sample);
        }
    }

    /// A request came on a connection that was not counted last for this book.
    #[cold]
    pub(super) fn came_on(&mut self, connection: u64, room: usize) {
        // Without room it is counted each time it changes hands between runs, which is rare.
        let is_new = !self.connections.contains(&connection);
        if is_new {
            self.counts.connections += 1;
            note(&mut self.connections, connection, room);
        }
    }

    /// A request has arrived: whether it is a first attempt that arrives for the first time, as nearly all are, in a page that is there.
    /// Otherwise call [`Self::saw`].
    #[inline]
    pub(super) fn saw_new(&mut self, id: Id) -> bool {
        let is_new = id.attempt == 0
            && self.refused.is_empty()
            && self.pages.advance(id.number, State::UNSEEN, State::OPEN);
        self.counts.sightings += u64::from(is_new);
        self.counts.open += u64::from(is_new);
        is_new
    }

    /// A request has arrived; how often it has by now, and what kind of repeat that is.
    ///
    /// It grows by no more than `room` KiB; what does not fit is counted as forgotten.
    pub(super) fn saw(&mut self, past: &Past, ring: &Ring, room: usize) -> (u8, Option<Repeat>) {
        self.pages.limit((self.pages.bytes() >> 10) + room);
        let has_room = room > 0;
        let Id { number, attempt, .. } = past.id;
        self.counts.sightings += 1;
        self.counts.open += 1;
        let before =
            if attempt == 0 { self.saw_first(number) } else { self.saw_resent(number, attempt, has_room) };
        if before == State::UNSEEN && self.refused.is_empty() {
            return (1, None);
        }
        self.saw_again(past, before, ring, has_room)
    }

    #[inline]
    fn saw_first(&mut self, number: u64) -> State {
        let (before, noted) = self.pages.set(number, State::OPEN);
        if before > State::OPEN {
            self.pages.set(number, before);
        }
        self.counts.forgotten += u64::from(!noted);
        before
    }

    fn saw_resent(&mut self, number: u64, attempt: u8, has_room: bool) -> State {
        let is_full = self.resent.len() >= MAX_NOTED || !has_room;
        match self.resent.get(&(number, attempt)) {
            Some(before) => *before,
            None if is_full => {
                self.counts.forgotten += 1;
                State::UNSEEN
            }
            None => {
                self.resent.insert((number, attempt), State::OPEN);
                State::UNSEEN
            }
        }
    }

    #[cold]
    fn saw_again(&mut self, past: &Past, before: State, ring: &Ring, has_room: bool) -> (u8, Option<Repeat>) {
        let key = (past.id.number, past.id.attempt);
        let was_refused = self.refused.remove(&key);
        let kind = match before {
            State::UNSEEN if was_refused => Repeat::AfterRefusal,
            State::UNSEEN => return (1, None),
            State::WHOLE => Repeat::AfterSuccess,
            State::FAILED => Repeat::AfterFailure,
            _ => Repeat::Concurrent,
        };
        kind.count(&mut self.counts.repeats);
        let is_new = !self.again.contains_key(&key);
        if is_new && (self.again.len() >= MAX_NOTED || !has_room) {
            self.leave_out(past.id.number);
            return (u8::MAX, None);
        }
        // Whatever came before it and is not known as seen was refused.
        let first = Again { seen: 1, counted: u8::from(before != State::UNSEEN) };
        let again = self.again.entry(key).or_insert(first);
        again.seen = again.seen.saturating_add(1);
        again.counted = again.counted.saturating_add(1);
        let count = u8::try_from(again.seen).unwrap_or(u8::MAX);
        // Those whose first sighting is still open, or has left the ring, are searched for in vain.
        if is_new && self.searches < MAX_REPEATS {
            self.searches += 1;
            self.repeats.extend(ring.find(|id| *id == past.id).next());
        }
        (count, Some(kind))
    }

    #[cold]
    fn leave_out(&mut self, number: u64) {
        self.unnoted = Some(self.unnoted.map_or(number, |lowest| lowest.min(number)));
    }

    /// A sighting was refused: where there are others of the same request, one repeat fewer remains of them. Whether there are.
    #[cold]
    fn refused_beside_others(&mut self, key: (u64, u8), kind: Option<Repeat>) -> bool {
        let Some(again) = self.again.get_mut(&key).filter(|again| again.counted > 0) else { return false };
        again.counted -= 1;
        if again.counted == 0 {
            return false;
        }
        // Where it came first, the one behind it came while it was open.
        let kind = kind.filter(|kind| *kind != Repeat::AfterRefusal).unwrap_or(Repeat::Concurrent);
        kind.uncount(&mut self.counts.repeats);
        true
    }

    /// A request has ended: whether it was a first attempt that was seen once and answered, as nearly all are. Otherwise
    /// call [`Self::ended`].
    #[inline]
    pub(super) fn answered(&mut self, past: &Past) -> bool {
        let is_usual = past.id.attempt == 0
            && past.end == End::Whole
            && past.state() == State::WHOLE
            && self.broken.is_empty()
            && self.again.is_empty()
            && self.pages.advance(past.id.number, State::OPEN, State::WHOLE);
        self.counts.open -= u64::from(is_usual);
        self.counts.whole += u64::from(is_usual);
        is_usual
    }

    /// A request has ended; the book grows by no more than `room` KiB.
    pub(super) fn ended(&mut self, past: &Past, cut: Option<Cut>, room: usize) {
        let Id { number, attempt, .. } = past.id;
        self.counts.open -= 1;
        match past.end {
            End::Open => {}
            End::Whole => self.counts.whole += 1,
            End::Refused => self.counts.refused += 1,
            End::CutByServer => self.counts.cut_by_server += 1,
            End::CutByPeer => self.counts.cut_by_peer += 1,
            End::CutOnPurpose => {
                let name = cut.map_or("", |cut| Cut::NAMES[cut.index()]);
                *self.counts.cut_on_purpose.entry(name.to_owned()).or_default() += 1;
            }
        }
        // A reply that only reports a body that broke off is not a success.
        let is_broken = !self.broken.is_empty() && self.broken.contains(&(number, attempt));
        let mut state = past.state().min(if is_broken { State::FAILED } else { State::WHOLE });
        if past.end == End::Refused && self.refused_beside_others((number, attempt), past.repeat) {
            state = State::OPEN;
        }
        if attempt == 0 {
            let (before, noted) = self.pages.set(number, state);
            // One of several sightings that went well is enough, and a refusal is not a sighting.
            if before > State::OPEN && before > state {
                self.pages.set(number, before);
            }
            debug_assert!(noted || self.counts.forgotten > 0);
        } else if let Some(own) = self.resent.get_mut(&(number, attempt)) {
            *own = if *own > State::OPEN { state.max(*own) } else { state };
        }
        if past.end == End::Refused && !note(&mut self.refused, (number, attempt), room) {
            self.leave_out(number);
        }
        if state != State::WHOLE && self.failures.len() < MAX_FAILURES {
            self.failures.push(*past);
        } else if !self.again.is_empty()
            && self.again.contains_key(&(number, attempt))
            && self.repeats.len() < MAX_REPEATS
        {
            self.repeats.push(*past);
        }
    }

    /// A message that is new has come behind a later one of its WebSocket; the book grows by no more than `room` KiB.
    pub(super) fn came_behind(&mut self, number: u64, room: usize) {
        self.counts.out_of_order.count += 1;
        note(&mut self.out_of_order, number, room);
    }

    /// The body of a request has ended; the book grows by no more than `room` KiB.
    pub(super) fn upload_ended(&mut self, id: Id, came: Came, room: usize) {
        let uploads = &mut self.counts.uploads;
        uploads.unannounced += u64::from(matches!(came, Came::Unannounced));
        uploads.checked += u64::from(matches!(came, Came::AsAnnounced | Came::Otherwise(_)));
        if let Came::Broken = came {
            note(&mut self.broken, (id.number, id.attempt), room);
            return;
        }
        if !self.broken.is_empty() {
            self.broken.remove(&(id.number, id.attempt));
        }
        if let Came::Otherwise(differing) = came {
            uploads.differing += 1;
            if !self.differing.contains(&id.number) {
                uploads.unlisted += u64::from(!note(&mut self.differing, id.number, room));
            }
            if uploads.examples.len() < MAX_DIFFERING {
                uploads.examples.push(*differing);
            }
        }
    }

    /// What it says, with entries of these numbers as far as they are remembered.
    pub(super) fn statement(
        &self,
        (instance, epoch): (&str, u32),
        numbers: &[u64],
        ring: &Ring,
    ) -> (Statement, Pages) {
        let resent = self.resent.iter().map(|(&(number, attempt), state)| (number, attempt, state.bits()));
        let (run, load) = (self.counts.run, self.counts.load);
        let is_asked_for =
            |id: &Id| (id.run, id.load) == (run, load) && numbers.binary_search(&id.number).is_ok();
        let mut all: Vec<Past> = Vec::new();
        // One may have been seen many times.
        let asked_for = (!numbers.is_empty()).then(|| ring.find(is_asked_for).take(MAX_ENTRIES));
        let known = self.repeats.iter().chain(&self.failures).copied();
        for past in asked_for.into_iter().flatten().chain(known) {
            if !all.contains(&past) {
                all.push(past);
            }
        }
        let entries = all.iter().map(|past| past.entry(instance)).collect();
        let mut broken: Vec<u64> = self.broken.iter().map(|(number, _)| *number).collect();
        broken.dedup();
        let statement = Statement {
            instance: instance.to_owned(),
            epoch,
            resent: resent.filter(|(.., state)| *state != State::UNSEEN.bits()).collect(),
            entries,
            seen_again: self.seen_again(),
            samples: self.samples.clone(),
            uploads: Uploads {
                broken,
                numbers: self.differing.iter().copied().collect(),
                ..self.counts.uploads.clone()
            },
            out_of_order: OutOfOrder {
                numbers: self.out_of_order.iter().copied().collect(),
                ..self.counts.out_of_order
            },
            ..self.counts.clone()
        };
        (statement, self.pages.clone())
    }

    /// How often it has seen what it has seen again, and what it has refused alone.
    fn seen_again(&self) -> SeenAgain {
        // The lowest ones alone are stated.
        let again = self.again.iter().map(|(key, again)| (*key, again.seen)).take(MAX_ENTRIES + 1);
        let refused = self.refused.iter().filter(|key| !self.again.contains_key(key));
        let refused = refused.map(|key| (*key, 1)).take(MAX_ENTRIES + 1);
        let all: BTreeMap<(u64, u8), u32> = again.chain(refused).collect();
        SeenAgain::of(all, self.unnoted)
    }
}

/// Remembers one more, if there is room for it.
fn note<T: Ord>(noted: &mut BTreeSet<T>, one: T, room: usize) -> bool {
    let has_room = noted.len() < MAX_NOTED && room > 0;
    if has_room {
        noted.insert(one);
    }
    has_room
}
