//! What requests share that ask for it: the number of draws, how often a key has failed, what is in flight, and what
//! the server does by default. Requests that ask for nothing read one number of it.

use runtime::mutex::lock;
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use super::knobs::Behaviour;

/// The number of locks that keys share.
const SHARDS: usize = 16;
/// Keys that are remembered in each shard; the oldest gives way.
const MOST_KEYS: usize = 4096;

/// One for a server.
#[derive(Debug)]
pub(crate) struct BehaviourState {
    /// Raised by each change of the default; 0 is as long as there never was one.
    generation: AtomicU64,
    default: Mutex<Option<Arc<Behaviour>>>,
    draws: AtomicU64,
    keys: [Mutex<Keys>; SHARDS],
    hasher: RandomState,
    /// By worker; one may be taken off where another was added.
    in_flight: Box<[OwnCacheLine]>,
}

/// A count on its own cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct OwnCacheLine(AtomicI64);

#[derive(Debug, Default)]
struct Keys {
    counts: HashMap<String, u64>,
    order: VecDeque<String>,
}

impl BehaviourState {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            generation: AtomicU64::new(0),
            default: Mutex::new(None),
            draws: AtomicU64::new(0),
            keys: Default::default(),
            hasher: RandomState::new(),
            in_flight: (0..workers).map(|_| OwnCacheLine::default()).collect(),
        }
    }

    /// Raised by each change of the default.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What the server does by default.
    pub(crate) fn default(&self) -> Option<Arc<Behaviour>> {
        lock(&self.default).clone()
    }

    /// From now on every request gets this; one that asks for nothing is the end of it.
    pub(crate) fn set_default(&self, behaviour: Behaviour) {
        let default = (behaviour != Behaviour::default()).then(|| Arc::new(behaviour));
        *lock(&self.default) = default;
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The number of the next draw.
    pub(super) fn draw(&self) -> u64 {
        self.draws.fetch_add(1, Ordering::Relaxed)
    }

    /// How many requests there were with this key, this one among them.
    pub(super) fn count(&self, key: &str) -> u64 {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        let keys = &mut *lock(&self.keys[shard]);
        if let Some(count) = keys.counts.get_mut(key) {
            *count += 1;
            return *count;
        }
        if keys.order.len() >= MOST_KEYS
            && let Some(oldest) = keys.order.pop_front()
        {
            keys.counts.remove(&oldest);
        }
        keys.order.push_back(key.to_owned());
        keys.counts.insert(key.to_owned(), 1);
        1
    }

    /// Counts a request in, until the guard is dropped; how many there are then.
    pub(super) fn enter(self: &Arc<Self>, worker: usize) -> (InFlight, u64) {
        let place = worker % self.in_flight.len();
        self.in_flight[place].0.fetch_add(1, Ordering::Relaxed);
        let all: i64 = self.in_flight.iter().map(|count| count.0.load(Ordering::Relaxed)).sum();
        (InFlight { shared: Arc::clone(self), place }, all.max(1) as u64)
    }
}

/// A request that is in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    shared: Arc<BehaviourState>,
    place: usize,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.in_flight[self.place].0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_each_by_itself_and_old_ones_give_way() {
        let shared = BehaviourState::new(1);
        assert_eq!((shared.count("a"), shared.count("a"), shared.count("b")), (1, 2, 1));
        for number in 0..2 * SHARDS * MOST_KEYS {
            shared.count(&number.to_string());
        }
        assert_eq!(shared.count("a"), 1);
        let kept: usize = shared.keys.iter().map(|keys| lock(keys).counts.len()).sum();
        assert!(kept <= SHARDS * MOST_KEYS);
    }

    #[test]
    fn requests_in_flight_are_counted_over_all_workers() {
        let shared = Arc::new(BehaviourState::new(2));
        let (first, one) = shared.enter(0);
        let (second, two) = shared.enter(1);
        drop(first);
        let (_third, again) = shared.enter(1);
        drop(second);
        assert_eq!((one, two, again, shared.enter(0).1), (1, 2, 2, 2));
    }

    #[test]
    fn the_default_is_kept_until_it_is_removed() {
        let shared = BehaviourState::new(1);
        assert_eq!((shared.generation(), shared.default()), (0, None));
        shared.set_default(Behaviour::parse(" delay=1ms ").unwrap());
        assert_eq!(shared.default().map(|default| default.to_string()).as_deref(), Some("delay=1ms"));
        assert_eq!(shared.generation(), 1);
        shared.set_default(Behaviour::default());
        assert!(shared.default().is_none() && shared.generation() == 2);
    }
}
