//! Names of fields that are known when the program is built, and the table in which HPACK has an index for them.

/// A field's name, looked up in HPACK's static table when the program is built: every protocol writes it as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    text: &'static str,
    hpack_index: u8,
}

impl Name {
    /// A name in lower case.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        let mut index = 0;
        while index < HPACK_STATIC_TABLE.len() {
            if same(HPACK_STATIC_TABLE[index].0, text) {
                return Self { text, hpack_index: index as u8 + 1 };
            }
            index += 1;
        }
        Self { text, hpack_index: 0 }
    }

    /// The name itself.
    #[inline]
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.text
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
