//! Reads a chunked body (RFC 9112 section 7.1), byte by byte between the chunks, so that it may be cut anywhere.

use super::{super::engine::Sink, reply::Broken};

/// The longest line of the framing, and the longest trailers, in bytes.
const MAX_LINE: usize = 8 * 1024;

/// The most digits of a chunk's size.
const MAX_DIGITS: u8 = 15;

/// Where in the body the reader is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chunked {
    /// In the line that begins a chunk.
    Size(Size),
    /// In a chunk, so many bytes before its end.
    Data(u64),
    /// In the line end that follows a chunk.
    End { after_return: bool },
    /// In the trailers: how long the current line is, and how much was read of them.
    Trailers { line: usize, read: usize },
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    value: u64,
    digits: u8,
    /// In an extension or after the last digit.
    past_digits: bool,
    read: usize,
}

impl Default for Chunked {
    fn default() -> Self {
        Self::Size(Size::default())
    }
}

impl Chunked {
    /// Reads on in `rest`, which isn't empty. Returns how much was read, and whether the body has ended.
    pub(super) fn read(&mut self, rest: &[u8], sink: &mut impl Sink) -> Result<(usize, bool), Broken> {
        let (used, next) = match *self {
            Self::Size(size) => (1, size.read(rest[0])?),
            Self::Data(left) => {
                let part = &rest[..rest.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
                sink.body(part);
                let left = left - part.len() as u64;
                (part.len(), if left == 0 { Self::End { after_return: false } } else { Self::Data(left) })
            }
            Self::End { after_return } => match (rest[0], after_return) {
                (b'\r', false) => (1, Self::End { after_return: true }),
                (b'\n', _) => (1, Self::default()),
                _ => return Err(Broken("a chunk is longer than its size")),
            },
            Self::Trailers { read: MAX_LINE.., .. } => {
                return Err(Broken("the trailers are longer than 8 KiB"));
            }
            Self::Trailers { line, read } => match rest[0] {
                b'\n' if line == 0 => return Ok((1, true)),
                b'\n' => (1, Self::Trailers { line: 0, read: read + 1 }),
                b'\r' => (1, Self::Trailers { line, read: read + 1 }),
                _ => (1, Self::Trailers { line: line + 1, read: read + 1 }),
            },
        };
        *self = next;
        Ok((used, false))
    }
}

impl Size {
    /// Reads one byte of the line.
    fn read(mut self, byte: u8) -> Result<Chunked, Broken> {
        const BAD: Broken = Broken("a chunk's size is no hexadecimal number");
        self.read += 1;
        if self.read > MAX_LINE {
            return Err(Broken("a chunk's first line is longer than 8 KiB"));
        }
        match (byte, char::from(byte).to_digit(16)) {
            (b'\n', _) if self.digits == 0 => return Err(BAD),
            (b'\n', _) if self.value == 0 => return Ok(Chunked::Trailers { line: 0, read: 0 }),
            (b'\n', _) => return Ok(Chunked::Data(self.value)),
            (_, Some(digit)) if !self.past_digits && self.digits < MAX_DIGITS => {
                self.value = self.value << 4 | u64::from(digit);
                self.digits += 1;
            }
            (_, Some(_)) if !self.past_digits => return Err(BAD),
            (b';' | b' ' | b'\t' | b'\r', _) => self.past_digits = true,
            _ if self.past_digits => {}
            _ => return Err(BAD),
        }
        Ok(Chunked::Size(self))
    }
}
