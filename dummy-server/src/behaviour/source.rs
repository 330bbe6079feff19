//! The source of content that is reshaped: it never gives more than is asked for.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use contract::pattern;

use crate::message::reply::{Body, Chunks, Part, Stream};

/// Content that was not taken yet.
pub(super) enum ContentSource {
    Bytes(Bytes),
    Pattern(pattern::Range),
    Chunks(Timed),
    /// And what it gave and nobody has taken.
    Stream(Box<dyn Stream>, Bytes),
}

/// Chunks, each when it is due.
pub(super) struct Timed {
    chunks: Box<Chunks>,
    /// What is left of the chunk that was begun.
    current: u64,
}

impl From<Body> for ContentSource {
    fn from(body: Body) -> Self {
        match body {
            Body::Bytes(bytes) => Self::Bytes(bytes),
            Body::Pattern { range, .. } => Self::Pattern(range),
            Body::Chunks(chunks) => Self::Chunks(Timed { chunks, current: 0 }),
            Body::Stream(stream) => Self::Stream(stream, Bytes::new()),
        }
    }
}

impl ContentSource {
    /// Whether it comes bit by bit, to be sent as it comes.
    pub(super) fn is_timed(&self) -> bool {
        matches!(self, Self::Chunks(_) | Self::Stream(..))
    }

    /// How much is left, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Pattern(range) => Some(range.left()),
            Self::Chunks(timed) => Some(timed.chunks.range.left()),
            Self::Stream(..) => None,
        }
    }

    /// What is left of the chunk that comes next, where there are chunks.
    pub(super) fn chunk(&self) -> Option<u64> {
        let Self::Chunks(Timed { chunks, current, .. }) = self else { return None };
        Some(if *current > 0 { *current } else { chunks.size.min(chunks.range.left()) })
    }

    /// Whether the next part is content for certain.
    pub(super) fn needs_room(&self) -> bool {
        match self {
            Self::Stream(stream, rest) => !rest.is_empty() || stream.needs_room(),
            other => other.left() != Some(0),
        }
    }

    /// The next part: of what is here already, at most `most` bytes.
    pub(super) fn poll(&mut self, most: u64, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let first =
            |bytes: &mut Bytes| bytes.split_to(bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX)));
        let piece = match self {
            Self::Bytes(bytes) => first(bytes),
            Self::Pattern(range) => Bytes::from_static(range.piece(most)),
            Self::Chunks(timed) => ready!(timed.poll(most, cx)),
            Self::Stream(_, rest) if !rest.is_empty() => first(rest),
            Self::Stream(stream, rest) => match ready!(stream.poll_next(cx)) {
                // A part without content is not the end.
                Some(Part::Data(data)) => {
                    *rest = data;
                    return Poll::Ready(Some(Part::Data(first(rest))));
                }
                other => return Poll::Ready(other),
            },
        };
        Poll::Ready((!piece.is_empty()).then_some(Part::Data(piece)))
    }
}

impl Timed {
    /// A piece of the next chunk; empty at the end.
    fn poll(&mut self, most: u64, cx: &mut Context<'_>) -> Poll<Bytes> {
        let chunks = &mut self.chunks;
        ready!(chunks.timetable.poll(cx));
        chunks.timetable.begin();
        if self.current == 0 {
            self.current = chunks.size.min(chunks.range.left());
        }
        let piece = chunks.range.piece(most.min(self.current));
        self.current -= piece.len() as u64;
        if self.current == 0 && chunks.range.left() > 0 {
            chunks.timetable.advance(chunks.delay);
        }
        Poll::Ready(Bytes::from_static(piece))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use contract::pattern::Pattern;

    use super::*;
    use crate::message::timetable::{Timetable, parts_when_late};

    #[tokio::test(start_paused = true)]
    async fn a_late_chunk_does_not_delay_those_after_it() {
        let range = Pattern::new(1 << 16).range(0, 50);
        let delay = Duration::from_millis(100);
        let chunks = Chunks { range, size: 10, delay, timetable: Timetable::default() };
        let mut source = ContentSource::from(Body::Chunks(Box::new(chunks)));
        let next = |cx: &mut Context<'_>| match ready!(source.poll(u64::MAX, cx)) {
            Some(Part::Data(data)) => Poll::Ready(Some(data)),
            _ => Poll::Ready(None),
        };
        let parts = parts_when_late(next, Duration::from_millis(150)).await;
        let times: Vec<u128> = parts.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [0, 100, 250, 300, 400]);
    }
}
