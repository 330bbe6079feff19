//! What both ends of the wire must agree on.
//!
//! The payload pattern ([`pattern`]), the names of fields ([`field`]), the ids of requests ([`id`]), the `Server-Timing` format
//! ([`timing`]), what a server has seen of a verified run ([`ledger`]), how numbers are written ([`quantity`]) and the gRPC messages ([`echo`], [`mod@test`]). Nothing here
//! does IO, reads a clock or knows how either end works.
//!
//! A server cuts a body out of the pattern, and a client checks a part of it by its offset:
//!
//! ```
//! use contract::pattern::{self, Pattern};
//!
//! let mut range = Pattern::new(64 << 10).range(30, 100);
//! let mut body = Vec::new();
//! while range.left() > 0 {
//!     body.extend_from_slice(range.piece(16));
//! }
//! assert!(body.len() == 100 && body.starts_with(b"456789ABC"));
//! assert_eq!(pattern::verify(30, &body), Ok(()));
//!
//! body[50] = b'-';
//! let mismatch = pattern::verify(30, &body).unwrap_err();
//! assert_eq!(mismatch.to_string(), "byte 80 is 0x2d, expected 0x49");
//! ```

pub mod field;
pub mod id;
pub mod ledger;
pub mod pattern;
pub mod quantity;
pub mod timing;

/// The messages of `proto/echo.proto`.
#[expect(missing_docs, reason = "generated from proto/echo.proto, which documents them")]
pub mod echo {
    include!(concat!(env!("OUT_DIR"), "/echo.rs"));
}

/// The messages of `proto/test.proto`.
#[expect(missing_docs, reason = "generated from proto/test.proto, which documents them")]
pub mod test {
    include!(concat!(env!("OUT_DIR"), "/dummy.v1.rs"));
}

/// The encoded `FileDescriptorSet` of `proto/`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
