//! The wire format of gRPC over HTTP/2 and of gRPC-Web, for both roles: [messages](message) with their prefix,
//! [statuses](status) as fields, the [timeout] of a call, and how [browsers](web) are answered. Nothing here knows a
//! socket, a runtime, a clock or a URL, nor Protobuf, nor how messages are compressed: a message is bytes.
//!
//! A client writes a message, and a server reads it from parts of any size:
//!
//! ```
//! use grpc::message::{self, Limits, Reader};
//!
//! let mut sent = Vec::new();
//! message::append(&mut sent, false, |out| out.extend_from_slice(b"hello"));
//! assert_eq!(sent, b"\0\0\0\0\x05hello");
//!
//! let mut reader = Reader::new(Limits { message: 4 << 20, compressed: false });
//! let mut received = Vec::new();
//! for part in sent.chunks(3) {
//!     reader.push(part.to_vec().into());
//!     while let Some(message) = reader.take()? {
//!         received.push(message.content);
//!     }
//! }
//! assert!(reader.is_empty(), "no message was cut");
//! assert_eq!(received, ["hello"]);
//! # Ok::<(), message::Invalid>(())
//! ```
//!
//! The end of a call is a status in the trailers:
//!
//! ```
//! use grpc::{Code, status};
//!
//! let mut trailers = wire::Fields::new();
//! status::write(&mut trailers, Code::NotFound, "no 'ä'", b"");
//! assert_eq!(trailers.get("grpc-status"), Some(&b"5"[..]));
//! assert_eq!(trailers.get("grpc-message"), Some(&b"no%20'%C3%A4'"[..]));
//!
//! assert_eq!(trailers.get("grpc-status").and_then(Code::read), Some(Code::NotFound));
//! assert_eq!(status::decode_message(trailers.get("grpc-message").unwrap_or_default()), "no 'ä'");
//! assert_eq!(Code::NotFound.name(), "NOT_FOUND");
//! ```

pub mod counter;
pub mod message;
pub mod status;
pub mod timeout;
pub mod web;

pub use counter::Counter;
pub use status::Code;

/// The content type of a call, to which a format (`+proto`) or parameters may be added.
pub const CONTENT_TYPE: &str = "application/grpc";

/// Whether a content type is that of a call.
#[must_use]
pub fn is_call(content_type: &[u8]) -> bool {
    content_type.strip_prefix(CONTENT_TYPE.as_bytes()).is_some_and(ends_type)
}

/// Whether a media type ends here, except for a format or parameters.
const fn ends_type(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b'+' | b';'))
}
