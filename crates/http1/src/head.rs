//! Finds where a section of fields ends, and reads its fields. Start lines belong to the roles, and what the
//! fields mean to `facts`.

use httparse::{EMPTY_HEADER, Header, Status};
use memchr::{memchr, memchr_iter};

use crate::error::{
    BARE_CR, BARE_LF, FIELD_NAME, FIELD_VALUE, FOLD, INDENTED_FIRST, MANY_FIELDS, NO_COLON, Rejection,
    SPACE_BEFORE_COLON,
};

/// This number of fields or fewer are read without an allocation, in an array that is quickly cleared.
const FEW: usize = 16;

/// This number or fewer, in a larger one.
const MANY: usize = 64;

/// How what RFC 9112 leaves to the recipient is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Requests: what a proxy should have mended is refused.
    Strict,
    /// Responses: LF alone ends a line of fields (section 2.2), a folded field is unfolded (section 5.2).
    Lenient,
}

/// How far the search for the end of something has got. Every byte is searched once, in however many pieces the
/// input comes: otherwise a slow peer could make the work quadratic.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    /// There is no line end in the bytes before this one but those which were dealt with.
    searched: usize,
    /// Where the current line begins.
    line: usize,
    /// Field lines that have ended.
    lines: usize,
    /// Some of them continue the one before.
    folded: bool,
}

impl Scan {
    /// Whether it has seen nothing.
    pub(crate) fn is_fresh(&self) -> bool {
        self.searched == 0
    }

    /// The end of the current line, past its LF, or `None` if it is not in `bytes`.
    pub(crate) fn line(&mut self, bytes: &[u8]) -> Option<usize> {
        let found = memchr(b'\n', bytes.get(self.searched..)?);
        self.searched = found.map_or(bytes.len(), |at| self.searched + at + 1);
        found?;
        self.line = self.searched;
        Some(self.line)
    }

    /// The end of the section of fields that begins at the current line, past its empty line, or `None` if it is
    /// not in `bytes`.
    pub(crate) fn section(
        &mut self,
        bytes: &[u8],
        strictness: Strictness,
        most: usize,
    ) -> Result<Option<usize>, Rejection> {
        let from = self.searched;
        let Some(rest) = bytes.get(from..) else { return Ok(None) };
        for at in memchr_iter(b'\n', rest) {
            let end = from + at;
            let text = match &bytes[self.line..end] {
                [text @ .., b'\r'] => text,
                // Section 2.2 lets a recipient take LF alone.
                text if strictness == Strictness::Lenient => text,
                _ => return Err(BARE_LF),
            };
            match text.first() {
                None => return Ok(Some(end + 1)),
                // Section 2.2: nothing may be between the start line and the first field.
                Some(b' ' | b'\t') if self.lines == 0 => return Err(INDENTED_FIRST),
                // Section 5.2: a server refuses a folded field, a client has to unfold it.
                Some(b' ' | b'\t') if strictness == Strictness::Strict => return Err(FOLD),
                Some(b' ' | b'\t') => self.folded = true,
                Some(_) => {}
            }
            self.lines += 1;
            if self.lines > most {
                return Err(MANY_FIELDS);
            }
            (self.line, self.searched) = (end + 1, end + 1);
        }
        self.searched = bytes.len();
        Ok(None)
    }

    /// Reads the fields of a whole section, empty line included, in which this scan has found the end.
    pub(crate) fn fields(
        &self,
        section: &[u8],
        each: impl FnMut(&[u8], &[u8]) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        if self.folded {
            return parse(&unfold(section), &mut vec![EMPTY_HEADER; self.lines], each);
        }
        match self.lines {
            0 => Ok(()),
            1..=FEW => parse(section, &mut [EMPTY_HEADER; FEW], each),
            lines if lines <= MANY => parse(section, &mut [EMPTY_HEADER; MANY], each),
            lines => parse(section, &mut vec![EMPTY_HEADER; lines], each),
        }
    }
}

fn parse<'b>(
    section: &'b [u8],
    room: &mut [Header<'b>],
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let Ok(Status::Complete((_, fields))) = httparse::parse_headers(section, room) else {
        return Err(fault(section));
    };
    fields.iter().try_for_each(|field| each(field.name.as_bytes(), field.value))
}

/// Line ends before whitespace become spaces (section 5.2).
fn unfold(section: &[u8]) -> Vec<u8> {
    let mut bytes = section.to_vec();
    for at in memchr_iter(b'\n', section) {
        if matches!(section.get(at + 1), Some(b' ' | b'\t')) {
            bytes[at] = b' ';
            if section[at - 1] == b'\r' {
                bytes[at - 1] = b' ';
            }
        }
    }
    bytes
}

/// What is wrong with the first bad line of a section that was refused.
#[cold]
fn fault(section: &[u8]) -> Rejection {
    let lines = section.split_inclusive(|byte| *byte == b'\n');
    lines.map(line_fault).find_map(Result::err).unwrap_or(FIELD_VALUE)
}

fn line_fault(line: &[u8]) -> Result<(), Rejection> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // Section 2.2: a CR without LF is invalid wherever it is.
    if line.contains(&b'\r') {
        return Err(BARE_CR);
    }
    if line.is_empty() {
        return Ok(());
    }
    let colon = memchr(b':', line).ok_or(NO_COLON)?;
    let (name, value) = line.split_at(colon);
    match name {
        // Section 5.1: two readers that see different names are an attack.
        [.., b' ' | b'\t'] => Err(SPACE_BEFORE_COLON),
        name if !is_token(name) => Err(FIELD_NAME),
        _ if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') => Err(FIELD_VALUE),
        _ => Ok(()),
    }
}

