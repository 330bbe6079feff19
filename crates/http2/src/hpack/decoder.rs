//! Decoding of whole field blocks, with a memory for the last one: steady traffic repeats its blocks, except for its path
//! or an id, and what is the same as before is copied instead of decoded and checked again.

use std::{fmt, num::NonZeroU16};

use wire::common_prefix;

use super::{huffman, integer, statics, table::Table};
use crate::head::{Checked, Head, OVERHEAD, check, check_again};

/// A block longer than this is not remembered, nor is one whose list is longer than sixteen times that.
const LONGEST_MEMORY: usize = 1024;

/// So much room for decoded strings is kept between blocks, each.
const MOST_SCRATCH: usize = 4096;

/// A block that can't be decoded: the connection is lost (RFC 9113 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// Decodes the blocks of one direction of a connection, in their order.
#[derive(Debug)]
pub struct Decoder {
    reader: Reader,
    memory: Memory,
}

/// Reads single fields.
#[derive(Debug)]
struct Reader {
    table: Table,
    /// What SETTINGS_HEADER_TABLE_SIZE allows the peer, in bytes.
    allowed: usize,
    /// The table is larger than that, so that the next block must begin with another size.
    must_shrink: bool,
    /// Decoded strings.
    name: Vec<u8>,
    value: Vec<u8>,
}

/// The last block that did not change the table, and what it said.
#[derive(Debug, Default)]
struct Memory {
    /// The state of the table in which it holds.
    generation: Option<u64>,
    block: Vec<u8>,
    parts: Vec<Part>,
    head: Head,
}

/// One field of a block in memory.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Where it begins.
    start: u16,
    /// Where its value begins, if that stands in the block and goes into no table.
    value: Option<NonZeroU16>,
    /// What it is, if it could be another of that kind without consequences for the rest.
    varies: Option<Checked>,
}

impl Decoder {
    /// `allowed` is the size of the table in bytes that this end's SETTINGS announce. A peer that has not seen them
    /// goes by the initial size: less than that holds only from [`Decoder::allow`] on.
    #[must_use]
    pub fn new(allowed: usize) -> Self {
        let table = Table::new(super::INITIAL_TABLE_SIZE);
        let allowed = allowed.max(super::INITIAL_TABLE_SIZE);
        let (name, value) = (Vec::new(), Vec::new());
        Self { reader: Reader { table, allowed, must_shrink: false, name, value }, memory: Memory::default() }
    }

    /// The largest table, in bytes, that a peer may use that has acknowledged SETTINGS. If the table is larger, the
    /// next block must begin with its new size (RFC 9113 section 4.3.1).
    pub fn allow(&mut self, size: usize) {
        let reader = &mut self.reader;
        reader.allowed = size;
        reader.must_shrink = reader.table.max_size() > size;
        if reader.must_shrink {
            self.memory.generation = None;
        }
    }

    /// Decodes a whole block into `head`, which is emptied first. A list longer than `limit` bytes, counted as
    /// RFC 9113 section 6.5.2 does, is decoded to its end but not kept: see [`Head::is_too_large`].
    ///
    /// # Errors
    /// The block is malformed. Nothing more can be decoded on this connection.
    pub fn decode(&mut self, block: &[u8], limit: usize, head: &mut Head) -> Result<(), Malformed> {
        head.clear();
        let known = self.memory.generation == Some(self.reader.table.generation);
        match if known { self.recall(block, limit, head)? } else { Recall::From(0) } {
            Recall::Whole => {}
            Recall::From(0) => self.read(block, limit, head)?,
            Recall::From(at) => self.reader.read(block, at, limit, head, &mut None)?,
        }
        if block.len() > LONGEST_MEMORY {
            self.reader.name.shrink_to(MOST_SCRATCH);
            self.reader.value.shrink_to(MOST_SCRATCH);
        }
        Ok(())
    }

