//! The content of a reply, reshaped: in pieces of a size, at a rate, compressed, with trailers, and broken off where
//! that was asked for.

use std::{
    future::Future as _,
    io::Write as _,
    num::NonZeroU64,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use contract::{field, timing::Timing};
use flate2::{Compression, write::GzEncoder};
use tokio::time::{Sleep, sleep};
use wire::Fields;

use super::source::ContentSource;
use crate::{
    budget::{Budget, COMPRESSOR, Hold},
    clock::now_ns,
    cut::Cut,
    lifecycle::orders::Orders,
    message::{
        pace::{PIECE, Pace},
        reply::{Body, Part, Stream},
    },
    stats::Stats,
    turn::{Turn, give_way},
};

/// How much content is compressed in one step of a turn.
const COMPRESSED: u64 = 16 << 10;

/// How the content is reshaped.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Bytes in each piece but the last.
    pub(super) chunk: Option<u64>,
    /// Bytes per second.
    pub(super) rate: Option<NonZeroU64>,
    pub(super) gzip: bool,
    /// Trailers beside those that the content has.
    pub(super) trailers: Fields,
    /// A trailer reports when the kernel had taken the last byte, of a request whose head was read at this time, in nanoseconds
    /// since the Unix epoch.
    pub(super) last_byte: Option<u64>,
    /// After this number of bytes, or at the end of the content, this happens.
    pub(super) cut: Option<(u64, Cut)>,
    /// How long a [`Cut::Hang`] takes.
    pub(super) hang: Option<Hang>,
}

/// Content in another shape. It is made as it is asked for, in pieces of [`PIECE`] at most: a larger chunk is announced,
/// and what is to be in it follows.
pub(super) struct Shaped {
    source: ContentSource,
    shape: Shape,
    pace: Option<Pace>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// Taken from the source and not given on.
    rest: BytesMut,
    /// The source has nothing more.
    dry: bool,
    given: u64,
    /// It was asked that all of it be flushed.
    flushed: bool,
    /// What is still to come of the chunk that was announced.
    announced: u64,
    over: bool,
    turn: Rc<Turn>,
    /// For the compressor.
    hold: Hold,
}

impl Shaped {
    pub(super) fn new(body: Body, shape: Shape, turn: &Rc<Turn>, budget: &Rc<Budget>) -> Self {
        Self {
            source: body.into(),
            pace: shape.rate.map(Pace::new),
            gzip: None,
            shape,
            rest: BytesMut::new(),
            dry: false,
            given: 0,
            flushed: false,
            announced: 0,
            over: false,
            turn: Rc::clone(turn),
            hold: Hold::new(budget),
        }
    }

    /// How much of the content may still be given.
    fn allowed(&self) -> u64 {
        self.shape.cut.map_or(u64::MAX, |(after, _)| after - self.given)
    }

    /// The chunk that comes next, if it is of a size: the one that was asked for, or the source's own.
    fn chunk(&self) -> Option<u64> {
        match (self.shape.chunk, self.shape.gzip) {
            (Some(size), false) => Some(size.min(self.source.left()? + self.rest.len() as u64)),
            (None, false) => self.source.chunk(),
            // How much comes out of a compressor is known afterwards.
            (_, true) => None,
        }
    }

    /// How much the next piece should have.
    fn wanted(&self) -> u64 {
        let most = match self.shape.chunk {
            _ if self.announced > 0 => self.announced.min(PIECE),
            Some(chunk) => chunk.min(PIECE),
            None => PIECE,
        };
        let most = match &self.pace {
            Some(pace) if self.shape.chunk.is_none() => most.min(pace.piece()),
            _ => most,
        };
        most.min(self.allowed())
    }

    /// Takes from the source until a whole piece is there, or there is no more.
    fn poll_piece(&mut self, wanted: u64, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        // What was asked for in chunks is to be in whole ones.
        let whole = self.shape.chunk.is_some() && self.announced == 0;
        while !self.dry && (self.rest.len() as u64) < wanted {
            if self.turn.is_over() {
                return give_way(cx);
            }
            if self.shape.gzip && self.gzip.is_none() {
                ready!(self.hold.poll_set(COMPRESSOR, cx));
            }
            let most = if self.shape.gzip { COMPRESSED } else { wanted - self.rest.len() as u64 };
            let part = match self.source.poll(most, cx) {
                // What there is goes out, rather than wait in a compressor or for a piece to be full.
                Poll::Pending if !whole && !self.rest.is_empty() => break,
                Poll::Pending => return Poll::Pending,
                Poll::Ready(part) => part,
            };
            match part {
                Some(Part::Data(data)) if self.shape.gzip => self.compress(&data),
                // Content that needs no gathering is not copied.
                Some(Part::Data(data))
                    if self.rest.is_empty()
                        && (data.len() as u64 == wanted || !whole && data.len() as u64 <= wanted) =>
                {
                    return Poll::Ready(Some(data));
                }
                Some(Part::Data(data)) => self.rest.extend_from_slice(&data),
                Some(Part::Chunk(_) | Part::Flush) => {}
                Some(Part::Trailers(fields)) => self.trailers_came(fields),
                Some(Part::Constant(fixed)) => self.trailers_came(fixed.iter().copied().collect()),
                Some(Part::Cut(cut)) => {
                    self.shape.cut = Some((self.given + self.rest.len() as u64, cut));
                    self.dried_up();
                }
                None => self.dried_up(),
            }
        }
        let count = (self.rest.len() as u64).min(wanted) as usize;
        Poll::Ready((count > 0).then(|| self.rest.split_to(count).freeze()))
    }

