//! One function for each target. The first bytes of an input say how the rest is used.

pub mod content_coding;
pub mod hpack;
pub mod http1;
pub mod http2;
pub mod live;
pub mod proxy_header;
pub mod text;
pub mod websocket;
