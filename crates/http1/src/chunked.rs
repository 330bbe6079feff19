//! Reads bodies: those of a known length, and chunked ones with their trailers (RFC 9112 section 7.1).
//!
//! Section 2.2 lets LF alone end the lines of fields, and so those of trailers in responses, but no other line of a
//! chunked body. A reader that accepts it there finds other ends of chunks than its peer, which is what smuggling
//! needs.

use wire::Fields;

use crate::{
    Event, Limits,
    error::{
        BARE_LF, CHUNK_END, CHUNK_EXTENSION, CHUNK_SIZE, LARGE_CHUNK, LARGE_TRAILERS, LONG_CHUNK_LINE,
        LONG_EXTENSIONS, Rejection, TRAILER,
    },
    extension::{are_extensions, has_control},
    head::{Scan, Strictness},
};

/// Maximum number of significant digits of a chunk's size. Leading zeros do not make it larger; digits beyond this many
/// count towards [`Limits::extensions`].
const MAX_DIGITS: usize = 16;

/// The largest chunk, so that sums of a size and something small never overflow.
const MAX_SIZE: u64 = u64::MAX >> 1;

/// Takes at most `left` bytes off the input. `None`: there are none.
pub(crate) fn take<'i>(input: &mut &'i [u8], left: &mut u64) -> Option<&'i [u8]> {
    let count = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    let (part, rest) = input.split_at(count);
    *left -= count as u64;
    *input = rest;
    (!part.is_empty()).then_some(part)
}

/// Reads a chunked body.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    scan: Scan,
    /// Bytes of extensions so far.
    extensions: usize,
    trailers: Fields,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// At the line that begins a chunk.
    #[default]
    Size,
    /// In a chunk, this many bytes before its end.
    Data(u64),
    /// At the line end that follows a chunk.
    DataEnd,
    /// At the trailers, which are read as a whole.
    Trailers,
}

impl Chunked {
    /// Makes it ready for another body.
    pub(crate) fn begin(&mut self) {
        self.state = State::Size;
        self.scan = Scan::default();
        self.extensions = 0;
        self.trailers.clear();
    }

    /// Those of the body that has ended.
    pub(crate) fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Reads on: data, the end, or `None` when more bytes are needed.
    pub(crate) fn read<'i>(
        &mut self,
        input: &mut &'i [u8],
        limits: &Limits,
        strictness: Strictness,
    ) -> Result<Option<Event<'i>>, Rejection> {
        loop {
            self.state = match self.state {
                State::Size => match self.size_line(input, limits, strictness)? {
                    None => return Ok(None),
                    Some(0) => State::Trailers,
                    Some(size) => State::Data(size),
                },
                State::Data(mut left) => {
                    let Some(part) = take(input, &mut left) else { return Ok(None) };
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Some(Event::Data(part)));
                }
                State::DataEnd => match end_of_data(input)? {
                    false => return Ok(None),
                    true => State::Size,
                },
                State::Trailers => match self.trailer_section(input, limits, strictness)? {
                    false => return Ok(None),
                    true => {
                        self.state = State::Size;
                        return Ok(Some(Event::End));
                    }
                },
            };
        }
    }

    fn size_line(
        &mut self,
        input: &mut &[u8],
        limits: &Limits,
        strictness: Strictness,
    ) -> Result<Option<u64>, Rejection> {
        let Some(first) = input.first() else { return Ok(None) };
        if !first.is_ascii_hexdigit() {
            return Err(CHUNK_SIZE);
        }
        let window = &input[..input.len().min(limits.chunk_line)];
        let Some(end) = self.scan.line(window) else {
            return if window.len() == limits.chunk_line { Err(LONG_CHUNK_LINE) } else { Ok(None) };
        };
        let (size, extensions) = match &input[..end] {
            [line @ .., b'\r', b'\n'] => size(line, strictness)?,
            _ => return Err(BARE_LF),
        };
        self.extensions += extensions;
        if self.extensions > limits.extensions {
            return Err(LONG_EXTENSIONS);
        }
        *input = &input[end..];
        self.scan = Scan::default();
        Ok(Some(size))
    }

    /// Section 7.1.2. Whether the trailers were there as a whole.
    fn trailer_section(
        &mut self,
        input: &mut &[u8],
        limits: &Limits,
        strictness: Strictness,
    ) -> Result<bool, Rejection> {
        if let [b'\r', b'\n', rest @ ..] = input {
            *input = rest;
            self.scan = Scan::default();
            return Ok(true);
        }
        let window = &input[..input.len().min(limits.trailers)];
        let Some(end) = self.scan.section(window, strictness, limits.fields)? else {
            return if window.len() == limits.trailers { Err(LARGE_TRAILERS) } else { Ok(false) };
        };
        // The empty line is not a field.
        if !input[..end].ends_with(b"\r\n") {
            return Err(BARE_LF);
        }
        let trailers = &mut self.trailers;
        self.scan.fields(&input[..end], |name, value| {
            // RFC 9110 section 6.5.1 forbids them. They can only mislead someone who merges trailers into the
            // head, and a tool that tests proxies must not hide it: so they are refused, not dropped.
            if is_forbidden(name) {
                return Err(TRAILER);
            }
            trailers.push(name, value);
            Ok(())
        })?;
        *input = &input[end..];
        self.scan = Scan::default();
        Ok(true)
    }
}

