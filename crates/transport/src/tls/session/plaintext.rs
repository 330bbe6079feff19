//! From records to the reader: plaintext that the reader had no room for.

use tokio::io::ReadBuf;

/// Decrypted bytes that have not been read; without any, it holds no buffer.
#[derive(Debug, Default)]
pub(super) struct Plaintext {
    pub(super) bytes: Vec<u8>,
    read: usize,
}

impl Plaintext {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a record's plaintext: to `buf` if nothing is kept before it, and what does not fit to what is kept.
    pub(super) fn add(&mut self, payload: &[u8], buf: &mut ReadBuf<'_>) {
        let count = if self.is_empty() { payload.len().min(buf.remaining()) } else { 0 };
        buf.put_slice(&payload[..count]);
        self.bytes.extend_from_slice(&payload[count..]);
    }

    /// Moves what was kept to `buf`, as much as there is room for.
    pub(super) fn read(&mut self, buf: &mut ReadBuf<'_>) {
        let left = &self.bytes[self.read..];
        let count = left.len().min(buf.remaining());
        buf.put_slice(&left[..count]);
        self.read += count;
        if self.read == self.bytes.len() {
            *self = Self::default();
        }
    }
}
