//! The body of a request on its way from an engine to an endpoint. The engine pushes, the endpoint pulls, and
//! pulling returns flow-control window. How much may wait in between is bounded by that window, or by
//! [`Inbox::is_full`].

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::StatusCode;
use wire::Fields;

use crate::{
    budget::{Budget, Hold},
    ledger::UploadWatch,
    message::pace::Pace,
};

/// An HTTP/1 engine reads no more of a body while so much of it waits.
const FULL: usize = 256 << 10;

/// Smaller parts are put together while nobody pulls them: a byte by itself would cost fifty.
const SMALL: usize = 4 << 10;
/// Parts that were put together and are this large are a part.
const JOINED: usize = 16 << 10;

const WHOLE: &str = "a body that is as long as announced, and comes";

/// A body that broke off, and how.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request body broke off: {reason}")]
pub(crate) struct UploadError {
    reason: &'static str,
    /// The status of a reply that reports it.
    pub(crate) status: StatusCode,
    /// What would have been accepted.
    pub(crate) accepted: &'static str,
}

impl UploadError {
    /// The client has closed its end.
    pub(crate) const CLOSED: Self = Self::malformed("the connection was closed");
    /// The client sends nothing, and has not ended it.
    pub(crate) const STALLED: Self = Self {
        reason: "nothing came for --stall-timeout",
        status: StatusCode::REQUEST_TIMEOUT,
        accepted: WHOLE,
    };
    /// There is no memory to keep it in.
    pub(crate) const TOO_MUCH: Self = Self {
        reason: "the server holds as much as --memory-budget allows",
        status: StatusCode::SERVICE_UNAVAILABLE,
        accepted: "smaller or fewer bodies and messages at a time, or a larger --memory-budget",
    };

    /// What is wrong.
    pub(crate) const fn reason(&self) -> &'static str {
        self.reason
    }

    /// The client has broken a rule, or has given it up.
    pub(crate) const fn malformed(reason: &'static str) -> Self {
        Self { reason, status: StatusCode::BAD_REQUEST, accepted: WHOLE }
    }
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// For what waits.
    hold: Hold,
    parts: RefCell<Parts>,
    /// The client waits for 100 (Continue).
    expects_continue: Cell<bool>,
}

#[derive(Debug, Default)]
struct Parts {
    waiting: VecDeque<Bytes>,
    /// What comes after that: small parts that were put together.
    tail: Vec<u8>,
    bytes: usize,
    /// Bytes that were pulled and not yet reported to the engine.
    pulled: usize,
    /// Nobody looks at the content: it is counted and discarded as it comes.
    counted: Option<u64>,
    end: Option<Result<(), UploadError>>,
    trailers: Fields,
    reader: Option<Waker>,
    /// The client may take as long as it likes.
    unhurried: bool,
    /// What the ledger learns of it, if its request has a token.
    watch: Option<Box<UploadWatch>>,
}

impl Inbox {
    pub(crate) fn new(budget: &Rc<Budget>) -> Rc<Self> {
        let hold = Hold::new(budget);
        Rc::new(Self { hold, parts: RefCell::default(), expects_continue: Cell::default() })
    }

    /// How many bytes were pulled since this was asked last. The endpoint is polled by its engine, which asks
    /// afterwards.
    pub(crate) fn take_pulled(&self) -> usize {
        std::mem::take(&mut self.parts.borrow_mut().pulled)
    }

    /// Whether the client waits for 100 (Continue).
    pub(crate) fn expect_continue(&self, expected: bool) {
        self.expects_continue.set(expected);
    }

    /// Whether 100 (Continue) is to be sent now: once, and only where the body is waited for (RFC 9110 section 10.1.1).
    pub(crate) fn take_continue(&self) -> bool {
        self.expects_continue.get() && self.is_awaited() && self.expects_continue.take()
    }

    /// Takes in bytes.
    pub(crate) fn push(&self, data: &[u8]) {
        let mut parts = self.parts.borrow_mut();
        if let Some(watch) = &mut parts.watch {
            watch.came(data);
        }
        if let Some(counted) = &mut parts.counted {
            *counted += data.len() as u64;
            parts.pulled += data.len();
        } else if matches!(parts.end, Some(Err(_))) {
            // Nobody will read it.
            parts.pulled += data.len();
        } else if !data.is_empty() {
            parts.keep(data, &self.hold);
            parts.wake();
        }
    }

