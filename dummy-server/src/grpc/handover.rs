//! Messages on their way to a service that wants what can be sent to another thread, which nothing of an engine's can: one
//! at a time, from an engine's side to a service's.
//!
//! Most services take them in the task that gives them: that task is then told, and not woken.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tonic::Status;

/// A message, or why there are no more.
pub(super) type Given = Result<Bytes, Status>;

#[derive(Debug, Default)]
struct Slot {
    waiting: Option<Given>,
    /// Nothing more is given.
    is_ended: bool,
    /// Nothing more is taken.
    is_refused: bool,
    /// Woken when something waits, or is no more to come.
    taker: Option<Waker>,
    /// Woken when what waited was taken, or will not be.
    giver: Option<Waker>,
}

type Shared = Arc<Mutex<Slot>>;

/// The engine's side. Dropping it ends the request.
#[derive(Debug)]
pub(super) struct Giver(Shared);

/// The service's side. Dropping it refuses what else comes.
#[derive(Debug)]
pub(super) struct Taker(Shared);

/// Both sides.
pub(super) fn handover() -> (Giver, Taker) {
    let shared = Shared::default();
    (Giver(Arc::clone(&shared)), Taker(shared))
}

fn lock(shared: &Shared) -> MutexGuard<'_, Slot> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// A message can be given.
    Free,
    /// Nobody takes any more.
    Refused,
}

impl Giver {
    /// Ready when a message can be given, or when none will be taken.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<Room> {
        let mut slot = lock(&self.0);
        if slot.is_refused {
            return Poll::Ready(Room::Refused);
        }
        if slot.waiting.is_none() {
            return Poll::Ready(Room::Free);
        }
        slot.giver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Gives what there is [room](Self::poll_room) for. Whoever waits for it in another task is woken; this one has to
    /// look by itself.
    pub(super) fn give(&self, given: Given, cx: &Context<'_>) {
        let taker = {
            let mut slot = lock(&self.0);
            slot.waiting = Some(given);
            slot.taker.take()
        };
        if let Some(taker) = taker.filter(|taker| !taker.will_wake(cx.waker())) {
            taker.wake();
        }
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        let taker = {
            let mut slot = lock(&self.0);
            slot.is_ended = true;
            slot.taker.take()
        };
        if let Some(taker) = taker {
            taker.wake();
        }
    }
}

impl Taker {
    /// The next one; none at the end. Whoever waits for room in another task is woken; this one has to look by itself.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Given>> {
        let mut slot = lock(&self.0);
        if let Some(given) = slot.waiting.take() {
            let giver = slot.giver.take();
            drop(slot);
            if let Some(giver) = giver.filter(|giver| !giver.will_wake(cx.waker())) {
                giver.wake();
            }
            return Poll::Ready(Some(given));
        }
        if slot.is_ended {
            return Poll::Ready(None);
        }
        slot.taker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        let giver = {
            let mut slot = lock(&self.0);
            slot.is_refused = true;
            slot.giver.take()
        };
        if let Some(giver) = giver {
            giver.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::*;

    #[derive(Debug, Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::<Count>::default();
        (Arc::clone(&count), Waker::from(count))
    }

    fn woken(count: &Count) -> usize {
        count.0.load(Ordering::Relaxed)
    }

    #[test]
    fn another_task_is_woken_for_what_it_waits_for_and_the_own_one_is_not() {
        let ((here, own), (there, other)) = (task(), task());
        let (own, other) = (Context::from_waker(&own), Context::from_waker(&other));
        let (giver, taker) = handover();
        assert!(taker.poll_take(&other).is_pending());
        assert_eq!(giver.poll_room(&own), Poll::Ready(Room::Free));
        giver.give(Ok(Bytes::from_static(b"a")), &own);
        assert_eq!((woken(&here), woken(&there)), (0, 1));
        assert!(giver.poll_room(&own).is_pending());
        assert!(matches!(taker.poll_take(&other), Poll::Ready(Some(Ok(message))) if message == "a"));
        assert_eq!(woken(&here), 1, "there is room again");
        assert!(taker.poll_take(&own).is_pending());
        giver.give(Err(Status::internal("broken")), &own);
        assert!(giver.poll_room(&own).is_pending());
        assert!(matches!(taker.poll_take(&own), Poll::Ready(Some(Err(_)))));
        assert_eq!(woken(&here), 1, "it has given and taken itself");
        assert!(taker.poll_take(&other).is_pending());
        drop(giver);
        assert_eq!(woken(&there), 2);
        assert!(matches!(taker.poll_take(&own), Poll::Ready(None)));
    }

    #[test]
    fn what_waits_is_taken_before_the_end_and_a_taker_that_is_gone_refuses() {
        let (count, waker) = task();
        let cx = Context::from_waker(&waker);
        let (giver, taker) = handover();
        giver.give(Ok(Bytes::new()), &cx);
        drop(giver);
        assert!(matches!(taker.poll_take(&cx), Poll::Ready(Some(Ok(_)))));
        assert!(matches!(taker.poll_take(&cx), Poll::Ready(None)));
        let (giver, taker) = handover();
        giver.give(Ok(Bytes::new()), &cx);
        assert!(giver.poll_room(&cx).is_pending());
        drop(taker);
        assert_eq!((woken(&count), giver.poll_room(&cx)), (1, Poll::Ready(Room::Refused)));
    }
}
