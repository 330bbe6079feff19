//! An ordered list of header or trailer fields (RFC 9110 section 5), all in one buffer, so that a list that is
//! used again costs no allocation.

use std::fmt;

/// Names and values in the order in which they were added. Case and duplicates are kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// Some were removed or replaced, so that they do not lie one behind the other.
    is_scattered: bool,
}

/// Where a field is: its name begins at `start`, its value follows directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u32,
    name: u32,
    value: u32,
}

impl Span {
    fn name(self) -> std::ops::Range<usize> {
        self.start as usize..(self.start + self.name) as usize
    }

    fn value(self) -> std::ops::Range<usize> {
        let start = (self.start + self.name) as usize;
        start..start + self.value as usize
    }
}

impl Fields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), spans: Vec::new(), is_scattered: false }
    }

    /// Removes all of them and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.is_scattered = false;
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.spans.iter().map(|span| (span.name + span.value) as usize).sum()
    }

    /// Adds one at the end.
    #[inline]
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.spans.push(Span { start, name: name.len() as u32, value: value.len() as u32 });
    }

    /// Adds those of `other` at `range` at the end, and returns how many bytes their names and values have. Costs two copies
    /// when `other` was only ever pushed to.
    ///
    /// # Panics
    /// When there are no such fields.
    pub fn extend_from(&mut self, other: &Self, range: std::ops::Range<usize>) -> usize {
        let spans = &other.spans[range];
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return 0 };
        let (from, to) = (first.start, last.value().end as u32);
        let start = self.bytes.len() as u32;
        if other.is_scattered {
            for span in spans {
                self.push(&other.bytes[span.name()], &other.bytes[span.value()]);
            }
            return self.bytes.len() - start as usize;
        }
        self.bytes.extend_from_slice(&other.bytes[from as usize..to as usize]);
        self.spans.extend(spans.iter().map(|span| Span { start: span.start - from + start, ..*span }));
        (to - from) as usize
    }

    /// Name and value of the one at `index`.
    #[inline]
    #[must_use]
    pub fn at(&self, index: usize) -> Option<(&[u8], &[u8])> {
        self.spans.get(index).map(|span| (&self.bytes[span.name()], &self.bytes[span.value()]))
    }

    /// Names and values, in order.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        self.iter_from(0)
    }

    /// The same, from the one at `index` on. None when there are fewer.
    #[inline]
    #[must_use]
    pub fn iter_from(&self, index: usize) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        let spans = self.spans.get(index..).unwrap_or_default();
        spans.iter().map(|span| (&self.bytes[span.name()], &self.bytes[span.value()]))
    }

    /// The first value of that name, in whatever case it is.
    #[inline]
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mut spans = self.spans.iter().filter(|span| span.name as usize == name.len());
        let found = spans.find(|span| is_same(&self.bytes[span.name()], name.as_bytes()));
        found.map(|span| &self.bytes[span.value()])
    }

    /// [`Self::get`] of several names, in one pass.
    #[inline]
    #[must_use]
    pub fn get_each<const N: usize>(&self, names: [&str; N]) -> [Option<&[u8]>; N] {
        let mut found = [None; N];
        for span in &self.spans {
            for (name, value) in names.iter().zip(&mut found) {
                let is_one = span.name as usize == name.len()
                    && value.is_none()
                    && is_same(&self.bytes[span.name()], name.as_bytes());
                if is_one {
                    *value = Some(&self.bytes[span.value()]);
                }
            }
        }
        found
    }

    /// All values of that name, in whatever case it is.
    #[inline]
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.spans
            .iter()
            .filter(|span| span.name as usize == name.len())
            .filter(|span| is_same(&self.bytes[span.name()], name.as_bytes()))
            .map(|span| &self.bytes[span.value()])
    }

    /// Whether there is one of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether a field of that name lists `token`, in whatever case (RFC 9110 section 5.6.1).
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        let words = self.get_all(name).flat_map(|value| value.split(|byte| *byte == b','));
        words.map(<[u8]>::trim_ascii).any(|word| word.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Removes all of that name.
    pub fn remove(&mut self, name: &str) {
        let (bytes, before) = (&self.bytes, self.spans.len());
        self.spans.retain(|span| !bytes[span.name()].eq_ignore_ascii_case(name.as_bytes()));
        self.is_scattered |= self.spans.len() < before;
    }

    /// Makes it the only one of that name, at the place of the first or else at the end.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let found = self.iter().position(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        self.remove(name);
        self.push(name, value);
        if let Some(place) = found {
            self.spans[place..].rotate_right(1);
            self.is_scattered = true;
        }
    }
}

