//! The static table (RFC 7541 appendix A).

pub(super) use wire::HPACK_STATIC_TABLE as ENTRIES;
use wire::Name;

/// How many entries it has: the dynamic table's indices come after them.
pub(super) const COUNT: usize = ENTRIES.len();

/// The index of an entry with that name, and whether it has that value too.
pub(super) fn find(name: &[u8], value: &[u8]) -> Option<(usize, bool)> {
    let first = index_of(name)?;
    let same_name = ENTRIES[first - 1..].iter().take_while(|entry| entry.0.as_bytes() == name);
    let exact = same_name.into_iter().position(|entry| entry.1.as_bytes() == value && !value.is_empty());
    Some(exact.map_or((first, false), |offset| (first + offset, true)))
}

/// The first index of a name.
pub(super) fn index_of(name: &[u8]) -> Option<usize> {
    // Names of one length are few: a search among all would cost more than the rest of encoding.
    const BY_LENGTH: [[u8; 8]; 28] = by_length();
    let candidates = BY_LENGTH.get(name.len())?;
    let mut candidates = candidates.iter().map(|index| *index as usize).take_while(|index| *index > 0);
    candidates.find(|index| ENTRIES[index - 1].0.as_bytes() == name)
}

const fn by_length() -> [[u8; 8]; 28] {
    let mut table = [[0; 8]; 28];
    let mut filled = [0; 28];
    let mut index = 0;
    while index < COUNT {
        let name = ENTRIES[index].0;
        if Name::new(name).hpack_index() as usize == index + 1 {
            let len = name.len();
            table[len][filled[len]] = index as u8 + 1;
            filled[len] += 1;
        }
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_static_table_entry_is_found() {
        for (index, (name, value)) in ENTRIES.iter().enumerate() {
            let (found, exact) = find(name.as_bytes(), value.as_bytes()).unwrap();
            assert_eq!(ENTRIES[found - 1].0, *name);
            assert_eq!(exact, !value.is_empty(), "{name}");
            assert!(!exact || found == index + 1);
        }
        assert_eq!(find(b":status", b"503"), Some((8, false)));
        assert_eq!(find(b"x-request-id", b""), None);
        assert_eq!(find(b"a-name-that-is-longer-than-all-of-them", b""), None);
    }
}
