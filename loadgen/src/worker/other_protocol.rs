//! What a server speaks that does not speak what it was asked in, by the first bytes that it sent.
//!
//! Nothing here reads a socket.

use std::fmt;

/// How many bytes are shown of what nobody knows.
const SHOWN: usize = 16;

/// The preface of a server's HTTP/2: SETTINGS on stream 0, after three bytes of length (RFC 9113 section 3.4).
const SETTINGS: &[u8] = &[4, 0, 0, 0, 0, 0];
/// How a response of HTTP/1 begins.
const STATUS_LINE: &[u8] = b"HTTP/";
/// Bytes of a frame's head, the longest content before SETTINGS say otherwise, and the last type with a name (RFC 9113
/// sections 4 and 6).
const HEAD: usize = 9;
const MOST_FRAME: u32 = 16_384;
const LAST_TYPE: u8 = 9;

/// What a server speaks instead of HTTP/2, if the first bytes of a connection say so; the target for HTTP/1 is written
/// `as_http1`.
pub(super) fn instead_of_http2(first: &[u8], as_http1: &str) -> Option<String> {
    if first.starts_with(STATUS_LINE) {
        return Some(format!("the server speaks HTTP/1: write {as_http1}"));
    }
    other(first).or_else(|| {
        // A frame of a type that has a name, even where another should be: the engine says which rule that breaks.
        let is_frame = first.len() < HEAD || length(first) <= MOST_FRAME && first[3] <= LAST_TYPE;
        (!is_frame).then(|| format!("the server does not speak HTTP/2 (first bytes {})", Shown(first)))
    })
}

/// What a server speaks instead of HTTP/1.1, if the first bytes of a connection say so; the target for HTTP/2 is written
/// `as_http2`.
pub(super) fn instead_of_http1(first: &[u8], as_http2: &str) -> Option<String> {
    if is_settings(first) {
        return Some(format!("the server speaks HTTP/2: write {as_http2}"));
    }
    other(first).or_else(|| {
        let shared = first.len().min(STATUS_LINE.len());
        let is_begun = first[..shared] == STATUS_LINE[..shared];
        (!is_begun).then(|| format!("the server does not speak HTTP/1 (first bytes {})", Shown(first)))
    })
}

/// What is neither version of HTTP.
fn other(first: &[u8]) -> Option<String> {
    match first {
        // An alert or a handshake, of any version (RFC 8446 section 5.1).
        [0x15 | 0x16, 0x03, ..] => {
            Some("the server speaks TLS: write https:// in place of the target's scheme".to_owned())
        }
        _ if first.starts_with(b"SSH-") => Some("the server speaks SSH".to_owned()),
        _ => None,
    }
}

/// Whether this begins as the SETTINGS do that a server has to send first.
fn is_settings(first: &[u8]) -> bool {
    first.len() >= HEAD && length(first) <= MOST_FRAME && first[3..].starts_with(SETTINGS)
}

/// The length of the frame that this is the head of.
fn length(first: &[u8]) -> u32 {
    u32::from_be_bytes([0, first[0], first[1], first[2]])
}

/// The first bytes as text between quotes, with escapes for what is no ASCII text.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0[..self.0.len().min(SHOWN)].escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTP1: &str = "http://localhost:8000/";
    const HTTP2: &str = "h2c://localhost:8000/";

    #[test]
    fn other_protocols_are_named_where_http2_was_expected() {
        for (first, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "the server speaks HTTP/1: write http://localhost:8000/"),
            (b"HTTP/1.0 4", "the server speaks HTTP/1"),
            (b"\x15\x03\x03\0\x02\x02\x16", "the server speaks TLS: write https://"),
            (b"\x16\x03\x01\0\x05hello", "the server speaks TLS"),
            (b"SSH-2.0-OpenSSH_9.6\r\n", "the server speaks SSH"),
            (
                b"220 mail ESMTP\r\n",
                "the server does not speak HTTP/2 (first bytes \"220 mail ESMTP\\r\\n\")",
            ),
            (
                b"\0\xff\"0123456789abcdef",
                "the server does not speak HTTP/2 (first bytes \"\\x00\\xff\\\"0123456789abc\")",
            ),
        ] {
            let said = instead_of_http2(first, HTTP1).unwrap_or_default();
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn http2_and_too_few_bytes_are_nothing_else() {
        for first in [
            &b""[..],
            b"\0",
            b"\0\0\x12\x04\0\0\0\0\0",
            b"\0\0\x08\x07\0\0\0\0\0",
            b"\0\0\0\x04\0\0\0\0\0\0\0\x05\x04\0",
        ] {
            assert_eq!(instead_of_http2(first, HTTP1), None, "{first:?}");
        }
    }

    #[test]
    fn other_protocols_are_named_where_http1_was_expected() {
        let settings = b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64";
        assert_eq!(
            instead_of_http1(settings, HTTP2).as_deref(),
            Some("the server speaks HTTP/2: write h2c://localhost:8000/")
        );
        assert_eq!(instead_of_http1(b"SSH-2.0-x\r\n", HTTP2).as_deref(), Some("the server speaks SSH"));
        assert!(
            instead_of_http1(b"\x15\x03\x01\0\x02\x02\x0a", HTTP2).is_some_and(|said| said.contains("TLS"))
        );
        for first in [&b"220 mail ESMTP\r\n"[..], b"garbage", b"HTTQ", b"\0\0\x12\x04\x01\0\0\0\0"] {
            let said = instead_of_http1(first, HTTP2).unwrap_or_default();
            assert!(said.starts_with("the server does not speak HTTP/1 (first bytes \""), "{said}");
        }
        for first in [&b""[..], b"H", b"HTTP/1.1 200 OK\r\n"] {
            assert_eq!(instead_of_http1(first, HTTP2), None);
        }
    }
}