/// Reads what a chunk's line says, without its end: the size, and how many bytes the line has that no size needs.
/// Extensions are skipped (section 7.1.1).
#[inline]
fn size(line: &[u8], strictness: Strictness) -> Result<(u64, usize), Rejection> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, rest) = line.split_at(digits);
    let zeros = digits.saturating_sub(MAX_DIGITS);
    let (beyond, number) = number.split_at(zeros);
    if digits == 0 {
        return Err(CHUNK_SIZE);
    }
    if beyond.iter().any(|digit| *digit != b'0') {
        return Err(LARGE_CHUNK);
    }
    let value = number.iter().fold(0_u64, |value, byte| {
        let digit = char::from(*byte).to_digit(16).unwrap_or_default();
        value << 4 | u64::from(digit)
    });
    if value > MAX_SIZE {
        return Err(LARGE_CHUNK);
    }
    if rest.is_empty() {
        return Ok((value, zeros));
    }
    let is_extension = match strictness {
        Strictness::Strict => are_extensions(rest),
        // Some servers pad the size with spaces.
        Strictness::Lenient => {
            !has_control(rest) && matches!(rest.trim_ascii_start().first(), None | Some(b';'))
        }
    };
    if !is_extension {
        return Err(CHUNK_EXTENSION);
    }
    let is_padding = rest.trim_ascii_start().is_empty();
    Ok((value, if is_padding { zeros } else { zeros + rest.len() }))
}

/// Whether the line end that follows a chunk was there.
fn end_of_data(input: &mut &[u8]) -> Result<bool, Rejection> {
    *input = match *input {
        [b'\r', b'\n', rest @ ..] => rest,
        [] | [b'\r'] => return Ok(false),
        [b'\n', ..] => return Err(BARE_LF),
        _ => return Err(CHUNK_END),
    };
    Ok(true)
}

