//! gRPC plans: what is accepted of an encoded request is within its documented bounds. The first byte says whether there
//! may be several responses, the second how large messages may be.

use dummy_server::fuzzing;

use super::HOUR;
use crate::feedback::met;

/// Words that requests are made of: fields of a plan (RFC-like varints), and what is in them.
pub const WORDS: &[&[u8]] = &[
    &[0x12, 0x02, 0x08, 0x03],
    &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x10, 0x80, 0x08],
    &[0x10, 0xff, 0xff, 0xff, 0xff, 0x07],
    &[0x18, 0x64],
    &[0x20, 0x80, 0xdd, 0xdb, 0x01],
    &[0x28, 0x01],
    &[0x32, 0x02, 0x08, 0x08],
    &[0x3a, 0x06, 0x0a, 0x01, b'a', 0x12, 0x01, b'b'],
    &[0x42, 0x09, 0x0a, 0x05, b'a', b'-', b'b', b'i', b'n', 0x1a, 0x00],
    b"grpc-status",
    b"content-length",
    &[0x0a, 0x00],
    &[0x80],
    &[0xff],
];

/// Reads an input.
pub fn run(input: &[u8]) {
    let (&streams, rest) = input.split_first().unwrap_or((&0, &[]));
    let (&largest, request) = rest.split_first().unwrap_or((&0, &[]));
    let (streams, most) = (streams % 2 == 1, 1_usize << (largest % 32));
    match fuzzing::script(request, streams, most) {
        Ok(script) => {
            let time = script.interval.max(script.delay);
            let metadata = script.headers.size() + script.trailers.size();
            assert!(script.count <= 1_000_000_000 && (streams || script.count == 1), "{script:?}");
            assert!(script.size <= most && time <= HOUR && metadata <= 64 << 10, "{script:?}");
            met((script.count.checked_ilog2(), script.size.checked_ilog2(), time.is_zero(), metadata / 64));
        }
        Err(error) => {
            let kind: String = error.chars().filter(|c| !c.is_ascii_digit()).take(24).collect();
            met(kind);
        }
    }
}