/// Whether names are the same: most are already without regard to their case, and are compared faster so.
#[inline]
fn is_same(name: &[u8], other: &[u8]) -> bool {
    // Of names as long as each other, most end in different letters.
    let ends_alike = name.last().zip(other.last()).is_none_or(|(a, b)| a.eq_ignore_ascii_case(b));
    ends_alike && (name == other || name.eq_ignore_ascii_case(other))
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut list = Self::new();
        for (name, value) in fields {
            list.push(name, value);
        }
        list
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        f.debug_list().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Fields {
        [("Host", "a"), ("X-Two", "1"), ("accept", "*/*"), ("x-two", "2")].into_iter().collect()
    }

    fn text(fields: &Fields) -> String {
        let line = |(name, value): (&[u8], &[u8])| {
            format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        };
        fields.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn order_case_and_duplicates_are_kept() {
        assert_eq!(text(&list()), "Host=a X-Two=1 accept=*/* x-two=2");
        assert_eq!(list().size(), 5 + 6 + 9 + 6);
        assert_eq!(list().at(1), Some((&b"X-Two"[..], &b"1"[..])));
        assert_eq!(list().at(4), None);
        assert_eq!(list().iter_from(2).map(|(name, _)| name).collect::<Vec<_>>(), [&b"accept"[..], b"x-two"]);
        assert_eq!(list().iter_from(5).len(), 0);
    }

    #[test]
    fn names_are_found_in_any_case() {
        let list = list();
        assert_eq!(list.get("HOST"), Some(&b"a"[..]));
        assert_eq!(list.get_each(["X-Two", "none", "HOST"]), [list.get("x-two"), None, list.get("host")]);
        assert!(list.get("x-two").is_some());
        assert_eq!(list.get_all("x-TWO").collect::<Vec<_>>(), [b"1", b"2"]);
        assert!(list.contains("Accept") && !list.contains("accep"));
    }

    #[test]
    fn setting_a_field_replaces_the_first_and_removes_the_others() {
        let mut fields = list();
        fields.set("x-two", "3");
        assert_eq!(text(&fields), "Host=a x-two=3 accept=*/*");
        fields.set("new", "4");
        assert_eq!(text(&fields), "Host=a x-two=3 accept=*/* new=4");
        fields.remove("ACCEPT");
        assert_eq!(text(&fields), "Host=a x-two=3 new=4");
    }

    #[test]
    fn a_range_of_fields_is_appended_to_another_list() {
        let mut copy = Fields::new();
        copy.push("first", "0");
        copy.extend_from(&list(), 1..3);
        assert_eq!(text(&copy), "first=0 X-Two=1 accept=*/*");
        let mut shuffled = list();
        shuffled.set("x-two", "9");
        copy.extend_from(&shuffled, 0..3);
        assert_eq!(text(&copy), "first=0 X-Two=1 accept=*/* Host=a x-two=9 accept=*/*");
        copy.extend_from(&list(), 2..2);
        assert_eq!(copy.len(), 6);
    }

    #[test]
    fn tokens_are_found_in_lists() {
        let fields: Fields =
            [("Connection", "keep-alive, Upgrade"), ("connection", "close")].into_iter().collect();
        assert!(fields.has_token("connection", "upgrade") && fields.has_token("connection", "close"));
        assert!(!fields.has_token("connection", "up"));
    }
}
