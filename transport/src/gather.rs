//! Deferred flush: the small writes of one wake-up leave in one system call.
//!
//! The h2 crate flushes after every DATA frame, which costs a system call for each response. [`Gathered`]
//! collects writes and answers flush at once; whoever polls the connection calls [`Gathered::poll_drain`]
//! after each poll, which writes for real. It must not hold bytes back beyond that, nor collect more than
//! [`CAPACITY`].

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that wait for the end of a poll; what is larger goes out at once.
pub const CAPACITY: usize = 64 * 1024;

/// How many unused buffers a thread keeps, so that idle connections hold none.
const SPARE_BUFFERS: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A handle to an IO object whose writes are gathered. Clones share it: one goes to the protocol, the other
/// drains.
#[derive(Debug)]
pub struct Gathered<S>(Rc<RefCell<Gather<S>>>);

#[derive(Debug)]
struct Gather<S> {
    io: S,
    /// Without capacity while nothing waits.
    waiting: Vec<u8>,
    /// How much of `waiting` has been written.
    written: usize,
}

impl<S> Clone for Gathered<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Gathers the writes to `io`.
    pub fn new(io: S) -> Self {
        Self(Rc::new(RefCell::new(Gather { io, waiting: Vec::new(), written: 0 })))
    }

    /// Writes what was gathered. Call it after each poll of the protocol; when it is pending it wakes the
    /// task once the socket takes more.
    ///
    /// # Errors
    /// The connection can't be written to.
    pub fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_drain(cx)
    }

    /// Looks at the IO object.
    pub fn with<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.0.borrow().io)
    }
}

impl<S: AsyncWrite + Unpin> Gather<S> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.waiting.len() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.waiting[self.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        self.give_back();
        Poll::Ready(Ok(()))
    }

    fn give_back(&mut self) {
        self.written = 0;
        if self.waiting.capacity() == 0 {
            return;
        }
        let mut buffer = std::mem::take(&mut self.waiting);
        buffer.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_BUFFERS {
                spare.push(buffer);
            }
        });
    }

    fn keep(&mut self, slices: &[IoSlice<'_>]) {
        if self.waiting.capacity() == 0 {
            let spare = SPARE.with_borrow_mut(Vec::pop);
            self.waiting = spare.unwrap_or_else(|| Vec::with_capacity(CAPACITY));
        }
        for slice in slices {
            self.waiting.extend_from_slice(slice);
        }
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.waiting.len() + total > CAPACITY {
            ready!(self.poll_drain(cx))?;
        }
        if total >= CAPACITY {
            return Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        }
        self.keep(slices);
        Poll::Ready(Ok(total))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_gather(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_gather(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Answers at once: see the module's text.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gather = self.0.borrow_mut();
        ready!(gather.poll_drain(cx))?;
        Pin::new(&mut gather.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn writes_and_flushes_wait_for_the_drain() {
        runtime().block_on(async {
            let (near, mut far) = duplex(CAPACITY);
            let drain = Gathered::new(near);
            let mut io = drain.clone();
            io.write_all(b"one ").await.unwrap();
            io.flush().await.unwrap();
            io.write_all(b"two").await.unwrap();
            assert!(drain.0.borrow().waiting == b"one two");
            poll_fn(|cx| drain.poll_drain(cx)).await.unwrap();
            let mut found = [0; 7];
            far.read_exact(&mut found).await.unwrap();
            assert_eq!(&found, b"one two");
            assert_eq!(drain.0.borrow().waiting.capacity(), 0, "an idle connection holds no buffer");
        });
    }

    #[test]
    fn order_holds_when_small_and_large_writes_mix_and_the_reader_is_slow() {
        runtime().block_on(async {
            let (near, mut far) = duplex(1000);
            let drain = Gathered::new(near);
            let mut io = drain.clone();
            let sent: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
            let expected = sent.clone();
            let write = async {
                for (i, part) in sent.chunks(70_000).enumerate() {
                    let (small, large) = part.split_at(10 + i);
                    io.write_all(small).await.unwrap();
                    io.write_all(large).await.unwrap();
                }
                io.shutdown().await.unwrap();
            };
            let read = async {
                let mut found = Vec::new();
                let mut piece = [0; 777];
                loop {
                    match far.read(&mut piece).await.unwrap() {
                        0 => return found,
                        count => found.extend_from_slice(&piece[..count]),
                    }
                }
            };
            let ((), found) = tokio::join!(write, read);
            assert!(found == expected);
        });
    }

    #[test]
    fn no_more_than_the_capacity_is_held() {
        runtime().block_on(async {
            let (near, _far) = duplex(1);
            let drain = Gathered::new(near);
            let mut io = drain.clone();
            let taken = tokio::select! {
                biased;
                () = async { loop { io.write_all(&[7; 100]).await.unwrap(); } } => unreachable!(),
                () = std::future::ready(()) => drain.0.borrow().waiting.len(),
            };
            assert!(taken <= CAPACITY);
            assert!(taken > CAPACITY / 2);
        });
    }
}