    /// Takes in trailers, which come before the end is reported.
    pub(crate) fn trailers<'f>(&self, fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>) {
        let mut parts = self.parts.borrow_mut();
        parts.trailers = fields.into_iter().collect();
        if let Some(watch) = &parts.watch {
            watch.trailers(parts.trailers.iter());
        }
    }

    /// Nothing more comes.
    pub(crate) fn end(&self, how: Result<(), UploadError>) {
        let mut parts = self.parts.borrow_mut();
        let end = *parts.end.get_or_insert(how);
        if let Some(watch) = parts.watch.take()
            // What there was no memory for has not broken off on the way.
            && how.is_ok() == end.is_ok()
        {
            watch.ended(how.is_ok());
        }
        parts.wake();
    }

    /// Whether enough waits.
    pub(crate) fn is_full(&self) -> bool {
        self.parts.borrow().bytes >= FULL
    }

    /// Whether the endpoint waits for more.
    pub(crate) fn is_awaited(&self) -> bool {
        let parts = self.parts.borrow();
        parts.bytes == 0 && parts.end.is_none() && parts.reader.is_some()
    }

    /// Whether the endpoint waits for more, and not because that is its way.
    pub(crate) fn is_held_up(&self) -> bool {
        self.is_awaited() && !self.parts.borrow().unhurried
    }
}

impl Parts {
    /// Adds bytes at the end; without memory for them, the body breaks off here.
    fn keep(&mut self, data: &[u8], hold: &Hold) {
        if !hold.grow(data.len()) {
            self.pulled += self.bytes + data.len();
            self.clear(hold);
            self.end = Some(Err(UploadError::TOO_MUCH));
            return;
        }
        self.bytes += data.len();
        let joins = data.len() < SMALL && self.bytes > data.len();
        if joins {
            self.tail.extend_from_slice(data);
        }
        if !joins || self.tail.len() >= JOINED {
            self.cut_tail();
        }
        if !joins {
            self.waiting.push_back(Bytes::copy_from_slice(data));
        }
    }

    /// Throws away what waits.
    fn clear(&mut self, hold: &Hold) {
        self.waiting.clear();
        self.tail = Vec::new();
        hold.shrink(std::mem::take(&mut self.bytes));
    }

    /// Makes a part of what was put together.
    fn cut_tail(&mut self) {
        if !self.tail.is_empty() {
            self.waiting.push_back(std::mem::take(&mut self.tail).into());
        }
    }

