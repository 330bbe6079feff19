//! How much memory requests and replies may hold, over all connections (`--memory-budget`).
//!
//! Workers lease parts of it from a common pool, in slabs, so that no request touches what is shared. What is received
//! and kept beyond it is refused by what wanted to keep it; what is to be sent waits. Nothing here allocates: it
//! counts.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use crate::stats::Stats;

/// What a compressor takes.
pub(crate) const COMPRESSOR: usize = 320 << 10;
/// What a buffer of a connection may hold without being counted.
const LITTLE: usize = 32 << 10;
/// What a worker leases beyond what it needs now.
const SLAB: u64 = 1 << 20;
/// What holds no more than this may use the last eighth of the budget, which large bodies and messages may not.
const SMALL: u64 = 64 << 10;
const RESERVED: u64 = 8;
/// Workers that hold nothing keep at most this part of the budget leased, all together.
const IDLE: u64 = 32;

/// The budget of a server.
#[derive(Debug)]
pub(crate) struct Pool {
    total: u64,
    /// What no worker has leased.
    free: AtomicU64,
    /// What a worker keeps leased of it while it holds nothing, so that requests that hold little, one after the
    /// other, don't touch what is shared.
    idle_lease: u64,
}

impl Pool {
    /// A budget of `total` bytes for this number of workers.
    pub(crate) fn new(total: u64, workers: usize) -> Arc<Self> {
        let idle_lease = (total / IDLE / workers.max(1) as u64).min(SLAB);
        Arc::new(Self { total, free: AtomicU64::new(total), idle_lease })
    }

    /// Takes `bytes` if `floor` is left after that.
    fn take(&self, bytes: u64, floor: u64) -> bool {
        let left = |free: u64| free.checked_sub(bytes).filter(|left| *left >= floor);
        self.free.fetch_update(Relaxed, Relaxed, left).is_ok()
    }

    fn give(&self, bytes: u64) {
        self.free.fetch_add(bytes, Relaxed);
    }
}

/// A worker's part of it.
#[derive(Debug)]
pub(crate) struct Budget {
    pool: Arc<Pool>,
    leased: Cell<u64>,
    held: Cell<u64>,
    stats: Arc<Stats>,
    /// What waits to be made, and sent.
    waiting: RefCell<Vec<Waker>>,
}

impl Budget {
    pub(crate) fn new(pool: Arc<Pool>, stats: Arc<Stats>) -> Rc<Self> {
        Rc::new(Self {
            pool,
            leased: Cell::default(),
            held: Cell::default(),
            stats,
            waiting: RefCell::default(),
        })
    }

    /// How much output may wait in a connection that would take `most`: less while the budget is tight.
    #[inline]
    pub(crate) fn output(&self, most: usize) -> usize {
        if self.is_tight() { most.min(LITTLE) } else { most }
    }

    /// Whether more than half of all is held.
    #[inline]
    fn is_tight(&self) -> bool {
        self.pool.free.load(Relaxed) < self.pool.total / 2
    }

    /// Lets all try again that wait: other workers may have given back what they wait for.
    pub(crate) fn wake_waiting(&self) {
        if !self.waiting.borrow().is_empty() {
            self.waiting.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Takes `bytes` more, for what may use the reserve if it `is_small`.
    fn take(&self, bytes: u64, is_small: bool) -> bool {
        let held = self.held.get().saturating_add(bytes);
        if held > self.leased.get() {
            let needed = held - self.leased.get();
            let floor = if is_small { 0 } else { self.pool.total / RESERVED };
            let leased = [needed.saturating_add(SLAB), needed];
            let Some(more) = leased.into_iter().find(|more| self.pool.take(*more, floor)) else {
                return false;
            };
            self.leased.set(self.leased.get() + more);
        }
        self.hold(held);
        true
    }

    fn give(&self, bytes: u64) {
        let held = self.held.get().saturating_sub(bytes);
        self.hold(held);
        let spare = self.leased.get().saturating_sub(held);
        let (kept, most) =
            if held == 0 { (self.pool.idle_lease, self.pool.idle_lease) } else { (SLAB, 2 * SLAB) };
        if spare > most {
            self.leased.set(held + kept);
            self.pool.give(spare - kept);
        }
        self.wake_waiting();
    }

    fn hold(&self, held: u64) {
        self.held.set(held);
        self.stats.memory_held.set(held);
    }
}

/// What a worker has leased is there for others when it has ended.
impl Drop for Budget {
    fn drop(&mut self) {
        self.pool.give(self.leased.get());
    }
}

/// What a buffer of a connection counts for: nothing as long as it is small.
pub(crate) fn counted(bytes: usize) -> usize {
    if bytes > LITTLE { bytes } else { 0 }
}

/// What one body, message or buffer holds, until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    budget: Rc<Budget>,
    bytes: Cell<u64>,
}

impl Hold {
    /// Nothing as yet.
    pub(crate) fn new(budget: &Rc<Budget>) -> Self {
        Self { budget: Rc::clone(budget), bytes: Cell::default() }
    }

    /// It holds that many bytes from now on. False: there is no room for them, it holds what it did, and that is counted.
    #[must_use]
    pub(crate) fn set(&self, bytes: usize) -> bool {
        let fits = self.try_set(bytes as u64, false);
        if !fits {
            self.budget.stats.memory_refused.add(1);
        }
        fits
    }

