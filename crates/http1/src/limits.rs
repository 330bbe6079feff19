//! What a peer may ask a reader to take in. Bodies are not bounded here: they are never kept.

/// The largest things a reader accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head: start line, fields and the empty line. A request's target may have half of it.
    pub head: usize,
    /// Field lines of a head, and of trailers.
    pub fields: usize,
    /// Bytes of the trailers, with the empty line.
    pub trailers: usize,
    /// Bytes of the line that begins a chunk, with its extensions and its end.
    pub chunk_line: usize,
    /// Bytes of all chunk extensions of a body together, and of the zeros before its sizes that no size needs.
    pub extensions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 64 << 10, fields: 1000, trailers: 8 << 10, chunk_line: 4 << 10, extensions: 16 << 10 }
    }
}
