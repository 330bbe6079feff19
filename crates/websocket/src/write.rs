//! Writes frames (section 5.2): with a mask as clients do, or without one as servers do. It checks nothing.

use crate::{bits, mask, opcode};

/// Adds the head of a frame. What follows it is content of that length, on which the mask is already put.
#[inline]
pub fn head(out: &mut Vec<u8>, opcode: u8, last: bool, length: u64, mask: Option<[u8; 4]>) {
    let masked = if mask.is_some() { bits::MASKED } else { 0 };
    out.push(opcode | if last { bits::FIN } else { 0 });
    match length {
        0..126 => out.push(masked | length as u8),
        126..=0xffff => {
            out.push(masked | bits::TWO_BYTES);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | bits::EIGHT_BYTES);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    if let Some(mask) = mask {
        out.extend_from_slice(&mask);
    }
}

/// Adds a frame.
pub fn frame(out: &mut Vec<u8>, opcode: u8, last: bool, content: &[u8], mask: Option<[u8; 4]>) {
    head(out, opcode, last, content.len() as u64, mask);
    let start = out.len();
    out.extend_from_slice(content);
    if let Some(mask) = mask {
        mask::apply(&mut out[start..], mask);
    }
}

/// Adds a close frame with a code and a reason, which is at most 123 bytes.
pub fn close(out: &mut Vec<u8>, code: u16, reason: &str, mask: Option<[u8; 4]>) {
    let content = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    frame(out, opcode::CLOSE, true, &content, mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of section 5.7.
    #[test]
    fn frames_are_written_as_in_the_rfc() {
        let mask = Some([0x37, 0xfa, 0x21, 0x3d]);
        let written = |opcode, last, content: &[u8], mask| {
            let mut out = Vec::new();
            frame(&mut out, opcode, last, content, mask);
            out
        };
        for (opcode, last, content, mask, expected) in [
            (opcode::TEXT, true, "Hello", None, &b"\x81\x05Hello"[..]),
            (opcode::TEXT, true, "Hello", mask, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
            (opcode::TEXT, false, "Hel", None, b"\x01\x03Hel"),
            (opcode::CONTINUATION, true, "lo", None, b"\x80\x02lo"),
            (opcode::PING, true, "Hello", None, b"\x89\x05Hello"),
            (opcode::PONG, true, "Hello", mask, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
        ] {
            assert_eq!(written(opcode, last, content.as_bytes(), mask), expected);
        }
        assert_eq!(written(opcode::BINARY, true, &[0; 256], None)[..4], *b"\x82\x7e\x01\x00");
        let long = written(opcode::BINARY, true, &[0; 65_536], None);
        assert_eq!(long[..10], *b"\x82\x7f\0\0\0\0\0\x01\0\0");
    }

    #[test]
    fn lengths_are_written_in_their_shortest_form() {
        for (length, size) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (i64::MAX as u64, 10)] {
            for (mask, more) in [(None, 0), (Some([1; 4]), 4)] {
                let mut out = Vec::new();
                head(&mut out, opcode::BINARY, true, length, mask);
                assert_eq!(out.len(), size + more, "{length}");
            }
        }
    }

    #[test]
    fn a_close_frame_has_a_code_and_a_reason() {
        let mut out = Vec::new();
        close(&mut out, 1001, "bye", None);
        assert_eq!(out, b"\x88\x05\x03\xe9bye");
    }
}
