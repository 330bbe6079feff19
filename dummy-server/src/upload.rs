//! The body of a request on its way from an engine to an endpoint. The engine pushes, the endpoint pulls, and
//! pulling returns flow-control window. How much may wait in between is bounded by that window, or by
//! [`Inbox::is_full`].

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    task::{Poll, Waker},
};

use bytes::Bytes;

/// An HTTP/1 engine reads no more of a body while so much of it waits.
const FULL: usize = 256 << 10;

/// A body that broke off, and how.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request body broke off: {0}")]
pub(crate) struct UploadError(pub(crate) &'static str);

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Inbox {
    parts: RefCell<Parts>,
    /// Is told how many bytes were pulled.
    pulled: Box<dyn Pulled>,
}

/// What an engine does when bytes were pulled.
pub(crate) trait Pulled: std::fmt::Debug {
    /// So many were.
    fn pulled(&self, bytes: usize);
}

#[derive(Debug, Default)]
struct Parts {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// Nobody looks at the content: it is counted and thrown away as it comes.
    counted: Option<u64>,
    end: Option<Result<(), UploadError>>,
    reader: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(pulled: impl Pulled + 'static) -> Rc<Self> {
        Rc::new(Self { parts: RefCell::default(), pulled: Box::new(pulled) })
    }

    /// Takes in bytes. True: they were used up at once, and are not reported as pulled.
    #[must_use]
    pub(crate) fn push(&self, data: &[u8]) -> bool {
        let mut parts = self.parts.borrow_mut();
        if let Some(counted) = &mut parts.counted {
            *counted += data.len() as u64;
            return true;
        }
        if !data.is_empty() {
            parts.waiting.push_back(Bytes::copy_from_slice(data));
            parts.bytes += data.len();
            parts.wake();
        }
        false
    }

    /// Nothing more comes.
    pub(crate) fn end(&self, how: Result<(), UploadError>) {
        let mut parts = self.parts.borrow_mut();
        parts.end.get_or_insert(how);
        parts.wake();
    }

    /// Whether enough waits.
    pub(crate) fn is_full(&self) -> bool {
        self.parts.borrow().bytes >= FULL
    }

    /// Whether the endpoint waits for more.
    pub(crate) fn is_awaited(&self) -> bool {
        let parts = self.parts.borrow();
        parts.waiting.is_empty() && parts.end.is_none()
    }
}

impl Parts {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The endpoint's end: the body of a request.
#[derive(Debug)]
pub(crate) struct Upload(Option<Rc<Inbox>>);

impl Upload {
    /// A request without a body.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn from(inbox: &Rc<Inbox>) -> Self {
        Self(Some(Rc::clone(inbox)))
    }

    /// Whether nothing more comes.
    #[must_use]
    pub(crate) fn is_end(&self) -> bool {
        self.0.as_ref().is_none_or(|inbox| {
            let parts = inbox.parts.borrow();
            parts.waiting.is_empty() && matches!(parts.end, Some(Ok(())))
        })
    }

    /// The next part of the body, at most `most` bytes of it; none at its end. HTTP/2 window is returned for
    /// what is pulled and for nothing else.
    ///
    /// # Errors
    /// The body broke off.
    pub(crate) async fn pull(&mut self, most: usize) -> Option<Result<Bytes, UploadError>> {
        let inbox = self.0.as_ref()?;
        let part = std::future::poll_fn(|cx| {
            let mut parts = inbox.parts.borrow_mut();
            if let Some(first) = parts.waiting.front_mut() {
                let part = first.split_to(most.min(first.len()));
                if first.is_empty() {
                    parts.waiting.pop_front();
                }
                parts.bytes -= part.len();
                return Poll::Ready(Some(Ok(part)));
            }
            match parts.end {
                Some(end) => Poll::Ready(end.err().map(Err)),
                None => {
                    parts.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        if let Some(Ok(part)) = &part {
            inbox.pulled.pulled(part.len());
        }
        part
    }

    /// Reads to the end and throws away; how many bytes there were.
    ///
    /// # Errors
    /// The body broke off, after so many bytes.
    pub(crate) async fn discard(&mut self) -> Result<u64, (u64, UploadError)> {
        let Some(inbox) = &self.0 else { return Ok(0) };
        let waiting = {
            let mut parts = inbox.parts.borrow_mut();
            let waiting = std::mem::take(&mut parts.bytes);
            parts.waiting.clear();
            parts.counted = Some(waiting as u64);
            waiting
        };
        inbox.pulled.pulled(waiting);
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
