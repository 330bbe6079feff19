//! What both HTTP versions are made of: [`Fields`], an ordered list that keeps case and duplicates, and
//! [`Output`], bytes on their way to a socket as segments.
//!
//! Nothing here knows a protocol, a socket or a clock.

mod fields;
mod output;

pub use fields::Fields;
pub use output::Output;
