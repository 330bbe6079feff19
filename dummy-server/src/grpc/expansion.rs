//! What messages in gzip cost a worker: a few bytes of them may be much work, and much to hold.

use std::{
    cell::Cell,
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
};

/// A connection's messages are expanded to so many bytes before others have their turn.
const TURN: usize = 1 << 20;
/// So many of the largest messages may be held by calls that tonic answers. Their replies wait as long as the client
/// likes, and are as large.
const MOST_HELD: usize = 16;

/// The account of a worker.
#[derive(Debug, Default)]
pub(crate) struct Expansion {
    /// Bytes of this turn.
    spent: Cell<usize>,
    held: Cell<usize>,
}

impl Expansion {
    /// A connection has its turn.
    pub(crate) fn begin_turn(&self) {
        self.spent.set(0);
    }

    /// Whether the turn is over: nothing more is expanded before the next.
    pub(crate) fn is_turn_over(&self) -> bool {
        self.spent.get() >= TURN
    }

    /// A message was expanded to so many bytes.
    pub(super) fn spend(&self, bytes: usize) {
        self.spent.set(self.spent.get().saturating_add(bytes));
    }
}

/// Goes on when others have had their turn and the runtime has looked at its sockets.
pub(crate) fn give_way<T>(cx: &mut Context<'_>) -> Poll<T> {
    // It is woken later than by `wake_by_ref`, which would have the same connection polled again and again before that.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
    Poll::Pending
}

/// What a call holds of its worker's account, until it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    account: Rc<Expansion>,
    /// Of the whole account, in bytes.
    most: usize,
    bytes: Cell<usize>,
}

impl Hold {
    /// Nothing as yet; `largest` is the largest message, in bytes.
    pub(super) fn new(account: Rc<Expansion>, largest: usize) -> Self {
        Self { account, most: largest.saturating_mul(MOST_HELD), bytes: Cell::new(0) }
    }

    /// The call has a message of so many bytes: one at a time, of which the largest counts. False: others hold too much.
    pub(super) fn has(&self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes.get());
        let held = self.account.held.get().saturating_add(more);
        if held > self.most {
            return false;
        }
        self.account.held.set(held);
        self.bytes.set(self.bytes.get() + more);
        true
    }

    /// How much all calls may hold.
    pub(super) fn most(&self) -> usize {
        self.most
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.account.held.set(self.account.held.get() - self.bytes.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_share_what_may_be_held_and_give_it_back() {
        let account = Rc::new(Expansion::default());
        let call = || Hold::new(Rc::clone(&account), 10);
        let (first, second) = (call(), call());
        assert!(first.has(100) && first.has(90) && first.has(110), "the largest counts");
        assert!(!second.has(51) && second.has(50) && !first.has(111));
        drop(first);
        assert!(second.has(160) && !second.has(161));
        drop(second);
        assert_eq!(account.held.get(), 0);
    }
}
