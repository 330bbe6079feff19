//! The socket as the protocols see it: the bytes that sniffing took come first, and every byte is counted.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::state::State;

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Read before and not consumed.
    prefix: Bytes,
    state: Rc<State>,
}

impl Wire {
    pub(crate) fn new(prefix: Bytes, state: Rc<State>) -> Self {
        Self { prefix, state }
    }

    /// The same with bytes in front that a protocol had read and not used.
    pub(crate) fn with_prefix(self, prefix: Bytes) -> Self {
        Self { prefix, state: self.state }
    }

    fn written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.state.write_blocked.set(result.is_pending());
        if let Poll::Ready(Ok(count)) = result {
            self.state.sent(count);
        }
        result
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let count = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix[..count]);
            self.prefix.advance(count);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut *self.state.stream.borrow_mut()).poll_read(cx, buf);
        let count = buf.filled().len() - before;
        if count > 0 {
            self.state.received(count);
        }
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut *self.state.stream.borrow_mut()).poll_write(cx, data);
        self.written(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut total = 0;
        let within = |slice: &&IoSlice<'_>| {
            total += slice.len();
            total <= self.state.largest_write
        };
        let count = slices.iter().take_while(within).count().max(1).min(slices.len());
        let stream = &mut *self.state.stream.borrow_mut();
        self.written(Pin::new(stream).poll_write_vectored(cx, &slices[..count]))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.state.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.state.stream.borrow_mut()).poll_shutdown(cx)
    }
}
