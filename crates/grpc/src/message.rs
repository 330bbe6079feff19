//! Messages on the wire: a flag, a length and the message. It neither compresses nor expands.
//!
//! What is received takes memory as it comes and never by what a prefix announces.

use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::Code;

/// Bytes of the flag and the length in front of a message.
pub const PREFIX: usize = 5;

/// What stands in front of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Whether the message is compressed, as `grpc-encoding` says.
    pub compressed: bool,
    /// The length of the message.
    pub length: u32,
}

impl Prefix {
    /// Reads the prefix at the front of `bytes`; none if they are too few.
    ///
    /// # Errors
    /// The flag is neither 0 nor 1.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, Invalid> {
        let Some([flag, length @ ..]) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        match flag {
            0 | 1 => Ok(Some(Self { compressed: *flag == 1, length })),
            _ => Err(Invalid::Flag(*flag)),
        }
    }

    /// As it is written.
    #[must_use]
    pub const fn bytes(self) -> [u8; PREFIX] {
        let [a, b, c, d] = self.length.to_be_bytes();
        [self.compressed as u8, a, b, c, d]
    }
}

/// A message that is invalid, or that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// The flag is neither 0 nor 1.
    Flag(u8),
    /// The message is compressed, and no encoding was named.
    Compressed,
    /// The message is larger than [`Limits::message`].
    TooLarge {
        /// What was announced, in bytes.
        length: usize,
    },
}

impl Invalid {
    /// The status that refuses it.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Flag(_) | Self::Compressed => Code::Internal,
            Self::TooLarge { .. } => Code::ResourceExhausted,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "invalid flag {flag} of a message: 0 and 1 are accepted"),
            Self::Compressed => f.write_str("a compressed message without grpc-encoding"),
            Self::TooLarge { length } => write!(f, "message of {length} bytes is too large"),
        }
    }
}

impl std::error::Error for Invalid {}

/// What a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of a message on the wire in bytes.
    pub message: usize,
    /// Whether messages may be compressed.
    pub compressed: bool,
}

/// A message that has arrived completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether [`Message::content`] is compressed.
    pub compressed: bool,
    /// The message without its prefix.
    pub content: Bytes,
}

/// Puts messages together from parts of any size.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    limits: Limits,
}

impl Reader {
    /// With what is accepted.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { buffer: BytesMut::new(), limits }
    }

    /// How many bytes wait for the rest of their message.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether none wait. At the end of a call, otherwise a message was cut.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Throws away what waits, and its memory.
    pub fn clear(&mut self) {
        self.buffer = BytesMut::new();
    }

    /// Adds what has arrived.
    pub fn push(&mut self, part: Bytes) {
        if self.buffer.is_empty() {
            // It is the only handle of its bytes, unless it is a piece of a larger part.
            self.buffer = part.try_into_mut().unwrap_or_else(|part| BytesMut::from(&part[..]));
        } else {
            self.buffer.extend_from_slice(&part);
        }
    }

    /// The next message, once it has arrived completely.
    ///
    /// # Errors
    /// It is none, or not one that is accepted; nothing more can be read.
    pub fn take(&mut self) -> Result<Option<Message>, Invalid> {
        let Some(Prefix { compressed, length }) = Prefix::read(&self.buffer)? else { return Ok(None) };
        if compressed && !self.limits.compressed {
            return Err(Invalid::Compressed);
        }
        let length = length as usize;
        if length > self.limits.message {
            return Err(Invalid::TooLarge { length });
        }
        let waiting = self.buffer.len() - PREFIX;
        if waiting < length {
            return Ok(None);
        }
        let content = if waiting == length {
            // Mostly it is all there is, and then nothing is left to share its memory with.
            std::mem::take(&mut self.buffer).freeze().slice(PREFIX..)
        } else {
            self.buffer.advance(PREFIX);
            self.buffer.split_to(length).freeze()
        };
        Ok(Some(Message { compressed, content }))
    }
}

/// Adds the message that `write` adds, with its prefix. One of 4 GiB or more cannot be framed.
#[inline]
pub fn append(out: &mut Vec<u8>, compressed: bool, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    write(out);
    let length = out.len().saturating_sub(start + PREFIX);
    set_prefix(&mut out[start..], length, compressed);
}

/// Writes the prefix of a message over the first bytes of `framed`.
///
/// # Panics
/// When there is no room for it.
pub fn set_prefix(framed: &mut [u8], length: usize, compressed: bool) {
    framed[..PREFIX].copy_from_slice(&Prefix { compressed, length: length as u32 }.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { message: 1000, compressed: true };

    fn framed(message: &[u8], compressed: bool) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, compressed, |out| out.extend_from_slice(message));
        out
    }

    /// What is read of a body that comes in pieces of `size`.
    fn read(body: &[u8], size: usize, limits: Limits) -> Result<Vec<(bool, Bytes)>, Invalid> {
        let mut reader = Reader::new(limits);
        let mut found = Vec::new();
        for piece in body.chunks(size) {
            reader.push(Bytes::copy_from_slice(piece));
            while let Some(message) = reader.take()? {
                found.push((message.compressed, message.content));
            }
        }
        assert!(reader.is_empty());
        Ok(found)
    }

    #[test]
    fn messages_are_read_in_pieces_of_any_size() {
        let body = [framed(b"one", true), framed(b"", false), framed(&[7; 1000], false)].concat();
        for size in [1, 2, 5, 7, 100, body.len()] {
            let expected = [(true, &b"one"[..]), (false, b""), (false, &[7; 1000])]
                .map(|(compressed, content)| (compressed, Bytes::copy_from_slice(content)));
            assert_eq!(read(&body, size, LIMITS), Ok(expected.to_vec()), "{size}");
        }
    }

    #[test]
    fn invalid_prefixes_are_refused_with_a_status_code() {
        let identity = Limits { compressed: false, ..LIMITS };
        for (body, limits, invalid, code) in [
            (&b"\x02\0\0\0\x01x"[..], LIMITS, Invalid::Flag(2), Code::Internal),
            (b"\x80\0\0\0\0", LIMITS, Invalid::Flag(0x80), Code::Internal),
            (b"\x01\0\0\0\x01x", identity, Invalid::Compressed, Code::Internal),
            (b"\0\0\0\x03\xe9", LIMITS, Invalid::TooLarge { length: 1001 }, Code::ResourceExhausted),
            (
                b"\0\xff\xff\xff\xff",
                LIMITS,
                Invalid::TooLarge { length: 0xffff_ffff },
                Code::ResourceExhausted,
            ),
        ] {
            for size in [1, body.len()] {
                assert_eq!(read(body, size, limits), Err(invalid));
                assert_eq!(invalid.code(), code);
            }
        }
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let mut reader = Reader::new(Limits { message: usize::MAX, compressed: false });
        reader.push(Bytes::from_static(b"\0\xff\xff\xff\xffx"));
        assert_eq!(reader.take(), Ok(None));
        assert!(reader.len() == 6 && reader.buffer.capacity() < 100);
        reader.clear();
        assert!(reader.is_empty());
    }

    #[test]
    fn prefixes_round_trip() {
        for (compressed, length) in [(false, 0), (true, 1), (false, 0x0102_0304), (true, u32::MAX)] {
            let prefix = Prefix { compressed, length };
            assert_eq!(Prefix::read(&prefix.bytes()), Ok(Some(prefix)));
            assert_eq!(Prefix::read(&prefix.bytes()[..4]), Ok(None));
        }
        assert_eq!(framed(b"hello", true), b"\x01\0\0\0\x05hello");
    }
}
