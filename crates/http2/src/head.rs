//! The fields of a message, and what HTTP/2 makes of them: pseudo-fields and the rules for both (RFC 9113
//! section 8).

use std::ops::Range;

use wire::Fields;

/// What a field costs in a list beyond its name and value (RFC 9113 section 6.5.2).
pub(crate) const OVERHEAD: usize = 32;

/// A list of fields, pseudo-fields first. Meant to be used again for message after message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    fields: Fields,
    meaning: Meaning,
}

/// What the rules have found out so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Meaning {
    /// Places of pseudo-fields, counted from 1; 0 is absent.
    places: [u8; PSEUDO],
    pseudo: u8,
    size: usize,
    status: u16,
    content_length: Option<u64>,
    /// The scheme is neither http nor https.
    foreign: bool,
    fault: Option<&'static str>,
    too_large: bool,
}

const PSEUDO: usize = 6;
const NAMES: [&[u8]; PSEUDO] = [b":method", b":scheme", b":authority", b":path", b":protocol", b":status"];
const METHOD: usize = 0;
const SCHEME: usize = 1;
const AUTHORITY: usize = 2;
const PATH: usize = 3;
const PROTOCOL: usize = 4;
const STATUS: usize = 5;

/// What can be said of a field by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It is a field like any other.
    Plain,
    /// It is `:path` with a value that begins with `/`: any other such value would mean the same for the rest.
    Path,
    /// It has a meaning here.
    Special,
    /// It makes its message malformed.
    Bad(&'static str),
}

impl Head {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All fields, in order, pseudo-fields first.
    #[inline]
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// How many of the fields are pseudo-fields.
    #[inline]
    #[must_use]
    pub fn pseudo_fields(&self) -> usize {
        usize::from(self.meaning.pseudo)
    }

    /// The fields without pseudo-fields, in order.
    pub fn regular(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.fields.iter_from(usize::from(self.meaning.pseudo))
    }

