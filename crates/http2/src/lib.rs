//! HTTP/2 (RFC 9113), HPACK (RFC 7541) and extended CONNECT (RFC 8441) as state machines for both roles.
//!
//! Nothing here knows a socket, a runtime, a clock or a URL. The caller reads bytes and hands them to
//! [`Connection::receive`], which yields [`Event`]s; it answers with [`Connection::head`] and
//! [`Connection::data`] and writes what is in [`Connection::output`] to its socket. Content is never kept here:
//! what is received is lent, what is sent waits with the caller until [`Connection::data_room`] allows it.
//!
//! ```
//! use http2::{Config, Connection, Event, Head, Role};
//!
//! /// Moves what one end wants to write to the other, and yields the last event there.
//! fn carry(from: &mut Connection, to: &mut Connection, head: &mut Head) -> Option<http2::Key> {
//!     let bytes = from.output.single()?.to_vec();
//!     from.output.advance(bytes.len());
//!     let mut input = &bytes[..];
//!     let mut key = None;
//!     while let Some(event) = to.receive(&mut input, head).expect("both ends keep to the rules") {
//!         match event {
//!             Event::Request { stream, .. } | Event::Data { stream, end: true, .. } => key = Some(stream),
//!             _ => {}
//!         }
//!     }
//!     key
//! }
//!
//! let mut client = Connection::new(&Config::new(Role::Client));
//! let mut server = Connection::new(&Config::new(Role::Server));
//! let mut head = Head::new();
//! carry(&mut server, &mut client, &mut head); // A client waits for the server's SETTINGS.
//!
//! let asked = client.open(true, false, |block| {
//!     block.constant(b":method", b"GET");
//!     block.constant(b":scheme", b"http");
//!     block.constant(b":path", b"/hello");
//!     block.varying(b"x-request-id", b"1");
//! });
//! let stream = carry(&mut client, &mut server, &mut head).expect("a request");
//! assert_eq!(head.path(), b"/hello");
//!
//! server.head(stream, false, |block| block.status(200));
//! server.data_static(stream, b"hello", true);
//! assert_eq!(carry(&mut server, &mut client, &mut head), asked);
//! ```

mod connection;
mod error;
mod flow;
pub mod frame;
mod head;
pub mod hpack;
mod limits;
#[cfg(test)]
mod random;
mod settings;
mod streams;

pub use connection::{Config, Connection, Counters, Event, PREFACE, Role};
pub use error::{Code, Error, NoCode};
pub use head::Head;
pub use hpack::{Block, Prepared};
pub use limits::Limits;
pub use settings::Settings;
pub use streams::Key;
