//! The socket: reading and writing for the engines, every byte counted, and [`ByteStream`], a connection that has become
//! a stream of bytes.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use transport::{Stream, segments};
use wire::Output;

use crate::{
    buffers::MOST_READ, cut::Cut, endpoints::websocket::Carrier, lifecycle::Lifecycle, settings::Limits,
};

/// After the last reply, how long input that was not read is discarded, so that it does not make the
/// kernel reset the connection and destroy the reply.
const LINGER: Duration = Duration::from_secs(1);

/// The socket of a connection, which its engine and the worker's sweep look at.
#[derive(Debug)]
pub(crate) struct SharedSocket {
    pub(super) stream: RefCell<Stream>,
    /// Bytes in one system call at most, except for the first slice.
    largest_write: usize,
    /// What is known of the connection beside its socket.
    pub(crate) lifecycle: Rc<Lifecycle>,
}

impl SharedSocket {
    pub(crate) fn new(stream: Stream, lifecycle: Rc<Lifecycle>, largest_write: usize) -> Rc<Self> {
        Rc::new(Self { stream: RefCell::new(stream), largest_write, lifecycle })
    }

    /// Whether closing now loses nothing: no request was begun and none waits in the socket.
    pub(super) fn may_close(&self) -> bool {
        self.lifecycle.may_close() && !self.has_input()
    }

    /// Whether something waits to be read.
    pub(super) fn has_input(&self) -> bool {
        self.stream.borrow().has_input()
    }

    /// Has the connection end with a TCP RST when it is dropped, whatever is still under way.
    pub(crate) fn reset_on_close(&self) {
        self.stream.borrow().reset_on_close();
    }

    /// Looks at the clock for this connection; `now` is the sweep's.
    pub(crate) fn sweep(&self, now: Instant, limits: &Limits) {
        self.lifecycle.sweep(now, limits, || self.stream.borrow().presence());
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// All was said.
    Complete,
    /// The same, to a peer that broke a rule or a limit and may still be sending.
    Refused,
    /// There is no more talking to the peer.
    Abandoned,
    /// As was asked for; all but a TCP RST is a FIN, without a word of any protocol.
    Cut(Cut),
}

/// Ends a connection of which the output was written as far as it could be.
pub(super) async fn end(socket: &Rc<SharedSocket>, ending: CloseReason) {
    match ending {
        CloseReason::Complete => linger(socket, false).await,
        CloseReason::Refused => linger(socket, true).await,
        CloseReason::Abandoned => {}
        CloseReason::Cut(Cut::Reset) => reset(socket).await,
        // As if this end had died: TLS is not ended.
        CloseReason::Cut(_) => {
            socket.stream.borrow().cut_off();
            read_on(ByteStream::new(Bytes::new(), Rc::clone(socket)), false).await;
        }
    }
}

/// Reads into `buffer`, behind `rest`, which is copied to its front. How many bytes the buffer holds then: no
/// more than `rest` means that the peer has closed its end. No room for more is an error.
pub(super) fn poll_read(
    socket: &SharedSocket,
    rest: &[u8],
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let most = buffer.len().min(rest.len() + MOST_READ);
    let read = segments::poll_read(&mut *socket.stream.borrow_mut(), rest, &mut buffer[..most], cx);
    socket.lifecycle.patience.listens(read.is_pending());
    let read = ready!(read);
    let count = read.inspect_err(|_| socket.lifecycle.lost())?;
    if count > 0 {
        socket.lifecycle.received(count);
    }
    Poll::Ready(Ok(rest.len() + count))
}

/// Writes what waits; ready when nothing does.
pub(super) fn poll_output(
    socket: &SharedSocket,
    output: &mut Output,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut stream = socket.stream.borrow_mut();
    while !output.is_empty() {
        match segments::poll_write(&mut *stream, output, socket.largest_write, cx) {
            Poll::Ready(written) => socket.lifecycle.sent(written.inspect_err(|_| socket.lifecycle.lost())?),
            Poll::Pending => {
                socket.lifecycle.patience.blocked();
                return Poll::Pending;
            }
        }
    }
    // TLS may have kept some of it.
    let flushed = Pin::new(&mut *stream).poll_flush(cx);
    if flushed.is_pending() {
        socket.lifecycle.patience.blocked();
    }
    flushed
}

/// Has the connection end with a TCP RST, after the peer's system has taken what was sent: a reset destroys what is
/// still under way.
async fn reset(socket: &SharedSocket) {
    let taken = async {
        while socket.stream.borrow().unsent() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = tokio::time::timeout(LINGER, taken).await;
    socket.stream.borrow().reset_on_close();
}

/// Ends the connection such that the peer gets all that was sent. `sending`: more of its input is under way, whether
/// or not any has arrived.
pub(super) async fn linger(socket: &Rc<SharedSocket>, sending: bool) {
    let mut wire = ByteStream::new(Bytes::new(), Rc::clone(socket));
    if wire.shutdown().await.is_ok() {
        read_on(wire, sending).await;
    }
}

/// Reads until the peer has closed its end, if anything is left to read, which would make a reset of the close.
async fn read_on(mut wire: ByteStream, sending: bool) {
    if !sending && !wire.socket.stream.borrow().has_input() {
        return;
    }
    let mut rest = vec![0; 16 << 10];
    let read = async { while matches!(wire.read(&mut rest).await, Ok(1..)) {} };
    let _ = tokio::time::timeout(LINGER, read).await;
}

/// Ends TLS as it wants to be ended, if the peer takes that immediately: it can then distinguish the end from an attack. Not
/// for a reply that was cut short, which must not look whole.
pub(super) async fn send_close_notify(socket: &SharedSocket) {
    if socket.lifecycle.peer.is_tls() {
        let shutdown = |cx: &mut Context<'_>| Pin::new(&mut *socket.stream.borrow_mut()).poll_shutdown(cx);
        let _ = poll_fn(|cx| Poll::Ready(shutdown(cx))).await;
    }
}

/// One end of a connection that no engine reads any more.
#[derive(Debug)]
pub(crate) struct ByteStream {
    /// Read before and not consumed.
    prefix: Bytes,
    socket: Rc<SharedSocket>,
}

impl ByteStream {
    pub(crate) fn new(prefix: Bytes, socket: Rc<SharedSocket>) -> Self {
        Self { prefix, socket }
    }
}

impl Carrier for ByteStream {
    const IS_CONNECTION: bool = true;

    fn has_stalled(&self, output_waits: bool) -> bool {
        self.socket.lifecycle.patience.has_stalled(|| output_waits)
    }
}

impl AsyncRead for ByteStream {
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
        let result = Pin::new(&mut *self.socket.stream.borrow_mut()).poll_read(cx, buf);
        self.socket.lifecycle.patience.listens(result.is_pending());
        let count = buf.filled().len() - before;
        if count > 0 {
            self.socket.lifecycle.received(count);
        }
        result
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.socket.stream.borrow_mut();
        let written = Pin::new(&mut *stream).poll_write_vectored(cx, slices);
        if written.is_pending() {
            // Nothing more may be read until there is room.
            self.socket.lifecycle.patience.listens(false);
        }
        let count = ready!(written)?;
        self.socket.lifecycle.sent(count);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.stream.borrow_mut()).poll_shutdown(cx)
    }
}
