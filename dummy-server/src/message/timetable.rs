//! When the items of a stream are due: absolutely, each a while after the one before *was due*, whenever that was sent.
//!
//! A client that measures them finds a late item late, and the others where they belong.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// What stands for a time that no clock reaches: thirty years.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// When the next item of a stream is due. Items that are overdue follow immediately.
#[derive(Debug, Default)]
pub(crate) struct Timetable {
    /// Of the next item, or else of the last one; none before the first.
    due: Option<Instant>,
    /// Whether the next item may have to wait.
    waits: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timetable {
    /// The first item is due now; of later ones it changes nothing.
    pub(crate) fn begin(&mut self) {
        self.due.get_or_insert_with(Instant::now);
    }

    /// The next item is due this long after the last one was.
    pub(crate) fn advance(&mut self, wait: Duration) {
        if !wait.is_zero() {
            let last = *self.due.get_or_insert_with(Instant::now);
            self.due = Some(last.checked_add(wait).unwrap_or_else(|| Instant::now() + NEVER));
            self.waits = true;
        }
    }

    /// The next item could not be sent before now, for a reason that is the client's: it and what follows count from
    /// now on if it was due before.
    pub(crate) fn catch_up(&mut self) {
        self.due = self.due.map(|due| due.max(Instant::now()));
    }

    /// Ready when the next item is due.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(due) = self.due.filter(|due| self.waits && Instant::now() < *due) {
            ready!(poll_until(&mut self.sleep, due, cx));
        }
        self.waits = false;
        Poll::Ready(())
    }
}

/// Ready at this time; `sleep` is made when it is needed first.
pub(crate) fn poll_until(
    sleep: &mut Option<Pin<Box<Sleep>>>,
    due: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let sleep = sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
    if sleep.deadline() != due {
        sleep.as_mut().reset(due);
    }
    sleep.as_mut().poll(cx)
}

/// Milliseconds from now until each part of content came, and its bytes, when the server is late by `late` after the
/// second one.
#[cfg(test)]
pub(crate) async fn parts_when_late(
    mut stream: impl FnMut(&mut Context<'_>) -> Poll<Option<bytes::Bytes>>,
    late: Duration,
) -> Vec<(u128, bytes::Bytes)> {
    let (start, mut parts) = (Instant::now(), Vec::new());
    while let Some(data) = std::future::poll_fn(&mut stream).await {
        parts.push((start.elapsed().as_millis(), data));
        if parts.len() == 2 {
            tokio::time::advance(late).await;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_late_item_does_not_delay_those_after_it() {
        let (start, mut timetable, mut sent) = (Instant::now(), Timetable::default(), Vec::new());
        timetable.begin();
        for item in 0..6 {
            poll_fn(|cx| timetable.poll(cx)).await;
            sent.push(start.elapsed().as_millis());
            timetable.advance(SECOND);
            if item == 1 {
                tokio::time::advance(Duration::from_millis(2500)).await;
            }
        }
        assert_eq!(sent, [0, 1000, 3500, 3500, 4000, 5000]);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_client_starts_the_timetable_anew() {
        let (start, mut timetable) = (Instant::now(), Timetable::default());
        timetable.begin();
        timetable.advance(SECOND);
        tokio::time::advance(5 * SECOND).await;
        timetable.catch_up();
        poll_fn(|cx| timetable.poll(cx)).await;
        assert_eq!(start.elapsed(), 5 * SECOND);
        timetable.advance(SECOND);
        timetable.catch_up();
        poll_fn(|cx| timetable.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 6, "what is not overdue stays where it is");
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_no_clock_reaches_is_never() {
        let mut timetable = Timetable::default();
        timetable.advance(Duration::MAX);
        assert!(tokio::time::timeout(1000 * SECOND, poll_fn(|cx| timetable.poll(cx))).await.is_err());
    }
}
