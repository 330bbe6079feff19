//! Counts messages as they come, for a reader that looks at none of them. It keeps nothing but where it is.

use crate::message::{Invalid, PREFIX, Prefix};

/// Where the reader is in a body of messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    /// The beginning of a prefix.
    prefix: [u8; PREFIX],
    /// Bytes of it.
    filled: usize,
    /// Bytes of a message that are still to come.
    left: usize,
}

impl Counter {
    /// Takes in the next part of a body: how many messages it completes. `compressed`: messages may be compressed.
    ///
    /// # Errors
    /// A prefix is invalid, or a message is compressed where none may be; nothing more can be read.
    pub fn take_in(&mut self, mut part: &[u8], compressed: bool) -> Result<u64, Invalid> {
        let mut messages = 0;
        while !part.is_empty() {
            if self.filled < PREFIX {
                let taken = (PREFIX - self.filled).min(part.len());
                let (begin, rest) = part.split_at(taken);
                self.prefix[self.filled..self.filled + taken].copy_from_slice(begin);
                self.filled += taken;
                part = rest;
                let Some(prefix) = Prefix::read(&self.prefix[..self.filled])? else { continue };
                if prefix.compressed && !compressed {
                    return Err(Invalid::Compressed);
                }
                self.left = prefix.length as usize;
            }
            let taken = self.left.min(part.len());
            part = &part[taken..];
            self.left -= taken;
            if self.left == 0 {
                self.filled = 0;
                messages += 1;
            }
        }
        Ok(messages)
    }

    /// Whether the last message is complete. At the end of a call, otherwise one was cut.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.filled == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::append;

    fn framed(message: &[u8], compressed: bool) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, compressed, |out| out.extend_from_slice(message));
        out
    }

    #[test]
    fn messages_are_counted_in_parts_of_any_size() {
        let body = [framed(b"one", true), framed(b"", false), framed(&[7; 1000], false), framed(b"", false)];
        let body = body.concat();
        for size in 1..body.len() + 1 {
            let mut counter = Counter::default();
            let counted: u64 = body.chunks(size).map(|part| counter.take_in(part, true).unwrap()).sum();
            assert_eq!((counted, counter.is_between_messages()), (4, true), "{size}");
        }
    }

    #[test]
    fn a_message_that_is_cut_is_seen() {
        let body = framed(b"hello", false);
        for length in 1..body.len() {
            let mut counter = Counter::default();
            assert_eq!(counter.take_in(&body[..length], false), Ok(0));
            assert!(!counter.is_between_messages(), "{length}");
        }
    }

    #[test]
    fn what_is_not_a_message_is_refused() {
        assert_eq!(Counter::default().take_in(b"\x02\0\0\0\0", true), Err(Invalid::Flag(2)));
        assert_eq!(Counter::default().take_in(b"\x01\0\0\0\x01x", false), Err(Invalid::Compressed));
        assert_eq!(Counter::default().take_in(b"\0\xff\xff\xff\xffx", false), Ok(0), "nothing is set aside");
    }
}
