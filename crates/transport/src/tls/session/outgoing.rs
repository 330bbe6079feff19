//! From plaintext to the socket: records of the maximum size, and what the socket has not taken of them.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

/// Plaintext of the largest record (RFC 8446 section 5.1).
const RECORD: usize = 16 << 10;
/// What is encrypted in one go. As long as the socket has not taken it, nothing more is.
const BATCH: usize = 128 << 10;

thread_local! {
    /// Where short slices become records.
    static GATHERED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// A buffer that a session has written all of.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// No more can be encrypted on this connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exhausted;

/// Ciphertext on its way to the socket: what is in front of `end`, of which `written` bytes have been written. What is
/// behind is room that need not be cleared again.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) bytes: Vec<u8>,
    end: usize,
    written: usize,
}

impl Outgoing {
    /// Adds what `write` puts into the room it is given. It says how much room it wants when that is too little.
    pub(super) fn append(
        &mut self,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, usize>,
    ) -> Result<(), Exhausted> {
        if self.bytes.is_empty() {
            self.bytes = SPARE.take();
        }
        loop {
            let room = &mut self.bytes[self.end..];
            match write(room) {
                Ok(count) => {
                    self.end += count;
                    return Ok(());
                }
                Err(wanted) if wanted > room.len() => self.bytes.resize(self.end + wanted, 0),
                Err(_) => return Err(Exhausted),
            }
        }
    }

    /// Writes all of it.
    pub(super) fn poll_flush(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.end {
            match ready!(Pin::new(&mut *io).poll_write(cx, &self.bytes[self.written..self.end]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        if !self.bytes.is_empty() {
            SPARE.set(std::mem::take(self).bytes);
        }
        Poll::Ready(Ok(()))
    }

    /// Has `seal` encrypt of slices as much as is done in one go, in records as large as they may be. How much it was.
    pub(super) fn encrypt(
        &mut self,
        slices: &[IoSlice<'_>],
        mut seal: impl FnMut(&[u8], &mut [u8]) -> Result<usize, usize>,
    ) -> Result<usize, Exhausted> {
        let mut seal = |part: &[u8]| self.append(|room| seal(part, room));
        GATHERED.with_borrow_mut(|gathered| {
            gathered.clear();
            let mut left = BATCH;
            for slice in slices {
                let mut part = &slice[..slice.len().min(left)];
                left -= part.len();
                if !gathered.is_empty() {
                    let (front, rest) = part.split_at(part.len().min(RECORD - gathered.len()));
                    gathered.extend_from_slice(front);
                    part = rest;
                    if gathered.len() == RECORD {
                        seal(gathered)?;
                        gathered.clear();
                    }
                }
                let (whole, rest) = part.split_at(part.len() / RECORD * RECORD);
                if !whole.is_empty() {
                    seal(whole)?;
                }
                gathered.extend_from_slice(rest);
            }
            if !gathered.is_empty() {
                seal(gathered)?;
            }
            Ok(BATCH - left)
        })
    }
}
