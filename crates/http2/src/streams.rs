//! The streams of a connection: a slab whose slots are reused, and a map from identifiers to slots.

use std::collections::VecDeque;

use crate::flow::{ReceiveWindow, SendWindow};

/// How many streams that have ended are remembered, so that what is wrong with a frame for one can be named.
const REMEMBERED: usize = 256;

/// How many streams that were reset here are remembered, so that frames still on their way are not misread. Those
/// below are taken for such streams too.
const REMEMBERED_RESETS: usize = 1024;

/// A stream. The slot is used again after its end, with another identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// A small number, for the caller's own tables.
    pub slot: u32,
    /// The identifier on the wire.
    pub id: u32,
}

/// The state of an open stream (RFC 9113 section 5.1).
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    /// This end has sent END_STREAM.
    pub(crate) local_closed: bool,
    /// The peer has sent END_STREAM.
    pub(crate) remote_closed: bool,
    /// The final head was received.
    pub(crate) head_received: bool,
    /// The caller wants to send and is to be notified when there is room.
    pub(crate) wants: bool,
    /// It is in the queue of those with room.
    pub(crate) queued: bool,
    /// Client: what it asks for has no content in its response (HEAD).
    pub(crate) bodiless: bool,
    pub(crate) send: SendWindow,
    pub(crate) receive: ReceiveWindow,
    /// Bytes received that the caller has not released.
    pub(crate) held: u32,
    /// Bytes of content that are still to come, where that was announced.
    pub(crate) expected: Option<u64>,
}

/// The windows that a stream begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    /// What this end may send.
    pub(crate) send: u32,
    /// What the peer may count on, and what is meant.
    pub(crate) left: u32,
    pub(crate) size: u32,
}

impl Stream {
    /// With nothing sent or received.
    #[inline]
    fn new(id: u32, windows: Windows) -> Self {
        Self {
            id,
            local_closed: false,
            remote_closed: false,
            head_received: false,
            wants: false,
            queued: false,
            bodiless: false,
            send: SendWindow::new(windows.send),
            receive: ReceiveWindow::new(windows.left, windows.size),
            held: 0,
            expected: None,
        }
    }
}

/// How a stream that is no longer there has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Both ends have sent END_STREAM.
    Well,
    /// This end has reset it: frames may still be on their way.
    ResetHere,
    /// The peer has reset it.
    ResetThere,
}

#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: Vec<Option<Stream>>,
    free: Vec<u32>,
    /// From identifiers to slots; open addressing with linear probing, a power of two long and at most half full.
    index: Vec<Place>,
    /// Those that were not reset here, in the order of their ends.
    ended: VecDeque<(u32, Ended)>,
    /// Those that were, in the order of their identifiers, so that a flood of frames for them is looked up quickly.
    reset_here: VecDeque<u32>,
    /// The highest one that was forgotten of those.
    forgotten: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// 0 is empty.
    id: u32,
    slot: u32,
}

/// Where the search for an identifier begins in an index of `length` places.
///
/// Open identifiers follow one another. They must not lie side by side: each removal would walk to the end of their
/// run, which is as long as there are open streams. Multiples of the golden ratio keep apart from one another.
#[inline]
fn home(id: u32, length: usize) -> usize {
    const GOLDEN_RATIO: u32 = 0x9e37_79b9;
    let scattered = (id >> 1).wrapping_mul(GOLDEN_RATIO);
    ((u64::from(scattered) * length as u64) >> 32) as usize
}

impl Streams {
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    #[inline]
    pub(crate) fn find(&self, id: u32) -> Option<u32> {
        self.place(id).map(|place| self.index[place].slot)
    }

    #[inline]
    fn place(&self, id: u32) -> Option<usize> {
        let mask = self.index.len().checked_sub(1)?;
        let mut at = home(id, self.index.len());
        loop {
            match self.index[at].id {
                0 => return None,
                found if found == id => return Some(at),
                _ => at = (at + 1) & mask,
            }
        }
    }

    #[inline]
    pub(crate) fn get(&mut self, key: Key) -> Option<&mut Stream> {
        self.slots.get_mut(key.slot as usize)?.as_mut().filter(|stream| stream.id == key.id)
    }

    #[inline]
    pub(crate) fn peek(&self, key: Key) -> Option<&Stream> {
        self.slots.get(key.slot as usize)?.as_ref().filter(|stream| stream.id == key.id)
    }

