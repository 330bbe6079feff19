//! Messages on their way to a service that needs values that can be sent to another thread, which those of an engine can't: one
//! at a time, from an engine's side to a service's.
//!
//! Most services take them in the task that gives them: that task is then notified, and not woken.

use runtime::mutex::lock;
use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tonic::Status;

/// A message, or why the request ends here.
pub(super) type Given = Result<Bytes, Status>;

#[derive(Debug, Default)]
struct Handover {
    waiting: Option<Given>,
    /// Nothing more is given.
    is_ended: bool,
    /// Nothing more is taken.
    is_refused: bool,
    /// Woken when something waits, or the request has ended.
    receiver: Option<Waker>,
    /// Woken when what waited was taken, or will not be.
    sender: Option<Waker>,
}

type Shared = Arc<Mutex<Handover>>;

/// The engine's side. Dropping it ends the request.
#[derive(Debug)]
pub(super) struct Sender(Shared);

/// The service's side. Dropping it refuses what else comes.
#[derive(Debug)]
pub(super) struct Receiver(Shared);

/// Both sides.
pub(super) fn handover() -> (Sender, Receiver) {
    let shared = Shared::default();
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// Changes the slot, and then wakes the task that waits for the change: not under the lock.
fn change(shared: &Shared, change: impl FnOnce(&mut Handover) -> Option<Waker>) {
    let waker = change(&mut lock(shared));
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Whether a message can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// A message can be given.
    Free,
    /// Nobody takes any more.
    Refused,
}

impl Sender {
    /// Ready when a message can be given, or when none will be taken.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<Room> {
        let mut slot = lock(&self.0);
        if slot.is_refused {
            return Poll::Ready(Room::Refused);
        }
        if slot.waiting.is_none() {
            return Poll::Ready(Room::Free);
        }
        slot.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Gives what there is [room](Self::poll_room) for. A task that waits for it is woken, unless it is this
    /// one, which has to look by itself.
    pub(super) fn send(&self, given: Given, cx: &Context<'_>) {
        let receiver = {
            let mut slot = lock(&self.0);
            slot.waiting = Some(given);
            slot.receiver.take()
        };
        if let Some(receiver) = receiver.filter(|receiver| !receiver.will_wake(cx.waker())) {
            receiver.wake();
        }
    }
}

impl Sender {
    /// Nothing more is given. The task that this is found out in has to look by itself.
    pub(super) fn end(&self, cx: &Context<'_>) {
        let mut slot = lock(&self.0);
        slot.is_ended = true;
        if slot.receiver.as_ref().is_some_and(|receiver| receiver.will_wake(cx.waker())) {
            slot.receiver = None;
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        change(&self.0, |slot| {
            slot.is_ended = true;
            slot.receiver.take()
        });
    }
}

impl Receiver {
    /// The next one; none at the end. A task that waits for room is woken, unless it is
    /// this one, which has to look by itself.
    pub(super) fn poll_receive(&self, cx: &Context<'_>) -> Poll<Option<Given>> {
        let mut slot = lock(&self.0);
        if let Some(given) = slot.waiting.take() {
            let sender = slot.sender.take();
            drop(slot);
            if let Some(sender) = sender.filter(|sender| !sender.will_wake(cx.waker())) {
                sender.wake();
            }
            return Poll::Ready(Some(given));
        }
        if slot.is_ended {
            return Poll::Ready(None);
        }
        slot.receiver = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        change(&self.0, |slot| {
            slot.is_refused = true;
            slot.sender.take()
        });
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
    fn another_task_is_woken_for_what_it_waits_for_and_the_calling_one_is_not() {
        let ((here, own), (there, other)) = (task(), task());
        let (own, other) = (Context::from_waker(&own), Context::from_waker(&other));
        let (sender, receiver) = handover();
        assert!(receiver.poll_receive(&other).is_pending());
        assert_eq!(sender.poll_room(&own), Poll::Ready(Room::Free));
        sender.send(Ok(Bytes::from_static(b"a")), &own);
        assert_eq!((woken(&here), woken(&there)), (0, 1));
        assert!(sender.poll_room(&own).is_pending());
        assert!(matches!(receiver.poll_receive(&other), Poll::Ready(Some(Ok(message))) if message == "a"));
        assert_eq!(woken(&here), 1, "there is room again");
        assert!(receiver.poll_receive(&own).is_pending());
        sender.send(Err(Status::internal("broken")), &own);
        assert!(sender.poll_room(&own).is_pending());
        assert!(matches!(receiver.poll_receive(&own), Poll::Ready(Some(Err(_)))));
        assert_eq!(woken(&here), 1, "it has given and taken itself");
        assert!(receiver.poll_receive(&other).is_pending());
        drop(sender);
        assert_eq!(woken(&there), 2);
        assert!(matches!(receiver.poll_receive(&own), Poll::Ready(None)));
    }

    #[test]
    fn what_waits_is_taken_before_the_end_and_a_receiver_that_is_gone_refuses() {
        let (count, waker) = task();
        let cx = Context::from_waker(&waker);
        let (sender, receiver) = handover();
        sender.send(Ok(Bytes::new()), &cx);
        drop(sender);
        assert!(matches!(receiver.poll_receive(&cx), Poll::Ready(Some(Ok(_)))));
        assert!(matches!(receiver.poll_receive(&cx), Poll::Ready(None)));
        let (sender, receiver) = handover();
        sender.send(Ok(Bytes::new()), &cx);
        assert!(sender.poll_room(&cx).is_pending());
        drop(receiver);
        assert_eq!((woken(&count), sender.poll_room(&cx)), (1, Poll::Ready(Room::Refused)));
    }
}