    /// Forgets the last block, so that the next one is decoded field by field.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        self.memory.generation = None;
    }

    /// Whether a block is the one in memory.
    #[cfg(test)]
    pub(super) fn remembers(&self, block: &[u8]) -> bool {
        self.memory.generation == Some(self.reader.table.generation) && self.memory.block == block
    }

    /// Takes over what `block` has in common with the one in memory: all of it, or all but a few fields, or the
    /// fields at its beginning.
    fn recall(&mut self, block: &[u8], limit: usize, head: &mut Head) -> Result<Recall, Malformed> {
        let Self { reader, memory } = self;
        let generation = reader.table.generation;
        // The next field of the memory, and what is left of the block from there on.
        let (mut next, mut rest) = (0, block);
        loop {
            let from = memory.parts.get(next).map_or(memory.block.len(), |part| usize::from(part.start));
            let remembered = &memory.block[from..];
            let same = common_prefix(remembered, rest);
            if same == rest.len() && same == remembered.len() {
                break;
            }
            // The field in which they begin to differ.
            let parts = &memory.parts[next..];
            let other = parts.partition_point(|part| usize::from(part.start) - from <= same);
            let Some(part) = other.checked_sub(1).map(|other| parts[other]) else { return Ok(anew(head)) };
            let start = usize::from(part.start) - from;
            let Some(kind) = part.varies else { return Ok(anew(head)) };
            let other = next + other - 1;
            head.take_fields(&memory.head, next..other);
            let value =
                part.value.map(|value| usize::from(value.get()) - from).filter(|value| *value <= same);
            let checked = match value.zip(memory.head.fields().at(other)) {
                // Kind and name are the same, and not looked at again.
                Some((value, (name, _))) => {
                    rest = &rest[value..];
                    reader.value.clear();
                    let value = text(&mut rest, &mut reader.value)?;
                    check_again(kind, value).then(|| keep(head, limit, name, value, kind)).flatten()
                }
                None => {
                    rest = &rest[start..];
                    if rest.first().is_none_or(|first| is_size(*first)) {
                        return Ok(anew(head));
                    }
                    let field = reader.field(&mut rest, limit, head)?;
                    if reader.table.generation != generation {
                        // It went into the table, so that it can't be read again.
                        head.reread();
                        return Ok(Recall::From(block.len() - rest.len()));
                    }
                    field.checked
                }
            };
            if checked != Some(kind) {
                return Ok(anew(head));
            }
            next = other + 1;
        }
        head.take_fields(&memory.head, next..memory.head.len());
        if head.list_size() > limit {
            head.give_up();
        }
        Ok(Recall::Whole)
    }

    /// Decodes all of `block` and remembers it.
    fn read(&mut self, block: &[u8], limit: usize, head: &mut Head) -> Result<(), Malformed> {
        let generation = self.reader.table.generation;
        self.memory.generation = None;
        self.memory.parts.clear();
        let parts = if block.len() <= LONGEST_MEMORY { Some(&mut self.memory.parts) } else { None };
        let remember = parts.is_some();
        self.reader.read(block, 0, limit, head, &mut { parts })?;
        let short = head.list_size() <= 16 * LONGEST_MEMORY && !head.is_too_large();
        if remember && self.reader.table.generation == generation && short {
            self.memory.generation = Some(generation);
            self.memory.block.clear();
            self.memory.block.extend_from_slice(block);
            self.memory.head.copy_from(head);
        }
        Ok(())
    }
}

impl Reader {
    fn read(
        &mut self,
        block: &[u8],
        from: usize,
        limit: usize,
        head: &mut Head,
        parts: &mut Option<&mut Vec<Part>>,
    ) -> Result<(), Malformed> {
        let mut rest = &block[from..];
        let mut fields_seen = from > 0;
        while let Some(first) = rest.first() {
            if is_size(*first) {
                if fields_seen {
                    return Err(Malformed("the table's size changes inside a block"));
                }
                let size = integer::read(&mut rest, 5)?;
                if size > self.allowed {
                    return Err(Malformed("the table's size is beyond what SETTINGS allow"));
                }
                self.table.resize(size);
                self.must_shrink = false;
                continue;
            }
            if self.must_shrink {
                return Err(Malformed("the table's size was not brought down to what SETTINGS allow"));
            }
            fields_seen = true;
            let start = block.len() - rest.len();
            let Field { checked, left } = self.field(&mut rest, limit, head)?;
            if let Some(parts) = parts {
                let varies = checked.filter(|kind| matches!(kind, Checked::Plain | Checked::Path));
                let value = left.and_then(|left| NonZeroU16::new((block.len() - left) as u16));
                parts.push(Part { start: start as u16, value, varies });
            }
        }
        Ok(())
    }