    /// The value of `:method`; empty when absent.
    #[inline]
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.pseudo(METHOD).unwrap_or_default()
    }

    /// The value of `:scheme`.
    #[inline]
    #[must_use]
    pub fn scheme(&self) -> Option<&[u8]> {
        self.pseudo(SCHEME)
    }

    /// Whether `:scheme` is neither http nor https: what `:path` is then, the scheme says.
    #[inline]
    #[must_use]
    pub fn has_foreign_scheme(&self) -> bool {
        self.meaning.foreign
    }

    /// The value of `:authority`.
    #[inline]
    #[must_use]
    pub fn authority(&self) -> Option<&[u8]> {
        self.pseudo(AUTHORITY)
    }

    /// The value of `:path`; empty when absent, as with CONNECT.
    #[inline]
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.pseudo(PATH).unwrap_or_default()
    }

    /// The value of `:protocol`, of an extended CONNECT (RFC 8441 section 4).
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.pseudo(PROTOCOL)
    }

    /// The value of `:status`; 0 when absent.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.meaning.status
    }

    /// The value of `content-length`.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.meaning.content_length
    }

    /// Whether the list was longer than allowed; then it is empty.
    #[inline]
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.meaning.too_large
    }

    #[inline]
    fn pseudo(&self, which: usize) -> Option<&[u8]> {
        let place = usize::from(self.meaning.places[which]).checked_sub(1)?;
        self.fields.at(place).map(|(_, value)| value)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Its size as RFC 9113 section 6.5.2 counts it.
    #[inline]
    pub(crate) fn list_size(&self) -> usize {
        self.meaning.size
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.fields.clear();
        self.meaning = Meaning::default();
    }

    /// Becomes empty and too large. Its size goes on counting what is left out.
    pub(crate) fn give_up(&mut self) {
        let size = self.meaning.size;
        self.clear();
        self.meaning.size = size;
        self.meaning.too_large = true;
    }

    /// Becomes too large by a field, which is only counted.
    pub(crate) fn leave_out(&mut self, name: &[u8], value: &[u8]) {
        if !self.meaning.too_large {
            self.give_up();
        }
        self.meaning.size += name.len() + value.len() + OVERHEAD;
    }

    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.fields.clear();
        self.fields.extend_from(&other.fields, 0..other.fields.len());
        self.meaning = other.meaning;
    }

    /// Adds some fields of `other`, and takes over the meaning of all of them: the others must be plain, or paths.
    #[inline]
    pub(crate) fn take_fields(&mut self, other: &Self, range: Range<usize>) {
        let overhead = OVERHEAD * range.len();
        let bytes = self.fields.extend_from(&other.fields, range);
        self.meaning = Meaning {
            size: self.meaning.size + bytes + overhead,
            too_large: self.meaning.too_large,
            ..other.meaning
        };
    }

    /// Finds the meaning of its fields again.
    pub(crate) fn reread(&mut self) {
        if self.meaning.too_large {
            return;
        }
        let fields = std::mem::take(&mut self.fields);
        self.meaning = Meaning::default();
        for (name, value) in fields.iter() {
            self.add(name, value, check(name, value));
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8], checked: Checked) {
        self.fields.push(name, value);
        self.meaning.size += name.len() + value.len() + OVERHEAD;
        match checked {
            Checked::Plain => {}
            Checked::Path => self.place(PATH),
            Checked::Special if name[0] == b':' => self.add_pseudo(name, value),
            Checked::Special => self.add_special(name, value),
            Checked::Bad(reason) => self.fault(reason),
        }
    }

    fn fault(&mut self, reason: &'static str) {
        self.meaning.fault.get_or_insert(reason);
    }

    fn add_pseudo(&mut self, name: &[u8], value: &[u8]) {
        let Some(which) = NAMES.iter().position(|known| *known == name) else {
            return self.fault("an unknown pseudo-field");
        };
        self.place(which);
        let is_good = if which == PATH { is_target(value) } else { is_value(value) };
        if !is_good {
            self.fault("a character that no value has");
        }
        match which {
            SCHEME => {
                let is = |scheme: &[u8]| value.eq_ignore_ascii_case(scheme);
                self.meaning.foreign = !is(b"http") && !is(b"https");
            }
            STATUS => match value {
                [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                    let digit = |byte: &u8| u16::from(byte - b'0');
                    self.meaning.status = digit(a) * 100 + digit(b) * 10 + digit(c);
                }
                _ => self.fault("a status that is not three digits"),
            },
            _ => {}
        }
    }

    /// Gives the field that was just added its place among the pseudo-fields.
    fn place(&mut self, which: usize) {
        if self.meaning.places[which] != 0 {
            return self.fault("a pseudo-field twice");
        }
        if usize::from(self.meaning.pseudo) + 1 != self.fields.len() {
            return self.fault("a pseudo-field after a field");
        }
        self.meaning.pseudo += 1;
        self.meaning.places[which] = self.meaning.pseudo;
    }

    fn add_special(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"content-length" => match decimal(value) {
                Some(length) if self.meaning.content_length.is_none_or(|other| other == length) => {
                    self.meaning.content_length = Some(length);
                }
                Some(_) => self.fault("two lengths"),
                None => self.fault("a length that is not a number"),
            },
            b"te" if value.eq_ignore_ascii_case(b"trailers") => {}
            b"te" => self.fault("te that says more than trailers"),
            _ => self.fault("a field of HTTP/1 connections"),
        }
    }

    /// The rules for requests (RFC 9113 section 8.3.1, RFC 8441 section 4).
    ///
    /// A `host` that differs from `:authority` is taken, although it should be refused: a target for tests has to
    /// show what a proxy let through.
    pub(crate) fn check_request(&self) -> Result<(), &'static str> {
        let has = |which: usize| self.meaning.places[which] != 0;
        self.faultless()?;
        if has(STATUS) {
            return Err("a request with a status");
        }
        if !has(METHOD) || self.method().is_empty() {
            return Err("a request without a method");
        }
        if self.method() == b"CONNECT" && !has(PROTOCOL) {
            return match (has(SCHEME) || has(PATH), has(AUTHORITY)) {
                (false, true) => Ok(()),
                _ => Err("CONNECT is made of method and authority"),
            };
        }
        if has(PROTOCOL) && self.method() != b"CONNECT" {
            return Err("a protocol without CONNECT");
        }
        if !has(SCHEME) {
            return Err("a request without scheme or path");
        }
        match self.path() {
            [b'/', ..] => Ok(()),
            [] => Err("a request without scheme or path"),
            b"*" if self.method() == b"OPTIONS" => Ok(()),
            _ if self.meaning.foreign => Ok(()),
            _ => Err("a path that does not begin with '/', nor is '*' with OPTIONS"),
        }
    }

    /// The rules for responses (RFC 9113 section 8.3.2).
    pub(crate) fn check_response(&self) -> Result<(), &'static str> {
        self.faultless()?;
        if self.meaning.places[STATUS] == 0 || self.meaning.pseudo != 1 {
            return Err("a response has a status and no other pseudo-field");
        }
        if self.status() == 101 {
            return Err("HTTP/2 has no status 101");
        }
        Ok(())
    }

    /// The rules for trailers (RFC 9113 section 8.1).
    pub(crate) fn check_trailers(&self) -> Result<(), &'static str> {
        self.faultless()?;
        if self.meaning.pseudo > 0 { Err("trailers with a pseudo-field") } else { Ok(()) }
    }

    fn faultless(&self) -> Result<(), &'static str> {
        self.meaning.fault.map_or(Ok(()), Err)
    }
}

