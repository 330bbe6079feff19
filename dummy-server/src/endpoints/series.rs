//! `/sse`, `/ndjson` and `/drip`: content that comes bit by bit, in time.

use std::{
    future::Future as _,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use contract::{
    pattern::{self, Pattern},
    quantity,
};
use http::StatusCode;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{
    behaviour,
    clock::now_ns,
    lifecycle::{Lifecycle, orders::Order},
    message::{
        Head,
        reply::{Answer, Body, Fixed, Part, Reply, Stream},
        upload::Upload,
    },
    router::Series,
};

const EVENTS: Fixed = &[("content-type", "text/event-stream"), ("cache-control", "no-store")];
const LINES: Fixed = &[("content-type", "application/x-ndjson"), ("cache-control", "no-store")];
const BINARY: Fixed = &[("content-type", "application/octet-stream")];

/// A drip falls no more often than this.
const SHORTEST: Duration = Duration::from_millis(10);

/// Server-sent events (HTML standard, section 9.2). A client that comes back with `Last-Event-ID` gets those after it.
pub(super) fn events(head: &Head<'_>, series: Series) -> Reply {
    let last = head.fields.get("last-event-id").and_then(|id| quantity::count(std::str::from_utf8(id).ok()?));
    let first = last.map_or(0, |last| last.saturating_add(1));
    let write = |id: u64| {
        let time = now_ns();
        format!("id: {id}\nevent: tick\ndata: {{\"id\":{id},\"timestamp\":{time}}}\n\n").into()
    };
    Reply::new(StatusCode::OK, EVENTS, Items::body(head.lifecycle, series, first, write))
}

/// A line of JSON after the other.
pub(super) fn lines(head: &Head<'_>, series: Series) -> Reply {
    let write = |id: u64| format!("{{\"id\":{id},\"timestamp\":{}}}\n", now_ns()).into();
    Reply::new(StatusCode::OK, LINES, Items::body(head.lifecycle, series, 0, write))
}

/// Items in time. Those without end stop when the server drains.
struct Items {
    lifecycle: Rc<Lifecycle>,
    series: Series,
    next: u64,
    write: fn(u64) -> Bytes,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Items {
    fn body(lifecycle: &Rc<Lifecycle>, series: Series, first: u64, write: fn(u64) -> Bytes) -> Body {
        Body::Stream(Box::new(Self {
            lifecycle: Rc::clone(lifecycle),
            series,
            next: first,
            write,
            pause: None,
        }))
    }
}

impl Stream for Items {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let Series { count, delay, jitter } = self.series;
        let over = match count {
            Some(count) => self.next >= count,
            None => self.lifecycle.order() >= Order::Drain,
        };
        // A client may say that it has seen the last number that there is.
        let Some(next) = self.next.checked_add(1).filter(|_| !over) else { return Poll::Ready(None) };
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }
        let id = std::mem::replace(&mut self.next, next);
        // The wait that follows; none is worth a timer when nothing comes after it.
        let wait = delay.saturating_add(behaviour::draw(id).of(jitter));
        let more = count.is_none_or(|count| self.next < count);
        self.pause = (more && !wait.is_zero()).then(|| Box::pin(sleep(wait)));
        Poll::Ready(Some(Part::Data((self.write)(id))))
    }
}

/// So many bytes, evenly over a time, their length announced.
pub(super) fn drip(
    pattern: Pattern,
    mut upload: Upload,
    size: u64,
    duration: Duration,
    delay: Duration,
) -> Answer {
    let drops = (duration.as_millis() / SHORTEST.as_millis()).clamp(1, u128::from(size)) as u64;
    Answer::Waiting(Box::pin(async move {
        if let Err((received, error)) = upload.discard().await {
            return crate::message::broken(received, &error);
        }
        sleep(delay).await;
        let drip = Drip {
            range: pattern.range(0, size),
            size,
            drops,
            fallen: 0,
            duration,
            begun: None,
            pause: None,
        };
        let mut reply = Reply::new(StatusCode::OK, BINARY, Body::Stream(Box::new(drip)));
        reply.special().length = Some(size);
        reply
    }))
}

#[derive(Debug)]
struct Drip {
    range: pattern::Range,
    size: u64,
    drops: u64,
    fallen: u64,
    duration: Duration,
    begun: Option<Instant>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Stream for Drip {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.range.left() == 0 {
            return Poll::Ready(None);
        }
        // What of the size has come due, in whole bytes, less what was sent.
        let due = |drops: u64| (u128::from(self.size) * u128::from(drops) / u128::from(self.drops)) as u64;
        let sent = self.size - self.range.left();
        let piece = self.range.piece(due(self.fallen + 1) - sent);
        if due(self.fallen + 1) == sent + piece.len() as u64 {
            self.fallen += 1;
            let begun = *self.begun.get_or_insert_with(Instant::now);
            let between = self.drops.saturating_sub(1).max(1);
            let after = quantity::part_of(self.duration, self.fallen, between);
            self.pause = (self.fallen < self.drops).then(|| Box::pin(sleep_until(begun + after)));
        }
        Poll::Ready(Some(Part::Data(Bytes::from_static(piece))))
    }
}
