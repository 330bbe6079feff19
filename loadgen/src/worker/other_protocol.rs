//! What a server speaks that does not speak what it was asked in, by the first bytes that it sent.
//!
//! Nothing here reads a socket.

use std::fmt;

use crate::plan::{Protocol, Target};

/// How many bytes are shown of an unknown protocol.
const SHOWN: usize = 16;

/// The preface of a server's HTTP/2: SETTINGS on stream 0, after three bytes of length (RFC 9113 section 3.4).
const SETTINGS: &[u8] = &[4, 0, 0, 0, 0, 0];
/// How a response of HTTP/1 begins.
const STATUS_LINE: &[u8] = b"HTTP/";
/// How SSH begins (RFC 4253 section 4.2).
const SSH: &[u8] = b"SSH-";
/// Bytes of a frame's head, the longest content before SETTINGS say otherwise, and the last type with a name (RFC 9113
/// sections 4 and 6).
const HEAD: usize = 9;
const MOST_FRAME: u32 = 16_384;
const LAST_TYPE: u8 = 9;

/// What a server speaks instead of TLS, by what it answers to the first bytes of a handshake.
pub(super) fn instead_of_tls(first: &[u8], target: &Target) -> String {
    if first.starts_with(STATUS_LINE) {
        // Whatever is spoken besides, such as gRPC: this is how nonsense is answered.
        let written = Target { tls: false, protocol: Protocol::Http1, ..target.clone() };
        return format!("the server speaks HTTP/1 without TLS: write {written}");
    }
    if is_settings(first) {
        return format!("the server speaks HTTP/2 without TLS: {}", advice(target, false, Protocol::Http2));
    }
    if first.starts_with(SSH) {
        return "the server speaks SSH".to_owned();
    }
    format!("the server does not speak TLS on this port (first bytes {})", QuotedBytes(first))
}

/// What a server speaks instead of HTTP/2, if the first bytes of a connection say so.
pub(super) fn instead_of_http2(first: &[u8], target: &Target) -> Option<String> {
    if first.starts_with(STATUS_LINE) {
        return Some(format!("the server speaks HTTP/1: {}", advice(target, target.tls, Protocol::Http1)));
    }
    other(first, target).or_else(|| {
        // A frame of a type that has a name, even where another should be: the engine says which rule that breaks.
        let is_frame = first.len() < HEAD || length(first) <= MOST_FRAME && first[3] <= LAST_TYPE;
        (!is_frame).then(|| format!("the server does not speak HTTP/2 (first bytes {})", QuotedBytes(first)))
    })
}

/// What a server speaks instead of HTTP/1.1, if the first bytes of a connection say so.
pub(super) fn instead_of_http1(first: &[u8], target: &Target) -> Option<String> {
    if is_settings(first) {
        return Some(format!("the server speaks HTTP/2: {}", advice(target, target.tls, Protocol::Http2)));
    }
    other(first, target).or_else(|| {
        let shared = first.len().min(STATUS_LINE.len());
        let is_begun = first[..shared] == STATUS_LINE[..shared];
        (!is_begun).then(|| format!("the server does not speak HTTP/1 (first bytes {})", QuotedBytes(first)))
    })
}

/// What is neither version of HTTP.
fn other(first: &[u8], target: &Target) -> Option<String> {
    match first {
        // An alert or a handshake, of any version (RFC 8446 section 5.1).
        [0x15 | 0x16, 0x03, ..] if target.tls => Some("the server speaks TLS within TLS".to_owned()),
        [0x15 | 0x16, 0x03, ..] => {
            let written = Target { tls: true, ..target.clone() };
            Some(format!("the server speaks TLS: write {written}"))
        }
        _ if first.starts_with(SSH) => Some("the server speaks SSH".to_owned()),
        _ => None,
    }
}

