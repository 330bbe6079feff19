//! WebSockets (RFC 6455), each on its own connection, or on streams of HTTP/2 (RFC 8441): after the handshake,
//! messages go out and their echoes come back.
//!
//! It knows nothing of when a message is due, and of which connection it is for.

mod messages;
mod over_http1;
mod over_http2;
mod sent;
mod socket;

pub(super) use self::{messages::SocketMessages, over_http1::OverHttp1, over_http2::OverHttp2};
