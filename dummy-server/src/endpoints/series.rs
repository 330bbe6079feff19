//! `/sse`, `/ndjson` and `/drip`: content that comes bit by bit, in time.

use std::{
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
use tokio::time::sleep;

use crate::{
    behaviour,
    clock::now_ns,
    lifecycle::orders::{Order, Orders},
    message::{
        Head,
        reply::{Answer, Body, Fixed, Part, Reply, Stream, reading},
        timetable::Timetable,
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
    Reply::new(StatusCode::OK, EVENTS, Items::body(head.orders, series, first, write))
}

/// A line of JSON after the other.
pub(super) fn lines(head: &Head<'_>, series: Series) -> Reply {
    let write = |id: u64| format!("{{\"id\":{id},\"timestamp\":{}}}\n", now_ns()).into();
    Reply::new(StatusCode::OK, LINES, Items::body(head.orders, series, 0, write))
}

/// Items in time. Those without end stop when the server drains.
struct Items {
    orders: Rc<Orders>,
    series: Series,
    next: u64,
    write: fn(u64) -> Bytes,
    timetable: Timetable,
}

impl Items {
    fn body(orders: &Rc<Orders>, series: Series, first: u64, write: fn(u64) -> Bytes) -> Body {
        Body::Stream(Box::new(Self {
            orders: Rc::clone(orders),
            series,
            next: first,
            write,
            timetable: Timetable::default(),
        }))
    }
}

impl Stream for Items {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let Series { count, delay, jitter } = self.series;
        let over = match count {
            Some(count) => self.next >= count,
            None => self.orders.strongest() >= Order::Drain,
        };
        // A client may say that it has seen the last number that there is.
        let Some(next) = self.next.checked_add(1).filter(|_| !over) else { return Poll::Ready(None) };
        ready!(self.timetable.poll(cx));
        self.timetable.begin();
        let id = std::mem::replace(&mut self.next, next);
        self.timetable.advance(delay.saturating_add(behaviour::draw(id).of(jitter)));
        Poll::Ready(Some(Part::Data((self.write)(id))))
    }
}

/// A number of bytes, evenly over a time, their length announced.
pub(super) fn drip(
    pattern: Pattern,
    mut upload: Upload,
    size: u64,
    duration: Duration,
    delay: Duration,
) -> Answer {
    let drops = (duration.as_millis() / SHORTEST.as_millis()).clamp(1, u128::from(size)) as u64;
    reading(async move {
        upload.discard().await?;
        sleep(delay).await;
        let drip = Drip {
            range: pattern.range(0, size),
            size,
            drops,
            fallen: 0,
            duration,
            timetable: Timetable::default(),
        };
        let mut reply = Reply::new(StatusCode::OK, BINARY, Body::Stream(Box::new(drip)));
        reply.special().length = Some(size);
        Ok(reply)
    })
}

#[derive(Debug)]
struct Drip {
    range: pattern::Range,
    size: u64,
    drops: u64,
    fallen: u64,
    duration: Duration,
    timetable: Timetable,
}

impl Stream for Drip {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        ready!(self.timetable.poll(cx));
        if self.range.left() == 0 {
            return Poll::Ready(None);
        }
        // What of the size has come due, in whole bytes, less what was sent.
        let due = |drops: u64| (u128::from(self.size) * u128::from(drops) / u128::from(self.drops)) as u64;
        let sent = self.size - self.range.left();
        let piece = self.range.piece(due(self.fallen + 1) - sent);
        if due(self.fallen + 1) == sent + piece.len() as u64 {
            self.fallen += 1;
            self.timetable.begin();
            if self.fallen < self.drops {
                let between = self.drops.saturating_sub(1).max(1);
                let after = |drops| quantity::part_of(self.duration, drops, between);
                self.timetable.advance(after(self.fallen) - after(self.fallen - 1));
            }
        }
        Poll::Ready(Some(Part::Data(Bytes::from_static(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::timetable::parts_when_late;

    /// When the parts came, in milliseconds, while the server was late by 150 ms after the second one.
    async fn times(body: Body) -> Vec<u128> {
        let Body::Stream(mut stream) = body else { panic!("a stream") };
        let next = |cx: &mut Context<'_>| match ready!(stream.poll_next(cx)) {
            Some(Part::Data(data)) => Poll::Ready(Some(data)),
            _ => Poll::Ready(None),
        };
        parts_when_late(next, Duration::from_millis(150)).await.into_iter().map(|(at, _)| at).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_event_does_not_delay_those_after_it() {
        let orders = Rc::default();
        let series = Series { count: Some(5), delay: Duration::from_millis(100), jitter: Duration::ZERO };
        let items = |series| Items::body(&orders, series, 0, |_| Bytes::from_static(b"x"));
        assert_eq!(times(items(series)).await, [0, 100, 250, 300, 400]);
        // By chance up to 30 ms more between two of them: the same chance for the same number.
        let jitter = Duration::from_millis(30);
        let waits = (0..4).map(|id| series.delay + behaviour::draw(id).of(jitter));
        let due: Vec<Duration> = std::iter::once(Duration::ZERO)
            .chain(waits.scan(Duration::ZERO, |due, wait| {
                *due += wait;
                Some(*due)
            }))
            .collect();
        let came = times(items(Series { jitter, ..series })).await;
        for item in [0, 1, 3, 4] {
            let due = due[item].as_millis();
            assert!((due..=due + 2).contains(&came[item]), "item {item}: {came:?}, due {due} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_drop_does_not_delay_those_after_it() {
        let Answer::Waiting(reply) =
            drip(Pattern::new(1 << 16), Upload::new(None), 5, Duration::from_millis(400), Duration::ZERO)
        else {
            panic!("it is awaited")
        };
        assert_eq!(times(reply.await.body).await, [0, 100, 250, 300, 400]);
    }
}
