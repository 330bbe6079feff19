//! Bodies in a content coding: what comes out is bounded, and the beginning of the same with a larger bound. The first byte of an
//! input says the coding, and whether there was more of the body; the second one how much may come out.

use loadgen::fuzzing::decoded;

use crate::feedback::met;

/// Codings, alone and in a row.
const CODINGS: [&str; 6] = ["gzip", "deflate", "br", "zstd", "gzip,br", "zstd,gzip"];

/// How bodies begin, and what is large in them.
pub const WORDS: &[&[u8]] = &[
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    b"\x78\x9c",
    b"\x0b\x02\x80hello\x03",
    b"\x11\x1e",
    b"\x28\xb5\x2f\xfd",
    b"\x50\x2a\x4d\x18\x00\x00\x00\x00",
    b"\x01\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x00",
];

/// Reads an input.
pub fn run(input: &[u8]) {
    let [first, second, body @ ..] = input else { return };
    let codings = CODINGS[usize::from(first & 0x7f) % CODINGS.len()];
    let (is_cut, most) = (first & 0x80 != 0, usize::from(*second) * 64);
    match decoded(codings, body, is_cut, most) {
        Ok((content, is_more)) => {
            assert!(content.len() <= most && (is_more || !is_cut), "{codings}: {} of {most}", content.len());
            // What lies behind may be refused.
            if let Ok((all, _)) = decoded(codings, body, is_cut, 1 << 20) {
                assert!(all.starts_with(&content), "{codings}");
            }
            met((codings, is_cut, is_more, content.len().checked_ilog2()));
        }
        Err(said) => {
            met((codings, said.chars().filter(char::is_ascii_alphabetic).take(30).collect::<String>()))
        }
    }
}
