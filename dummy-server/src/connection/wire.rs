//! The socket: reading and writing for the engines, every byte counted, and [`Wire`], a connection that has become
//! a stream of bytes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use wire::Output;

use super::state::State;

/// After the last reply, how long input that was not read is thrown away, so that it does not make the
/// kernel reset the connection and destroy the reply.
const LINGER: Duration = Duration::from_secs(1);

/// Slices in one system call.
const SLICES: usize = 64;

/// How a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All was said.
    Well,
    /// There is no more talking to the peer.
    Cut,
}

/// Reads into `buffer`, behind `rest`, which is copied to its front. How many bytes the buffer holds then: no
/// more than `rest` means that the peer has closed its end.
pub(super) fn poll_read(
    state: &State,
    rest: &[u8],
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let (front, free) = buffer.split_at_mut(rest.len());
    let mut free = ReadBuf::new(free);
    ready!(Pin::new(&mut *state.stream.borrow_mut()).poll_read(cx, &mut free))?;
    front.copy_from_slice(rest);
    let count = free.filled().len();
    if count > 0 {
        state.received(count);
    }
    Poll::Ready(Ok(rest.len() + count))
}

/// Writes what waits; ready when nothing does.
pub(super) fn poll_output(state: &State, output: &mut Output, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while !output.is_empty() {
        let mut stream = state.stream.borrow_mut();
        let stream = Pin::new(&mut *stream);
        let result = match output.single() {
            Some(bytes) => stream.poll_write(cx, bytes),
            None => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = output.slices(&mut slices);
                stream.poll_write_vectored(cx, within(&slices[..count], state.largest_write))
            }
        };
        state.write_blocked.set(result.is_pending());
        let count = ready!(result)?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        state.sent(count);
        output.advance(count);
    }
    Poll::Ready(Ok(()))
}

/// The first slices, as long as they are not too many bytes together; one at least.
fn within<'a, 'b>(slices: &'b [IoSlice<'a>], most: usize) -> &'b [IoSlice<'a>] {
    let mut total = 0;
    let fitting = slices.iter().take_while(|slice| {
        total += slice.len();
        total <= most
    });
    &slices[..fitting.count().max(1).min(slices.len())]
}

/// Ends the connection such that the peer gets all that was sent.
pub(super) async fn linger(state: &Rc<State>) {
    let mut wire = Wire::new(Bytes::new(), Rc::clone(state));
    if wire.shutdown().await.is_err() || !state.stream.borrow().has_input() {
        return;
    }
    let mut rest = vec![0; 16 << 10];
    let read = async { while matches!(wire.read(&mut rest).await, Ok(1..)) {} };
    let _ = tokio::time::timeout(LINGER, read).await;
}

/// One end of a connection that no engine reads any more.
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
        let slices = within(slices, self.state.largest_write);
        let stream = &mut *self.state.stream.borrow_mut();
        self.written(Pin::new(stream).poll_write_vectored(cx, slices))
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
