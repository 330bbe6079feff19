//! What both HTTP versions are made of: [`Fields`], an ordered list that keeps case and duplicates, [`Name`], a field's
//! name that is known when the program is built, [`Output`], bytes on their way to a socket as segments, and [`common_prefix`].
//!
//! Nothing here reads or writes a protocol, or knows a socket or a clock.
//!
//! Fields keep their case and order, and a large body goes out without a copy:
//!
//! ```
//! use std::io::IoSlice;
//!
//! use wire::{Fields, Name, Output};
//!
//! let mut fields = Fields::new();
//! fields.push("Accept", "text/html");
//! fields.push("accept", "*/*");
//! assert_eq!(fields.get("ACCEPT"), Some(&b"text/html"[..]));
//! assert_eq!(fields.iter().map(|(name, _)| name).collect::<Vec<_>>(), [&b"Accept"[..], b"accept"]);
//!
//! const DATE: Name = Name::new("date");
//! assert_eq!((DATE.as_str(), DATE.hpack_index()), ("date", 33));
//!
//! let mut output = Output::new();
//! output.copy(b"200 OK\r\n\r\n");
//! output.push(vec![b'x'; 64 << 10].into());
//! let mut slices = [IoSlice::new(&[]); 8];
//! assert_eq!(output.slices(&mut slices), 2);
//! assert_eq!(&slices[0][..], b"200 OK\r\n\r\n");
//! ```

mod fields;
mod name;
mod output;
mod prefix;

pub use fields::Fields;
pub use name::{HPACK_STATIC_TABLE, Name};
pub use output::Output;
pub use prefix::common_prefix;