    /// The part whose turn it is.
    fn first(&mut self) -> Option<&mut Bytes> {
        if self.waiting.is_empty() {
            self.cut_tail();
        }
        self.waiting.front_mut()
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The endpoint's end: the body of a request.
#[derive(Debug)]
pub(crate) struct Upload {
    inbox: Option<Rc<Inbox>>,
    /// How fast it is read. As much as fits into a window, or [`FULL`], comes in before anybody notices.
    pub(crate) pace: Option<Pace>,
}

impl Upload {
    /// Without an inbox it is that of a request without a body.
    pub(crate) fn new(inbox: Option<&Rc<Inbox>>) -> Self {
        Self { inbox: inbox.cloned(), pace: None }
    }

    /// Whether nothing more comes.
    #[must_use]
    pub(crate) fn is_end(&self) -> bool {
        self.inbox.as_ref().is_none_or(|inbox| {
            let parts = inbox.parts.borrow();
            parts.bytes == 0 && matches!(parts.end, Some(Ok(())))
        })
    }

    /// Lets the ledger watch it. False: there is no upload.
    pub(crate) fn watch(&self, watch: impl FnOnce() -> Box<UploadWatch>) -> bool {
        if let Some(inbox) = &self.inbox {
            inbox.parts.borrow_mut().watch = Some(watch());
        }
        self.inbox.is_some()
    }

    /// The client may take its time: what it sends is a conversation.
    pub(crate) fn unhurried(&self) {
        if let Some(inbox) = &self.inbox {
            inbox.parts.borrow_mut().unhurried = true;
        }
    }

    /// The trailers, when the end was reached and there were some.
    pub(crate) fn take_trailers(&mut self) -> Fields {
        self.inbox
            .as_ref()
            .map_or_else(Fields::new, |inbox| std::mem::take(&mut inbox.parts.borrow_mut().trailers))
    }

    /// The next part of the body, at most `most` bytes of it; none at its end. HTTP/2 window is returned for
    /// what is pulled and for nothing else.
    ///
    /// # Errors
    /// The body broke off.
    pub(crate) async fn pull(&mut self, most: usize) -> Option<Result<Bytes, UploadError>> {
        std::future::poll_fn(|cx| self.poll_pull(most, cx)).await
    }

    /// [`Upload::pull`], polled.
    pub(crate) fn poll_pull(
        &mut self,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UploadError>>> {
        let Some(inbox) = &self.inbox else { return Poll::Ready(None) };
        let mut parts = inbox.parts.borrow_mut();
        let mut most = most;
        if let (Some(pace), Some(first)) = (&mut self.pace, parts.first()) {
            most = most.min(first.len()).min(pace.piece() as usize);
            std::task::ready!(pace.poll(most as u64, cx));
            pace.spend(most as u64);
        }
        if let Some(first) = parts.first() {
            let part = first.split_to(most.min(first.len()));
            if first.is_empty() {
                parts.waiting.pop_front();
            }
            parts.bytes -= part.len();
            parts.pulled += part.len();
            inbox.hold.shrink(part.len());
            return Poll::Ready(Some(Ok(part)));
        }
        match parts.end {
            Some(end) => Poll::Ready(end.err().map(Err)),
            None => {
                parts.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Reads to the end and throws away; how many bytes there were.
    ///
    /// # Errors
    /// The body broke off, after this number of bytes.
    pub(crate) async fn discard(&mut self) -> Result<u64, (u64, UploadError)> {
        if self.pace.is_some() {
            let mut read = 0;
            while let Some(part) = self.pull(usize::MAX).await {
                read += part.map_err(|error| (read, error))?.len() as u64;
            }
            return Ok(read);
        }
        let Some(inbox) = &self.inbox else { return Ok(0) };
        {
            let mut parts = inbox.parts.borrow_mut();
            let waiting = parts.bytes;
            parts.clear(&inbox.hold);
            parts.counted = Some(waiting as u64);
            parts.pulled += waiting;
        }
        std::future::poll_fn(|cx| {
            let mut parts = inbox.parts.borrow_mut();
            let counted = parts.counted.unwrap_or_default();
            match parts.end {
                Some(end) => Poll::Ready(end.map(|()| counted).map_err(|error| (counted, error))),
                None => {
                    parts.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pull(upload: &mut Upload, most: usize) -> Option<Bytes> {
        match upload.poll_pull(most, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(part)) => Some(part.unwrap()),
            _ => None,
        }
    }

    #[test]
    fn small_parts_are_put_together_and_keep_their_order() {
        let inbox = Inbox::new(&Budget::of(1 << 30));
        let mut upload = Upload::new(Some(&inbox));
        let mut expected = Vec::new();
        for (index, len) in [1, 2, 5000, 3, 4, 4095, 4096, 1].into_iter().enumerate() {
            let part = vec![index as u8; len];
            inbox.push(&part);
            expected.extend(part);
        }
        let mut seen = Vec::new();
        while let Some(part) = pull(&mut upload, 1000) {
            seen.extend_from_slice(&part);
        }
        assert!(seen == expected);
        assert_eq!((inbox.take_pulled(), inbox.parts.borrow().bytes), (expected.len(), 0));
    }

    #[test]
    fn bytes_that_come_one_by_one_are_few_parts() {
        let inbox = Inbox::new(&Budget::of(1 << 30));
        for _ in 0..FULL {
            inbox.push(b"x");
        }
        assert!(inbox.is_full());
        assert!(inbox.parts.borrow().waiting.len() <= FULL / JOINED + 1);
        inbox.end(Ok(()));
        let mut upload = Upload::new(Some(&inbox));
        let parts = std::iter::from_fn(|| pull(&mut upload, usize::MAX));
        assert_eq!(parts.map(|part| part.len()).sum::<usize>(), FULL);
    }

    #[test]
    fn a_byte_that_is_awaited_goes_through_by_itself() {
        let inbox = Inbox::new(&Budget::of(1 << 30));
        let mut upload = Upload::new(Some(&inbox));
        for _ in 0..3 {
            assert!(pull(&mut upload, 10).is_none());
            assert!(inbox.is_awaited() && inbox.is_held_up());
            inbox.push(b"x");
            assert!(!inbox.is_awaited());
            assert_eq!(pull(&mut upload, 10).unwrap(), "x");
        }
        upload.unhurried();
        assert!(pull(&mut upload, 10).is_none());
        assert!(inbox.is_awaited() && !inbox.is_held_up());
    }

    #[test]
    fn a_body_for_which_there_is_no_memory_breaks_off_and_gives_back_what_it_held() {
        let budget = Budget::of(8 << 20);
        let (inbox, other) = (Inbox::new(&budget), Inbox::new(&budget));
        let mut upload = Upload::new(Some(&inbox));
        let part = vec![b'x'; 1 << 20];
        (0..6).for_each(|_| inbox.push(&part));
        assert_eq!(pull(&mut upload, 100).unwrap().len(), 100);
        inbox.push(&part);
        assert!(!upload.is_end() && other.parts.borrow().end.is_none());
        inbox.push(&part);
        let Poll::Ready(Some(Err(error))) = upload.poll_pull(1, &mut Context::from_waker(Waker::noop()))
        else {
            panic!("it goes on");
        };
        assert_eq!(error.status, StatusCode::SERVICE_UNAVAILABLE);
        // All that came is given back as window, what comes after that too, and others have the memory.
        inbox.push(&part);
        assert_eq!(inbox.take_pulled(), 9 << 20);
        (0..6).for_each(|_| other.push(&part));
        assert!(other.parts.borrow().end.is_none());
    }
}