    /// Decodes one field off the front of `rest` and adds it to `head`, if the list is not too long with it.
    #[inline]
    fn field(&mut self, rest: &mut &[u8], limit: usize, head: &mut Head) -> Result<Field, Malformed> {
        const NO_SUCH: Malformed = Malformed("an index points at nothing");
        let first = *rest.first().ok_or(Malformed("a field breaks off"))?;
        if first & 0x80 != 0 {
            let index = integer::read(rest, 7)?;
            if let Some(entry) = self.table.get(index) {
                let checked = keep(head, limit, entry.name(), entry.value(), entry.checked);
                return Ok(Field { checked, left: None });
            }
            let (name, value) = statics::ENTRIES.get(index.wrapping_sub(1)).ok_or(NO_SUCH)?;
            let (name, value) = (name.as_bytes(), value.as_bytes());
            return Ok(Field { checked: keep(head, limit, name, value, check(name, value)), left: None });
        }
        let indexing = first & 0x40 != 0;
        let index = integer::read(rest, if indexing { 6 } else { 4 })?;
        let Self { table, name, value, .. } = self;
        name.clear();
        value.clear();
        let name = match index {
            0 => text(rest, name)?,
            _ => match table.get(index) {
                // A copy, since inserting may drive the entry out.
                Some(entry) => {
                    name.extend_from_slice(entry.name());
                    &name[..]
                }
                None => statics::ENTRIES.get(index - 1).ok_or(NO_SUCH)?.0.as_bytes(),
            },
        };
        let left = (!indexing).then_some(rest.len());
        let value = text(rest, value)?;
        if indexing {
            table.insert(name, value);
        }
        Ok(Field { checked: keep(head, limit, name, value, check(name, value)), left })
    }
}

/// A field that was read.
struct Field {
    /// What it is, if it was kept.
    checked: Option<Checked>,
    /// How many bytes were left of its block where its value began, if that stands there and went into no table.
    left: Option<usize>,
}

/// The block is to be decoded from its beginning.
fn anew(head: &mut Head) -> Recall {
    head.clear();
    Recall::From(0)
}

/// Whether a byte begins a new size of the table (RFC 7541 section 6.3).
#[inline]
fn is_size(first: u8) -> bool {
    first & 0b1110_0000 == 0b0010_0000
}

enum Recall {
    /// The head is complete.
    Whole,
    /// To be decoded from there on; what is before is in the head already.
    From(usize),
}

#[inline]
fn keep(head: &mut Head, limit: usize, name: &[u8], value: &[u8], checked: Checked) -> Option<Checked> {
    if head.is_too_large() || head.list_size() + name.len() + value.len() + OVERHEAD > limit {
        head.leave_out(name, value);
        return None;
    }
    head.add(name, value, checked);
    Some(checked)
}

/// A string literal (RFC 7541 section 5.2), as it is or decoded into `buffer`.
#[inline]
fn text<'a, 'i: 'a>(rest: &mut &'i [u8], buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Malformed> {
    let huffman = rest.first().is_some_and(|byte| byte & 0x80 != 0);
    let length = integer::read(rest, 7)?;
    let (text, after) = rest.split_at_checked(length).ok_or(Malformed("a string breaks off"))?;
    *rest = after;
    if !huffman {
        return Ok(text);
    }
    if !huffman::decode(text, buffer) {
        return Err(Malformed("a string is not a Huffman code"));
    }
    Ok(&buffer[..])
}
