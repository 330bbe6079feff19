//! Names of fields that are known when the program is built, and the table in which HPACK has an index for them.

/// A field's name, looked up in HPACK's static table when the program is built: every protocol writes it as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    text: &'static str,
    hpack_index: u8,
    /// How a literal without indexing begins, up to the value, and how much of that it is.
    literal: [u8; LITERAL],
    literal_len: u8,
}

/// How many bytes of a literal are kept: names that are known beforehand are shorter.
const LITERAL: usize = 32;

impl Name {
    /// A name in lower case.
    ///
    /// # Panics
    /// When it has more than 30 bytes.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        let mut index = 0;
        while index < HPACK_STATIC_TABLE.len() {
            if same(HPACK_STATIC_TABLE[index].0, text) {
                return Self::indexed(text, index as u8 + 1);
            }
            index += 1;
        }
        let name = text.as_bytes();
        assert!(name.len() + 2 <= LITERAL, "a name that is too long to be kept");
        let mut literal = [0; LITERAL];
        literal[1] = name.len() as u8;
        let mut at = 0;
        while at < name.len() {
            literal[at + 2] = name[at];
            at += 1;
        }
        Self { text, hpack_index: 0, literal, literal_len: name.len() as u8 + 2 }
    }

    /// With an index of four bits, which those from 15 on do not fit in (RFC 7541 section 5.1).
    const fn indexed(text: &'static str, hpack_index: u8) -> Self {
        let mut literal = [0; LITERAL];
        let literal_len = if hpack_index < 15 { 1 } else { 2 };
        literal[0] = if hpack_index < 15 { hpack_index } else { 15 };
        literal[1] = hpack_index.saturating_sub(15);
        Self { text, hpack_index, literal, literal_len }
    }

    /// The name itself.
    #[inline]
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.text
    }

    /// How HPACK begins a field of this name as a literal without indexing, up to its value (RFC 7541 section 6.2.2): all that is
    /// kept, which is copied faster than a part of it, and the length.
    #[inline]
    #[must_use]
    pub const fn hpack_literal(&self) -> (&[u8; LITERAL], usize) {
        (&self.literal, self.literal_len as usize)
    }

    /// The first index of an entry of [`HPACK_STATIC_TABLE`] with this name; 0 if there is none.
    #[inline]
    #[must_use]
    pub const fn hpack_index(&self) -> u8 {
        self.hpack_index
    }
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

/// HPACK's static table (RFC 7541 appendix A): names and values; index 1 comes first.
pub const HPACK_STATIC_TABLE: [(&str, &str); 61] = [
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_first_index_in_the_static_table() {
        for (index, (name, _)) in HPACK_STATIC_TABLE.iter().enumerate() {
            let first = usize::from(Name::new(name).hpack_index());
            assert!(first <= index + 1 && HPACK_STATIC_TABLE[first - 1].0 == *name, "{name}");
            assert!(HPACK_STATIC_TABLE[..first - 1].iter().all(|entry| entry.0 != *name), "{name}");
        }
        assert_eq!(Name::new("date").hpack_index(), 33);
        assert_eq!(Name::new("server-timing").hpack_index(), 0);
        assert_eq!(Name::new("server-timing").as_str(), "server-timing");
    }
}
