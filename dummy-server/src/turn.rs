//! How long one connection may keep its worker before others are served.
//!
//! Each connection's poll is a turn. Whatever does work in it, an engine or an endpoint's stream, counts its steps here
//! and stops when the turn is over; [`give_way`] lets it go on after the runtime has looked at its sockets. Nothing here
//! knows a protocol.

use std::{
    cell::Cell,
    pin::pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// The time of a turn.
const LONGEST: Duration = Duration::from_micros(500);
/// The clock is read once in this many steps: a step takes well below a microsecond, or says that it is a long one.
const STEPS: u32 = 16;

/// The turn of the connection that is polled now; one for each worker.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// None until the clock is read for the first time: most turns are shorter than that.
    end: Cell<Option<Instant>>,
    steps: Cell<u32>,
    over: Cell<bool>,
}

impl Turn {
    /// A connection is polled.
    pub(crate) fn begin(&self) {
        self.end.set(None);
        self.steps.set(0);
        self.over.set(false);
    }

    /// Counts a short step, such as a frame or a small piece of content. True: the turn is over.
    #[inline]
    pub(crate) fn step(&self) -> bool {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps < STEPS { self.over.get() } else { self.long_step() }
    }

    /// Counts a step that may have taken long, such as a system call or the compression of a piece. True: the turn is
    /// over.
    pub(crate) fn long_step(&self) -> bool {
        self.steps.set(0);
        let now = Instant::now();
        let end = self.end.get().unwrap_or(now + LONGEST);
        self.end.set(Some(end));
        if now >= end {
            self.over.set(true);
        }
        self.over.get()
    }

    /// Whether the turn is over, as far as steps were counted.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }
}

/// Goes on when others have had their turn and the runtime has looked at its sockets.
pub(crate) fn give_way<T>(cx: &mut Context<'_>) -> Poll<T> {
    // The runtime wakes it after it has looked at its sockets. `wake_by_ref` would have the same connection polled again
    // and again before that.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
    Poll::Pending
}

#[cfg(test)]
impl Turn {
    /// A turn that is over.
    pub(crate) fn end_now(&self) {
        self.over.set(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_over_when_its_time_is_up_and_stays_so_until_the_next() {
        let turn = Turn::default();
        turn.begin();
        // However slow the machine is: the time is used up after enough steps.
        while !turn.step() {}
        assert!(turn.is_over() && turn.step() && turn.long_step());
        assert!(Some(Instant::now()) >= turn.end.get());
        turn.begin();
        assert!(!turn.is_over());
    }

    #[test]
    fn a_long_step_ends_a_turn_by_itself() {
        let turn = Turn::default();
        turn.end.set(Some(Instant::now()));
        assert!(!turn.step(), "the clock was not read");
        assert!(turn.long_step());
    }

    #[tokio::test]
    async fn others_go_on_before_the_one_that_gave_way() {
        let order = std::rc::Rc::new(Cell::new(String::new()));
        let local = tokio::task::LocalSet::new();
        let note = |what: &'static str| {
            let order = std::rc::Rc::clone(&order);
            move || order.set(order.take() + what)
        };
        let (first, second, other) = (note("a"), note("c"), note("b"));
        local.spawn_local(async move {
            first();
            let mut given = false;
            std::future::poll_fn(|cx| {
                if std::mem::replace(&mut given, true) { Poll::Ready(()) } else { give_way(cx) }
            })
            .await;
            second();
        });
        local.spawn_local(async move { other() });
        local.await;
        assert_eq!(order.take(), "abc");
    }
}