/// What to do about a server that speaks this version of HTTP, over TLS or not.
fn advice(target: &Target, tls: bool, protocol: Protocol) -> String {
    let written = Target { tls, protocol, ..target.clone() };
    match protocol {
        Protocol::Http1 if target.grpc => "gRPC needs HTTP/2, which another port may speak".to_owned(),
        Protocol::Http1 if target.websocket => format!("write {written}, without --http2"),
        Protocol::Http2 if target.websocket => format!("write --http2 {written}"),
        Protocol::Http1 if tls => format!("write --http1.1 {written}"),
        Protocol::Http2 if tls && !target.grpc => format!("write --http2 {written}"),
        _ => format!("write {written}"),
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

/// The first bytes as text between quotes, with escapes for what is not ASCII text.
struct QuotedBytes<'a>(&'a [u8]);

impl fmt::Display for QuotedBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0[..self.0.len().min(SHOWN)].escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Version;

    const SETTINGS: &[u8] = b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64";
    const ALERT: &[u8] = b"\x15\x03\x03\0\x02\x02\x16";
    const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\n";

    fn target(text: &str) -> Target {
        Target::parse(text, Version::Any).unwrap()
    }

    #[test]
    fn other_protocols_are_named_where_http2_was_expected() {
        for (url, first, expected) in [
            ("h2c://localhost:8000", BAD_REQUEST, "the server speaks HTTP/1: write http://localhost:8000/"),
            ("h2c://localhost:8000", b"HTTP/1.0 4", "the server speaks HTTP/1"),
            (
                "https://localhost",
                BAD_REQUEST,
                "the server speaks HTTP/1: write --http1.1 https://localhost:443/",
            ),
            ("grpc://localhost:8000", BAD_REQUEST, "the server speaks HTTP/1: gRPC needs HTTP/2"),
            (
                "ws://localhost:8000/ws",
                BAD_REQUEST,
                "the server speaks HTTP/1: write ws://localhost:8000/ws, without --http2",
            ),
            ("h2c://localhost:8000", ALERT, "the server speaks TLS: write https://localhost:8000/"),
            ("h2c://localhost:8000", b"\x16\x03\x01\0\x05hello", "the server speaks TLS"),
            ("grpc://localhost:8000", ALERT, "the server speaks TLS: write grpcs://localhost:8000/"),
            ("ws://localhost:8000", ALERT, "the server speaks TLS: write wss://localhost:8000/"),
            ("https://localhost", ALERT, "the server speaks TLS within TLS"),
            ("h2c://localhost:8000", b"SSH-2.0-OpenSSH_9.6\r\n", "the server speaks SSH"),
            (
                "h2c://localhost:8000",
                b"220 mail ESMTP\r\n",
                "the server does not speak HTTP/2 (first bytes \"220 mail ESMTP\\r\\n\")",
            ),
            (
                "h2c://localhost:8000",
                b"\0\xff\"0123456789abcdef",
                "the server does not speak HTTP/2 (first bytes \"\\x00\\xff\\\"0123456789abc\")",
            ),
        ] {
            let said = instead_of_http2(first, &target(url)).unwrap_or_default();
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
            assert_eq!(instead_of_http2(first, &target("h2c://localhost:8000")), None, "{first:?}");
        }
    }

    #[test]
    fn other_protocols_are_named_where_http1_was_expected() {
        for (url, first, expected) in [
            ("http://localhost:8000", SETTINGS, "the server speaks HTTP/2: write h2c://localhost:8000/"),
            ("https://localhost", SETTINGS, "the server speaks HTTP/2: write --http2 https://localhost:443/"),
            ("ws://localhost:8000", SETTINGS, "the server speaks HTTP/2: write --http2 ws://localhost:8000/"),
            ("http://localhost:8000", b"SSH-2.0-x\r\n", "the server speaks SSH"),
            ("http://localhost:8000", ALERT, "the server speaks TLS: write https://localhost:8000/"),
            (
                "http://localhost:8000",
                b"220 mail ESMTP\r\n",
                "the server does not speak HTTP/1 (first bytes \"",
            ),
            ("http://localhost:8000", b"garbage", "the server does not speak HTTP/1 (first bytes \""),
            ("http://localhost:8000", b"HTTQ", "the server does not speak HTTP/1 (first bytes \""),
            (
                "http://localhost:8000",
                b"\0\0\x12\x04\x01\0\0\0\0",
                "the server does not speak HTTP/1 (first bytes \"",
            ),
        ] {
            let said = instead_of_http1(first, &target(url)).unwrap_or_default();
            assert!(said.starts_with(expected), "{said}");
        }
        for first in [&b""[..], b"H", b"HTTP/1.1 200 OK\r\n"] {
            assert_eq!(instead_of_http1(first, &target("http://localhost:8000")), None);
        }
    }

    #[test]
    fn other_protocols_are_named_where_tls_was_expected() {
        for (url, first, expected) in [
            (
                "https://localhost",
                BAD_REQUEST,
                "the server speaks HTTP/1 without TLS: write http://localhost:443/",
            ),
            (
                "wss://localhost",
                BAD_REQUEST,
                "the server speaks HTTP/1 without TLS: write ws://localhost:443/",
            ),
            // Servers of several protocols answer so, too.
            (
                "grpcs://localhost",
                BAD_REQUEST,
                "the server speaks HTTP/1 without TLS: write grpc://localhost:443/",
            ),
            (
                "https://localhost",
                SETTINGS,
                "the server speaks HTTP/2 without TLS: write h2c://localhost:443/",
            ),
            (
                "grpcs://localhost",
                SETTINGS,
                "the server speaks HTTP/2 without TLS: write grpc://localhost:443/",
            ),
            (
                "wss://localhost",
                SETTINGS,
                "the server speaks HTTP/2 without TLS: write --http2 ws://localhost:443/",
            ),
            ("https://localhost", b"SSH-2.0-x\r\n", "the server speaks SSH"),
            (
                "https://localhost",
                b"-ERR wrong\r\n",
                "the server does not speak TLS on this port (first bytes \"-ERR wrong\\r\\n\")",
            ),
        ] {
            let said = instead_of_tls(first, &target(url));
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
