//! The socket: reading and writing for the engines, every byte counted, and [`Wire`], a connection that has become
//! a stream of bytes.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use transport::segments;
use wire::Output;

use super::state::State;
use crate::worker::MOST_READ;

/// After the last reply, how long input that was not read is thrown away, so that it does not make the
/// kernel reset the connection and destroy the reply.
const LINGER: Duration = Duration::from_secs(1);

/// How a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All was said.
    Well,
    /// The same, to a peer that broke a rule or a limit and may still be sending.
    Refused,
    /// There is no more talking to the peer.
    Cut,
    /// It is to end with a TCP FIN, and not a word of any protocol.
    CutOff,
    /// It is to end with a TCP RST.
    Reset,
}

/// Reads into `buffer`, behind `rest`, which is copied to its front. How many bytes the buffer holds then: no
/// more than `rest` means that the peer has closed its end. No room for more is an error.
pub(super) fn poll_read(
    state: &State,
    rest: &[u8],
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let most = buffer.len().min(rest.len() + MOST_READ);
    let read = segments::poll_read(&mut *state.stream.borrow_mut(), rest, &mut buffer[..most], cx);
    state.listens(read.is_pending());
    let read = ready!(read);
    let count = read.inspect_err(|_| state.lost())?;
    if count > 0 {
        state.received(count);
    }
    Poll::Ready(Ok(rest.len() + count))
}

/// Keeps what was read and not taken in; nothing holds no memory.
pub(super) fn keep_rest(rest: &mut Vec<u8>, input: &[u8]) {
    if input.is_empty() {
        *rest = Vec::new();
    } else {
        rest.clear();
        rest.extend_from_slice(input);
    }
}

/// Writes what waits; ready when nothing does.
pub(super) fn poll_output(state: &State, output: &mut Output, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut stream = state.stream.borrow_mut();
    while !output.is_empty() {
        match segments::poll_write(&mut *stream, output, state.largest_write, cx) {
            Poll::Ready(written) => state.sent(written.inspect_err(|_| state.lost())?),
            Poll::Pending => {
                state.blocked();
                return Poll::Pending;
            }
        }
    }
    // TLS may have kept some of it.
    let flushed = Pin::new(&mut *stream).poll_flush(cx);
    if flushed.is_pending() {
        state.blocked();
    }
    flushed
}

/// Has the connection end with a TCP RST, after the peer's system has taken what was sent: a reset destroys what is
/// still under way.
pub(super) async fn reset(state: &State) {
    let taken = async {
        while state.stream.borrow().unsent() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = tokio::time::timeout(LINGER, taken).await;
    state.stream.borrow().reset_on_close();
}

/// Ends the connection such that the peer gets all that was sent. `sending`: more of its input is under way, whether
/// or not any has arrived.
pub(super) async fn linger(state: &Rc<State>, sending: bool) {
    let mut wire = Wire::new(Bytes::new(), Rc::clone(state));
    if wire.shutdown().await.is_ok() {
        read_on(wire, sending).await;
    }
}

/// Ends the connection like [`linger`], but as if this end had died: TLS is not ended.
pub(super) async fn cut_off(state: &Rc<State>) {
    state.stream.borrow().cut_off();
    read_on(Wire::new(Bytes::new(), Rc::clone(state)), false).await;
}

/// Reads until the peer has closed its end, if anything is left to read, which would make a reset of the close.
async fn read_on(mut wire: Wire, sending: bool) {
    if !sending && !wire.state.stream.borrow().has_input() {
        return;
    }
    let mut rest = vec![0; 16 << 10];
    let read = async { while matches!(wire.read(&mut rest).await, Ok(1..)) {} };
    let _ = tokio::time::timeout(LINGER, read).await;
}

/// Ends TLS as it wants to be ended, if the peer takes that at once: it can tell the end from an attack then. Not
/// for a reply that was cut short, which must not look whole.
pub(super) async fn say_goodbye(state: &State) {
    if state.is_tls() {
        let shutdown = |cx: &mut Context<'_>| Pin::new(&mut *state.stream.borrow_mut()).poll_shutdown(cx);
        let _ = poll_fn(|cx| Poll::Ready(shutdown(cx))).await;
    }
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
            if self.prefix.is_empty() {
                // An empty slice would keep the memory that it is a part of.
                self.prefix = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut *self.state.stream.borrow_mut()).poll_read(cx, buf);
        self.state.listens(result.is_pending());
        let count = buf.filled().len() - before;
        if count > 0 {
            self.state.received(count);
        }
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.state.stream.borrow_mut()).poll_write(cx, data);
        if written.is_pending() {
            // Nothing more may be read until there is room.
            self.state.listens(false);
        }
        let count = ready!(written)?;
        self.state.sent(count);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.state.stream.borrow_mut();
        let written = Pin::new(&mut *stream).poll_write_vectored(cx, slices);
        if written.is_pending() {
            self.state.listens(false);
        }
        let count = ready!(written)?;
        self.state.sent(count);
        Poll::Ready(Ok(count))
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
