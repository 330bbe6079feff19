//! Which members of a group have something to do: one waker for each, one list for all.
//!
//! Polling the group then visits those alone, however many there are, and none needs a task.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Relaxed},
        },
    },
    task::{Context, Wake, Waker},
};

/// The list of those that were woken. The lock is hardly ever contended: few wakers are called on other threads than the worker's.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    woken: Vec<u32>,
    /// Whom to wake when something comes into the empty list; none while the loop is running a pass anyway.
    parent: Option<Waker>,
    at_work: bool,
}

impl Ready {
    /// A waker that puts `index` on the list.
    pub fn waker(&self, index: u32) -> Key {
        let shared = Arc::new(Member { index, listed: AtomicBool::new(false), ready: self.clone() });
        Key { waker: Waker::from(Arc::clone(&shared)), shared }
    }

    /// Begins a pass: from now on no waker is called.
    pub fn begin(&self) {
        self.lock().at_work = true;
    }

    /// Moves the list into `into`, which must be empty. False: it was empty.
    pub fn take(&self, into: &mut Vec<u32>) -> bool {
        debug_assert!(into.is_empty());
        std::mem::swap(&mut self.lock().woken, into);
        !into.is_empty()
    }

    /// Puts those back that were taken and not looked at: the next pass begins with them.
    pub fn put_back(&self, rest: impl IntoIterator<Item = u32>) {
        self.lock().woken.splice(0..0, rest);
    }

    /// Ends a pass: from now on `cx` is woken when something comes onto the list, and immediately if something is.
    pub fn end(&self, cx: &mut Context<'_>) {
        let mut list = self.lock();
        list.at_work = false;
        if list.parent.as_ref().is_none_or(|parent| !parent.will_wake(cx.waker())) {
            list.parent = Some(cx.waker().clone());
        }
        if !list.woken.is_empty() {
            cx.waker().wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        crate::mutex::lock(&self.0)
    }
}

/// One member of the list.
#[derive(Clone, Debug)]
pub struct Key {
    waker: Waker,
    shared: Arc<Member>,
}

impl Key {
    /// The waker that wakes this member.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Puts the member on the list, from the thread that takes it from there: that has seen itself take it.
    pub fn wake(&self) {
        // Mostly it is there, where a request at a time is given to a connection; to look is cheaper than to change.
        if !self.is_listed() {
            self.shared.list();
        }
    }

    /// Whether the member is on the list, or was taken and not looked at.
    pub fn is_listed(&self) -> bool {
        self.shared.listed.load(Relaxed)
    }

    /// To be called when the member is taken from the list, before it is looked at.
    pub fn taken(&self) {
        // Not a mere store: what a thread did before it woke the member is visible to what follows here.
        self.shared.listed.swap(false, AcqRel);
    }
}

#[derive(Debug)]
struct Member {
    index: u32,
    listed: AtomicBool,
    ready: Ready,
}

impl Member {
    fn list(&self) {
        if self.listed.swap(true, AcqRel) {
            return;
        }
        let mut list = self.ready.lock();
        list.woken.push(self.index);
        if list.woken.len() == 1
            && !list.at_work
            && let Some(parent) = &list.parent
        {
            parent.wake_by_ref();
        }
    }
}

impl Wake for Member {
    fn wake(self: Arc<Self>) {
        self.list();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.list();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counting(std::sync::atomic::AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_member_is_listed_once_and_the_parent_woken_once() {
        let counting = Arc::new(Counting::default());
        let waker = Waker::from(Arc::clone(&counting));
        let ready = Ready::default();
        let (a, b) = (ready.waker(1), ready.waker(2));
        ready.end(&mut Context::from_waker(&waker));
        a.waker().wake_by_ref();
        a.waker().wake_by_ref();
        b.wake();
        assert_eq!(counting.0.load(Relaxed), 1);
        let mut woken = Vec::new();
        assert!(ready.take(&mut woken));
        assert_eq!(woken, [1, 2]);
        a.taken();
        assert!(!a.is_listed() && b.is_listed());
    }

    #[test]
    fn a_wake_during_a_pass_wakes_the_parent_at_its_end() {
        let counting = Arc::new(Counting::default());
        let waker = Waker::from(Arc::clone(&counting));
        let ready = Ready::default();
        let key = ready.waker(7);
        ready.end(&mut Context::from_waker(&waker));
        ready.begin();
        key.wake();
        assert_eq!(counting.0.load(Relaxed), 0);
        ready.end(&mut Context::from_waker(&waker));
        assert_eq!(counting.0.load(Relaxed), 1);
        key.taken();
    }
}
