//! What both programs do with a command line beyond clap: a refused input is a message in parts, which names the
//! environment variable that it comes from, and `-d -5s` is a value that is refused instead of an unknown argument.

mod parse;
mod refusal;

pub use parse::{Accepted, Failure, Parsed, Variables, parse};
pub use refusal::Refusal;
