//! The two directions of an HTTP/2 stream as one stream of bytes (RFC 9113 section 8.5, RFC 8441): what the client
//! sends is read, what is written is the content of the reply.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    budget::{Budget, Hold},
    message::{
        reply::{Part, Stream},
        upload::Upload,
    },
};

/// While so much was written and not sent, writing waits.
const FULL: usize = 64 << 10;

/// One end of a stream.
#[derive(Debug)]
pub(crate) struct Duplex {
    upload: Upload,
    /// Pulled and not read.
    rest: Bytes,
    outbox: Rc<RefCell<Outbox>>,
}

#[derive(Debug)]
struct Outbox {
    /// For what waits.
    hold: Hold,
    parts: VecDeque<Bytes>,
    bytes: usize,
    /// Somebody waits for room.
    blocked: bool,
    ended: bool,
}

/// Lets `talk` have the stream whose request's content is `upload`: what it writes is the reply's content, which ends
/// when `talk` does. It is polled by the engine, as long as there is room to send.
pub(crate) fn converse<F>(
    upload: Upload,
    budget: &Rc<Budget>,
    talk: impl FnOnce(Duplex) -> F,
) -> Box<dyn Stream>
where
    F: Future<Output = ()> + 'static,
{
    let hold = Hold::new(budget);
    let outbox = Outbox { hold, parts: VecDeque::new(), bytes: 0, blocked: false, ended: false };
    let outbox = Rc::new(RefCell::new(outbox));
    let duplex = Duplex { upload, rest: Bytes::new(), outbox: Rc::clone(&outbox) };
    Box::new(Conversation { talk: Some(Box::pin(talk(duplex))), outbox })
}

struct Conversation {
    talk: Option<Pin<Box<dyn Future<Output = ()>>>>,
    outbox: Rc<RefCell<Outbox>>,
}

impl Stream for Conversation {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        if self.talk.as_mut().is_some_and(|talk| talk.as_mut().poll(cx).is_ready()) {
            self.talk = None;
        }
        let mut outbox = self.outbox.borrow_mut();
        if let Some(part) = outbox.parts.pop_front() {
            outbox.bytes -= part.len();
            outbox.hold.shrink(part.len());
            if std::mem::take(&mut outbox.blocked) {
                cx.waker().wake_by_ref();
            }
            return Poll::Ready(Some(Part::Data(part)));
        }
        if self.talk.is_none() || outbox.ended { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl AsyncRead for Duplex {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match ready!(this.upload.poll_pull(usize::MAX, cx)) {
                Some(Ok(part)) => this.rest = part,
                Some(Err(error)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, error)));
                }
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest[..count]);
        this.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if outbox.bytes >= FULL {
            // The engine polls again after it has taken something.
            outbox.blocked = true;
            return Poll::Pending;
        }
        let part = &data[..data.len().min(FULL)];
        // A first part is taken in any case: without one, nobody would poll again.
        if !outbox.hold.grow(part.len()) && outbox.bytes > 0 {
            outbox.blocked = true;
            return Poll::Pending;
        }
        outbox.bytes += part.len();
        outbox.parts.push_back(Bytes::copy_from_slice(part));
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.borrow_mut().ended = true;
        Poll::Ready(Ok(()))
    }
}
