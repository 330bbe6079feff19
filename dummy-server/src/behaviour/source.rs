//! The source of content that is reshaped: it never gives more than is asked for.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::message::reply::{Body, Part};

/// Content that was not taken yet.
pub(super) struct ContentSource {
    body: Body,
    /// What a stream gave and nobody has taken.
    rest: Bytes,
}

impl From<Body> for ContentSource {
    fn from(body: Body) -> Self {
        Self { body, rest: Bytes::new() }
    }
}

impl ContentSource {
    /// Whether it comes bit by bit, to be sent as it comes.
    pub(super) fn is_timed(&self) -> bool {
        matches!(self.body, Body::Chunks(_) | Body::Stream(_))
    }

    /// How much is left, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match &self.body {
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Pattern { range, .. } => Some(range.left()),
            Body::Chunks(chunks) => Some(chunks.range.left()),
            Body::Stream(_) => None,
        }
    }

    /// What is left of the chunk that comes next, where there are chunks.
    pub(super) fn chunk(&self) -> Option<u64> {
        if let Body::Chunks(chunks) = &self.body { Some(chunks.chunk()) } else { None }
    }

    /// Whether the next part is content for certain.
    pub(super) fn needs_room(&self) -> bool {
        match &self.body {
            Body::Stream(stream) => !self.rest.is_empty() || stream.needs_room(),
            _ => self.left() != Some(0),
        }
    }

    /// The next part: of what is here already, at most `most` bytes.
    pub(super) fn poll(&mut self, most: u64, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let first =
            |bytes: &mut Bytes| bytes.split_to(bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX)));
        let piece = match &mut self.body {
            Body::Bytes(bytes) => first(bytes),
            Body::Pattern { range, .. } => Bytes::from_static(range.piece(most)),
            Body::Chunks(chunks) => ready!(chunks.poll_piece(most, cx)),
            Body::Stream(_) if !self.rest.is_empty() => first(&mut self.rest),
            Body::Stream(stream) => match ready!(stream.poll_next(cx)) {
                // A part without content is not the end.
                Some(Part::Data(data)) => {
                    self.rest = data;
                    return Poll::Ready(Some(Part::Data(first(&mut self.rest))));
                }
                other => return Poll::Ready(other),
            },
        };
        Poll::Ready((!piece.is_empty()).then_some(Part::Data(piece)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use contract::pattern::Pattern;

    use super::*;
    use crate::message::{reply::Chunks, timetable::parts_when_late};

    #[tokio::test(start_paused = true)]
    async fn a_late_chunk_does_not_delay_those_after_it() {
        let range = Pattern::new(1 << 16).range(0, 50);
        let chunks = Chunks::new(range, 10, Duration::from_millis(100));
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
