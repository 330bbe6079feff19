//! The static table (RFC 7541 appendix A).

/// How many entries it has: the dynamic table's indices come after them.
pub(super) const COUNT: usize = 61;

/// Names and values; index 1 comes first.
pub(super) const ENTRIES: [(&str, &str); COUNT] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

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

/// [`index_of`] for names that are known when the program is built; 0: there is none.
pub(super) const fn first_index_of(name: &str) -> u8 {
    let mut index = 0;
    while index < COUNT {
        if same(ENTRIES[index].0, name) {
            return index as u8 + 1;
        }
        index += 1;
    }
    0
}

const fn by_length() -> [[u8; 8]; 28] {
    let mut table = [[0; 8]; 28];
    let mut filled = [0; 28];
    let mut index = 0;
    while index < COUNT {
        let name = ENTRIES[index].0;
        if index == 0 || !same(name, ENTRIES[index - 1].0) {
            let len = name.len();
            table[len][filled[len]] = index as u8 + 1;
            filled[len] += 1;
        }
        index += 1;
    }
    table
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found() {
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
