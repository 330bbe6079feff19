//! HPACK, the compression of fields (RFC 7541).
//!
//! Nothing here knows frames or streams: a whole block goes in, fields come out, and the other way round.

mod decoder;
mod encoder;
pub mod huffman;
mod integer;
mod statics;
mod table;
#[cfg(test)]
mod tests;

pub use decoder::{Decoder, Malformed};
pub use encoder::{Block, Encoder, Prepared};

/// The size of both tables, in bytes, until SETTINGS say otherwise (RFC 9113 section 6.5.2).
pub const INITIAL_TABLE_SIZE: usize = 4096;
