//! Sockets for both ends: where to listen, with which options, and how writes are gathered.
//!
//! Nothing here knows a URL, a protocol or a load.

pub mod address;
mod fast_open;
pub mod gather;
pub mod listen;
pub mod stream;

pub use address::Address;
pub use gather::Gathered;
pub use listen::{ListenOptions, Listener};
pub use stream::Stream;
