//! What both HTTP versions are made of: [`Fields`], an ordered list that keeps case and duplicates, [`Name`], a field's
//! name that is known when the program is built, and [`Output`], bytes on their way to a socket as segments.
//!
//! Nothing here reads or writes a protocol, or knows a socket or a clock.

mod fields;
mod name;
mod output;

pub use fields::Fields;
pub use name::{HPACK_STATIC_TABLE, Name};
pub use output::Output;
