//! HTTP/1.0 and HTTP/1.1 (RFC 9112) as state machines for both roles: bytes in, events out. Nothing here knows a
//! socket, a runtime, a clock or a URL.
//!
//! A server reads with [`request::RequestReader`], a client with [`response::ResponseReader`], and both write with the functions of
//! [`mod@write`]. A reader keeps no bytes: it takes what it used off the front of the input, and what is left must be
//! offered again together with more. It remembers how far it has searched, so a head that comes byte by byte costs
//! no more than one that comes in one piece. Heads are read into a scratch that is used again, so a message costs no
//! allocation; bodies are handed on as slices of the input.
//!
//! What a message says is kept as it was: the order, the case and the duplicates of fields, the raw target, the
//! reason phrase. What RFC 9112 forbids is answered by a [`request::Rejection`] with a status, or is a
//! [`response::Broken`]; where the RFC leaves a choice, a request is read strictly, because a lenient server would
//! hide what the proxy in front of it let pass, and a response leniently. Writing checks nothing: a caller may break
//! any rule on purpose.
//!
//! The server's role:
//!
//! ```
//! use http1::{Event, Limits, Version, request, write};
//!
//! let mut reader = request::RequestReader::new(Limits::default());
//! let mut head = request::RequestHead::default();
//! let mut input = &b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"[..];
//! let mut body = Vec::new();
//! while let Some(event) = reader.read(&mut input, &mut head)? {
//!     match event {
//!         Event::Head { end } => assert!(head.target == b"/echo" && !end),
//!         Event::Data(part) => body.extend_from_slice(part),
//!         Event::End | Event::Informational => {}
//!     }
//! }
//! assert!(reader.is_idle() && head.keep_alive);
//!
//! let mut output = Vec::new();
//! write::status_line(&mut output, Version::Http11, 200, b"OK");
//! write::number_field(&mut output, b"Content-Length", body.len() as u64);
//! write::end_head(&mut output);
//! output.extend_from_slice(&body);
//! assert_eq!(output, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
//! # Ok::<(), request::Rejection>(())
//! ```
//!
//! The client's role:
//!
//! ```
//! use http1::{Event, Limits, Version, response, write};
//!
//! let mut output = Vec::new();
//! write::request_line(&mut output, b"HEAD", b"/", Version::Http11);
//! write::field(&mut output, b"Host", b"a");
//! write::end_head(&mut output);
//!
//! let mut reader = response::ResponseReader::new(Limits::default());
//! reader.expect(response::Kind::Head);
//! let mut head = response::ResponseHead::default();
//! let mut input = &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"[..];
//! assert_eq!(reader.read(&mut input, &mut head)?, Some(Event::Head { end: true }));
//! assert_eq!((head.status, head.fields.get("content-length")), (200, Some(&b"5"[..])));
//! assert_eq!(reader.close(), Ok(false), "no reply was cut");
//! # Ok::<(), response::Broken>(())
//! ```

mod chunked;
mod error;
mod extension;
mod facts;
mod head;
mod limits;
mod memory;
pub mod request;
pub mod response;
mod target;
pub mod write;

pub use limits::Limits;

/// What a start line says (RFC 9112 section 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1, or a later minor version, which is taken for it (RFC 9110 section 2.5).
    #[default]
    Http11,
}

impl Version {
    /// As it is written in a start line.
    #[must_use]
    pub const fn bytes(self) -> &'static [u8; 8] {
        match self {
            Self::Http10 => b"HTTP/1.0",
            Self::Http11 => b"HTTP/1.1",
        }
    }
}

/// What a reader has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// The head of a request or of a final response was read.
    Head {
        /// No body follows, and no [`Event::End`] either.
        end: bool,
    },
    /// The head of an interim response was read: 1xx, but not 101. The final one is still to come.
    Informational,
    /// A part of the body, as it lies in the input; never empty.
    Data(&'i [u8]),
    /// The body has ended. Its trailers, if it had any, are with the reader.
    End,
}
