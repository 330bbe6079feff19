//! The dynamic table (RFC 7541 section 2.3.2).

use std::collections::VecDeque;

use super::statics;
use crate::head::{Checked, check};

/// What an entry costs beyond its name and value (RFC 7541 section 4.1).
const OVERHEAD: usize = 32;

/// A field that was kept.
#[derive(Debug)]
pub(super) struct Entry {
    name_len: usize,
    /// Name and value.
    bytes: Box<[u8]>,
    pub(super) checked: Checked,
}

impl Entry {
    pub(super) fn name(&self) -> &[u8] {
        &self.bytes[..self.name_len]
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.bytes[self.name_len..]
    }

    fn size(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

/// Entries, the newest first.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    max_size: usize,
    /// How often the table has changed: what was derived from it holds as long as this stays.
    pub(super) generation: u64,
}

impl Table {
    pub(super) fn new(max_size: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, max_size, generation: 0 }
    }

    /// The entry at an index of the whole address space, beyond the static table.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index.checked_sub(statics::COUNT + 1)?)
    }

    /// The index of a field, or of another with its name; whether it is the field itself.
    #[inline]
    pub(super) fn find(&self, name: &[u8], value: &[u8]) -> Option<(usize, bool)> {
        let mut named = None;
        for (place, entry) in self.entries.iter().enumerate() {
            if entry.name_len == name.len() && entry.name() == name {
                if entry.value() == value {
                    return Some((statics::COUNT + 1 + place, true));
                }
                named.get_or_insert((statics::COUNT + 1 + place, false));
            }
        }
        named
    }

    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let mut bytes = Vec::with_capacity(name.len() + value.len());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(value);
        let entry =
            Entry { name_len: name.len(), bytes: bytes.into_boxed_slice(), checked: check(name, value) };
        self.generation += 1;
        let size = entry.size();
        self.evict(self.max_size.saturating_sub(size));
        // One that is too large empties the table, which is not an error (RFC 7541 section 4.4).
        if size <= self.max_size {
            self.size += size;
            self.entries.push_front(entry);
        }
    }

    pub(super) fn max_size(&self) -> usize {
        self.max_size
    }

    pub(super) fn resize(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.generation += 1;
        self.evict(max_size);
    }

    /// Whether a field of such lengths would drive out another.
    pub(super) fn has_room(&self, lens: usize) -> bool {
        self.size + lens + OVERHEAD <= self.max_size
    }

    fn evict(&mut self, to: usize) {
        while self.size > to
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
        }
    }
}
