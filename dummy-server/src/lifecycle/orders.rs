//! What a connection was ordered to do, and how its task is woken to do it. Whatever lasts on a connection without end, such as
//! a WebSocket or a stream of events, sees this of the connection and nothing else.
//!
//! The waker is that of the connection's task: what changes something that the task must look at wakes it here. Nothing
//! here knows what the task does then, and only the connection's own `Lifecycle` gives an order.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Context, Poll, Waker},
};

/// What a connection was ordered to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    #[default]
    Serve,
    /// End after what is in flight.
    Drain,
    /// Close now.
    Close,
}

/// The strongest order that one connection was given.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    order: Cell<Order>,
    /// The client sends nothing more.
    peer_ended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Orders {
    #[inline]
    pub(crate) fn strongest(&self) -> Order {
        self.order.get()
    }

    /// Whether this end or the client's wants to end the connection.
    pub(crate) fn is_ending(&self) -> bool {
        self.peer_ended.get() || self.strongest() > Order::Serve
    }

    /// The client sends nothing more. Its task has found that out by itself.
    pub(super) fn peer_ended(&self) {
        self.peer_ended.set(true);
    }

    /// Gives an order and wakes the task. False: the connection has this order or a stronger one, and nothing changes.
    pub(super) fn give(&self, order: Order) -> bool {
        let stronger = order > self.order.get();
        if stronger {
            self.order.set(order);
            self.wake();
        }
        stronger
    }

    /// Has the task look at the connection.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Has the task of `cx` woken from now on.
    #[inline]
    pub(crate) fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    /// Waits for an order that is at least `order`.
    pub(crate) async fn reached(&self, order: Order) {
        poll_fn(|cx| {
            self.register(cx);
            if self.strongest() >= order { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, atomic::AtomicU32, atomic::Ordering::Relaxed},
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_stronger_order_wakes_the_task_and_a_weaker_one_changes_nothing() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let orders = Orders::default();
        assert!(orders.give(Order::Drain), "nobody waits yet");
        orders.register(&Context::from_waker(&waker));
        assert!(!orders.give(Order::Drain) && !orders.give(Order::Serve));
        assert_eq!((orders.strongest(), count.0.load(Relaxed)), (Order::Drain, 0));
        assert!(orders.give(Order::Close));
        assert_eq!((orders.strongest(), count.0.load(Relaxed)), (Order::Close, 1));
    }

    #[test]
    fn a_connection_is_ending_when_either_end_wants_that() {
        let (told, left) = (Orders::default(), Orders::default());
        assert!(!told.is_ending() && !left.is_ending());
        told.give(Order::Drain);
        left.peer_ended();
        assert!(told.is_ending() && left.is_ending());
        assert_eq!(left.strongest(), Order::Serve, "that is for this end to say");
    }
}
