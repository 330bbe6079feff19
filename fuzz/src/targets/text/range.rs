//! `Range` fields (RFC 9110 section 14.2): a range that is satisfied is within the content. Before the text is the size of
//! the content, in eight bytes.

use dummy_server::fuzzing;

use super::{number, text};
use crate::feedback::met;

/// Words that ranges are made of.
pub const WORDS: &[&[u8]] = &[
    b"bytes=",
    b"bytes",
    b"=",
    b"-",
    b",",
    b" ",
    b"0",
    b"1",
    b"99",
    b"9223372036854775807",
    b"18446744073709551615",
    b"18446744073709551616",
    b"99999999999999999999999",
    b"+1",
    b"lines=",
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];

/// Reads an input.
pub fn run(input: &[u8]) {
    let (size, rest) = number(input);
    let size = size.max(1);
    let found = fuzzing::range(&text(rest), size);
    if let Some(Some((first, last))) = found {
        assert!(first <= last && last < size, "{first}-{last}/{size}");
        met((first == 0, last == size - 1, (last - first).checked_ilog2()));
    }
    met((found.is_some(), found.flatten().is_some()));
}