    /// All open ones.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Stream)> {
        (0..).zip(self.slots.iter_mut()).filter_map(|(slot, stream)| Some((slot, stream.as_mut()?)))
    }

    /// A new one, in its place: what differs in it is written there, as moving a stream that has just been written takes longer
    /// than all else that is done here.
    #[inline]
    pub(crate) fn insert(&mut self, id: u32, windows: Windows) -> (Key, &mut Stream) {
        if (self.len() + 1) * 2 > self.index.len() {
            self.grow();
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.index(Place { id, slot });
        let stream = self.slots[slot as usize].insert(Stream::new(id, windows));
        (Key { slot, id }, stream)
    }

    fn index(&mut self, place: Place) {
        let mask = self.index.len() - 1;
        let mut at = home(place.id, self.index.len());
        while self.index[at].id != 0 {
            at = (at + 1) & mask;
        }
        self.index[at] = place;
    }

    fn grow(&mut self) {
        let larger = (self.index.len() * 2).max(8);
        let old = std::mem::replace(&mut self.index, vec![Place::default(); larger]);
        for place in old.into_iter().filter(|place| place.id != 0) {
            self.index(place);
        }
    }

    /// Takes out a stream, if it is there: how many of its bytes were held.
    #[inline]
    pub(crate) fn remove(&mut self, key: Key, how: Ended) -> Option<u32> {
        let at = self.place(key.id)?;
        self.unindex(at);
        self.remember(key.id, how);
        self.free.push(key.slot);
        let place = &mut self.slots[key.slot as usize];
        let held = place.as_ref().map(|stream| stream.held);
        *place = None;
        held
    }

    /// Takes out a place and moves those behind it up, so that each is found from where it belongs.
    fn unindex(&mut self, mut hole: usize) {
        let mask = self.index.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            if self.index[at].id == 0 {
                break;
            }
            let home = home(self.index[at].id, self.index.len());
            // It may move up if its home is not between the hole and where it is.
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.index[hole] = self.index[at];
                hole = at;
            }
        }
        self.index[hole] = Place::default();
    }

    /// Remembers the end of a stream, for a while.
    pub(crate) fn remember(&mut self, id: u32, how: Ended) {
        if how == Ended::ResetHere {
            let place = self.reset_here.partition_point(|other| *other < id);
            self.reset_here.insert(place, id);
            if self.reset_here.len() > REMEMBERED_RESETS {
                self.forgotten = self.reset_here.pop_front().unwrap_or(0).max(self.forgotten);
            }
            return;
        }
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((id, how));
    }

    /// How a stream that is not open has ended, if that is remembered.
    pub(crate) fn ended(&self, id: u32) -> Option<Ended> {
        if self.reset_here.binary_search(&id).is_ok() {
            return Some(Ended::ResetHere);
        }
        let found = self.ended.iter().rev().find(|(ended, _)| *ended == id).map(|(_, how)| *how);
        found.or((id <= self.forgotten).then_some(Ended::ResetHere))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(streams: &mut Streams, id: u32) -> Key {
        streams.insert(id, Windows { send: 1, left: 1, size: 1 }).0
    }

    #[test]
    fn streams_are_found_however_they_come_and_go() {
        let mut streams = Streams::default();
        let mut open: Vec<Key> = Vec::new();
        let mut random = 12_345_u32;
        let mut next = 1;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if open.len() < 200 && random >> 16 & 1 == 0 || open.is_empty() {
                open.push(insert(&mut streams, next));
                // Some identifiers are skipped, so that they meet in the index.
                next += 2 + (random >> 20 & 3) * 64;
            } else {
                let key = open.swap_remove(random as usize / 7 % open.len());
                assert_eq!(streams.remove(key, Ended::Well), Some(0));
                assert!(streams.get(key).is_none());
                assert_eq!(streams.ended(key.id), Some(Ended::Well));
            }
            assert_eq!(streams.len(), open.len());
            for key in &open {
                assert_eq!(streams.find(key.id), Some(key.slot));
                assert_eq!(streams.peek(*key).map(|stream| stream.id), Some(key.id));
            }
        }
        assert!(streams.slots.len() <= 200, "slots are used again");
    }

    /// How many places are looked at to remove a stream: those on the way to it, and those up to the next empty one.
    fn steps_to_remove(streams: &Streams, id: u32) -> usize {
        let length = streams.index.len();
        let walked = (home(id, length)..).take_while(|at| streams.index[at % length].id != 0);
        walked.count() + 1
    }

    #[test]
    fn removing_one_of_many_consecutive_streams_takes_few_steps() {
        const OPEN: u32 = 1000;
        const REMOVED: u32 = 20_000;
        // The oldest, the newest, and one in between.
        for pick in [0, OPEN - 1, OPEN / 3] {
            let mut streams = Streams::default();
            let mut ids = (0..).map(|n| n * 2 + 1);
            let mut open: VecDeque<Key> =
                ids.by_ref().take(OPEN as usize).map(|id| insert(&mut streams, id)).collect();
            let mut steps = 0;
            for id in ids.take(REMOVED as usize) {
                let key = open.remove(pick as usize).unwrap();
                steps += steps_to_remove(&streams, key.id);
                assert!(streams.remove(key, Ended::Well).is_some());
                open.push_back(insert(&mut streams, id));
            }
            let mean = steps as f64 / f64::from(REMOVED);
            assert!(mean < 4.0, "{mean} steps to remove number {pick} of {OPEN}");
        }
    }
}
