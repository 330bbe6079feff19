//! A steady rate in bytes per second.

use std::{
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll},
};

use contract::quantity;
use tokio::time::{Instant, Sleep};

use super::timetable::poll_until;

/// The largest piece of content.
pub(crate) const PIECE: u64 = 64 << 10;
/// A rate is kept by this number of pieces in a second, if they are not larger than [`PIECE`].
const PIECES_PER_SECOND: u64 = 50;

/// A rate in bytes per second.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: NonZeroU64,
    begun: Option<Instant>,
    spent: u64,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(crate) fn new(rate: NonZeroU64) -> Self {
        Self { rate, begun: None, spent: 0, sleep: None }
    }

    /// A piece with which the rate is kept evenly.
    pub(crate) fn piece(&self) -> u64 {
        (self.rate.get() / PIECES_PER_SECOND).clamp(1, PIECE)
    }

    /// Ready when a number of further bytes is due. The clock starts when this is asked first.
    pub(crate) fn poll(&mut self, count: u64, cx: &mut Context<'_>) -> Poll<()> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        // A time that no clock reaches is never.
        let after = quantity::time_for(self.spent.saturating_add(count), self.rate);
        let Some(due) = begun.checked_add(after) else { return Poll::Pending };
        if Instant::now() >= due {
            self.sleep = None;
            return Poll::Ready(());
        }
        poll_until(&mut self.sleep, due, cx)
    }

    /// A number of bytes have gone.
    pub(crate) fn spend(&mut self, count: u64) {
        self.spent = self.spent.saturating_add(count);
    }
}
