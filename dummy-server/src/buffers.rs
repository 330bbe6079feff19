//! What the connections of one worker read into and gather their output in, one after the other, so that an idle one holds
//! no memory for it.
//!
//! What is read into has been taken out and belongs to its user alone, across any call; it comes back when the user
//! drops it, by a panic too. So a part of a poll that reads while another part does, as a WebSocket on a stream of HTTP/2,
//! gets another one instead of an error.

use std::{
    cell::RefCell,
    fmt,
    ops::{Deref, DerefMut},
};

use wire::Output;

use crate::settings::Config;

/// Bytes that are read in one call: what comes of them may have to wait in a connection.
pub(crate) const MOST_READ: usize = 256 << 10;
/// Room to read on behind what a state machine needs in one piece: the largest frame of HTTP/2, or the largest head of
/// HTTP/1. Without it, reading could not go on.
const ROOM_TO_READ_ON: usize = 64 << 10;
/// How many buffers of outputs are kept for connections to come, and how large they may be.
const SPARE_BUFFERS: usize = 64;
const LARGEST_SPARE: usize = 1 << 20;
/// A piece of the pattern and the head before it leave together.
const ROOM_FOR_A_HEAD: usize = 16 << 10;

/// The buffers of one worker.
#[derive(Debug)]
pub(crate) struct Buffers {
    read: Reusable<[u8]>,
    /// Bytes in each buffer that is read into.
    read_size: usize,
    /// Buffers of outputs, which idle connections have given back.
    spare: RefCell<Vec<Vec<u8>>>,
    largest_write: usize,
}

impl Buffers {
    pub(crate) fn new(config: &Config) -> Self {
        let in_one_piece = config.http2.max_frame_size.max(config.limits.max_header_bytes) as usize;
        Self {
            read: Reusable::default(),
            read_size: MOST_READ.max(in_one_piece + ROOM_TO_READ_ON),
            spare: RefCell::default(),
            largest_write: config.buffer_size + ROOM_FOR_A_HEAD,
        }
    }

    /// A buffer to read into: what it holds is left over from others.
    #[inline]
    pub(crate) fn for_reading(&self) -> InUse<'_, [u8]> {
        self.read.take_or_else(|| vec![0; self.read_size].into_boxed_slice())
    }

    /// Bytes in one system call at most, except for the first slice.
    pub(crate) fn largest_write(&self) -> usize {
        self.largest_write
    }

    /// Gives an output that has no buffer one that another has given back.
    #[inline]
    pub(crate) fn lend(&self, output: &mut Output) {
        if output.is_empty() && output.buffer().capacity() == 0 {
            let spare = self.spare.borrow_mut().pop();
            output.exchange_buffer(spare.unwrap_or_default());
        }
    }

    /// Takes the buffer of an output that is empty.
    #[inline]
    pub(crate) fn take_back(&self, output: &mut Output) {
        if output.is_empty() && output.buffer().capacity() > 0 {
            let buffer = output.exchange_buffer(Vec::new());
            let mut spare = self.spare.borrow_mut();
            if spare.len() < SPARE_BUFFERS && buffer.capacity() <= LARGEST_SPARE {
                spare.push(buffer);
            }
        }
    }
}

/// Values that are used one after the other, of which there are as many as were ever in use together. These are free.
pub(crate) struct Reusable<T: ?Sized>(RefCell<Vec<Box<T>>>);

impl<T: ?Sized> Default for Reusable<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T: ?Sized> fmt::Debug for Reusable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reusable").finish_non_exhaustive()
    }
}

impl<T: ?Sized> Reusable<T> {
    /// One that is free, as its last user has left it, or else a new one.
    #[inline]
    pub(crate) fn take_or_else(&self, make: impl FnOnce() -> Box<T>) -> InUse<'_, T> {
        let free = self.0.borrow_mut().pop();
        InUse { home: self, value: Some(free.unwrap_or_else(make)) }
    }
}

/// A value that is its user's alone until it is dropped.
#[derive(Debug)]
pub(crate) struct InUse<'a, T: ?Sized> {
    home: &'a Reusable<T>,
    /// None while it is dropped.
    value: Option<Box<T>>,
}

impl<T: ?Sized> Deref for InUse<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value.as_deref().expect("it is there until it is dropped")
    }
}

impl<T: ?Sized> DerefMut for InUse<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_deref_mut().expect("it is there until it is dropped")
    }
}

impl<T: ?Sized> Drop for InUse<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.home.0.borrow_mut().extend(self.value.take());
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn numbers() -> impl FnMut() -> Box<u32> {
        let mut next = 0;
        move || {
            next += 1;
            Box::new(next)
        }
    }

    #[test]
    fn users_together_get_one_each_and_users_after_them_the_same_ones() {
        let (reusable, mut make) = (Reusable::default(), numbers());
        for _ in 0..3 {
            let outer = reusable.take_or_else(&mut make);
            let inner = reusable.take_or_else(&mut make);
            let mut both = [*outer, *inner];
            both.sort_unstable();
            assert_eq!(both, [1, 2]);
        }
        assert_eq!(*make(), 3, "no third one was made");
    }

    #[test]
    fn what_a_user_has_that_panics_comes_back() {
        let (reusable, mut make) = (Reusable::default(), numbers());
        let panics = AssertUnwindSafe(|| {
            *reusable.take_or_else(&mut make) = 7;
            let _used = reusable.take_or_else(&mut make);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(catch_unwind(panics).is_err());
        assert_eq!(*reusable.take_or_else(|| Box::new(0)), 7);
    }
}