fn is_forbidden(name: &[u8]) -> bool {
    let forbidden: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];
    forbidden.iter().any(|other| name.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{FOLD, MANY_FIELDS, SPACE_BEFORE_COLON};

    const LIMITS: Limits = Limits { head: 0, fields: 3, trailers: 60, chunk_line: 32, extensions: 40 };

    /// The body, the trailers and what is left over; `None` without an end.
    type Read = Result<Option<(String, String, String)>, Rejection>;

    fn read_by(wire: &str, strictness: Strictness, step: usize) -> Read {
        let (mut chunked, mut body) = (Chunked::default(), Vec::new());
        chunked.begin();
        let (mut from, mut to) = (0, 0);
        while to < wire.len() {
            to = (to + step).min(wire.len());
            let mut input = &wire.as_bytes()[from..to];
            while let Some(event) = chunked.read(&mut input, &LIMITS, strictness)? {
                match event {
                    Event::Data(part) => body.extend_from_slice(part),
                    _ => {
                        let left = &wire[to - input.len()..];
                        let trailers = format!("{:?}", chunked.trailers());
                        return Ok(Some((String::from_utf8(body).unwrap(), trailers, left.to_owned())));
                    }
                }
            }
            from = to - input.len();
        }
        Ok(None)
    }

    fn read(wire: &str, strictness: Strictness) -> Read {
        let whole = read_by(wire, strictness, wire.len());
        for step in 1..wire.len() {
            assert_eq!(read_by(wire, strictness, step), whole, "{wire:?} in pieces of {step}");
        }
        whole
    }

    fn done(body: &str, trailers: &str, left: &str) -> Read {
        Ok(Some((body.to_owned(), trailers.to_owned(), left.to_owned())))
    }

    #[test]
    fn chunks_are_joined_and_extensions_skipped() {
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            assert_eq!(read("0\r\n\r\nleft", strictness), done("", "[]", "left"));
            let wire =
                "5\r\nhello\r\n00A;a=b;c=\"d;\\\"e\"\r\n0123456789\r\n1 \t; x = y\r\n.\r\n000;z\r\n\r\n";
            assert_eq!(read(wire, strictness), done("hello0123456789.", "[]", ""));
            assert_eq!(read("0\r\n\r", strictness), Ok(None));
            assert_eq!(read("5\r\nhello\r\n", strictness), Ok(None));
        }
    }

    #[test]
    fn trailers_are_read() {
        let expected = done("", r#"[("A", "b"), ("a", "c")]"#, "x");
        assert_eq!(read("0\r\nA: b\r\na:c\r\n\r\nx", Strictness::Strict), expected);
        assert_eq!(read("0\r\nA: b\na:c\n\r\nx", Strictness::Lenient), expected);
    }

    #[test]
    fn bad_chunk_sizes_are_refused_strict_and_lenient() {
        for (wire, fault) in [
            ("\r\n", CHUNK_SIZE),
            (";a\r\n", CHUNK_SIZE),
            (" 5\r\n", CHUNK_SIZE),
            ("x\r\n", CHUNK_SIZE),
            ("+5\r\n", CHUNK_SIZE),
            ("-5\r\n", CHUNK_SIZE),
            ("0x5\r\n", CHUNK_EXTENSION),
            ("5x\r\n", CHUNK_EXTENSION),
            ("5_0\r\n", CHUNK_EXTENSION),
            ("5 5\r\n", CHUNK_EXTENSION),
            ("5;a\rb\r\n", CHUNK_EXTENSION),
            ("5;a\0\r\n", CHUNK_EXTENSION),
            ("5\r\r\n", CHUNK_EXTENSION),
            ("8000000000000000\r\n", LARGE_CHUNK),
            ("ffffffffffffffff\r\n", LARGE_CHUNK),
            ("10000000000000000\r\n", LARGE_CHUNK),
            ("1\r\nab\r\n", CHUNK_END),
            ("1\r\na\rb", CHUNK_END),
            ("1\r\na0\r\n\r\n", CHUNK_END),
        ] {
            for strictness in [Strictness::Strict, Strictness::Lenient] {
                assert_eq!(read(wire, strictness), Err(fault), "{wire:?} {strictness:?}");
            }
        }
        assert_eq!(read("7fffffffffffffff\r\nab", Strictness::Strict), Ok(None));
    }

    #[test]
    fn bare_lf_is_accepted_only_in_trailer_lines_when_lenient() {
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            for wire in [
                "1\na\r\n0\r\n\r\n",
                "1;x\na\r\n0\r\n\r\n",
                "1\r\na\n0\r\n\r\n",
                "1\r\na\r\n0\n\r\n",
                "1\r\na\r\n0\r\n\n",
                "1\r\na\r\n0\r\nb: c\r\n\n",
            ] {
                assert_eq!(read(wire, strictness), Err(BARE_LF), "{wire:?} {strictness:?}");
            }
        }
        let trailer = "1\r\na\r\n0\r\nb: c\n\r\n";
        assert_eq!(read(trailer, Strictness::Strict), Err(BARE_LF));
        assert_eq!(read(trailer, Strictness::Lenient), done("a", r#"[("b", "c")]"#, ""));
    }

    #[test]
    fn only_lenient_reading_takes_padding() {
        let wire = "1 \r\na\r\n0\r\n\r\n";
        assert_eq!(read(wire, Strictness::Strict), Err(CHUNK_EXTENSION));
        assert_eq!(read(wire, Strictness::Lenient), done("a", "[]", ""));
    }

    #[test]
    fn only_strict_reading_refuses_extensions_that_break_the_grammar() {
        for extension in [";", ";=a", ";a=", ";a=\"b", ";a=\"b\"c", ";a b", ";a;", "; ", ";a\u{e9}"] {
            let wire = format!("1{extension}\r\na\r\n0\r\n\r\n");
            assert_eq!(read(&wire, Strictness::Strict), Err(CHUNK_EXTENSION), "{extension}");
            assert_eq!(read(&wire, Strictness::Lenient), done("a", "[]", ""), "{extension}");
        }
    }

    #[test]
    fn leading_zeros_do_not_make_a_chunk_size_too_large() {
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            for digits in [1, MAX_DIGITS, 20, 30] {
                let wire = format!("{:0digits$x}\r\nab\r\n0\r\n\r\n", 2);
                assert_eq!(read(&wire, strictness), done("ab", "[]", ""), "{digits} digits");
            }
            assert_eq!(read(&format!("{:031x}\r\n", 2), strictness), Err(LONG_CHUNK_LINE));
            assert_eq!(read("00010000000000000000\r\n", strictness), Err(LARGE_CHUNK));
        }
    }

    #[test]
    fn the_sum_of_chunk_extensions_of_a_body_is_bounded() {
        let chunks =
            |line: &str, count: usize| format!("{}0\r\n\r\n", format!("{line}\r\na\r\n").repeat(count));
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            // Each costs 10 of the 40 bytes.
            for line in ["1;extension", &format!("{:026x}", 1)] {
                assert_eq!(read(&chunks(line, 4), strictness), done("aaaa", "[]", ""), "{line}");
                assert_eq!(read(&chunks(line, 5), strictness), Err(LONG_EXTENSIONS), "{line}");
            }
            assert_eq!(read(&chunks("0000000000000001", 50), strictness), done(&"a".repeat(50), "[]", ""));
        }
        assert_eq!(read(&chunks("1    ", 50), Strictness::Lenient), done(&"a".repeat(50), "[]", ""));
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        let line = |extension: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(extension));
        assert_eq!(read(&line(28), Strictness::Strict), done("a", "[]", ""));
        assert_eq!(read(&line(29), Strictness::Strict), Err(LONG_CHUNK_LINE));
        assert_eq!(read(&"0".repeat(33), Strictness::Strict), Err(LONG_CHUNK_LINE));
        let trailer = |len: usize| format!("0\r\na: {}\r\n\r\n", "x".repeat(len));
        assert!(matches!(read(&trailer(53), Strictness::Strict), Ok(Some(_))));
        assert_eq!(read(&trailer(54), Strictness::Strict), Err(LARGE_TRAILERS));
        assert_eq!(read(&format!("0\r\n{}\r\n", "a:b\r\n".repeat(4)), Strictness::Strict), Err(MANY_FIELDS));
    }

    #[test]
    fn bad_trailers_are_refused() {
        for (trailers, fault) in [
            ("Content-Length: 1\r\n", TRAILER),
            ("a: b\r\ntransfer-encoding: chunked\r\n", TRAILER),
            ("HOST: a\r\n", TRAILER),
            ("a : b\r\n", SPACE_BEFORE_COLON),
            ("a: b\r\n c\r\n", FOLD),
        ] {
            assert_eq!(read(&format!("0\r\n{trailers}\r\n"), Strictness::Strict), Err(fault), "{trailers:?}");
        }
        assert_eq!(read("0\r\nhost: a\r\n\r\n", Strictness::Lenient), Err(TRAILER));
    }
}