    fn compress(&mut self, data: &[u8]) {
        let gzip = self.gzip.get_or_insert_with(|| GzEncoder::new(Vec::new(), Compression::fast()));
        for data in data.chunks(COMPRESSED as usize) {
            // Writing to memory does not fail.
            let _ = gzip.write_all(data);
        }
        if self.source.is_timed() {
            let _ = gzip.flush();
        }
        self.rest.extend_from_slice(&std::mem::take(gzip.get_mut()));
        self.turn.long_step();
    }

    /// The content has trailers of its own, before those that were asked for.
    fn trailers_came(&mut self, fields: Fields) {
        let own = std::mem::replace(&mut self.shape.trailers, fields);
        self.shape.trailers.extend_from(&own, 0..own.len());
        self.dried_up();
    }

    fn dried_up(&mut self) {
        self.dry = true;
        if self.shape.gzip {
            let gzip = self.gzip.take().unwrap_or_else(|| GzEncoder::new(Vec::new(), Compression::fast()));
            self.rest.extend_from_slice(&gzip.finish().unwrap_or_default());
            let _ = self.hold.set(0);
        }
    }

    /// All that is sent was given.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        if let Some((_, cut)) = self.shape.cut {
            if let (Cut::Hang, Some(hang)) = (cut, &mut self.shape.hang) {
                ready!(hang.poll(cx));
            }
            return Poll::Ready(Some(Part::Cut(cut)));
        }
        if self.shape.last_byte.is_some() && !std::mem::replace(&mut self.flushed, true) {
            return Poll::Ready(Some(Part::Flush));
        }
        let mut trailers = std::mem::take(&mut self.shape.trailers);
        if let Some(received_ns) = self.shape.last_byte.take() {
            let mut done = Vec::new();
            Timing { received_ns, replied_ns: now_ns() }.write_done(&mut done);
            trailers.push(field::SERVER_TIMING, done);
        }
        let none = trailers.is_empty() || std::mem::replace(&mut self.over, true);
        Poll::Ready((!none).then_some(Part::Trailers(trailers)))
    }
}

impl Stream for Shaped {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        // What comes out of a compressor is known afterwards.
        let left = self.source.left().filter(|_| !self.shape.gzip);
        let left = left.map_or(u64::MAX, |left| left.saturating_add(self.rest.len() as u64));
        let wanted = self.wanted().min(left);
        if wanted == 0 {
            return self.poll_end(cx);
        }
        if self.announced == 0
            && let Some(chunk) = self.chunk().map(|chunk| chunk.min(self.allowed()))
            && chunk > PIECE
        {
            self.announced = chunk;
            return Poll::Ready(Some(Part::Chunk(chunk)));
        }
        if let Some(pace) = &mut self.pace {
            // A piece of which not all is there is rare, and comes a little late.
            let count = if self.dry { wanted.min(self.rest.len() as u64) } else { wanted };
            ready!(pace.poll(count, cx));
        }
        match ready!(self.poll_piece(wanted, cx)) {
            Some(data) => {
                self.given += data.len() as u64;
                self.announced = self.announced.saturating_sub(data.len() as u64);
                if let Some(pace) = &mut self.pace {
                    pace.spend(data.len() as u64);
                }
                Poll::Ready(Some(Part::Data(data)))
            }
            None => self.poll_end(cx),
        }
    }

    fn needs_room(&self) -> bool {
        let comes = !self.rest.is_empty() || !self.dry && (self.shape.gzip || self.source.needs_room());
        comes && self.wanted() > 0
    }

    fn is_broken(&self) -> bool {
        self.shape.cut.is_some()
    }
}

/// Nothing comes, until the client is gone, the server drains, or an hour has passed.
#[derive(Debug)]
pub(super) struct Hang {
    orders: Rc<Orders>,
    /// Its beginning counts: its end may be an hour away.
    stats: Arc<Stats>,
    longest: Option<Pin<Box<Sleep>>>,
}

impl Hang {
    pub(super) fn new(orders: &Rc<Orders>, stats: &Arc<Stats>) -> Self {
        Self { orders: Rc::clone(orders), stats: Arc::clone(stats), longest: None }
    }

