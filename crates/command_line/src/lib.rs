//! What both programs do with a command line beyond clap: a refused input is a message in parts, which names the
//! environment variable that it comes from, and `-d -5s` is a value that is refused instead of an unknown argument. Flags
//! may have one dash, as Go's have.
//!
//! A negative value is refused by what the flag accepts:
//!
//! ```
//! use clap::{Arg, Command, value_parser};
//! use command_line::{Accepted, parse};
//!
//! let rate = Arg::new("rate").long("rate").value_parser(value_parser!(u32).range(1..));
//! let command = Command::new("program").arg(rate);
//! let accepted = [Accepted { flag: "rate", values: "a whole number from 1", example: "1000" }];
//!
//! let parsed = parse(&command, ["program", "--rate=50"], &accepted)?;
//! assert_eq!(parsed.matches.get_one("rate"), Some(&50_u32));
//!
//! let failure = parse(&command, ["program", "--rate", "-5"], &accepted).unwrap_err();
//! assert_eq!(
//!     failure.to_string(),
//!     "invalid value '-5' for --rate; accepted: a whole number from 1; example: --rate=1000"
//! );
//! # Ok::<(), command_line::Failure>(())
//! ```

mod parse;
mod refusal;

pub use parse::{Accepted, Failure, Parsed, Variables, either, parse, print_help, with_two_dashes};
pub use refusal::{Refusal, is_misleading};
