//! Runs against servers that behave, and that don't.

mod http1;
mod http2;
mod load;
mod peer;
mod reports;
