//! The last head of a response that was read, so that another like it is not read field by field: steady traffic repeats its
//! heads except for values that say nothing about framing or connection, such as instants.
//!
//! It compares bytes. Whatever it has not seen before, and whatever is not plainly a value, is left to the parser.

use std::fmt;

use memchr::memchr;
use wire::{Fields, common_prefix};

use crate::{Version, facts::Facts};

/// A longer head is not remembered, in bytes.
const LONGEST: usize = 4096;

/// After this number of heads in a row that were unlike the last one, only one in [`RARELY`] is remembered: of heads that do
/// not repeat, remembering is all that this would cost.
const MISSES: u8 = 4;
const RARELY: u8 = 16;

/// What was read of a head in memory: what is not in its fields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recalled {
    pub(crate) version: Version,
    pub(crate) status: u16,
    /// Where the reason ends in the status line.
    pub(crate) reason: usize,
    pub(crate) facts: Facts,
}

/// A head, and what it said.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    /// All of it, with its last line; empty if there is none.
    bytes: Vec<u8>,
    values: Vec<Value>,
    fields: Fields,
    rest: Recalled,
    /// How many heads in a row were not the one in memory.
    misses: u8,
}

/// What was remembered is not part of a head: it is neither shown nor compared.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

impl PartialEq for Memory {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Memory {}

/// Where the value of a field lies, without white space around it.
#[derive(Clone, Copy, Debug)]
struct Value {
    start: usize,
    end: usize,
    /// It could be another without consequences for the rest.
    varies: bool,
}

impl Memory {
    /// If `window` begins with the head in memory, except for values of fields: puts its fields into `fields`, and returns where it
    /// ends.
    #[inline]
    pub(crate) fn recall(
        &mut self,
        window: &[u8],
        most: usize,
        fields: &mut Fields,
    ) -> Option<(usize, &Recalled)> {
        if self.bytes.is_empty() || self.values.len() > most {
            return None;
        }
        fields.clear();
        // The next field, where what is compared next begins in memory, and what is left of the window.
        let (mut next, mut from, mut rest) = (0, 0, window);
        loop {
            let remembered = &self.bytes[from..];
            let same = common_prefix(remembered, rest);
            if same == remembered.len() {
                fields.extend_from(&self.fields, next..self.values.len());
                self.misses = 0;
                return Some((window.len() - rest.len() + same, &self.rest));
            }
            let at = from + same;
            let other =
                next + self.values[next..].partition_point(|value| value.start <= at).checked_sub(1)?;
            let Value { start, end, varies } = self.values[other];
            if !varies || at > end {
                return None;
            }
            let rest_of_line = &rest[start - from..];
            let (value, after) = rest_of_line.split_at(memchr(b'\r', rest_of_line)?);
            if !is_plain(value) {
                return None;
            }
            fields.extend_from(&self.fields, next..other);
            fields.push(self.fields.at(other)?.0, value);
            (next, from, rest) = (other + 1, end, after);
        }
    }

    #[cfg(test)]
    pub(crate) fn remembers(&self, bytes: &[u8]) -> bool {
        self.bytes == bytes
    }

    /// A head that was not in memory has been read: `line` is how long its first line is.
    pub(crate) fn missed(&mut self, bytes: &[u8], line: usize, fields: &Fields, rest: Recalled) {
        self.misses = self.misses.checked_add(1).unwrap_or(MISSES);
        if self.misses <= MISSES || self.misses.is_multiple_of(RARELY) {
            self.bytes.clear();
            self.values.clear();
            if bytes.len() <= LONGEST && find(bytes, line, fields, &mut self.values).is_some() {
                self.bytes.extend_from_slice(bytes);
                self.fields.clear();
                self.fields.extend_from(fields, 0..fields.len());
                self.rest = rest;
            }
        }
    }
}

/// Finds where the values of fields lie. None where a line is not written as they mostly are, as where it is folded.
fn find(bytes: &[u8], line: usize, fields: &Fields, values: &mut Vec<Value>) -> Option<()> {
    let mut start = line;
    for (name, value) in fields.iter() {
        let length = memchr(b'\r', bytes.get(start..)?)?;
        let line = &bytes[start..start + length];
        let written = line.strip_prefix(name)?.strip_prefix(b":")?;
        let white = written.len().checked_sub(value.len())?;
        if &written[white..] != value || !written[..white].iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return None;
        }
        let end = start + length;
        values.push(Value { start: end - value.len(), end, varies: !Facts::looks_at(name) });
        start = end + 2;
    }
    // Lines end with CR LF, and so does the head.
    let mut ends = values.iter().map(|value| value.end).chain([start]);
    (bytes.len() == start + 2 && ends.all(|end| bytes[end..].starts_with(b"\r\n"))).then_some(())
}

