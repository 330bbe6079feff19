//! Sockets for both ends: where to listen, with which options, and how state machines read and write.
//!
//! Nothing here knows a URL, a protocol or a load.

pub mod address;
mod fast_open;
pub mod listen;
pub mod proxy_protocol;
pub mod segments;
pub mod stream;
pub mod tls;
mod unsent;

pub use address::Address;
pub use listen::{ListenOptions, Listener};
pub use stream::{Socket, Stream};