    /// It holds at least that many bytes from now on; see [`Hold::set`].
    #[must_use]
    pub(crate) fn set_at_least(&self, bytes: usize) -> bool {
        bytes as u64 <= self.bytes.get() || self.set(bytes)
    }

    /// It holds that many bytes more; see [`Hold::set`].
    #[must_use]
    pub(crate) fn grow(&self, more: usize) -> bool {
        self.set((self.bytes.get() as usize).saturating_add(more))
    }

    /// It holds that many bytes from now on, if there is room for them: for what is there whether there is room or not,
    /// and grows no further while the budget [is tight](Budget::is_tight).
    pub(crate) fn note(&self, bytes: usize) {
        let _ = self.try_set(bytes as u64, false);
    }

    /// It holds that many bytes less.
    pub(crate) fn shrink(&self, less: usize) {
        let less = (less as u64).min(self.bytes.get());
        self.bytes.set(self.bytes.get() - less);
        if less > 0 {
            self.budget.give(less);
        }
    }

    /// Ready when it holds that many bytes, which may take until others hold less. It may use the reserve, so that what
    /// waits does not wait for what itself holds.
    pub(crate) fn poll_set(&self, bytes: usize, cx: &Context<'_>) -> Poll<()> {
        if self.try_set(bytes as u64, true) {
            return Poll::Ready(());
        }
        let mut waiting = self.budget.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn try_set(&self, bytes: u64, is_small: bool) -> bool {
        let now = self.bytes.get();
        if bytes == now {
            return true;
        }
        if bytes > now && !self.budget.take(bytes - now, is_small || bytes <= SMALL) {
            return false;
        }
        self.bytes.set(bytes);
        if bytes < now {
            self.budget.give(now - bytes);
        }
        true
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shrink(usize::MAX);
    }
}

#[cfg(test)]
impl Budget {
    /// A budget of which a test needs little.
    pub(crate) fn of(total: u64) -> Rc<Self> {
        Self::new(Pool::new(total, 1), Arc::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// A task that does nothing when it is woken.
    struct Nobody;

    impl std::task::Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn memory_beyond_the_budget_is_refused_and_counted() {
        let budget = Budget::of(16 << 20);
        let (first, second) = (Hold::new(&budget), Hold::new(&budget));
        assert!(first.set(10 * MIB) && second.set(4 * MIB));
        assert!(!second.grow(MIB), "the last eighth is for small ones");
        assert_eq!((budget.held.get(), budget.stats.memory_held.get()), (14 << 20, 14 << 20));
        assert_eq!(budget.stats.memory_refused.get(), 1);
        drop(first);
        assert!(second.grow(MIB));
        drop(second);
        assert_eq!((budget.held.get(), budget.leased.get()), (0, 16 << 20 >> 5));
        assert_eq!(budget.pool.free.load(Relaxed), (16 << 20) - (16 << 20 >> 5));
    }

    #[test]
    fn the_last_eighth_is_kept_for_small_requests() {
        let budget = Budget::of(16 << 20);
        let large = Hold::new(&budget);
        assert!(large.set(14 * MIB) && !large.grow(1));
        let small: Vec<_> = (0..32).map(|_| Hold::new(&budget)).collect();
        assert!(small.iter().all(|hold| hold.set(64 << 10)));
        assert!(!Hold::new(&budget).set(1));
    }

    #[test]
    fn small_requests_in_sequence_do_not_touch_the_shared_pool() {
        let budget = Budget::of(256 << 20);
        assert!(Hold::new(&budget).set(100));
        let free = budget.pool.free.load(Relaxed);
        for _ in 0..3 {
            let hold = Hold::new(&budget);
            assert!(hold.set(64 << 10));
            assert_eq!(budget.pool.free.load(Relaxed), free);
        }
    }

    #[test]
    fn workers_share_one_pool() {
        let pool = Pool::new(8 << 20, 2);
        let workers = [0, 1].map(|_| Budget::new(Arc::clone(&pool), Arc::default()));
        let [one, other] = workers.each_ref().map(Hold::new);
        assert!(one.set(6 * MIB) && !other.set(2 * MIB));
        assert!(one.set(MIB) && other.set(4 * MIB));
    }

    #[test]
    fn output_waits_until_other_connections_hold_less() {
        let budget = Budget::of(8 << 20);
        let (first, second) = (Hold::new(&budget), Hold::new(&budget));
        assert!(first.set(7 * MIB) && Hold::new(&budget).set(0));
        let small: Vec<_> = (0..16).map(|_| Hold::new(&budget)).collect();
        assert!(small.iter().all(|hold| hold.set(64 << 10)));
        let waker = Waker::from(Arc::new(Nobody));
        let cx = Context::from_waker(&waker);
        assert!(second.poll_set(MIB, &cx).is_pending());
        assert!(second.poll_set(MIB, &cx).is_pending());
        assert_eq!(budget.waiting.borrow().len(), 1, "once for each task");
        drop(first);
        assert!(budget.waiting.borrow().is_empty());
        assert!(second.poll_set(MIB, &cx).is_ready());
        assert_eq!(budget.stats.memory_refused.get(), 0);
    }

    #[test]
    fn the_largest_numbers_fit_nowhere_and_harm_nothing() {
        let budget = Budget::of(8 << 20);
        let hold = Hold::new(&budget);
        assert!(!hold.set(usize::MAX) && hold.set(1) && !hold.grow(usize::MAX) && hold.grow(1));
        assert_eq!(budget.held.get(), 2);
    }
}