    /// Ready when it is over. The engine asks again when the client or the server ends the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let longest = self.longest.get_or_insert_with(|| {
            self.stats.cut(Cut::Hang);
            Box::pin(sleep(super::asked::Delay::LONGEST))
        });
        if self.orders.is_ending() {
            return Poll::Ready(());
        }
        longest.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{task::Waker, time::Duration};

    use contract::pattern::Pattern;
    use tokio::time::Instant;

    use super::*;

    /// Sizes of the pieces, the content, and what came at the end.
    fn collect(mut shaped: Shaped) -> (Vec<usize>, Vec<u8>, Option<Part>) {
        let (mut sizes, mut content) = (Vec::new(), Vec::new());
        loop {
            shaped.turn.begin();
            match shaped.poll_next(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Part::Data(data))) => {
                    sizes.push(data.len());
                    content.extend_from_slice(&data);
                }
                Poll::Ready(end) => return (sizes, content, end),
                Poll::Pending => assert!(shaped.turn.is_over(), "nothing else is awaited"),
            }
        }
    }

    fn pattern(len: u64) -> Body {
        Body::Pattern { range: Pattern::new(64 << 10).range(0, len), sized: true }
    }

    fn bytes(len: u64) -> Vec<u8> {
        let mut range = Pattern::new(64 << 10).range(0, len);
        let mut all = Vec::new();
        while range.left() > 0 {
            all.extend_from_slice(range.piece(len));
        }
        all
    }

    #[test]
    fn pieces_have_the_size_that_was_asked_for() {
        for body in [pattern(250), Body::Bytes(bytes(250).into())] {
            let shape = Shape { chunk: Some(100), ..Shape::default() };
            let (sizes, content, end) =
                collect(Shaped::new(body, shape, &Rc::default(), &Budget::of(1 << 20)));
            assert_eq!((sizes, content == bytes(250)), (vec![100, 100, 50], true));
            assert!(end.is_none());
        }
    }

    #[test]
    fn content_is_broken_off_after_as_many_bytes_as_were_asked_for() {
        for (after, expected) in [(0, 0), (70_000, 70_000), (200_000, 100_000)] {
            let cut = Some((after, Cut::Reset));
            let (_, content, end) = collect(Shaped::new(
                pattern(100_000),
                Shape { cut, ..Shape::default() },
                &Rc::default(),
                &Budget::of(1 << 20),
            ));
            assert_eq!(content.len(), expected);
            assert!(matches!(end, Some(Part::Cut(Cut::Reset))));
        }
    }

    #[test]
    fn trailers_come_once_and_after_those_of_the_content() {
        let trailers: Fields = [("b", "2")].into_iter().collect();
        let mut shaped = Shaped::new(
            pattern(3),
            Shape { trailers, ..Shape::default() },
            &Rc::default(),
            &Budget::of(1 << 20),
        );
        let mut next = || shaped.poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(next(), Poll::Ready(Some(Part::Data(_)))));
        assert!(matches!(next(), Poll::Ready(Some(Part::Trailers(fields))) if fields.len() == 1));
        assert!(matches!(next(), Poll::Ready(None)));
    }

    #[test]
    fn the_instant_of_the_last_byte_is_taken_when_all_before_it_is_flushed() {
        let shape = Shape { last_byte: Some(now_ns()), ..Shape::default() };
        let mut shaped = Shaped::new(pattern(3), shape, &Rc::default(), &Budget::of(1 << 20));
        let mut next = || shaped.poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(next(), Poll::Ready(Some(Part::Data(_)))));
        assert!(matches!(next(), Poll::Ready(Some(Part::Flush))));
        let flushed_ns = now_ns();
        let Poll::Ready(Some(Part::Trailers(fields))) = next() else { panic!("no trailers") };
        let value = std::str::from_utf8(fields.get(field::SERVER_TIMING).unwrap()).unwrap();
        let done = Timing::parse_done(value).unwrap();
        assert!((flushed_ns..=now_ns()).contains(&done.replied_ns), "{value}");
        assert!(matches!(next(), Poll::Ready(None)));
    }

    #[test]
    fn compressed_content_is_what_it_was() {
        use std::io::Read as _;
        let shape = Shape { gzip: true, ..Shape::default() };
        let (_, content, _) =
            collect(Shaped::new(pattern(1 << 20), shape, &Rc::default(), &Budget::of(1 << 20)));
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&content[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, bytes(1 << 20));
        assert!(content.len() < plain.len() / 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept() {
        let begun = Instant::now();
        let mut shaped = Shaped::new(
            pattern(10_000),
            Shape { rate: NonZeroU64::new(1000), ..Shape::default() },
            &Rc::default(),
            &Budget::of(1 << 20),
        );
        let mut total = 0;
        while let Some(Part::Data(data)) = std::future::poll_fn(|cx| shaped.poll_next(cx)).await {
            total += data.len();
            let due = Duration::from_millis(total as u64);
            assert!(
                begun.elapsed().abs_diff(due) < Duration::from_millis(5),
                "{total}: {:?}",
                begun.elapsed()
            );
        }
        assert_eq!(total, 10_000);
    }
}
