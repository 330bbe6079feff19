//! The command line: what was typed, what is printed, and how the process ends. Only this folder prints, or knows clap;
//! what it does with a run, any program can do through [`crate::Run`].

mod abort;
mod args;
mod client_args;
mod command;
mod conclude;
mod exit;
mod formats;
mod interrupt;
mod kept;
mod once;
mod output;
mod print;
mod progress;
mod read;
mod shorthand;
mod wait;

pub use args::Args;
pub use client_args::ClientArgs;
pub use command::command;
pub use exit::{Exit, FailOn};
pub use formats::{Format, ReportFile};
pub use kept::Kept;
pub use progress::note;
