//! The source of content that is reshaped: it never gives more than is asked for.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use contract::pattern;

use crate::message::reply::{Body, Chunks, Part, Stream};

/// Content that was not taken yet.
pub(super) enum ContentSource {
    Bytes(Bytes),
    Pattern(pattern::Range),
    Chunks(Box<Chunks>),
    /// And what it gave and nobody has taken.
    Stream(Box<dyn Stream>, Bytes),
}

impl From<Body> for ContentSource {
    fn from(body: Body) -> Self {
        match body {
            Body::Bytes(bytes) => Self::Bytes(bytes),
            Body::Pattern { range, .. } => Self::Pattern(range),
            Body::Chunks(chunks) => Self::Chunks(chunks),
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
            Self::Chunks(chunks) => Some(chunks.range.left()),
            Self::Stream(..) => None,
        }
    }

    /// What is left of the chunk that comes next, where there are chunks.
    pub(super) fn chunk(&self) -> Option<u64> {
        if let Self::Chunks(chunks) = self { Some(chunks.chunk()) } else { None }
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
            Self::Chunks(chunks) => ready!(chunks.poll_piece(most, cx)),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use contract::pattern::Pattern;

    use super::*;
    use crate::message::timetable::parts_when_late;

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
