//! The command line: what was typed, what is printed, and how the process ends. Only this folder prints, or knows clap;
//! what it does with a run, any program can do through [`crate::Run`].

mod abort;
mod adapters;
mod args;
mod client_args;
mod command;
mod conclude;
mod exit;
mod find_max;
mod find_max_args;
mod formats;
mod hammer;
mod heyyall;
mod instead;
mod interrupt;
mod kept;
mod load_tester;
mod loads;
mod once;
mod output;
mod planned;
mod print;
mod progress;
mod read;
mod shorthand;
mod wait;

pub use adapters::Adapter;
pub use args::Args;
pub use client_args::ClientArgs;
pub use command::command;
pub use exit::{Exit, FailOn};
pub use find_max_args::FindMax;
pub use formats::{Format, ReportFile};
pub use instead::Instead;
pub use kept::Kept;
pub use progress::note;