/// Looks at a field by itself (RFC 9113 sections 8.2.1 and 8.2.2).
#[inline]
pub(crate) fn check(name: &[u8], value: &[u8]) -> Checked {
    match name.first() {
        None => return Checked::Bad("a field without a name"),
        Some(b':') if value.first() == Some(&b'/') && name == NAMES[PATH] && is_target(value) => {
            return Checked::Path;
        }
        Some(b':') => return Checked::Special,
        Some(_) => {}
    }
    if !name.iter().all(|byte| NAME[usize::from(*byte)]) {
        return Checked::Bad("a character that no name has");
    }
    if !is_value(value) {
        return Checked::Bad("a character that no value has");
    }
    match name {
        b"te" | b"upgrade" | b"connection" | b"keep-alive" | b"content-length" | b"proxy-connection"
        | b"transfer-encoding" => Checked::Special,
        _ => Checked::Plain,
    }
}

/// Whether a field is of this kind, plain or a path, that was so with another value.
#[inline]
pub(crate) fn check_again(kind: Checked, value: &[u8]) -> bool {
    match kind {
        Checked::Plain => is_value(value),
        Checked::Path => value.first() == Some(&b'/') && is_target(value),
        Checked::Special | Checked::Bad(_) => false,
    }
}

/// No capitals, no controls, no spaces, no colon, nothing beyond ASCII.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = !(byte as u8).is_ascii_uppercase() && byte as u8 != b':';
        byte += 1;
    }
    table
};

/// No NUL, CR or LF, and no white space at either end.
fn is_value(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_bad = |byte: &u8| matches!(byte, 0 | b'\r' | b'\n');
    let lowest =
        lowest::<16>(value).or_else(|| lowest::<8>(value)).or_else(|| lowest::<4>(value)).unwrap_or(0);
    // Most values have no controls at all.
    (lowest > b'\r' || !value.iter().any(is_bad)) && !blank(value.first()) && !blank(value.last())
}

/// The lowest byte, found for many at a time; none if there are fewer than `N`.
#[inline]
fn lowest<const N: usize>(value: &[u8]) -> Option<u8> {
    // The last ones together, some of them repeated, rather than one by one.
    let last = value.last_chunk::<N>()?;
    let lower = |lowest: [u8; N], chunk: &[u8; N]| std::array::from_fn(|at| lowest[at].min(chunk[at]));
    value.as_chunks::<N>().0.iter().fold(*last, lower).into_iter().min()
}

/// No controls, no space and no `#`. What else a path may hold is read leniently: a target for tests has to show what
/// a proxy let through.
fn is_target(value: &[u8]) -> bool {
    let is_bad = |byte: u8| byte <= b' ' || byte == 0x7f || byte == b'#';
    !value.iter().fold(false, |bad, byte| bad | is_bad(*byte))
}

fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0, |number, byte| match byte {
        b'0'..=b'9' => Some(number * 10 + u64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_looked_at_to_its_end_however_long_it_is() {
        for length in 0..70 {
            assert!(is_value(&vec![b'a'; length]), "{length}");
            for (place, byte) in (0..length).flat_map(|place| b"\0\r\n \t\xff".map(|byte| (place, byte))) {
                let mut value = vec![b'a'; length];
                value[place] = byte;
                let is_at_end = place == 0 || place == length - 1;
                let is_good = byte == 0xff || matches!(byte, b' ' | b'\t') && !is_at_end;
                assert_eq!(is_value(&value), is_good, "{} of {length}", byte.escape_ascii());
            }
        }
    }
}
