//! The command line: what was typed, what is printed, and how the process ends. Only this folder prints, or knows clap;
//! what it does with a run, any program can do through [`crate::Run`].

mod args;
mod command;
mod interrupt;
mod once;
mod output;
mod progress;
mod wait;

pub use args::{Args, Format};
pub use command::{Exit, command};
pub use progress::note;
