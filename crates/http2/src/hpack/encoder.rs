//! Encoding: fields that come again and again go into the table, those that vary are literals *without indexing*.
//! (Never-indexed would bind every proxy on the way, RFC 7541 section 7.1.3.)

use wire::Name;

use super::{huffman, integer, statics, table::Table};

/// Encodes the blocks of one direction of a connection, in their order.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// The smallest size of the table since the last block, if it has changed (RFC 7541 section 4.2).
    smallest: Option<usize>,
}

/// The largest table that is made use of, in bytes, however large the peer's is.
const MOST: usize = super::INITIAL_TABLE_SIZE;

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder for a peer that allows the initial size.
    #[must_use]
    pub fn new() -> Self {
        Self { table: Table::new(super::INITIAL_TABLE_SIZE), smallest: None }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE, in bytes.
    pub fn allow(&mut self, size: usize) {
        let size = size.min(MOST);
        if size != self.table.max_size() {
            self.smallest = Some(self.smallest.map_or(size, |smallest| smallest.min(size)));
            self.table.resize(size);
        }
    }

    /// Begins a block at the end of `out`.
    pub fn block<'a>(&'a mut self, out: &'a mut Vec<u8>) -> Block<'a> {
        if let Some(smallest) = self.smallest.take() {
            let size = self.table.max_size();
            if smallest < size {
                integer::write(smallest, 5, 0x20, out);
            }
            integer::write(size, 5, 0x20, out);
        }
        Block { encoder: self, out }
    }
}

/// A block in the making.
#[derive(Debug)]
pub struct Block<'a> {
    encoder: &'a mut Encoder,
    out: &'a mut Vec<u8>,
}

/// Fields that were encoded before, for a peer's table as it was then.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    generation: Option<u64>,
    bytes: Vec<u8>,
}

impl Block<'_> {
    /// The pseudo-field `:status`.
    pub fn status(&mut self, status: u16) {
        let index: u8 = match status {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                let digit = |place: u16| b'0' + (status / place % 10) as u8;
                return self.constant(b":status", &[digit(100), digit(10), digit(1)]);
            }
        };
        self.out.push(0x80 | index);
    }

    /// A field that will come again with the same value: an index, if it is in the table, which it is put into
    /// if there is room.
    #[inline]
    pub fn constant(&mut self, name: &[u8], value: &[u8]) {
        if let Some((index, true)) = self.encoder.table.find(name, value) {
            return integer::write(index, 7, 0x80, self.out);
        }
        self.new_constant(name, value);
    }

    fn new_constant(&mut self, name: &[u8], value: &[u8]) {
        let known = statics::find(name, value);
        if let Some((index, true)) = known {
            return integer::write(index, 7, 0x80, self.out);
        }
        // What is in the table stays: constants that drive each other out would all cost more.
        if !self.encoder.table.has_room(name.len() + value.len()) {
            return self.literal(0, 4, name, value);
        }
        self.literal(0x40, 6, name, value);
        self.encoder.table.insert(name, value);
    }

    /// A field whose value will not come again: a literal without indexing (RFC 7541 section 6.2.2).
    #[inline]
    pub fn varying(&mut self, name: &[u8], value: &[u8]) {
        self.begin_varying(name, value.len());
        self.out.extend_from_slice(value);
    }

    /// The beginning of [`Block::varying`], up to the value, which [`Block::raw`] has to write next.
    #[inline]
    pub fn begin_varying(&mut self, name: &[u8], len: usize) {
        match statics::index_of(name) {
            Some(index) => integer::write(index, 4, 0, self.out),
            None => {
                self.out.push(0);
                integer::write(name.len(), 7, 0, self.out);
                self.out.extend_from_slice(name);
            }
        }
        integer::write(len, 7, 0, self.out);
    }

    /// [`Block::varying`] of a name that is known beforehand.
    #[inline]
    pub fn varying_known(&mut self, name: &Name, value: &[u8]) {
        let (literal, length) = name.hpack_literal();
        let start = self.out.len();
        self.out.extend_from_slice(literal);
        self.out.truncate(start + length);
        integer::write(value.len(), 7, 0, self.out);
        self.out.extend_from_slice(value);
    }

    /// A secret: a literal that no one on the way may put into a table (RFC 7541 section 6.2.3).
    pub fn secret(&mut self, name: &[u8], value: &[u8]) {
        self.literal(0x10, 4, name, value);
    }

    /// Bytes of a block, whatever they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Fields that `write` writes with [`Block::constant`], and perhaps [`Block::begin_varying`] at the end. As long as
    /// the table stays as it is they are copied from `prepared`, which belongs to this connection.
    #[inline]
    pub fn prepared(&mut self, prepared: &mut Prepared, write: impl FnOnce(&mut Block<'_>)) {
        let generation = self.encoder.table.generation;
        if prepared.generation == Some(generation) {
            return self.out.extend_from_slice(&prepared.bytes);
        }
        let start = self.out.len();
        write(&mut Block { encoder: self.encoder, out: self.out });
        prepared.generation = None;
        if self.encoder.table.generation == generation {
            prepared.generation = Some(generation);
            prepared.bytes.clear();
            prepared.bytes.extend_from_slice(&self.out[start..]);
        }
    }

    fn literal(&mut self, kind: u8, bits: u32, name: &[u8], value: &[u8]) {
        let index = match self.encoder.table.find(name, b"") {
            Some((index, _)) => Some(index),
            None => statics::index_of(name),
        };
        integer::write(index.unwrap_or(0), bits, kind, self.out);
        if index.is_none() {
            self.text(name);
        }
        self.text(value);
    }

    /// A string, in the shorter of its two forms.
    fn text(&mut self, text: &[u8]) {
        let encoded = huffman::encoded_len(text);
        if encoded < text.len() {
            integer::write(encoded, 7, 0x80, self.out);
            huffman::encode(text, self.out);
        } else {
            integer::write(text.len(), 7, 0, self.out);
            self.out.extend_from_slice(text);
        }
    }
}