/// RFC 9110 section 5.6.2.
const TOKEN: [bool; 256] = {
    let mut map = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        map[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(byte as u8, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
        byte += 1;
    }
    map
};

/// Whether a byte may be in a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    type List = Vec<(String, String)>;

    /// The fields of a section that comes in pieces of `step`, and how long it is.
    fn read_by(wire: &str, strictness: Strictness, step: usize) -> Result<Option<(usize, List)>, Rejection> {
        let mut scan = Scan::default();
        let ends = (step..wire.len()).step_by(step).chain([wire.len()]);
        for end in ends {
            if let Some(end) = scan.section(&wire.as_bytes()[..end], strictness, 100)? {
                let mut list = Vec::new();
                scan.fields(&wire.as_bytes()[..end], |name, value| {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    list.push((text(name), text(value)));
                    Ok(())
                })?;
                return Ok(Some((end, list)));
            }
        }
        Ok(None)
    }

    fn read(wire: &str, strictness: Strictness) -> Result<Option<(usize, List)>, Rejection> {
        let whole = read_by(wire, strictness, wire.len());
        for step in 1..wire.len() {
            assert_eq!(read_by(wire, strictness, step), whole, "{wire:?} in pieces of {step}");
        }
        whole
    }

    fn list(fields: &[(&str, &str)]) -> List {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn fields_are_read_in_order_with_their_case_and_without_outer_whitespace() {
        let wire = "Host:a\r\nX-Two: \t b c \t\r\nx-two:\r\n\r\nrest";
        let expected = list(&[("Host", "a"), ("X-Two", "b c"), ("x-two", "")]);
        assert_eq!(read(wire, Strictness::Strict), Ok(Some((wire.len() - 4, expected))));
        assert_eq!(read("\r\n", Strictness::Strict), Ok(Some((2, Vec::new()))));
        assert_eq!(read("a: b\r\n", Strictness::Strict), Ok(None));
    }

    #[test]
    fn any_number_of_fields_up_to_the_limit_is_read() {
        for count in [1, FEW, FEW + 1, MANY, MANY + 1, 100] {
            let wire: String = (0..count).map(|index| format!("n{index}: {index}\r\n")).collect();
            let (_, list) = read_by(&format!("{wire}\r\n"), Strictness::Strict, 4096).unwrap().unwrap();
            assert_eq!(list.len(), count);
            assert_eq!(list[count - 1], (format!("n{}", count - 1), (count - 1).to_string()));
        }
        assert_eq!(read(&format!("{}\r\n", "a: b\r\n".repeat(101)), Strictness::Strict), Err(MANY_FIELDS));
    }

    #[test]
    fn malformed_field_lines_are_refused_with_their_fault() {
        for (wire, fault) in [
            ("a: b\r\n c\r\n\r\n", FOLD),
            ("a: b\r\n\tc\r\n\r\n", FOLD),
            (" a: b\r\n\r\n", INDENTED_FIRST),
            ("a : b\r\n\r\n", SPACE_BEFORE_COLON),
            ("a\t: b\r\n\r\n", SPACE_BEFORE_COLON),
            ("a: b\nc: d\r\n\r\n", BARE_LF),
            ("a: b\r\n\n", BARE_LF),
            ("a: b\rc\r\n\r\n", BARE_CR),
            ("a\r: b\r\n\r\n", BARE_CR),
            ("a: b\r\n\r\r\n\r\n", BARE_CR),
            ("a b: c\r\n\r\n", FIELD_NAME),
            (": c\r\n\r\n", FIELD_NAME),
            ("é: c\r\n\r\n", FIELD_NAME),
            ("a\r\n\r\n", NO_COLON),
            ("a: \0\r\n\r\n", FIELD_VALUE),
            ("a: \x7f\r\n\r\n", FIELD_VALUE),
            ("ok: b\r\na: b\x0bc\r\n\r\n", FIELD_VALUE),
        ] {
            assert_eq!(read(wire, Strictness::Strict), Err(fault), "{wire:?}");
        }
    }

    #[test]
    fn searched_bytes_are_not_searched_again() {
        let mut scan = Scan::default();
        assert_eq!(scan.line(b"abc"), None);
        assert_eq!(scan.line(b"\n\n\ndef\n"), Some(7), "only a second search would find the first");
        assert_eq!(scan.section(b".......a: b\r\nc", Strictness::Strict, 9), Ok(None));
        assert_eq!(scan.section(b".......a: b\n\n\n\r\n\r\n", Strictness::Strict, 9), Ok(Some(18)));
        assert_eq!(
            scan.section(b"", Strictness::Strict, 9),
            Ok(None),
            "a field list shorter than before must not fail"
        );
    }

    #[test]
    fn lenient_reading_accepts_bare_lf_and_unfolds() {
        let wire = "a: b\n  c\r\n\td\r\ne:\r\n f\ng: h\n\n";
        let expected = list(&[("a", "b   c  \td"), ("e", "f"), ("g", "h")]);
        assert_eq!(read(wire, Strictness::Lenient), Ok(Some((wire.len(), expected))));
        assert_eq!(read(" a: b\r\n\r\n", Strictness::Lenient), Err(INDENTED_FIRST));
        assert_eq!(read("a : b\r\n\r\n", Strictness::Lenient), Err(SPACE_BEFORE_COLON));
        assert_eq!(read("a: b\rc\r\n\r\n", Strictness::Lenient), Err(BARE_CR));
    }

    #[test]
    fn tokens_are_those_of_the_rfc() {
        let allowed = (0..=255).filter(|byte| is_token_byte(*byte)).map(char::from).collect::<String>();
        let (digits, letters): (String, String) =
            (('0'..='9').collect(), ('A'..='Z').chain('^'..='z').collect());
        assert_eq!(allowed, format!("!#$%&'*+-.{digits}{letters}|~"));
    }
}
