//! The command line: what was typed, what is printed, and how the process ends. Only this folder prints, or knows clap;
//! what it does with a run, any program can do through [`crate::Run`].

mod args;
mod command;
mod interrupt;
mod once;
mod output;
mod progress;
mod wait;

pub use args::{Args, Format, OnOverload};
pub use command::{Exit, command};
pub use once::Exchanged;
pub use output::Output;
pub use progress::note;