/// Whether it is a value, in whichever way it is read: visible characters, with spaces between them.
fn is_plain(value: &[u8]) -> bool {
    let are_plain = value.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    are_plain && value.first() != Some(&b' ') && value.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use crate::{
        Event, Limits,
        response::{Broken, Kind, ResponseHead, ResponseReader},
    };

    /// What a reader says of a response: its first event, its head, and what is left.
    type Read = (Result<Option<String>, Broken>, ResponseHead, usize);

    fn read(text: &str, kind: Kind, limits: Limits, head: &mut ResponseHead) -> Read {
        let mut reader = ResponseReader::new(limits);
        reader.expect(kind);
        let mut input = text.as_bytes();
        let event = reader
            .read(&mut input, head)
            .map(|event: Option<Event<'_>>| event.map(|event| format!("{event:?}")));
        // What a head that was refused has left in there says nothing.
        let head = if event.is_ok() { head.clone() } else { ResponseHead::default() };
        (event, head, input.len())
    }

    /// Reads it with what `head` remembers, and without.
    fn compare(text: &str, kind: Kind, limits: Limits, head: &mut ResponseHead) {
        let fresh = read(text, kind, limits, &mut ResponseHead::default());
        let with = read(text, kind, limits, head);
        if matches!(fresh.0, Ok(None)) {
            return assert_eq!((with.0, with.2), (fresh.0, fresh.2), "{text:?}");
        }
        assert_eq!(with, fresh, "{text:?}");
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: a b\r\nX: \r\nContent-Length: 5\r\ndate: Fri\r\n\r\nhello";

    #[test]
    fn a_head_that_differs_anywhere_is_read_as_without_the_memory() {
        let limits = Limits::default();
        let mut head = ResponseHead::default();
        compare(HEAD, Kind::Usual, limits, &mut head);
        for at in 0..HEAD.len() {
            compare(&HEAD[..at], Kind::Usual, limits, &mut head);
            compare(HEAD, Kind::Usual, limits, &mut head);
            for piece in [
                "",
                "z",
                " ",
                "\t",
                "\r",
                "\n",
                "\r\n",
                ":",
                "\r\n ",
                "\0",
                "\r\nConnection: close",
                "é",
                "7",
                "a b",
            ] {
                for next in [at, at + 1] {
                    let text = format!("{}{piece}{}", &HEAD[..at], &HEAD[next..]);
                    compare(&text, Kind::Usual, limits, &mut head);
                    compare(&text, Kind::Head, limits, &mut head);
                    compare(HEAD, Kind::Usual, limits, &mut head);
                }
            }
        }
    }

    #[test]
    fn several_values_may_differ_at_the_same_time() {
        let mut head = ResponseHead::default();
        compare(HEAD, Kind::Usual, Limits::default(), &mut head);
        for (server, date) in
            [("a b", "Sat"), ("", "Sunday"), ("longer than before", ""), (" c", "d"), ("a  c", "e\u{7f}")]
        {
            let text = HEAD.replace("a b", server).replace("Fri", date);
            compare(&text, Kind::Usual, Limits::default(), &mut head);
            compare(HEAD, Kind::Usual, Limits::default(), &mut head);
        }
    }

    #[test]
    fn heads_that_are_written_in_other_ways_are_read_each_time() {
        let mut head = ResponseHead::default();
        for text in [
            "HTTP/1.1 200 OK\r\na: b\r\n c\r\nd: e\r\n\r\n",
            "HTTP/1.1 200 OK\na: b\nc: d\n\n",
            "HTTP/1.1 200 OK\r\na: b  \r\nc: d\r\n\r\n",
            "HTTP/1.1 200\r\na:b\r\n\r\n",
            "HTTP/1.0 204 \r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\na: b\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ] {
            for text in [text.to_owned(), text.replace("a: b", "a: z"), text.replace('b', "b ")] {
                for kind in [Kind::Usual, Kind::Head, Kind::Connect, Kind::Upgrade] {
                    compare(&text, kind, Limits::default(), &mut head);
                    compare(&text, kind, Limits::default(), &mut head);
                }
            }
        }
    }

    #[test]
    fn limits_hold_for_heads_in_memory() {
        let mut head = ResponseHead::default();
        compare(HEAD, Kind::Usual, Limits::default(), &mut head);
        for limits in [
            Limits { fields: 3, ..Limits::default() },
            Limits { fields: 4, ..Limits::default() },
            Limits { head: HEAD.len() - 6, ..Limits::default() },
            Limits { head: HEAD.len() - 5, ..Limits::default() },
        ] {
            compare(HEAD, Kind::Usual, limits, &mut head);
            compare(HEAD, Kind::Usual, Limits::default(), &mut head);
        }
    }

    #[test]
    fn of_heads_that_do_not_repeat_few_are_remembered() {
        let mut head = ResponseHead::default();
        let mut remembered = 0;
        for number in 0..1000 {
            let text = format!("HTTP/1.1 200 OK\r\nn{number}: 1\r\nContent-Length: 0\r\n\r\n");
            compare(&text, Kind::Usual, Limits::default(), &mut head);
            remembered += usize::from(head.remembers(text.as_bytes()));
        }
        assert!((10..100).contains(&remembered), "{remembered}");
        // One that repeats is found again.
        for _ in 0..=super::RARELY {
            compare(HEAD, Kind::Usual, Limits::default(), &mut head);
        }
        assert!(head.remembers(HEAD.strip_suffix("hello").unwrap().as_bytes()));
    }
}
